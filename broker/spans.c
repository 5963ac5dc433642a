#include "broker/spans.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { KIND_INTERNAL = 1, STATUS_ERROR = 2 };

/* ---- attributes ---- */

static void add (json_t *list, const char *key, const char *type, json_t *value)
{
    json_array_append_new (list, json_pack ("{s:s, s:{s:o}}", "key", key, "value", type, value));
}

static void add_text (json_t *list, const char *key, slice_t text)
{
    if (text.len)
        add (list, key, "stringValue", json_stringn (text.ptr, text.len));
}

/* 64-bit integers are texts in OTLP's JSON, as protobuf's mapping has it. */
static void add_number (json_t *list, const char *key, int64_t number)
{
    if (number != INT_ABSENT)
        add (list, key, "intValue", json_sprintf ("%lld", (long long)number));
}

/* ---- spans ---- */

typedef struct {
    const char *name;
    char span_id[SPAN_ID_LEN + 1];
    const char *parent; /* NULL: none */
    int64_t from_ms, to_ms;
    json_t *attributes; /* taken over */
    bool failed;
    slice_t why;
} span_t;

static json_t *nanoseconds (int64_t ms)
{
    return json_sprintf ("%lld000000", (long long)ms);
}

static void put (spans_t *self, const span_t *span)
{
    int64_t to_ms = span->to_ms > span->from_ms ? span->to_ms : span->from_ms; /* a clock may have been set back */
    json_t *json =
        json_pack ("{s:s, s:s, s:s, s:i, s:o, s:o, s:o}", "traceId", self->trace->trace_id, "spanId", span->span_id,
                   "name", span->name, "kind", KIND_INTERNAL, "startTimeUnixNano", nanoseconds (span->from_ms),
                   "endTimeUnixNano", nanoseconds (to_ms), "attributes", span->attributes);
    if (span->parent)
        json_object_set_new (json, "parentSpanId", json_string (span->parent));
    json_t *status = json_object ();
    if (span->failed) {
        json_object_set_new (status, "code", json_integer (STATUS_ERROR));
        if (span->why.len)
            json_object_set_new (status, "message", json_stringn (span->why.ptr, span->why.len));
    }
    json_object_set_new (json, "status", status);
    char *text = json_dumps (json, JSON_COMPACT);
    if (text && self->out->len)
        buf_append (self->out, ",", 1);
    if (text)
        buf_append_str (self->out, text);
    self->count += text != NULL;
    free (text);
    json_decref (json);
}

static json_t *attributes (const spans_t *self)
{
    json_t *list = json_array ();
    add_text (list, "gleaner.job.id", slice_of (self->job_id));
    return list;
}

static void put_queued (spans_t *self, int64_t attempt, int64_t until_ms)
{
    span_t span = { .name = "queued",
                    .parent = self->job_span,
                    .from_ms = self->waits_ms,
                    .to_ms = until_ms,
                    .attributes = attributes (self) };
    traceparent_span (self->trace->trace_id, slice_of (self->job_id), SPAN_QUEUED, attempt, span.span_id);
    add_number (span.attributes, "gleaner.attempt", attempt);
    put (self, &span);
}

void spans_begin (spans_t *self, buf_t *out, const job_record_t *job, const traceparent_t *trace, slice_t name)
{
    *self = (spans_t){ .out = out, .job = job, .trace = trace, .name = name, .waits_ms = job->created_ms };
    job_id_format (&job->id, self->job_id);
    traceparent_span (trace->trace_id, slice_of (self->job_id), SPAN_JOB, 0, self->job_span);
}

void spans_attempt (spans_t *self, const attempt_record_t *row)
{
    self->last = row->attempt;
    if (row->attempt <= self->job->attempt - ATTEMPTS_SHOWN_MAX) {
        self->waits_ms = row->completed_ms;
        return;
    }
    put_queued (self, row->attempt, row->started_ms);
    span_t span = { .name = "attempt",
                    .parent = self->job_span,
                    .from_ms = row->started_ms,
                    .to_ms = row->completed_ms,
                    .attributes = attributes (self),
                    .failed = row->reason.len,
                    .why = row->error_message };
    traceparent_span (self->trace->trace_id, slice_of (self->job_id), SPAN_ATTEMPT, row->attempt, span.span_id);
    add_number (span.attributes, "gleaner.attempt", row->attempt);
    add_text (span.attributes, "gleaner.worker.id", row->worker_id);
    add_number (span.attributes, "process.exit.code", row->exit_code);
    add_number (span.attributes, "gleaner.signal", row->signal);
    add_text (span.attributes, "error.type", row->reason);
    put (self, &span);
    self->waits_ms = row->completed_ms;
}

/* The attempt that made the job's end stands in the job itself. */
static void put_last (spans_t *self)
{
    const job_record_t *job = self->job;
    attempt_record_t row = {
        .attempt = job->attempt,
        .worker_id = job->worker_id,
        .reason = job->reason,
        .error_message = job->error_message,
        .exit_code = job->exit_code,
        .signal = job->signal,
        .started_ms = job->started_ms,
        .completed_ms = job->completed_ms,
    };
    spans_attempt (self, &row);
}

int spans_end (spans_t *self)
{
    const job_record_t *job = self->job;
    bool failed = job->state == JOB_FAILED;
    if (job->attempt > self->last && job->started_ms)
        put_last (self);
    else if (self->waits_ms < job->completed_ms)
        put_queued (self, self->last + 1, job->completed_ms); /* it ended before another attempt */
    span_t span = { .name = "job",
                    .from_ms = job->created_ms,
                    .to_ms = job->completed_ms,
                    .attributes = attributes (self),
                    .failed = failed,
                    .why = job->error_message };
    memcpy (span.span_id, self->job_span, sizeof span.span_id);
    /* A trace that the broker began has this for its root: traceparent names the span itself. */
    span.parent = strcmp (self->trace->parent_id, self->job_span) == 0 ? NULL : self->trace->parent_id;
    add_text (span.attributes, "gleaner.job.name", self->name);
    add_text (span.attributes, "gleaner.job.status", slice_of (job_state_name (job->state)));
    add_text (span.attributes, "gleaner.job.owner", job->owner);
    add_number (span.attributes, "gleaner.job.attempts", job->attempt);
    add_text (span.attributes, "gleaner.worker.id", job->worker_id);
    add_number (span.attributes, "process.exit.code", job->exit_code);
    if (failed)
        add_text (span.attributes, "error.type", job->reason);
    put (self, &span);
    return self->count;
}

void spans_open (buf_t *out, const char *service, const char *version)
{
    json_t *list = json_array ();
    add_text (list, "service.name", slice_of (service));
    add_text (list, "service.version", slice_of (version));
    char *text = json_dumps (list, JSON_COMPACT);
    buf_printf (out,
                "{\"resourceSpans\":[{\"resource\":{\"attributes\":%s},\"scopeSpans\":[{\"scope\":{\"name\":"
                "\"gleaner-broker\",\"version\":\"%s\"},\"spans\":[",
                text ? text : "[]", version);
    free (text);
    json_decref (list);
}

void spans_close (buf_t *out)
{
    buf_append_str (out, "]}]}]}");
}
