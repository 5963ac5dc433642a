#include "broker/stats.h"

#include <stdlib.h>
#include <string.h>

#include "broker/stats_internal.h"
#include "proto/message.h"

enum { MINUTE_MS = 60 * 1000 };

static const struct {
    int64_t step_ms;
    int64_t count;
} rings[STATS_RINGS] = {
    [STATS_MINUTES] = { MINUTE_MS, 60 },
    [STATS_FIVES] = { 5 * MINUTE_MS, 288 },
    [STATS_HOURS] = { 60 * MINUTE_MS, 168 },
};

stats_t *stats_new (void)
{
    stats_t *self = xcalloc (1, sizeof *self);
    for (int ring = 0; ring < STATS_RINGS; ring++)
        self->rings[ring] = xcalloc ((size_t)rings[ring].count, sizeof (bucket_t));
    return self;
}

void stats_destroy (stats_t **self_p)
{
    stats_t *self = *self_p;
    if (!self)
        return;
    for (int ring = 0; ring < STATS_RINGS; ring++)
        free (self->rings[ring]);
    free (self);
    *self_p = NULL;
}

int64_t stats_step_ms (stats_ring_t ring)
{
    return rings[ring].step_ms;
}

int64_t stats_span_ms (stats_ring_t ring)
{
    return rings[ring].step_ms * rings[ring].count;
}

int64_t stats_ring_count (stats_ring_t ring)
{
    return rings[ring].count;
}

bucket_t *stats_place (const stats_t *self, stats_ring_t ring, int64_t time_ms)
{
    return &self->rings[ring][time_ms / rings[ring].step_ms % rings[ring].count];
}

static int64_t begin_of (stats_ring_t ring, int64_t wall_ms)
{
    return wall_ms < 0 ? 0 : wall_ms - wall_ms % rings[ring].step_ms;
}

/* The bucket for what happens now. */
static bucket_t *bucket_at (stats_t *self, int ring, int64_t wall_ms)
{
    int64_t time_ms = begin_of ((stats_ring_t)ring, wall_ms);
    bucket_t *bucket = stats_place (self, (stats_ring_t)ring, time_ms);
    if (!bucket->used || bucket->time_ms != time_ms)
        *bucket = (bucket_t){ .used = true, .time_ms = time_ms };
    bucket->changed = true;
    return bucket;
}

/* ---- what happens ---- */

void stats_created (stats_t *self, int64_t wall_ms)
{
    for (int ring = 0; ring < STATS_RINGS; ring++)
        bucket_at (self, ring, wall_ms)->created++;
}

void stats_started (stats_t *self, int64_t wall_ms, int64_t waited_ms)
{
    for (int ring = 0; ring < STATS_RINGS; ring++) {
        bucket_t *bucket = bucket_at (self, ring, wall_ms);
        bucket->started++;
        if (waited_ms != INT_ABSENT)
            histogram_add (&bucket->wait, waited_ms);
    }
}

void stats_count_reason (bucket_t *bucket, slice_t name, uint32_t count)
{
    for (uint32_t i = 0; i < bucket->reason_count; i++)
        if (slice_eq_str (name, bucket->reasons[i].name)) {
            bucket->reasons[i].count += count;
            return;
        }
    bool fits = name.len && name.len < STATS_REASON_SIZE && bucket->reason_count < STATS_REASONS;
    if (!fits || slice_eq_str (name, "other")) {
        bucket->other += count;
        return;
    }
    reason_t *reason = &bucket->reasons[bucket->reason_count++];
    slice_copy (name, reason->name, sizeof reason->name);
    reason->count = count;
}

void stats_ended (stats_t *self, int64_t wall_ms, bool failed, int64_t ran_ms, slice_t reason)
{
    for (int ring = 0; ring < STATS_RINGS; ring++) {
        bucket_t *bucket = bucket_at (self, ring, wall_ms);
        bucket->completed += !failed;
        bucket->failed += failed;
        if (failed)
            stats_count_reason (bucket, reason, 1);
        if (ran_ms != INT_ABSENT)
            histogram_add (&bucket->run, ran_ms);
    }
}

void stats_sample (stats_t *self, int64_t wall_ms, const stats_level_t *level)
{
    const int64_t numbers[LEVELS] = { level->pending, level->running, level->workers, level->busy_slots, level->slots };
    self->last = *level;
    for (int ring = 0; ring < STATS_RINGS; ring++) {
        bucket_t *bucket = bucket_at (self, ring, wall_ms);
        bucket->samples++;
        for (int i = 0; i < LEVELS; i++)
            bucket->sums[i] += (uint64_t)numbers[i];
    }
}

/* ---- reading ---- */

static int64_t mean (const bucket_t *bucket, int number)
{
    return (int64_t)((bucket->sums[number] + bucket->samples / 2) / bucket->samples);
}

static stats_point_t point_of (const stats_t *self, const bucket_t *bucket)
{
    stats_point_t point = {
        .time_ms = bucket->time_ms,
        .level = self->last,
        .counts = { bucket->created, bucket->started, bucket->completed, bucket->failed, histogram_read (&bucket->wait),
                    histogram_read (&bucket->run) },
    };
    if (bucket->samples)
        point.level =
            (stats_level_t){ mean (bucket, 0), mean (bucket, 1), mean (bucket, 2), mean (bucket, 3), mean (bucket, 4) };
    return point;
}

/* One place is kept for `other`. */
static void total_reason (stats_total_t *total, const char *name, int64_t count)
{
    size_t at = 0;
    while (at < total->reason_count && strcmp (total->reasons[at].name, name) != 0)
        at++;
    if (at == total->reason_count && at >= STATS_REASONS_MAX - 1 && strcmp (name, "other") != 0) {
        total_reason (total, "other", count);
        return;
    }
    if (at == total->reason_count)
        slice_copy (slice_of (name), total->reasons[total->reason_count++].name, STATS_REASON_SIZE);
    total->reasons[at].count += count;
}

static void total_add (stats_total_t *total, const bucket_t *bucket)
{
    total->counts.created += bucket->created;
    total->counts.started += bucket->started;
    total->counts.completed += bucket->completed;
    total->counts.failed += bucket->failed;
    for (uint32_t i = 0; i < bucket->reason_count; i++)
        total_reason (total, bucket->reasons[i].name, bucket->reasons[i].count);
    if (bucket->other)
        total_reason (total, "other", bucket->other);
}

static int by_count (const void *a, const void *b)
{
    const stats_reason_t *left = a;
    const stats_reason_t *right = b;
    int order = (left->count < right->count) - (left->count > right->count);
    return order ? order : strcmp (left->name, right->name);
}

void stats_read (const stats_t *self, stats_ring_t ring, int64_t wall_ms, stats_point_fn *fn, void *ctx,
                 stats_total_t *total)
{
    histogram_t wait = { 0 };
    histogram_t run = { 0 };
    int64_t step_ms = rings[ring].step_ms;
    int64_t time_ms = begin_of (ring, wall_ms) - (rings[ring].count - 1) * step_ms;
    *total = (stats_total_t){ 0 };
    for (int64_t i = 0; i < rings[ring].count; i++, time_ms += step_ms) {
        const bucket_t *bucket = time_ms < 0 ? NULL : stats_place (self, ring, time_ms);
        if (!bucket || !bucket->used || bucket->time_ms != time_ms)
            continue;
        stats_point_t point = point_of (self, bucket);
        fn (ctx, &point);
        total_add (total, bucket);
        histogram_merge (&wait, &bucket->wait);
        histogram_merge (&run, &bucket->run);
    }
    total->counts.wait = histogram_read (&wait);
    total->counts.run = histogram_read (&run);
    qsort (total->reasons, total->reason_count, sizeof *total->reasons, by_count);
}
