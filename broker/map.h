/* map.h - a hash table from keys to items that hold their own key. Keyed SipHash: peers cannot choose collisions. */
#ifndef GLEANER_MAP_H
#define GLEANER_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"

typedef slice_t map_key_fn (const void *item);

typedef struct {
    struct map_slot *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
    map_key_fn *key;
    uint8_t secret[16];
} map_t;

void map_init (map_t *self, map_key_fn *key, const uint8_t secret[16]);
void map_fini (map_t *self);
/* The item with this key; NULL when there is none. O(1). */
void *map_get (const map_t *self, slice_t key);
/* The item's key must be new. */
void map_put (map_t *self, void *item);
void map_remove (map_t *self, const void *item);
/* Items in no order: begin with *at 0; NULL at the end. Not while the map changes. */
void *map_next (const map_t *self, size_t *at);

#endif
