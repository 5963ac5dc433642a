#include "gateway/rate.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { HASH = 16, SETS = 1024, WAYS = 8 };

typedef struct {
    unsigned char hash[HASH];
    int64_t used_ms; /* 0: never */
    double left;     /* requests */
} bucket_t;

struct rate {
    double per_ms;
    double burst;
    unsigned char secret[crypto_generichash_KEYBYTES];
    bucket_t buckets[SETS][WAYS];
};

void rate_set (rate_t *self, int64_t per_s, int64_t burst)
{
    self->per_ms = (double)per_s / 1000;
    self->burst = (double)(burst > 1 ? burst : 1);
}

rate_t *rate_new (int64_t per_s, int64_t burst)
{
    rate_t *self = xcalloc (1, sizeof *self);
    rate_set (self, per_s, burst);
    randombytes_buf (self->secret, sizeof self->secret);
    return self;
}

void rate_destroy (rate_t **self_p)
{
    free (*self_p);
    *self_p = NULL;
}

/* The key's bucket, a full one when it has none yet. */
static bucket_t *bucket_of (rate_t *self, slice_t key, int64_t now_ms)
{
    unsigned char hash[HASH];
    uint32_t at;
    crypto_generichash (hash, HASH, (const unsigned char *)key.ptr, key.len, self->secret, sizeof self->secret);
    memcpy (&at, hash, sizeof at);
    bucket_t *set = self->buckets[at % SETS];
    bucket_t *oldest = set;
    for (int way = 0; way < WAYS; way++) {
        if (set[way].used_ms && memcmp (set[way].hash, hash, HASH) == 0)
            return &set[way];
        if (set[way].used_ms < oldest->used_ms)
            oldest = &set[way];
    }
    memcpy (oldest->hash, hash, HASH);
    oldest->used_ms = now_ms;
    oldest->left = self->burst;
    return oldest;
}

/* Likewise, as full as it is by now. */
static bucket_t *filled (rate_t *self, slice_t key, int64_t now_ms)
{
    bucket_t *bucket = bucket_of (self, key, now_ms);
    double left = bucket->left + (double)(now_ms - bucket->used_ms) * self->per_ms;
    bucket->left = left < self->burst ? left : self->burst;
    bucket->used_ms = now_ms;
    return bucket;
}

bool rate_left (rate_t *self, slice_t key, int64_t now_ms)
{
    return self->per_ms <= 0 || filled (self, key, now_ms)->left >= 1;
}

bool rate_take (rate_t *self, slice_t key, int64_t now_ms)
{
    if (self->per_ms <= 0)
        return true;
    bucket_t *bucket = filled (self, key, now_ms);
    if (bucket->left < 1)
        return false;
    bucket->left -= 1;
    return true;
}
