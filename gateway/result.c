#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/routes.h"
#include "gateway/translate.h"
#include "proto/stream.h"

/* A result whose output is too long for one message: the long streams go ahead as pieces of a copy that takes the
 * stream's place when the result comes, stdout first, each piece after the reply to the one before. */
typedef struct {
    request_t *request;
    source_t source; /* owns what `result` and `text` point into */
    message_t result;
    json_t *held[STREAM_COUNT]; /* the long texts, taken out of the object */
    slice_t text[STREAM_COUNT]; /* absent: short, or not given */
    size_t sent[STREAM_COUNT];
} result_t;

static void result_destroy (result_t **self_p)
{
    result_t *self = *self_p;
    *self_p = NULL;
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT; stream++)
        if (self->held[stream])
            json_decref (self->held[stream]);
    source_fini (&self->source);
    free (self);
}

static err_t send_next (result_t *self);

static void step_done (void *ctx, link_end_t end, const message_t *reply)
{
    result_t *self = ctx;
    request_t *request = self->request;
    if (reply->type == MSG_JOB_OUTPUT_OK) {
        err_t err = send_next (self);
        if (!err)
            return;
        request_fail (request, err, NULL, NULL);
    } else {
        translate_answer (request, end, reply);
    }
    result_destroy (&self);
}

static err_t send_piece (result_t *self, stream_t stream)
{
    message_t message;
    message_init (&message, MSG_JOB_OUTPUT);
    msg_job_output_t *output = &message.job_output;
    const msg_job_result_t *result = &self->result.job_result;
    size_t left = self->text[stream].len - self->sent[stream];
    request_sign (self->request, &message);
    output->job_id = result->job_id;
    output->worker_id = result->worker_id;
    output->attempt = result->attempt;
    output->token = result->token;
    output->stream = slice_of (stream_name (stream));
    output->offset = (int64_t)self->sent[stream];
    output->replace = true;
    output->data = slice_from (self->text[stream].ptr + self->sent[stream], left < CHUNK_MAX ? left : CHUNK_MAX);
    self->sent[stream] += output->data.len;
    /* Bytes that are there already are skipped by the broker, so a piece may be sent twice. */
    return link_call (
        self->request->gateway->link, &message,
        &(link_order_t){ .done = step_done, .ctx = self, .patience_ms = LINK_SLOW_MS, .repeatable = true });
}

/* The next piece, or the result itself. */
static err_t send_next (result_t *self)
{
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT; stream++)
        if (self->sent[stream] < self->text[stream].len)
            return send_piece (self, stream);
    return link_call (self->request->gateway->link, &self->result,
                      &(link_order_t){ .done = step_done, .ctx = self, .patience_ms = LINK_SLOW_MS });
}

/* Takes a stream out of the object when it is too long to go inline. */
static void set_apart (result_t *self, stream_t stream)
{
    json_t *value = json_object_get (self->source.object, stream_name (stream));
    if (!json_is_string (value) || json_string_length (value) <= INLINE_MAX)
        return;
    self->held[stream] = json_incref (value);
    self->text[stream] = slice_from (json_string_value (value), json_string_length (value));
    json_object_del (self->source.object, stream_name (stream));
}

static err_t result_read (result_t *self, fault_t *fault)
{
    err_t err = source_parse (&self->source, self->request, fault);
    if (err)
        return err;
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT; stream++)
        set_apart (self, stream);
    err = translate_request (&self->source, self->request, MSG_JOB_RESULT, &self->result, fault);
    if (err)
        return err;
    msg_job_result_t *result = &self->result.job_result;
    int64_t *const bytes[STREAM_COUNT] = { &result->stdout_bytes, &result->stderr_bytes, &result->journal_bytes };
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        if (self->text[stream].ptr)
            *bytes[stream] = (int64_t)self->text[stream].len;
    return translate_check (&self->result, fault);
}

void result_handle (request_t *request)
{
    result_t *self = xcalloc (1, sizeof *self);
    self->request = request;
    fault_t fault;
    err_t err = result_read (self, &fault);
    if (!err) {
        /* The body is parsed: its text need not be kept beside the tree. */
        buf_fini (&request->body);
        err = send_next (self);
        if (err)
            fault_set (&fault, err, "", NULL);
    }
    if (!err) {
        request_park (request);
        return;
    }
    request_fail_fault (request, &fault);
    result_destroy (&self);
}
