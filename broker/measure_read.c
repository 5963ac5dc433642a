/* measure_read.c - what is asked of statistics, and of gateways. */
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"

static const char *const ranges[STATS_RINGS] = {
    [STATS_MINUTES] = "hour",
    [STATS_FIVES] = "day",
    [STATS_HOURS] = "week",
};

/* STATS_RINGS when there is no such range. */
static stats_ring_t range_find (slice_t name)
{
    int ring = 0;
    if (!name.len)
        return STATS_MINUTES;
    while (ring < STATS_RINGS && !slice_eq_str (name, ranges[ring]))
        ring++;
    return (stats_ring_t)ring;
}

typedef struct {
    buf_t *raw;
    list_t list;
} points_t;

static void add_point (void *ctx, const stats_point_t *point)
{
    points_t *points = ctx;
    message_t item;
    message_init (&item, MSG_STATS_POINT);
    msg_stats_point_t *out = &item.stats_point;
    out->time = point->time_ms;
    out->pending = point->level.pending;
    out->running = point->level.running;
    out->workers = point->level.workers;
    out->busy_slots = point->level.busy_slots;
    out->slots = point->level.slots;
    out->created = point->counts.created;
    out->started = point->counts.started;
    out->completed = point->counts.completed;
    out->failed = point->counts.failed;
    out->wait_p50 = point->counts.wait.p50;
    out->wait_p95 = point->counts.wait.p95;
    out->run_p50 = point->counts.run.p50;
    out->run_p95 = point->counts.run.p95;
    list_writer_add (&points->list, points->raw, &item);
}

static list_t reasons_of (const stats_total_t *total, buf_t *raw)
{
    list_t list = { .raw = SLICE ("") };
    for (size_t i = 0; i < total->reason_count; i++) {
        message_t item;
        message_init (&item, MSG_REASON_COUNT);
        item.reason_count.reason = slice_of (total->reasons[i].name);
        item.reason_count.count = total->reasons[i].count;
        list_writer_add (&list, raw, &item);
    }
    return list;
}

void measure_read (broker_t *self, uint64_t request, const msg_stats_read_t *in)
{
    message_t answer;
    stats_ring_t ring = range_find (in->range);
    if (ring == STATS_RINGS) {
        message_error (&answer, ERR_SCHEMA, "`range` must be hour, day or week.");
        answer.error.field = SLICE ("range");
        broker_reply (self, request, &answer, NULL);
        return;
    }
    stats_total_t total;
    points_t points = { &self->list, { .raw = SLICE ("") } };
    buf_clear (&self->list);
    stats_read (measure_stats (self->measure), ring, self->wall_ms, add_point, &points, &total);
    message_init (&answer, MSG_STATS_READ_OK);
    msg_stats_read_ok_t *out = &answer.stats_read_ok;
    out->range = slice_of (ranges[ring]);
    out->step_ms = stats_step_ms (ring);
    out->points = points.list;
    out->reasons = reasons_of (&total, &self->list);
    out->created = total.counts.created;
    out->completed = total.counts.completed;
    out->failed = total.counts.failed;
    out->wait_p50 = total.counts.wait.p50;
    out->wait_p95 = total.counts.wait.p95;
    out->wait_p99 = total.counts.wait.p99;
    out->run_p50 = total.counts.run.p50;
    out->run_p95 = total.counts.run.p95;
    out->run_p99 = total.counts.run.p99;
    list_writer_split (&answer, &self->list, 0);
    broker_reply (self, request, &answer, NULL);
}

/* ---- activity ---- */

typedef struct {
    slice_t *ids;
    size_t count;
} ids_t;

static void add_id (void *ctx, slice_t worker_id, bool online, int64_t busy, int64_t slots)
{
    (void)online, (void)busy, (void)slots;
    ids_t *ids = ctx;
    ids->ids[ids->count++] = worker_id;
}

static int by_id (const void *a, const void *b)
{
    const slice_t *left = a;
    const slice_t *right = b;
    int order = memcmp (left->ptr, right->ptr, left->len < right->len ? left->len : right->len);
    return order ? order : (left->len > right->len) - (left->len < right->len);
}

void measure_read_activity (broker_t *self, uint64_t request)
{
    const activity_t *activity = measure_activity (self->measure);
    ids_t ids = { xcalloc ((size_t)core_counts (self->core).workers, sizeof (slice_t)), 0 };
    core_worker_each (self->core, add_id, &ids);
    qsort (ids.ids, ids.count, sizeof *ids.ids, by_id);
    message_t answer;
    message_init (&answer, MSG_WORKER_ACTIVITY_OK);
    msg_worker_activity_ok_t *out = &answer.worker_activity_ok;
    out->step_ms = ACTIVITY_STEP_MS;
    out->until = activity_until_ms (activity);
    out->workers = (list_t){ .raw = SLICE ("") };
    buf_clear (&self->list);
    for (size_t i = 0; i < ids.count; i++) { /* WORKERS_MAX of them are 2.6 MB with the longest ids: within REPLY_MAX */
        char text[ACTIVITY_CELLS];
        message_t item;
        activity_text (activity, ids.ids[i], text);
        message_init (&item, MSG_ACTIVITY_ENTRY);
        item.activity_entry.worker_id = ids.ids[i];
        item.activity_entry.activity = slice_from (text, sizeof text);
        list_writer_add (&out->workers, &self->list, &item);
    }
    broker_reply (self, request, &answer, NULL);
    free (ids.ids);
}

/* ---- gateways ---- */

void gateway_hello (broker_t *self, uint64_t request, const msg_gateway_hello_t *in)
{
    message_t answer;
    if (!gateways_heard (&self->gateways, in, self->now_ms, self->wall_ms)) {
        broker_reply_error (self, request, ERR_TOO_MANY);
        return;
    }
    message_init (&answer, MSG_GATEWAY_HELLO_OK);
    answer.gateway_hello_ok.auth_required = auth_asks (self->auth);
    broker_reply (self, request, &answer, NULL);
}

list_t gateway_list (broker_t *self, buf_t *raw)
{
    list_t list = { .raw = SLICE ("") };
    gateways_forget (&self->gateways, self->now_ms);
    for (size_t i = 0; i < self->gateways.count; i++) {
        const gateway_seen_t *seen = &self->gateways.items[i];
        message_t item;
        message_init (&item, MSG_GATEWAY_ENTRY);
        item.gateway_entry.gateway_id = slice_of (seen->id);
        item.gateway_entry.listen = slice_of (seen->listen);
        item.gateway_entry.version = slice_of (seen->version);
        item.gateway_entry.uptime_ms = seen->uptime_ms;
        item.gateway_entry.connections = seen->connections;
        item.gateway_entry.last_seen = seen->seen_wall_ms;
        list_writer_add (&list, raw, &item);
    }
    return list;
}
