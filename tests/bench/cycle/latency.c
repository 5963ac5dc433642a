#include "tests/bench/cycle/drive.h"

#include <stdio.h>

enum { FINE_BITS = 6 };

static int bucket_of (int64_t us)
{
    if (us < LATENCY_FINE)
        return us < 0 ? 0 : (int)us;
    int shift = 63 - __builtin_clzll ((unsigned long long)us) - FINE_BITS;
    int at = shift * LATENCY_FINE + (int)(us >> shift);
    return at < LATENCY_BUCKETS ? at : LATENCY_BUCKETS - 1;
}

/* The middle of a bucket. */
static int64_t value_of (int at)
{
    if (at < 2 * LATENCY_FINE)
        return at;
    int shift = at / LATENCY_FINE - 1;
    return ((int64_t)(at % LATENCY_FINE + LATENCY_FINE) << shift) + ((1LL << shift) / 2);
}

void latency_add (latency_t *self, int64_t us)
{
    self->count++;
    self->buckets[bucket_of (us)]++;
    if (us > self->max_us)
        self->max_us = us;
}

static int64_t percentile (const latency_t *self, int percent)
{
    long before = 0;
    for (int at = 0; at < LATENCY_BUCKETS; at++) {
        before += self->buckets[at];
        if (before > self->count * percent / 100)
            return value_of (at);
    }
    return 0;
}

void latency_print (const latency_t *self, const char *name)
{
    printf ("\"%s_p50_us\": %lld, \"%s_p99_us\": %lld, \"%s_max_us\": %lld", name, (long long)percentile (self, 50),
            name, (long long)percentile (self, 99), name, (long long)self->max_us);
}
