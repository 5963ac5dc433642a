#include "worker/mask.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/lines.h"

/* A state is a beginning of one or more of the secrets; 0 is the empty one. */
typedef struct {
    uint32_t child, sibling; /* states that are a byte longer; 0: none */
    uint32_t fail;           /* the longest proper ending of it that is a state */
    uint32_t depth;          /* its length */
    uint32_t found;          /* length of the longest secret that it ends with; 0: none */
    unsigned char byte;      /* its last */
} state_t;

struct mask {
    state_t *states;
    uint32_t count, cap;
};

/* ---- what is looked for ---- */

static uint32_t child_of (const mask_t *self, uint32_t at, unsigned char byte)
{
    uint32_t child = self->states[at].child;
    while (child && self->states[child].byte != byte)
        child = self->states[child].sibling;
    return child;
}

static uint32_t state_new (mask_t *self)
{
    if (self->count == self->cap) {
        self->cap = self->cap ? 2 * self->cap : 256;
        self->states = xrealloc (self->states, self->cap * sizeof *self->states);
    }
    self->states[self->count] = (state_t){ 0 };
    return self->count++;
}

static void add (mask_t *self, slice_t secret)
{
    uint32_t at = 0;
    if (secret.len < SECRET_MIN)
        return;
    for (size_t i = 0; i < secret.len; i++) {
        unsigned char byte = (unsigned char)secret.ptr[i];
        uint32_t next = child_of (self, at, byte);
        if (!next) {
            next = state_new (self);
            state_t *state = &self->states[next];
            state->byte = byte;
            state->depth = self->states[at].depth + 1;
            state->sibling = self->states[at].child;
            self->states[at].child = next;
        }
        at = next;
    }
    self->states[at].found = (uint32_t)secret.len;
}

static uint32_t step (const mask_t *self, uint32_t at, unsigned char byte)
{
    uint32_t next = child_of (self, at, byte);
    while (!next && at) {
        at = self->states[at].fail;
        next = child_of (self, at, byte);
    }
    return next;
}

/* Shorter states first, as each needs those that are shorter than itself. */
static void link_states (mask_t *self)
{
    uint32_t *queue = xcalloc (self->count, sizeof *queue);
    uint32_t count = 1;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t at = self->states[queue[i]].child; at; at = self->states[at].sibling) {
            state_t *state = &self->states[at];
            state->fail = queue[i] ? step (self, self->states[queue[i]].fail, state->byte) : 0;
            if (!state->found)
                state->found = self->states[state->fail].found;
            queue[count++] = at;
        }
    free (queue);
}

mask_t *mask_new (slice_t rows)
{
    mask_t *self = xcalloc (1, sizeof *self);
    slice_t row, name, value, line;
    state_new (self);
    while (rows_next (&rows, &row)) {
        line_split (row, &name, &value);
        add (self, slice_trim (value));
        while (lines_next (&value, &line))
            add (self, slice_trim (line));
    }
    link_states (self);
    return self;
}

void mask_destroy (mask_t **self_p)
{
    mask_t *self = *self_p;
    if (!self)
        return;
    explicit_bzero (self->states, self->count * sizeof *self->states);
    free (self->states);
    free (self);
    *self_p = NULL;
}

/* ---- a stream ---- */

void mask_stream_init (mask_stream_t *self, const mask_t *mask)
{
    *self = (mask_stream_t){ .mask = mask };
}

static void wipe (buf_t *buf)
{
    if (buf->ptr)
        explicit_bzero (buf->ptr, buf->cap);
    buf_fini (buf);
}

void mask_stream_fini (mask_stream_t *self)
{
    wipe (&self->held);
    buf_fini (&self->covered);
    buf_fini (&self->shown);
    self->mask = NULL;
}

static size_t less (size_t offset, size_t count)
{
    return offset > count ? offset - count : 0;
}

/* What is held from here on is part of a secret. Each byte is set once, whatever overlaps. */
static void cover (mask_stream_t *self, size_t from)
{
    size_t to = self->held.len;
    if (from > self->run_to)
        self->run_from = self->run_to = from;
    if (from < self->run_from) {
        memset (self->covered.ptr + from, 1, self->run_from - from);
        self->run_from = from;
    }
    memset (self->covered.ptr + self->run_to, 1, to - self->run_to);
    self->run_to = to;
}

/* Shows the first bytes that are held: no secret that is yet to be found begins in them. */
static void let_go (mask_stream_t *self, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool hidden = self->covered.ptr[i] != 0;
        if (!hidden)
            buf_append (&self->shown, self->held.ptr + i, 1);
        else if (!self->hiding)
            buf_append_str (&self->shown, "***");
        self->hiding = hidden;
    }
    self->held.len -= count;
    self->covered.len -= count;
    self->run_from = less (self->run_from, count);
    self->run_to = less (self->run_to, count);
    if (count) {
        memmove (self->held.ptr, self->held.ptr + count, self->held.len);
        memmove (self->covered.ptr, self->covered.ptr + count, self->covered.len);
    }
}

slice_t mask_stream_take (mask_stream_t *self, slice_t bytes)
{
    if (!self->mask)
        return bytes;
    buf_clear (&self->shown);
    for (size_t i = 0; i < bytes.len; i++) {
        self->state = step (self->mask, self->state, (unsigned char)bytes.ptr[i]);
        const state_t *state = &self->mask->states[self->state];
        buf_append (&self->held, bytes.ptr + i, 1);
        buf_append (&self->covered, "", 1);
        if (state->found)
            cover (self, self->held.len - state->found);
        /* In one go, or the moving of long beginnings would cost more than the looking. */
        if (self->held.len > 2 * (size_t)state->depth + 256)
            let_go (self, self->held.len - state->depth);
    }
    let_go (self, self->held.len - self->mask->states[self->state].depth);
    return buf_slice (&self->shown);
}

slice_t mask_stream_end (mask_stream_t *self)
{
    if (!self->mask)
        return SLICE ("");
    buf_clear (&self->shown);
    let_go (self, self->held.len);
    self->state = 0;
    return buf_slice (&self->shown);
}
