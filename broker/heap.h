/* heap.h - a binary min-heap of nodes embedded in their owners: timers and requeued jobs. */
#ifndef GLEANER_HEAP_H
#define GLEANER_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t key;
    int64_t tie;  /* decides between equal keys: the lower first */
    size_t place; /* 1 + its index; 0: in no heap */
} heap_node_t;

/* Zero-initialised is valid and empty. */
typedef struct {
    heap_node_t **nodes;
    size_t count;
    size_t cap;
} heap_t;

void heap_fini (heap_t *self);
/* The node with the lowest key; NULL when empty. */
heap_node_t *heap_top (const heap_t *self);
/* Puts the node in, or moves it to its new key. O(log n); O(1) when no other is behind it. */
void heap_put (heap_t *self, heap_node_t *node, int64_t key, int64_t tie);
/* Takes the node out; a node that is not in is left alone. O(log n). */
void heap_remove (heap_t *self, heap_node_t *node);

static inline bool heap_holds (const heap_node_t *node)
{
    return node->place != 0;
}

#endif
