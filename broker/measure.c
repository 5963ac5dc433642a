/* measure.c - feeds statistics with what the broker does, and keeps them in the store.
 *
 * What a turn does is noted and counts once that turn is committed. The store's `stat` table has rows of kind 0 to 2, a
 * bucket of that ring each (stats_row.c) by the time of its beginning, and of kind 3, the activity of some workers each
 * (activity.c), by the quarter and the row's number in it. A minute costs at most four rows or so; a quarter those of
 * all workers, some in each round.
 */
#include <sodium.h>
#include <stdlib.h>

#include "broker/broker.h"
#include "proto/log.h"

enum {
    ROUND_MS = 5 * 1000, /* between two samples */
    SAVE_MS = 60 * 1000,
    ROWS_A_ROUND = 8,   /* of activity: 2,048 workers, 0.3 MB */
    ROWS_MAX = 1024,    /* of a quarter */
    REQUEUED_BITS = 12, /* jobs whose return to the queue is remembered: a wait that began with one forgotten */
    REQUEUED = 1 << REQUEUED_BITS, /* is left out */
    NOTED_MAX = 64 * 1024,         /* 5 MB: in a turn with more, what is there counts before the commit */
    KIND_ACTIVITY = STATS_RINGS,
};

typedef struct {
    int64_t seq;
    int64_t wall_ms;
} requeued_t;

/* One thing that happened to a job in the turn. */
typedef struct {
    enum { NOTED_CREATED, NOTED_REQUEUED, NOTED_STARTED, NOTED_COMPLETED, NOTED_FAILED } what;
    int64_t seq;
    int64_t attempt;
    int64_t started_ms;   /* 0: nothing ran */
    int64_t completed_ms; /* 0: it is not over */
    char reason[STATS_REASON_SIZE];
} noted_t;

struct measure {
    stats_t *stats;
    activity_t *activity;
    metrics_t *metrics;
    noted_t *noted; /* room for as many as a turn ever had */
    size_t noted_count, noted_cap;
    requeued_t requeued[REQUEUED];
    int64_t round_due_ms;
    int64_t save_due_ms;
    bool saving;      /* the open transaction has the buckets that have changed */
    size_t row, rows; /* of activity: the next to be written, and how many */
    buf_t room;
};

measure_t *measure_new (void)
{
    uint8_t secret[16];
    measure_t *self = xcalloc (1, sizeof *self);
    randombytes_buf (secret, sizeof secret);
    self->stats = stats_new ();
    self->activity = activity_new (secret);
    self->metrics = metrics_new ();
    return self;
}

void measure_destroy (measure_t **self_p)
{
    measure_t *self = *self_p;
    if (!self)
        return;
    stats_destroy (&self->stats);
    activity_destroy (&self->activity);
    metrics_destroy (&self->metrics);
    free (self->noted);
    buf_fini (&self->room);
    free (self);
    *self_p = NULL;
}

const stats_t *measure_stats (const measure_t *self)
{
    return self->stats;
}

const activity_t *measure_activity (const measure_t *self)
{
    return self->activity;
}

metrics_t *measure_metrics (const measure_t *self)
{
    return self->metrics;
}

/* ---- what happens ---- */

/* `reason`: of what has failed, or of the attempt that brought the job back to the queue. */
static void note (measure_t *self, const job_record_t *job, int what, slice_t reason)
{
    if (self->noted_count == self->noted_cap) {
        self->noted_cap = self->noted_cap ? 2 * self->noted_cap : 64;
        self->noted = xrealloc (self->noted, self->noted_cap * sizeof *self->noted);
    }
    noted_t *noted = &self->noted[self->noted_count++];
    noted->what = what;
    noted->seq = job->id.seq;
    noted->attempt = job->attempt;
    noted->started_ms = job->started_ms;
    noted->completed_ms = job->completed_ms;
    slice_copy (reason, noted->reason, sizeof noted->reason);
}

static requeued_t *requeued_place (measure_t *self, int64_t seq)
{
    return &self->requeued[(uint64_t)seq * 0x9e3779b97f4a7c15ULL >> (64 - REQUEUED_BITS)];
}

static int64_t span (int64_t from_ms, int64_t to_ms)
{
    return to_ms > from_ms ? to_ms - from_ms : 0; /* the clock may have been set back */
}

/* How long the attempt waited to be handed out. */
static int64_t waited (measure_t *self, const noted_t *noted)
{
    requeued_t *requeued = requeued_place (self, noted->seq);
    if (requeued->seq == noted->seq)
        return span (requeued->wall_ms, noted->started_ms);
    return noted->attempt == 1 ? span (noted->seq / JOB_SEQ_PER_MS, noted->started_ms) : INT_ABSENT;
}

static void count_end (measure_t *self, const noted_t *noted, int64_t wall_ms)
{
    int64_t ran_ms = noted->started_ms ? span (noted->started_ms, noted->completed_ms) : INT_ABSENT;
    bool failed = noted->what == NOTED_FAILED;
    slice_t reason = failed ? slice_of (noted->reason) : SLICE_ABSENT;
    stats_ended (self->stats, wall_ms, failed, ran_ms, reason);
    metrics_ended (self->metrics, failed, ran_ms, reason);
}

static void count (measure_t *self, const noted_t *noted, int64_t wall_ms)
{
    int64_t waited_ms;
    switch (noted->what) {
    case NOTED_CREATED:
        stats_created (self->stats, wall_ms);
        metrics_created (self->metrics);
        break;
    case NOTED_REQUEUED:
        *requeued_place (self, noted->seq) = (requeued_t){ noted->seq, wall_ms };
        if (noted->reason[0])
            metrics_retried (self->metrics, slice_of (noted->reason));
        break;
    case NOTED_STARTED:
        waited_ms = waited (self, noted);
        stats_started (self->stats, wall_ms, waited_ms);
        metrics_started (self->metrics, waited_ms);
        break;
    case NOTED_COMPLETED:
    case NOTED_FAILED:
        count_end (self, noted, wall_ms);
        break;
    }
}

static void count_noted (broker_t *self)
{
    measure_t *measure = self->measure;
    for (size_t i = 0; i < measure->noted_count; i++)
        count (measure, &measure->noted[i], self->wall_ms);
    measure->noted_count = 0;
}

/* Why the attempt ended that a retried job's update follows (core_attempt_retry); absent: it was given back unused. */
static slice_t ended_before (const effect_t *before, const job_record_t *job)
{
    bool its = before && before->kind == EFFECT_ATTEMPT_PUT && before->attempt_row.seq == job->id.seq;
    return its ? before->attempt_row.reason : SLICE_ABSENT;
}

void measure_step (broker_t *self, const effects_t *effects)
{
    if (self->measure->noted_count >= NOTED_MAX)
        count_noted (self);
    for (size_t i = 0; i < effects->count; i++) {
        const effect_t *effect = &effects->items[i];
        const effect_t *next = i + 1 < effects->count ? effect + 1 : NULL;
        const effect_t *before = i ? effect - 1 : NULL;
        if (effect->kind == EFFECT_JOB_INSERT)
            note (self->measure, &effect->job, NOTED_CREATED, SLICE_ABSENT);
        if (effect->kind != EFFECT_JOB_UPDATE)
            continue;
        if (effect->job.state == JOB_PENDING)
            note (self->measure, &effect->job, NOTED_REQUEUED, ended_before (before, &effect->job));
        else if (effect->job.state == JOB_COMPLETED)
            note (self->measure, &effect->job, NOTED_COMPLETED, SLICE_ABSENT);
        else if (effect->job.state == JOB_FAILED)
            note (self->measure, &effect->job, NOTED_FAILED, effect->job.reason);
        else if (next && next->kind == EFFECT_JOB_CHANGED && next->seq == effect->job.id.seq)
            note (self->measure, &effect->job, NOTED_STARTED, SLICE_ABSENT); /* else its group found out who has it */
    }
}

void measure_publish (broker_t *self)
{
    measure_t *measure = self->measure;
    if (measure->saving)
        stats_stored (measure->stats);
    if (measure->row == measure->rows)
        measure->row = measure->rows = 0;
    measure->saving = false;
    count_noted (self);
}

void measure_forget (broker_t *self)
{
    measure_t *measure = self->measure;
    measure->noted_count = 0;
    measure->saving = false;
    measure->row = 0;
}

/* ---- samples ---- */

typedef struct {
    activity_t *activity;
    stats_level_t level;
} round_t;

static void see_worker (void *ctx, slice_t worker_id, bool online, int64_t busy, int64_t slots)
{
    round_t *round = ctx;
    int64_t has = slots == INT_ABSENT ? 1 : slots;
    activity_sample (round->activity, worker_id, busy, !online ? 0 : has > 1 ? has : 1);
    if (!online)
        return;
    round->level.busy_slots += busy;
    round->level.slots += has;
}

static void sample (broker_t *self)
{
    measure_t *measure = self->measure;
    core_counts_t counts = core_counts (self->core);
    int64_t waits[WAITS];
    round_t round = {
        .activity = measure->activity,
        .level = { .pending = counts.pending, .running = counts.running, .workers = counts.online },
    };
    if (activity_round (measure->activity, self->wall_ms)) {
        measure->row = 0;
        measure->rows = activity_rows (measure->activity);
    }
    core_worker_each (self->core, see_worker, &round);
    stats_sample (measure->stats, self->wall_ms, &round.level);
    metrics_level (measure->metrics, &round.level);
    core_waits (self->core, waits);
    metrics_waits (measure->metrics, waits);
}

/* ---- keeping ---- */

typedef struct {
    broker_t *broker;
    int64_t unreadable;
} loading_t;

static void load_row (void *ctx, int kind, int64_t time, slice_t bytes)
{
    loading_t *loading = ctx;
    measure_t *measure = loading->broker->measure;
    bool read = false;
    if (kind == KIND_ACTIVITY)
        read = activity_load (measure->activity, bytes, loading->broker->wall_ms);
    else if (kind >= 0 && kind < STATS_RINGS)
        read = stats_load (measure->stats, (stats_ring_t)kind, time, bytes, loading->broker->wall_ms);
    loading->unreadable += !read;
}

void measure_load (broker_t *self)
{
    loading_t loading = { .broker = self };
    self->measure->save_due_ms = self->now_ms + SAVE_MS;
    self->measure->round_due_ms = self->now_ms + ROUND_MS;
    err_t err = self->store->ops->stat_each (self->store, load_row, &loading);
    if (err || loading.unreadable)
        log_event (LEVEL_WARN, "stats-unreadable", "%lld rows of statistics are left out%s",
                   (long long)loading.unreadable, err ? ", and those that the store cannot read" : "");
    sample (self);
}

static err_t put_bucket (void *ctx, stats_ring_t ring, int64_t time_ms, slice_t bytes)
{
    store_t *store = ((broker_t *)ctx)->store;
    return store->ops->stat_put (store, ring, time_ms, bytes);
}

/* Those that have changed; what is too old goes. */
static err_t save_buckets (broker_t *self)
{
    measure_t *measure = self->measure;
    measure->saving = true;
    err_t err = stats_each_changed (measure->stats, &measure->room, put_bucket, self);
    for (int ring = 0; ring < STATS_RINGS && !err; ring++) {
        int64_t oldest_ms = self->wall_ms - stats_span_ms ((stats_ring_t)ring);
        err = self->store->ops->stat_drop_before (self->store, ring, oldest_ms);
    }
    return err;
}

/* The next `most` rows. Once the last is written, those of the quarters before go. */
static err_t save_activity (broker_t *self, size_t most)
{
    measure_t *measure = self->measure;
    int64_t time = activity_until_ms (measure->activity) / ACTIVITY_STEP_MS * ROWS_MAX;
    err_t err = ERR_NONE;
    if (measure->row == measure->rows)
        return ERR_NONE;
    for (; most && measure->row < measure->rows && !err; most--, measure->row++) {
        buf_clear (&measure->room);
        activity_row (measure->activity, measure->row, &measure->room);
        err = self->store->ops->stat_put (self->store, KIND_ACTIVITY, time + (int64_t)measure->row,
                                          buf_slice (&measure->room));
    }
    if (!err && measure->row == measure->rows)
        err = self->store->ops->stat_drop_before (self->store, KIND_ACTIVITY, time);
    return err;
}

void measure_tick (broker_t *self)
{
    measure_t *measure = self->measure;
    if (self->now_ms < measure->round_due_ms)
        return;
    measure->round_due_ms = self->now_ms + ROUND_MS;
    sample (self);
    if (self->lost || self->disk_full)
        return;
    err_t err = save_activity (self, ROWS_A_ROUND);
    if (!err && self->now_ms >= measure->save_due_ms) {
        measure->save_due_ms = self->now_ms + SAVE_MS;
        err = save_buckets (self);
    }
    if (err == ERR_DISK_FULL)
        self->lost = true;
    else if (err)
        broker_die (err);
}

int64_t measure_deadline (const broker_t *self)
{
    return self->measure->round_due_ms;
}

void measure_stop (broker_t *self)
{
    measure_t *measure = self->measure;
    const store_ops_t *ops = self->store->ops;
    measure->row = 0;
    measure->rows = activity_rows (measure->activity);
    err_t err = save_activity (self, measure->rows);
    if (!err)
        err = save_buckets (self);
    if (!err)
        err = ops->commit (self->store);
    if (err)
        ops->rollback (self->store); /* the next start goes on from what was kept before */
}
