/* apply.h - carries the store effects of one core step into the store's open transaction. */
#ifndef GLEANER_APPLY_H
#define GLEANER_APPLY_H

#include "broker/core.h"
#include "broker/store.h"

/* Returns 0 or the store's error: then nothing of this turn may be answered (store.h). */
err_t effects_persist (const effects_t *effects, store_t *store);

/* Rebuilds a fresh core from the store: workers, live jobs, last seq. Returns 0 or the store's error. */
err_t core_rebuild (core_t *core, store_t *store, int64_t now_ms);

#endif
