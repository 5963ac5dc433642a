#include "broker/heap.h"

#include <stdlib.h>

#include "proto/buf.h"

void heap_fini (heap_t *self)
{
    free (self->nodes);
    *self = (heap_t){ 0 };
}

heap_node_t *heap_top (const heap_t *self)
{
    return self->count ? self->nodes[0] : NULL;
}

static void place (heap_t *self, heap_node_t *node, size_t at)
{
    self->nodes[at] = node;
    node->place = at + 1;
}

static bool before (const heap_node_t *a, const heap_node_t *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

static void sift_up (heap_t *self, heap_node_t *node, size_t at)
{
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (!before (node, self->nodes[parent]))
            break;
        place (self, self->nodes[parent], at);
        at = parent;
    }
    place (self, node, at);
}

static void sift_down (heap_t *self, heap_node_t *node, size_t at)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= self->count)
            break;
        if (child + 1 < self->count && before (self->nodes[child + 1], self->nodes[child]))
            child++;
        if (!before (self->nodes[child], node))
            break;
        place (self, self->nodes[child], at);
        at = child;
    }
    place (self, node, at);
}

void heap_put (heap_t *self, heap_node_t *node, int64_t key, int64_t tie)
{
    if (!heap_holds (node)) {
        if (self->count == self->cap) {
            self->cap = self->cap ? 2 * self->cap : 64;
            self->nodes = xrealloc (self->nodes, self->cap * sizeof *self->nodes);
        }
        node->key = key;
        node->tie = tie;
        sift_up (self, node, self->count++);
        return;
    }
    heap_node_t to = { key, tie, 0 };
    bool up = before (&to, node);
    node->key = key;
    node->tie = tie;
    if (up)
        sift_up (self, node, node->place - 1);
    else
        sift_down (self, node, node->place - 1);
}

void heap_remove (heap_t *self, heap_node_t *node)
{
    if (!heap_holds (node))
        return;
    size_t at = node->place - 1;
    node->place = 0;
    heap_node_t *last = self->nodes[--self->count];
    if (last == node)
        return;
    if (before (last, node))
        sift_up (self, last, at);
    else
        sift_down (self, last, at);
}
