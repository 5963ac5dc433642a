/* apply.h - carries the store effects of one core step into the store's open transaction. */
#ifndef GLEANER_APPLY_H
#define GLEANER_APPLY_H

#include "broker/core.h"
#include "broker/store.h"

/* Returns 0 or the store's error: then nothing of this turn may be answered (store.h). */
err_t effects_persist (const effects_t *effects, store_t *store);

/* Rebuilds a fresh core from the store: workers, live jobs, last seq. Returns 0 or the store's error. */
err_t core_rebuild (core_t *core, store_t *store, int64_t now_ms, int64_t wall_ms);

/* What core_lookup asks of the store for an event's message. */
typedef struct {
    job_record_t job;
    attempt_record_t attempt;
} looked_up_t;

/* Fills the event's `stored` and `past`, which point into `found` and the store. Returns 0 or the store's error. */
err_t event_look_up (event_t *event, const core_t *core, store_t *store, looked_up_t *found);

#endif
