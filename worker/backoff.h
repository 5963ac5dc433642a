/* backoff.h - how long to wait before a request is tried again: 200 ms, doubled each time up to 10 s, jittered, so that
 * a thousand workers do not come back in the same instant (rule 31 of proto/README.md). */
#ifndef GLEANER_WORKER_BACKOFF_H
#define GLEANER_WORKER_BACKOFF_H

#include <stdint.h>

/* Zeroed is fresh. */
typedef struct {
    unsigned failures;
} backoff_t;

enum { BACKOFF_FIRST_MS = 200, BACKOFF_LAST_MS = 10000 };

/* Counts a failure and returns the pause, ms: between half of the doubled step and the whole. */
int64_t backoff_next_ms (backoff_t *self);
/* Counts a success. */
void backoff_reset (backoff_t *self);

#endif
