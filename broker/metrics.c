#include "broker/metrics.h"

#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"

/* Why attempts end (job-status-ok's `reason`); any other, an older record's, counts as the last one. */
static const char *const reasons[] = {
    "exit-nonzero", "signal",       "cancelled",          "timeout",         "worker-lost",  "worker-error",
    "lease-lost",   "disk-full",    "download-failed",    "archive-refused", "file-missing", "out-of-memory",
    "disk-limit",   "secrets-lost", "too-many-processes", "other",
};
enum { REASONS = sizeof reasons / sizeof *reasons };

struct metrics {
    uint64_t created, completed, failed, given;
    uint64_t failures[REASONS], retried[REASONS];
    tally_t wait, run, dispatch, batch;
    tally_t sync[STORE_SYNCS];
    stats_level_t level;
    int64_t waits[WAITS];
    uint64_t messages[MSG_COUNT];
    uint64_t received, sent; /* bytes */

    int64_t begun_us; /* the turn */
    int64_t taken;    /* messages in it */
    uint64_t leases;  /* that it sent */
    bool synced;      /* it had something to commit */
};

metrics_t *metrics_new (void)
{
    metrics_t *self = xcalloc (1, sizeof *self);
    self->wait.bounds = self->run.bounds = &tally_long_ms;
    self->dispatch.bounds = &tally_short_us;
    self->batch.bounds = &tally_batch;
    for (int of = 0; of < STORE_SYNCS; of++)
        self->sync[of].bounds = &tally_short_us;
    self->begun_us = clock_mono_us ();
    return self;
}

void metrics_destroy (metrics_t **self_p)
{
    free (*self_p);
    *self_p = NULL;
}

/* ---- jobs ---- */

static size_t reason_find (slice_t name)
{
    size_t at = 0;
    while (at < REASONS - 1 && !slice_eq_str (name, reasons[at]))
        at++;
    return at;
}

void metrics_created (metrics_t *self)
{
    self->created++;
}

void metrics_started (metrics_t *self, int64_t waited_ms)
{
    self->given++;
    if (waited_ms != INT_ABSENT)
        tally_add (&self->wait, waited_ms, 1);
}

void metrics_ended (metrics_t *self, bool failed, int64_t ran_ms, slice_t reason)
{
    self->completed += !failed;
    self->failed += failed;
    if (failed)
        self->failures[reason_find (reason)]++;
    if (ran_ms != INT_ABSENT)
        tally_add (&self->run, ran_ms, 1);
}

void metrics_retried (metrics_t *self, slice_t reason)
{
    self->retried[reason_find (reason)]++;
}

void metrics_level (metrics_t *self, const stats_level_t *level)
{
    self->level = *level;
}

void metrics_waits (metrics_t *self, const int64_t waits[WAITS])
{
    memcpy (self->waits, waits, sizeof self->waits);
}

/* ---- turns ---- */

void metrics_turn (metrics_t *self)
{
    self->begun_us = clock_mono_us ();
    self->taken = 0;
    self->leases = 0;
    self->synced = false;
}

void metrics_took (metrics_t *self, size_t bytes)
{
    self->taken++;
    self->received += bytes;
}

void metrics_understood (metrics_t *self, msg_type_t type)
{
    self->messages[type]++;
}

void metrics_sent (metrics_t *self, size_t bytes, bool lease)
{
    self->sent += bytes;
    self->leases += lease;
}

void metrics_turned (metrics_t *self)
{
    if (self->leases)
        tally_add (&self->dispatch, clock_mono_us () - self->begun_us, self->leases);
    if (self->synced)
        tally_add (&self->batch, self->taken, 1);
}

void metrics_synced (void *ctx, store_sync_t of, int64_t took_us)
{
    metrics_t *self = ctx;
    self->synced = true;
    tally_add (&self->sync[of], took_us, 1);
}

/* ---- reading ---- */

void metrics_put (list_t *list, buf_t *raw, metric_t metric, const char *label, int64_t value)
{
    if (value < 0) /* INT_ABSENT is */
        return;
    message_t item;
    message_init (&item, MSG_METRIC_SAMPLE);
    item.metric_sample.metric = slice_of (metric_row (metric)->name);
    item.metric_sample.label = slice_of (label);
    item.metric_sample.value = value < COUNT_MAX ? value : COUNT_MAX;
    list_writer_add (list, raw, &item);
}

static void put_part (list_t *list, buf_t *raw, message_t *item, const char *part, int64_t bound, uint64_t value)
{
    item->metric_sample.part = slice_of (part);
    item->metric_sample.bound = bound;
    item->metric_sample.value = (int64_t)value;
    list_writer_add (list, raw, item);
}

static void put_tally (list_t *list, buf_t *raw, metric_t metric, const char *label, const tally_t *tally)
{
    message_t item;
    message_init (&item, MSG_METRIC_SAMPLE);
    item.metric_sample.metric = slice_of (metric_row (metric)->name);
    item.metric_sample.label = slice_of (label);
    uint64_t count = 0;
    for (size_t i = 0; i < tally->bounds->count; i++) {
        count += tally->cells[i];
        put_part (list, raw, &item, "bucket", tally->bounds->at[i], count);
    }
    count += tally->cells[tally->bounds->count];
    put_part (list, raw, &item, "bucket", INT_ABSENT, count);
    put_part (list, raw, &item, "sum", INT_ABSENT, tally->sum);
    put_part (list, raw, &item, "count", INT_ABSENT, count);
}

static void list_jobs (const metrics_t *self, list_t *list, buf_t *raw)
{
    metrics_put (list, raw, METRIC_JOBS_CREATED, NULL, (int64_t)self->created);
    metrics_put (list, raw, METRIC_JOBS_ENDED, "completed", (int64_t)self->completed);
    metrics_put (list, raw, METRIC_JOBS_ENDED, "failed", (int64_t)self->failed);
    for (size_t i = 0; i < REASONS; i++)
        metrics_put (list, raw, METRIC_JOB_FAILURES, reasons[i], (int64_t)self->failures[i]);
    metrics_put (list, raw, METRIC_LEASES_GIVEN, NULL, (int64_t)self->given);
    for (size_t i = 0; i < REASONS; i++)
        metrics_put (list, raw, METRIC_ATTEMPTS_RETRIED, reasons[i], (int64_t)self->retried[i]);
    for (int why = 0; why < WAITS; why++)
        metrics_put (list, raw, METRIC_JOBS_PENDING, core_wait_name ((core_wait_t)why), self->waits[why]);
    put_tally (list, raw, METRIC_JOB_WAIT, NULL, &self->wait);
    put_tally (list, raw, METRIC_JOB_RUN, NULL, &self->run);
}

void metrics_list (const metrics_t *self, list_t *list, buf_t *raw)
{
    list_jobs (self, list, raw);
    put_tally (list, raw, METRIC_DISPATCH, NULL, &self->dispatch);
    put_tally (list, raw, METRIC_SYNC, "log", &self->sync[STORE_SYNC_LOG]);
    put_tally (list, raw, METRIC_SYNC, "database", &self->sync[STORE_SYNC_DATABASE]);
    put_tally (list, raw, METRIC_COMMIT_REQUESTS, NULL, &self->batch);
    metrics_put (list, raw, METRIC_WORKER_SLOTS, "busy", self->level.busy_slots);
    metrics_put (list, raw, METRIC_WORKER_SLOTS, "free",
                 self->level.slots > self->level.busy_slots ? self->level.slots - self->level.busy_slots : 0);
    for (int type = 0; type < MSG_COUNT; type++)
        if (self->messages[type])
            metrics_put (list, raw, METRIC_MESSAGES, message_spec ((msg_type_t)type)->wire,
                         (int64_t)self->messages[type]);
    metrics_put (list, raw, METRIC_RECEIVED_BYTES, NULL, (int64_t)self->received);
    metrics_put (list, raw, METRIC_SENT_BYTES, NULL, (int64_t)self->sent);
}
