/* metrics.c - GET /metrics: what the broker counts, as it sends it, and behind it this gateway's own. */
#include "proto/metrics.h"
#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/login.h"
#include "gateway/loop.h"
#include "gateway/traffic.h"
#include "gateway/translate.h"
#include "proto/vitals.h"

/* Samples of one metric follow each other: its head comes before the first. */
static void write_broker (const metrics_writer_t *writer, const list_t *samples)
{
    metric_t family = METRIC_COUNT;
    for (uint32_t at = 0; at < samples->count; at++) {
        message_t item;
        fault_t fault;
        if (message_list_item (samples, MSG_METRIC_SAMPLE, at, &item, &fault))
            continue;
        metric_t metric = metric_find (item.metric_sample.metric);
        if (metric == METRIC_COUNT)
            continue; /* a newer broker's: what it is cannot be told */
        if (metric != family)
            metrics_family (writer, metric);
        family = metric;
        metrics_received (writer, metric, &item.metric_sample);
    }
}

static void write_one (const metrics_writer_t *writer, metric_t metric, int64_t value)
{
    if (value < 0)
        return; /* not known */
    metrics_family (writer, metric);
    metrics_sample (writer, metric, NULL, value);
}

static void write_refusals (const metrics_writer_t *writer, const refusals_t *refusals)
{
    metrics_family (writer, METRIC_HTTP_REFUSALS);
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++) {
        char label[64];
        snprintf (label, sizeof label, "code=\"%s\"", error_row ((err_t)err)->code);
        if (refusals->counts[err])
            metrics_sample (writer, METRIC_HTTP_REFUSALS, label, refusals->counts[err]);
    }
}

static void write_own (const metrics_writer_t *writer, const gateway_t *gateway)
{
    vitals_t vitals;
    vitals_read (&vitals);
    traffic_write (gateway->traffic, writer);
    write_one (writer, METRIC_HTTP_CONNECTIONS, loop_connections (gateway));
    write_refusals (writer, &gateway->refusals);
    write_one (writer, METRIC_LOGINS, (int64_t)login_count (gateway));
    metrics_family (writer, METRIC_BUILD);
    metrics_sample (writer, METRIC_BUILD, "version=\"" GLEANER_VERSION "\"", 1);
    write_one (writer, METRIC_PROCESS_MEMORY, vitals.resident_bytes);
    write_one (writer, METRIC_PROCESS_CPU, vitals.cpu_us);
    write_one (writer, METRIC_PROCESS_FDS, vitals.open_fds);
    write_one (writer, METRIC_PROCESS_START, vitals.start_ms);
}

/* Without its broker the gateway tells what is its own: an alert needs the word that the broker is away. */
static bool broker_is_away (link_end_t end, const message_t *reply)
{
    return end == LINK_LATE || end == LINK_LOST ||
           (end == LINK_REPLY && reply->type == MSG_ERROR && error_find (reply->error.code) == ERR_UNSUPPORTED);
}

static void metrics_done (void *ctx, link_end_t end, const message_t *reply)
{
    request_t *request = ctx;
    bool there = reply->type == MSG_METRICS_READ_OK;
    if (!there && !broker_is_away (end, reply)) {
        request_fail_message (request, reply);
        return;
    }
    buf_t text = { 0 };
    metrics_writer_t writer = { &text, metrics_accepts_open (request_header (request, "Accept")) };
    if (there)
        write_broker (&writer, &reply->metrics_read_ok.samples);
    write_one (&writer, METRIC_BROKER_UP, there);
    write_own (&writer, request->gateway);
    metrics_end (&writer);
    request_answer_text (request, MHD_HTTP_OK, metrics_type (writer.open), &text);
}

void metrics_handle (request_t *request)
{
    translate_call (request, metrics_done);
}
