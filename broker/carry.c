#include <stdlib.h>
#include <string.h>

#include "broker/apply.h"
#include "broker/broker.h"
#include "proto/log.h"
#include "proto/traceparent.h"

void order_take_frame (depot_order_t *order, zmq_msg_t *frame, slice_t data)
{
    size_t at = (size_t)(data.ptr - (const char *)zmq_msg_data (frame));
    zmq_msg_t *taken = xcalloc (1, sizeof *taken);
    zmq_msg_init (taken);
    zmq_msg_move (taken, frame);
    order->frame = taken;
    order->data = slice_from ((const char *)zmq_msg_data (taken) + at, data.len);
}

void broker_order (broker_t *self, depot_order_t *order)
{
    if (!depot_submit (self->depot, &order))
        return;
    order->err = ERR_BUSY;
    order->next = self->returned;
    self->returned = order;
}

static void carry_append (broker_t *self, const effect_t *effect, zmq_msg_t *frame)
{
    const msg_job_output_t *in = &effect->message.job_output;
    depot_order_t *order = depot_order_new (DEPOT_APPEND, effect->request);
    order->seq = effect->seq;
    order->attempt = effect->attempt;
    stream_find (in->stream, &order->stream);
    order->offset = in->offset;
    order->replace = in->replace == 1;
    order_take_frame (order, frame, in->data);
    broker_order (self, order);
}

static void carry_seal (broker_t *self, const effect_t *effect)
{
    depot_order_t *order = depot_order_new (DEPOT_SEAL, 0);
    order->seq = effect->seq;
    order->attempt = effect->attempt;
    for (int i = 0; i < STREAM_COUNT; i++) {
        order->want[i].expected = effect->expected[i];
        slice_copy (effect->sha256[i], order->want[i].sha256, sizeof order->want[i].sha256);
    }
    slice_copy (effect->artifacts, order->sha256, sizeof order->sha256);
    broker_order (self, order);
}

static void carry_discard (broker_t *self, const effect_t *effect)
{
    depot_order_t *order = depot_order_new (DEPOT_DISCARD, 0);
    order->seq = effect->seq;
    order->attempt = effect->attempt;
    order->streams = effect->streams;
    order->next = self->discards;
    self->discards = order;
}

/* For the worker that runs the job, and nobody else. */
static void open_secrets (broker_t *self, slice_t sealed, msg_job_poll_ok_t *out)
{
    if (secrets_open (&self->secrets, sealed, &self->opened)) {
        out->secrets = buf_slice (&self->opened);
        return;
    }
    out->secrets_lost = true;
    log_event (LEVEL_ERROR, "secrets-lost", "job=" SLICE_FMT ": %s is not the key that they were sealed with",
               SLICE_ARG (out->job_id), self->secrets.path);
}

/* What runs the attempt is called from the attempt's own span. */
static void enter_span (msg_job_poll_ok_t *out, char text[TRACEPARENT_LEN + 1])
{
    traceparent_t trace;
    if (!traceparent_parse (out->traceparent, &trace))
        return;
    traceparent_span (trace.trace_id, out->job_id, SPAN_ATTEMPT, out->attempt, trace.parent_id);
    traceparent_format (&trace, text);
    out->traceparent = slice_from (text, TRACEPARENT_LEN);
}

/* The core knows leases, not texts: those come from the store. */
static void carry_reply_job (broker_t *self, effect_t *effect)
{
    msg_job_poll_ok_t *out = &effect->message.job_poll_ok;
    job_id_t id;
    job_record_t job;
    err_t err = job_id_parse (out->job_id, &id) ? self->store->ops->job_get (self->store, &id, &job) : ERR_INTERNAL;
    if (err)
        broker_die (err);
    out->command = job.command;
    out->file_url = job.file_url;
    out->filename = job.filename;
    message_t options;
    fault_t fault;
    char traceparent[TRACEPARENT_LEN + 1];
    if (job.options.len && !message_decode_item (self->items, job.options, MSG_JOB_OPTIONS, &options, &fault)) {
        message_copy_common (&options, &effect->message);
        enter_span (out, traceparent);
        if (options.job_options.sealed.len)
            open_secrets (self, options.job_options.sealed, out);
    }
    broker_reply (self, effect->request, &effect->message, effect);
    if (self->opened.len) {
        sodium_memzero (self->opened.ptr, self->opened.len);
        sodium_memzero (self->encoded.ptr, self->encoded.len);
        buf_clear (&self->opened);
    }
}

static void carry (broker_t *self, effect_t *effect, zmq_msg_t *frame)
{
    switch (effect->kind) {
    case EFFECT_JOB_INSERT:
    case EFFECT_JOB_UPDATE: /* effects_persist has stored it */
        events_job (self, &effect->job);
        break;
    case EFFECT_WORKER_PUT:
        events_worker (self, &effect->worker);
        break;
    case EFFECT_ATTEMPT_PUT:
    case EFFECT_WORKER_DELETE:
        break;
    case EFFECT_REPLY:
        broker_reply (self, effect->request, &effect->message, NULL);
        break;
    case EFFECT_REPLY_JOB:
        carry_reply_job (self, effect);
        break;
    case EFFECT_APPEND:
        carry_append (self, effect, frame);
        break;
    case EFFECT_SEAL:
        carry_seal (self, effect);
        break;
    case EFFECT_DISCARD:
        carry_discard (self, effect);
        break;
    case EFFECT_JOB_CHANGED:
        follow_wake (self, effect->seq, STREAMS_ALL);
        break;
    }
}

void broker_step (broker_t *self, const event_t *event, zmq_msg_t *frame)
{
    if (self->lost)
        return; /* the turn will not be committed: what it did is forgotten, and who asked is told so */
    core_step (self->core, event, &self->effects);
    err_t err = effects_persist (&self->effects, self->store);
    if (err == ERR_DISK_FULL)
        self->lost = true;
    else if (err)
        broker_die (err);
    measure_step (self, &self->effects);
    webhooks_step (self);
    traces_step (self);
    for (size_t i = 0; i < self->effects.count; i++)
        carry (self, &self->effects.items[i], frame);
}

static void appended (broker_t *self, const depot_order_t *order)
{
    message_t answer;
    if (order->err) {
        message_error (&answer, order->err, NULL);
        if (order->err == ERR_OUTPUT_GAP) {
            answer.error.offset = order->bytes;
            answer.error.stream = slice_of (stream_name (order->stream));
        }
    } else {
        message_init (&answer, MSG_JOB_OUTPUT_OK);
        answer.job_output_ok.offset = order->bytes;
        answer.job_output_ok.cancel_requested = 0;
        follow_wake (self, order->seq, 1 << order->stream);
        if (order->stream != STREAM_JOURNAL)
            events_output (self, order->seq, order->attempt, order->stream, order->bytes);
    }
    broker_reply (self, order->request, &answer, NULL);
}

static void sealed (broker_t *self, const depot_order_t *order)
{
    event_t event = {
        .kind = EVENT_SEALED,
        .now_ms = self->now_ms,
        .wall_ms = self->wall_ms,
        .seq = order->seq,
        .attempt = order->attempt,
        .err = order->err,
        .faulty_stream = order->fault_stream,
    };
    for (int i = 0; i < STREAM_COUNT; i++) {
        event.data[i] = order->has[i] ? buf_slice (&order->got[i]) : SLICE_ABSENT;
        event.bytes[i] = order->length[i];
        event.sha256[i] = slice_of (order->hash[i]);
        event.dropped[i] = order->dropped[i];
    }
    broker_step (self, &event, NULL);
}

static void read_done (broker_t *self, depot_order_t *order)
{
    const request_t *request = request_find (self->requests, order->request);
    if (request && request->type == MSG_JOB_FOLLOW)
        follow_read (self, order);
    else if (request)
        query_status_read (self, order);
}

static void take_outcome (broker_t *self, depot_order_t *order)
{
    switch (order->kind) {
    case DEPOT_BLOB_PUT:
    case DEPOT_BLOB_COMMIT:
    case DEPOT_BLOB_ABORT:
    case DEPOT_BLOB_GET:
    case DEPOT_BLOB_CHECK:
        bytes_outcome (self, order);
        break;
    case DEPOT_APPEND:
        appended (self, order);
        break;
    case DEPOT_SEAL:
        sealed (self, order);
        break;
    case DEPOT_READ:
        read_done (self, order);
        break;
    case DEPOT_DISCARD:
    case DEPOT_BLOB_REMOVE:
        self->removals--;
        break;
    case DEPOT_UPLOADS_DROP:
        break;
    }
    depot_order_destroy (&order);
}

void broker_take_outcomes (broker_t *self)
{
    depot_order_t *returned = self->returned;
    self->returned = NULL;
    while (returned) {
        depot_order_t *next = returned->next;
        take_outcome (self, returned);
        returned = next;
    }
    depot_order_t *order = NULL;
    for (int taken = 0; taken < TURN_MAX && (order = depot_take (self->depot)); taken++)
        take_outcome (self, order);
}

void broker_submit_discards (broker_t *self)
{
    while (self->discards) {
        depot_order_t *order = self->discards;
        self->discards = order->next;
        self->removals++;
        broker_order (self, order);
    }
}
