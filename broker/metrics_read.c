/* metrics_read.c - answers metrics-read: what was counted, and how things stand. Nothing here walks over jobs or
 * workers, so a scrape costs the same however many there are. */
#include "broker/broker.h"
#include "proto/options.h"
#include "proto/vitals.h"

static void put_levels (broker_t *self, list_t *list, buf_t *raw)
{
    core_counts_t counts = core_counts (self->core);
    int64_t oldest_ms = counts.oldest_ms == INT_ABSENT ? self->now_ms : counts.oldest_ms;
    metrics_put (list, raw, METRIC_JOBS, "pending", counts.pending);
    metrics_put (list, raw, METRIC_JOBS, "running", counts.running);
    metrics_put (list, raw, METRIC_JOBS_DELAYED, NULL, counts.delayed);
    metrics_put (list, raw, METRIC_JOBS_RECORDED, NULL, self->store->ops->job_count (self->store));
    metrics_put (list, raw, METRIC_QUEUE_OLDEST, NULL, self->now_ms > oldest_ms ? self->now_ms - oldest_ms : 0);
    metrics_put (list, raw, METRIC_LEASES, NULL, counts.running);
    metrics_put (list, raw, METRIC_WORKERS, "online", counts.online);
    metrics_put (list, raw, METRIC_WORKERS, "offline", counts.workers - counts.online);
    metrics_put (list, raw, METRIC_REQUESTS_PARKED, NULL, counts.parked);
}

static void put_room (broker_t *self, list_t *list, buf_t *raw)
{
    metrics_put (list, raw, METRIC_BLOB_BYTES, NULL, self->store->ops->blob_bytes (self->store));
    metrics_put (list, raw, METRIC_OUTPUT_BYTES, NULL, depot_output_bytes (self->depot));
    metrics_put (list, raw, METRIC_DISK_SIZE, NULL, self->disk_bytes ? self->disk_bytes : INT_ABSENT);
    metrics_put (list, raw, METRIC_DISK_FREE, NULL, self->disk_bytes ? self->disk_free_bytes : INT_ABSENT);
    metrics_put (list, raw, METRIC_DISK_FULL, NULL, self->disk_full);
}

static void put_told (broker_t *self, list_t *list, buf_t *raw)
{
    message_t info;
    message_init (&info, MSG_BROKER_INFO_OK);
    const msg_broker_info_ok_t *told = &info.broker_info_ok;
    webhooks_info (self, &info.broker_info_ok);
    traces_info (self, &info.broker_info_ok);
    metrics_put (list, raw, METRIC_WEBHOOKS, "sent", told->webhooks_sent);
    metrics_put (list, raw, METRIC_WEBHOOKS, "failed", told->webhooks_failed);
    metrics_put (list, raw, METRIC_WEBHOOKS, "lost", told->webhooks_lost);
    metrics_put (list, raw, METRIC_WEBHOOKS_WAITING, NULL, told->webhooks_waiting);
    metrics_put (list, raw, METRIC_SPANS, "sent", told->spans_sent);
    metrics_put (list, raw, METRIC_SPANS, "lost", told->spans_lost);
}

static void put_refusals (broker_t *self, list_t *list, buf_t *raw)
{
    metrics_put (list, raw, METRIC_REFUSED_FRAMES, NULL, self->refused_frames);
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++)
        if (self->refusals.counts[err])
            metrics_put (list, raw, METRIC_BROKER_REFUSALS, error_row ((err_t)err)->code, self->refusals.counts[err]);
}

static void put_process (list_t *list, buf_t *raw)
{
    vitals_t vitals;
    vitals_read (&vitals);
    metrics_put (list, raw, METRIC_BROKER_BUILD, GLEANER_VERSION, 1);
    metrics_put (list, raw, METRIC_BROKER_MEMORY, NULL, vitals.resident_bytes);
    metrics_put (list, raw, METRIC_BROKER_CPU, NULL, vitals.cpu_us);
    metrics_put (list, raw, METRIC_BROKER_FDS, NULL, vitals.open_fds);
    metrics_put (list, raw, METRIC_BROKER_START, NULL, vitals.start_ms);
}

void metrics_read (broker_t *self, uint64_t request)
{
    list_t list = { .raw = SLICE ("") };
    buf_t *raw = &self->list;
    buf_clear (raw);
    put_levels (self, &list, raw);
    metrics_list (measure_metrics (self->measure), &list, raw);
    put_room (self, &list, raw);
    put_told (self, &list, raw);
    put_refusals (self, &list, raw);
    gateways_forget (&self->gateways, self->now_ms);
    metrics_put (&list, raw, METRIC_GATEWAYS, NULL, (int64_t)self->gateways.count);
    put_process (&list, raw);
    message_t answer;
    message_init (&answer, MSG_METRICS_READ_OK);
    answer.metrics_read_ok.samples = list;
    broker_reply (self, request, &answer, NULL);
}
