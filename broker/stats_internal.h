/* stats_internal.h - what stats.c and stats_row.c share. Nobody else includes it. */
#ifndef GLEANER_STATS_INTERNAL_H
#define GLEANER_STATS_INTERNAL_H

#include "broker/stats.h"

enum { LEVELS = 5 }; /* numbers of a stats_level_t */

typedef struct {
    char name[STATS_REASON_SIZE];
    uint32_t count;
} reason_t;

typedef struct {
    bool used;
    bool changed; /* since it was stored */
    int64_t time_ms;
    uint32_t created, started, completed, failed;
    uint32_t samples;
    uint64_t sums[LEVELS]; /* of the samples' numbers */
    uint32_t reason_count;
    reason_t reasons[STATS_REASONS];
    uint32_t other;
    histogram_t wait, run;
} bucket_t;

struct stats {
    bucket_t *rings[STATS_RINGS];
    stats_level_t last; /* the last sample: shown by a bucket that has none yet */
};

int64_t stats_ring_count (stats_ring_t ring);
/* The place in the ring of the bucket that begins at `time_ms`. */
bucket_t *stats_place (const stats_t *self, stats_ring_t ring, int64_t time_ms);
void stats_count_reason (bucket_t *bucket, slice_t name, uint32_t count);

#endif
