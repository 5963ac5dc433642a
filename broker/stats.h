/* stats.h - what the broker has been doing: counts and times of jobs in three rings of buckets, an hour by the minute,
 * a day by five minutes, a week by the hour.
 *
 * Pure: the time comes in, rows for the store go out. A bucket is known by the wall time of its beginning. When that of
 * its place in the ring is another one, it is begun anew; so a clock that is set, or a broker that was away, leaves a
 * gap and nothing else. What lies in the future of a clock that was set back is not shown until then.
 *
 * Memory: 516 buckets of 4.5 KB, 2.3 MB, whatever happens.
 */
#ifndef GLEANER_STATS_H
#define GLEANER_STATS_H

#include <stdbool.h>

#include "broker/histogram.h"
#include "proto/buf.h"
#include "proto/error.h"
#include "proto/limits.h"

typedef enum { STATS_MINUTES, STATS_FIVES, STATS_HOURS, STATS_RINGS } stats_ring_t;

enum {
    STATS_REASONS = 16,     /* names in one bucket; failures for others count as `other` */
    STATS_REASON_SIZE = 32, /* bytes of a name with its NUL; a longer one counts as `other` */
};

/* How things stand at one moment. */
typedef struct {
    int64_t pending, running, workers, busy_slots, slots;
} stats_level_t;

typedef struct {
    int64_t created, started, completed, failed;
    percentiles_t wait, run;
} stats_counts_t;

typedef struct {
    int64_t time_ms;     /* the bucket's beginning */
    stats_level_t level; /* the mean of its samples, rounded */
    stats_counts_t counts;
} stats_point_t;

typedef struct {
    char name[STATS_REASON_SIZE];
    int64_t count;
} stats_reason_t;

/* All points together. Reasons: most frequent first. */
typedef struct {
    stats_counts_t counts;
    stats_reason_t reasons[STATS_REASONS_MAX];
    size_t reason_count;
} stats_total_t;

typedef struct stats stats_t;
typedef void stats_point_fn (void *ctx, const stats_point_t *point);
typedef err_t stats_row_fn (void *ctx, stats_ring_t ring, int64_t time_ms, slice_t bytes);

/* The caller destroys it. */
stats_t *stats_new (void);
void stats_destroy (stats_t **self_p);

/* What happened at `wall_ms`. None of these allocates. */
void stats_created (stats_t *self, int64_t wall_ms);
/* An attempt was handed out, after `waited_ms`; INT_ABSENT: not known. */
void stats_started (stats_t *self, int64_t wall_ms, int64_t waited_ms);
/* A job is over. `ran_ms`: its last attempt; INT_ABSENT: none ran. `reason`: why it failed; absent: it did not. */
void stats_ended (stats_t *self, int64_t wall_ms, bool failed, int64_t ran_ms, slice_t reason);
void stats_sample (stats_t *self, int64_t wall_ms, const stats_level_t *level);

/* ms of a bucket. */
int64_t stats_step_ms (stats_ring_t ring);
/* ms of the whole ring. */
int64_t stats_span_ms (stats_ring_t ring);
/* Calls `fn` for each bucket of the ring that ends at `wall_ms`, oldest first; those in which nobody looked are left
 * out. */
void stats_read (const stats_t *self, stats_ring_t ring, int64_t wall_ms, stats_point_fn *fn, void *ctx,
                 stats_total_t *total);

/* stats_row.c: gives each bucket that has changed since stats_stored to `fn`, as a row for the store; stops at its
 * first error and returns that. `room` is cleared and used. */
err_t stats_each_changed (const stats_t *self, buf_t *room, stats_row_fn *fn, void *ctx);
/* All that stats_each_changed gave out is safe. */
void stats_stored (stats_t *self);
/* Takes a row back in; one that the ring does not reach at `wall_ms` is passed over. False: it cannot be read, and
 * nothing was taken. */
bool stats_load (stats_t *self, stats_ring_t ring, int64_t time_ms, slice_t bytes, int64_t wall_ms);

#endif
