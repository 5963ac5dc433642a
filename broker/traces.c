/* traces.c - spans of the jobs that have ended, to a collector of OpenTelemetry (OTLP over HTTP, in JSON).
 *
 * The record of a job tells all of its spans, so nothing is kept of those that run: they are made once the job's end is
 * committed, gathered for a second, and sent in one request. One request is under way at a time; one that the collector
 * could not take now is sent again, later and later. There is room for so many bytes of spans that wait; of more, and
 * of what was in flight when the broker was killed, nobody hears (counted, logged once a minute). No job waits for it.
 */
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/spans.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/options.h"

enum {
    GATHER_MS = 1000,              /* spans wait this long for others, */
    GATHER_BYTES = 512 * 1024,     /* or until there are so many bytes of them */
    WAITING_MAX = 4 * 1024 * 1024, /* bytes of spans that wait, beside those that are in flight */
    TIMEOUT_MS = 10 * 1000,        /* for a request and its answer */
    FIRST_MS = 1000,               /* until it is sent again, doubled with each further try, */
    MOST_MS = 30 * 1000,           /* up to this, */
    KEEP_MS = 5 * 60 * 1000,       /* for this long */
    STOP_MS = 3 * 1000,            /* what a stop waits for the last spans at most */
    TELL_EVERY_MS = 60 * 1000,
};

struct traces {
    char *url;
    char *headers;   /* lines; NULL: none */
    job_id_t *ended; /* in the open transaction */
    size_t ended_count, ended_cap;
    buf_t waiting; /* spans, with commas between */
    int64_t waiting_count, waiting_since_ms;
    buf_t batch; /* in flight, or to be sent again */
    int64_t batch_count, batch_since_ms, batch_due_ms;
    bool flying;
    int tries;
    int64_t sent, lost;
    int64_t told_ms, told_lost;
};

/* ---- start and end ---- */

static int hex (char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* `%20` and the like; false where that leaves a character that no header may hold. */
static bool unescape (slice_t text, buf_t *out)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '%' && i + 2 < text.len && hex (text.ptr[i + 1]) >= 0 && hex (text.ptr[i + 2]) >= 0) {
            c = (char)(hex (text.ptr[i + 1]) * 16 + hex (text.ptr[i + 2]));
            i += 2;
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return false;
        buf_append (out, &c, 1);
    }
    return true;
}

/* NAME=VALUE,NAME=VALUE as lines `NAME: VALUE`. */
static bool read_headers (const char *text, buf_t *out)
{
    while (*text) {
        slice_t pair = slice_trim (slice_from (text, strcspn (text, ",")));
        text += strcspn (text, ",");
        text += *text == ',';
        const char *equals = pair.len ? memchr (pair.ptr, '=', pair.len) : NULL;
        if (!pair.len)
            continue;
        if (!equals || equals == pair.ptr)
            return false;
        slice_t name = slice_trim (slice_from (pair.ptr, (size_t)(equals - pair.ptr)));
        if (!unescape (name, out) || memchr (name.ptr, ':', name.len))
            return false;
        buf_append_str (out, ": ");
        if (!unescape (slice_trim (slice_from (equals + 1, pair.len - (size_t)(equals + 1 - pair.ptr))), out))
            return false;
        buf_append_str (out, "\n");
    }
    return true;
}

bool traces_open (broker_t *self, char *problem, size_t problem_size)
{
    static const char path[] = "/v1/traces";
    slice_t url = slice_of (self->options->otlp);
    buf_t headers = { 0 };
    if (!url.len)
        return true;
    if (!webhook_url_good (url) || memchr (url.ptr, '?', url.len)) {
        snprintf (problem, problem_size, "--otlp: '%.200s' is no plain http(s) URL, such as http://127.0.0.1:4318.",
                  url.ptr);
        return false;
    }
    if (self->options->otlp_headers && !read_headers (self->options->otlp_headers, &headers)) {
        snprintf (problem, problem_size, "--otlp-headers must be NAME=VALUE, and others behind commas.");
        buf_fini (&headers);
        return false;
    }
    traces_t *traces = self->traces = xcalloc (1, sizeof *traces);
    buf_t whole = { 0 };
    bool there =
        url.len >= sizeof path - 1 && memcmp (url.ptr + url.len - (sizeof path - 1), path, sizeof path - 1) == 0;
    while (!there && url.ptr[url.len - 1] == '/')
        url.len--;
    buf_printf (&whole, SLICE_FMT "%s", SLICE_ARG (url), there ? "" : path);
    traces->url = whole.ptr;
    traces->headers = headers.len ? slice_dup (buf_slice (&headers)) : NULL;
    traces->told_ms = INT64_MIN / 2;
    buf_fini (&headers);
    return true;
}

void traces_destroy (traces_t **self_p)
{
    traces_t *self = *self_p;
    if (!self)
        return;
    free (self->url);
    free (self->headers);
    free (self->ended);
    buf_fini (&self->waiting);
    buf_fini (&self->batch);
    free (self);
    *self_p = NULL;
}

/* ---- jobs end ---- */

void traces_step (broker_t *self)
{
    traces_t *traces = self->traces;
    for (size_t i = 0; traces && i < self->effects.count; i++) {
        const effect_t *effect = &self->effects.items[i];
        if (effect->kind != EFFECT_JOB_UPDATE || effect->job.state == JOB_PENDING || effect->job.state == JOB_RUNNING)
            continue;
        if (traces->ended_count == traces->ended_cap) {
            traces->ended_cap = traces->ended_cap ? 2 * traces->ended_cap : 64;
            traces->ended = xrealloc (traces->ended, traces->ended_cap * sizeof *traces->ended);
        }
        traces->ended[traces->ended_count++] = effect->job.id;
    }
}

void traces_forget (broker_t *self)
{
    if (self->traces)
        self->traces->ended_count = 0;
}

static void lose (broker_t *self, int64_t count, const char *why)
{
    traces_t *traces = self->traces;
    traces->lost += count;
    if (self->now_ms - traces->told_ms < TELL_EVERY_MS)
        return;
    log_event (LEVEL_WARN, "spans-lost", "%lld spans did not reach %s: %s",
               (long long)(traces->lost - traces->told_lost), traces->url, why);
    traces->told_ms = self->now_ms;
    traces->told_lost = traces->lost;
}

static void on_attempt (void *ctx, const attempt_record_t *row)
{
    spans_attempt (ctx, row);
}

static void gather (broker_t *self, const job_id_t *id)
{
    traces_t *traces = self->traces;
    job_record_t job;
    message_t options;
    fault_t fault;
    traceparent_t trace;
    spans_t spans;
    if (self->store->ops->job_get (self->store, id, &job) || !job.options.len ||
        message_decode_item (self->items, job.options, MSG_JOB_OPTIONS, &options, &fault) ||
        !traceparent_parse (options.job_options.traceparent, &trace) || !(trace.flags & TRACE_SAMPLED))
        return;
    size_t had = traces->waiting.len;
    spans_begin (&spans, &traces->waiting, &job, &trace, options.job_options.name);
    self->store->ops->attempt_each (self->store, id->seq, on_attempt, &spans);
    int count = spans_end (&spans);
    if (traces->waiting.len > WAITING_MAX) {
        traces->waiting.len = had;
        lose (self, count, "more wait than there is room for");
        return;
    }
    if (!had)
        traces->waiting_since_ms = self->now_ms;
    traces->waiting_count += count;
}

void traces_publish (broker_t *self)
{
    traces_t *traces = self->traces;
    for (size_t i = 0; traces && i < traces->ended_count; i++)
        gather (self, &traces->ended[i]);
    if (traces)
        traces->ended_count = 0;
}

/* ---- sending ---- */

static void send_batch (broker_t *self)
{
    traces_t *traces = self->traces;
    post_t *post = post_new (traces->url, traces, TIMEOUT_MS);
    spans_open (&post->body, "gleaner-broker", GLEANER_VERSION);
    buf_append (&post->body, traces->batch.ptr, traces->batch.len);
    spans_close (&post->body);
    post->headers = traces->headers ? xstrdup (traces->headers) : NULL;
    traces->flying = courier_send (self->courier, &post);
    traces->tries += traces->flying;
    if (!traces->flying)
        traces->batch_due_ms = self->now_ms + FIRST_MS;
    post_destroy (&post);
}

static void begin_batch (traces_t *traces, int64_t now_ms)
{
    buf_t empty = traces->batch;
    traces->batch = traces->waiting;
    traces->batch_count = traces->waiting_count;
    traces->batch_since_ms = now_ms;
    traces->batch_due_ms = now_ms;
    traces->tries = 0;
    traces->waiting = empty;
    buf_clear (&traces->waiting);
    traces->waiting_count = 0;
}

static int64_t gathered_ms (const traces_t *traces)
{
    if (!traces->waiting.len)
        return INT64_MAX;
    return traces->waiting.len >= GATHER_BYTES ? 0 : traces->waiting_since_ms + GATHER_MS;
}

void traces_tick (broker_t *self)
{
    traces_t *traces = self->traces;
    if (!traces || traces->flying)
        return;
    if (!traces->batch.len && gathered_ms (traces) <= self->now_ms)
        begin_batch (traces, self->now_ms);
    if (traces->batch.len && traces->batch_due_ms <= self->now_ms)
        send_batch (self);
}

/* What the collector may well take later, as the specification of OTLP has it. */
static bool again_later (const post_t *post)
{
    return !post->status || post->status == 429 || post->status == 502 || post->status == 503 || post->status == 504;
}

void traces_outcome (broker_t *self, post_t *post)
{
    traces_t *traces = self->traces;
    char why[200];
    traces->flying = false;
    if (post->status)
        snprintf (why, sizeof why, "HTTP status %ld", post->status);
    else
        snprintf (why, sizeof why, "%s", post->problem);
    if (post->status >= 200 && post->status < 300) {
        traces->sent += traces->batch_count;
        buf_clear (&traces->batch);
    } else if (again_later (post) && self->now_ms - traces->batch_since_ms < KEEP_MS) {
        log_event (LEVEL_DEBUG, "spans-wait", "%s: %s; they are sent again", traces->url, why);
        traces->batch_due_ms = self->now_ms + courier_pause (traces->tries, FIRST_MS, MOST_MS, post->retry_after_ms,
                                                             randombytes_random ());
    } else {
        buf_clear (&traces->batch);
        lose (self, traces->batch_count, why);
    }
}

int64_t traces_deadline (const broker_t *self)
{
    const traces_t *traces = self->traces;
    if (!traces || traces->flying)
        return INT64_MAX;
    return traces->batch.len ? traces->batch_due_ms : gathered_ms (traces);
}

void traces_info (const broker_t *self, msg_broker_info_ok_t *out)
{
    if (!self->traces)
        return;
    out->spans_sent = self->traces->sent;
    out->spans_lost = self->traces->lost;
}

/* ---- stop ---- */

static void wait_for_outcome (broker_t *self, int64_t end_ms)
{
    struct pollfd fd = { .fd = courier_fd (self->courier), .events = POLLIN };
    poll (&fd, 1, (int)(end_ms - self->now_ms));
    self->now_ms = clock_mono_ms ();
    post_t *post = NULL;
    while ((post = courier_take (self->courier))) {
        if (post->ctx == self->traces) /* webhooks are told again after the next start */
            traces_outcome (self, post);
        post_destroy (&post);
    }
}

void traces_stop (broker_t *self)
{
    traces_t *traces = self->traces;
    if (!traces)
        return;
    int64_t end_ms = clock_mono_ms () + STOP_MS;
    self->now_ms = clock_mono_ms ();
    while (self->now_ms < end_ms && (traces->batch.len || traces->waiting.len)) {
        if (!traces->flying && !traces->batch.len)
            begin_batch (traces, self->now_ms);
        if (!traces->flying && traces->batch_due_ms <= self->now_ms)
            send_batch (self);
        wait_for_outcome (self, traces->flying || traces->batch_due_ms > end_ms ? end_ms : traces->batch_due_ms);
    }
    traces->told_ms = INT64_MIN / 2;
    if (traces->batch.len || traces->waiting.len)
        lose (self, traces->batch_count + traces->waiting_count, "the broker was stopped before it took them");
}
