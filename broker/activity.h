/* activity.h - how busy each worker was in the last 24 hours: a cell a quarter of an hour.
 *
 * Pure: the time comes in, rows for the store go out. The driver takes samples in rounds; a cell is the mean of those
 * in which the worker was online. All workers share one timeline, so that a new quarter costs one column.
 *
 * Memory: about 250 bytes and its id a worker, of ACTIVITY_WORKERS_MAX workers: 8 MB at most.
 */
#ifndef GLEANER_ACTIVITY_H
#define GLEANER_ACTIVITY_H

#include <stdbool.h>

#include "proto/buf.h"
#include "proto/limits.h"

enum {
    ACTIVITY_STEP_MS = 15 * 60 * 1000,
    ACTIVITY_WORKERS_MAX =
        2 * WORKERS_MAX, /* those that the registry forgets stay for a quarter; others are not kept */
    ACTIVITY_ROW_WORKERS = 256,
};

typedef struct activity activity_t;

/* `secret`: the hash table's. The caller destroys it. */
activity_t *activity_new (const uint8_t secret[16]);
void activity_destroy (activity_t **self_p);

/* Begins a round of samples. True when the quarter is another one than in the round before: then all rows have changed,
 * and workers that were not in that round are forgotten. */
bool activity_round (activity_t *self, int64_t wall_ms);
/* A worker of the registry is online and holds `busy` leases of `slots`; of 0 slots: it is offline. Once a round. */
void activity_sample (activity_t *self, slice_t worker_id, int64_t busy, int64_t slots);
/* A worker's cells, oldest first, without a NUL: `-` not known or offline, `0` to `9` share of busy slots in tenths,
 * `9` from 90 % on. The last one is the quarter of the last round. */
void activity_text (const activity_t *self, slice_t worker_id, char out[ACTIVITY_CELLS]);
/* When that quarter ends, wall. */
int64_t activity_until_ms (const activity_t *self);

/* Rows for the store: numbered from 0 on, ACTIVITY_ROW_WORKERS workers each. */
size_t activity_rows (const activity_t *self);
void activity_row (const activity_t *self, size_t row, buf_t *out);
/* Takes a row back in, before the first round; cells that are older than a day at `wall_ms`, or later than that, are
 * passed over. False: it cannot be read to its end; what came before the fault may have been taken. */
bool activity_load (activity_t *self, slice_t bytes, int64_t wall_ms);

#endif
