#include "broker/map.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

struct map_slot {
    uint64_t hash;
    void *item; /* NULL: free */
};

enum { CAP_MIN = 16 };

void map_init (map_t *self, map_key_fn *key, const uint8_t secret[16])
{
    *self = (map_t){ .key = key };
    memcpy (self->secret, secret, sizeof self->secret);
}

void map_fini (map_t *self)
{
    free (self->slots);
    self->slots = NULL;
    self->cap = self->count = 0;
}

static uint64_t hash_of (const map_t *self, slice_t key)
{
    _Static_assert(crypto_shorthash_KEYBYTES == sizeof self->secret, "the secret is SipHash's key");
    uint64_t hash = 0;
    unsigned char bytes[crypto_shorthash_BYTES];
    crypto_shorthash (bytes, (const unsigned char *)key.ptr, key.len, self->secret);
    memcpy (&hash, bytes, sizeof hash);
    return hash;
}

/* Index of the item, or of the free slot where its probe ends. */
static size_t find (const map_t *self, slice_t key, uint64_t hash)
{
    size_t at = hash & (self->cap - 1);
    while (self->slots[at].item && !(self->slots[at].hash == hash && slice_eq (self->key (self->slots[at].item), key)))
        at = (at + 1) & (self->cap - 1);
    return at;
}

void *map_get (const map_t *self, slice_t key)
{
    return self->count ? self->slots[find (self, key, hash_of (self, key))].item : NULL;
}

static void grow (map_t *self)
{
    struct map_slot *old = self->slots;
    size_t old_cap = self->cap;
    self->cap = old_cap ? 2 * old_cap : CAP_MIN;
    self->slots = xcalloc (self->cap, sizeof *self->slots);
    for (size_t i = 0; i < old_cap; i++) {
        if (!old[i].item)
            continue;
        size_t at = old[i].hash & (self->cap - 1);
        while (self->slots[at].item)
            at = (at + 1) & (self->cap - 1);
        self->slots[at] = old[i];
    }
    free (old);
}

void map_put (map_t *self, void *item)
{
    if ((self->count + 1) * 4 > self->cap * 3)
        grow (self);
    slice_t key = self->key (item);
    uint64_t hash = hash_of (self, key);
    size_t at = find (self, key, hash);
    assert (!self->slots[at].item);
    self->slots[at] = (struct map_slot){ hash, item };
    self->count++;
}

void map_remove (map_t *self, const void *item)
{
    slice_t key = self->key (item);
    size_t hole = find (self, key, hash_of (self, key));
    assert (self->slots[hole].item == item);
    /* Close the gap, so that no probe ends early: move back what may stand in the hole. */
    for (size_t at = (hole + 1) & (self->cap - 1); self->slots[at].item; at = (at + 1) & (self->cap - 1)) {
        size_t home = self->slots[at].hash & (self->cap - 1);
        if (((at - home) & (self->cap - 1)) >= ((at - hole) & (self->cap - 1))) {
            self->slots[hole] = self->slots[at];
            hole = at;
        }
    }
    self->slots[hole].item = NULL;
    self->count--;
}

void *map_next (const map_t *self, size_t *at)
{
    while (*at < self->cap) {
        void *item = self->slots[(*at)++].item;
        if (item)
            return item;
    }
    return NULL;
}
