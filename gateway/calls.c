#include "gateway/calls.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/buf.h"

enum { BLOCK = 256, BLOCKS_MAX = LINK_CALLS_MAX / BLOCK };

void calls_init (calls_t *self)
{
    *self = (calls_t){ .generation = 1 };
    self->blocks = xcalloc (BLOCKS_MAX, sizeof *self->blocks);
    self->heap = xcalloc (LINK_CALLS_MAX, sizeof (call_t *));
}

void calls_fini (calls_t *self)
{
    assert (self->count == 0);
    for (uint32_t at = 0; at < self->block_count; at++)
        free (self->blocks[at]);
    free (self->blocks);
    free (self->heap);
    *self = (calls_t){ 0 };
}

static void heap_put (calls_t *self, uint32_t at, call_t *call)
{
    self->heap[at] = call;
    call->heap_at = at;
}

static void heap_up (calls_t *self, call_t *call)
{
    uint32_t at = call->heap_at;
    while (at > 0 && self->heap[(at - 1) / 2]->deadline_ms > call->deadline_ms) {
        heap_put (self, at, self->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put (self, at, call);
}

static void heap_down (calls_t *self, call_t *call)
{
    uint32_t at = call->heap_at;
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= self->count)
            break;
        if (child + 1 < self->count && self->heap[child + 1]->deadline_ms < self->heap[child]->deadline_ms)
            child++;
        if (self->heap[child]->deadline_ms >= call->deadline_ms)
            break;
        heap_put (self, at, self->heap[child]);
        at = child;
    }
    heap_put (self, at, call);
}

static void grow (calls_t *self)
{
    if (self->block_count == BLOCKS_MAX)
        return;
    call_t *block = xcalloc (BLOCK, sizeof *block);
    uint32_t first = self->block_count * BLOCK;
    self->blocks[self->block_count++] = block;
    for (uint32_t at = BLOCK; at-- > 0;) {
        block[at].slot = first + at;
        block[at].next = self->free;
        self->free = &block[at];
    }
}

call_t *calls_add (calls_t *self, int64_t deadline_ms)
{
    if (!self->free)
        grow (self);
    call_t *call = self->free;
    if (!call)
        return NULL;
    self->free = call->next;
    call->prev = call->next = NULL;
    call->id = self->generation++ * LINK_CALLS_MAX + call->slot;
    call->deadline_ms = deadline_ms;
    call->sent = false;
    heap_put (self, self->count++, call);
    heap_up (self, call);
    return call;
}

call_t *calls_find (const calls_t *self, uint64_t id)
{
    uint32_t slot = (uint32_t)(id % LINK_CALLS_MAX);
    if (id == 0 || slot / BLOCK >= self->block_count)
        return NULL;
    call_t *call = &self->blocks[slot / BLOCK][slot % BLOCK];
    return call->id == id ? call : NULL;
}

void calls_remove (calls_t *self, call_t *call)
{
    assert (call->id != 0 && !call->held);
    if (!call->sent)
        calls_unqueue (self, call);
    call_t *last = self->heap[--self->count];
    if (last != call) {
        heap_put (self, call->heap_at, last);
        heap_up (self, last);
        heap_down (self, last);
    }
    call->id = 0;
    call->next = self->free;
    self->free = call;
}

void calls_move (calls_t *self, call_t *call, int64_t deadline_ms)
{
    call->deadline_ms = deadline_ms;
    heap_up (self, call);
    heap_down (self, call);
}

call_t *calls_earliest (const calls_t *self)
{
    return self->count ? self->heap[0] : NULL;
}

void calls_queue (calls_t *self, call_t *call)
{
    call->next = NULL;
    call->prev = self->unsent_last;
    if (self->unsent_last)
        self->unsent_last->next = call;
    else
        self->unsent_first = call;
    self->unsent_last = call;
}

void calls_unqueue (calls_t *self, call_t *call)
{
    if (self->unsent_first != call && !call->prev)
        return;
    if (call->prev)
        call->prev->next = call->next;
    else
        self->unsent_first = call->next;
    if (call->next)
        call->next->prev = call->prev;
    else
        self->unsent_last = call->prev;
    call->prev = call->next = NULL;
}
