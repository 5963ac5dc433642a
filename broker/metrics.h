/* metrics.h - what the broker counts for Prometheus: each is one addition where the thing happens, so that reading them
 * costs the same however many jobs and workers there are. They begin anew with each start; the statistics (stats.h) are
 * what is kept.
 */
#ifndef GLEANER_BROKER_METRICS_H
#define GLEANER_BROKER_METRICS_H

#include "broker/core.h"
#include "broker/stats.h"
#include "broker/store.h"
#include "proto/metrics.h"

typedef struct metrics metrics_t;

metrics_t *metrics_new (void);
void metrics_destroy (metrics_t **self_p);

/* Jobs; by measure.c, once they are committed. As stats_created, stats_started, stats_ended. */
void metrics_created (metrics_t *self);
void metrics_started (metrics_t *self, int64_t waited_ms);
void metrics_ended (metrics_t *self, bool failed, int64_t ran_ms, slice_t reason);
/* An attempt has ended for this reason, and its job is queued again. */
void metrics_retried (metrics_t *self, slice_t reason);
/* How workers stood, every now and then. */
void metrics_level (metrics_t *self, const stats_level_t *level);

/* Why pending jobs waited then, by core_wait_t. */
void metrics_waits (metrics_t *self, const int64_t waits[WAITS]);

/* A turn begins, at what woke the loop; its messages; its answers, and which of them tells of a lease for the first
 * time; its end. */
void metrics_turn (metrics_t *self);
void metrics_took (metrics_t *self, size_t bytes);
void metrics_understood (metrics_t *self, msg_type_t type);
void metrics_sent (metrics_t *self, size_t bytes, bool lease);
void metrics_turned (metrics_t *self);
/* A store_synced_fn; `ctx` is a metrics_t. */
void metrics_synced (void *ctx, store_sync_t of, int64_t took_us);

/* What was counted, as MSG_METRIC_SAMPLE. `raw` keeps the bytes. */
void metrics_list (const metrics_t *self, list_t *list, buf_t *raw);
/* One sample more; one that is INT_ABSENT, or below 0, is left out. `label` NULL: none. */
void metrics_put (list_t *list, buf_t *raw, metric_t metric, const char *label, int64_t value);

#endif
