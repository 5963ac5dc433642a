#include <stdlib.h>
#include <string.h>

#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/routes.h"
#include "gateway/translate.h"

/* POST /api/jobs/stream-output: text of an old agent, appended at the end. */
typedef struct {
    request_t *request;
    source_t source;   /* owns what `message` and `data` point into */
    message_t message; /* the next piece */
    slice_t data;
    size_t sent;
} output_t;

static void stream_destroy (output_t **self_p)
{
    output_t *self = *self_p;
    *self_p = NULL;
    source_fini (&self->source);
    free (self);
}

static err_t stream_send (output_t *self);

static void answer_received (request_t *request, const msg_job_output_ok_t *reply)
{
    buf_t json = { 0 };
    buf_printf (&json, "{\"success\":true,\"message\":\"%s\",\"offset\":%lld,\"cancelRequested\":%s}",
                request->route->message, (long long)reply->offset, reply->cancel_requested == 1 ? "true" : "false");
    request_answer_json (request, MHD_HTTP_OK, &json);
}

static void stream_done (void *ctx, link_end_t end, const message_t *reply)
{
    (void)end;
    output_t *self = ctx;
    request_t *request = self->request;
    if (reply->type != MSG_JOB_OUTPUT_OK) {
        request_fail_message (request, reply);
    } else if (self->sent == self->data.len) {
        answer_received (request, &reply->job_output_ok);
    } else {
        err_t err = stream_send (self);
        if (!err)
            return;
        request_fail (request, err, NULL, NULL);
    }
    stream_destroy (&self);
}

static err_t stream_send (output_t *self)
{
    size_t left = self->data.len - self->sent;
    slice_t piece = slice_from (self->data.ptr + self->sent, left < CHUNK_MAX ? left : CHUNK_MAX);
    self->message.job_output.data = piece;
    self->sent += piece.len;
    link_order_t order = { .done = stream_done, .ctx = self, .patience_ms = LINK_SLOW_MS };
    return link_call (self->request->gateway->link, &self->message, &order);
}

static err_t stream_read (output_t *self, fault_t *fault)
{
    err_t err = source_parse (&self->source, self->request, fault);
    if (err)
        return err;
    json_t *data = json_object_get (self->source.object, "data");
    json_t *type = json_object_get (self->source.object, "type");
    if (!json_is_string (data))
        return fault_set (fault, data ? ERR_SCHEMA : ERR_MISSING_FIELD, "data", "`data` must be a text.");
    if (!json_is_string (type))
        return fault_set (fault, type ? ERR_SCHEMA : ERR_MISSING_FIELD, "type", "`type` must be 'stdout' or 'stderr'.");
    /* `data` may be longer than a message takes: it is cut into pieces, not by the table. */
    self->data = slice_from (json_string_value (data), json_string_length (data));
    json_t *held = json_incref (data);
    json_object_del (self->source.object, "data");
    err = translate_request (&self->source, self->request, MSG_JOB_OUTPUT, &self->message, fault);
    json_object_set_new (self->source.object, "data", held);
    if (err)
        return err;
    msg_job_output_t *output = &self->message.job_output;
    output->stream = slice_from (json_string_value (type), json_string_length (type));
    output->data = slice_from (self->data.ptr, 0);
    if (!slice_eq_str (output->stream, "stdout") && !slice_eq_str (output->stream, "stderr"))
        return fault_set (fault, ERR_SCHEMA, "type", "`type` must be 'stdout' or 'stderr'.");
    /* Offsets and copies belong to the other call. */
    output->offset = INT_ABSENT;
    output->replace = BOOL_ABSENT;
    return translate_check (&self->message, fault);
}

void output_stream_handle (request_t *request)
{
    output_t *self = xcalloc (1, sizeof *self);
    self->request = request;
    fault_t fault;
    err_t err = stream_read (self, &fault);
    if (!err && (err = stream_send (self)))
        fault_set (&fault, err, "", NULL);
    if (!err) {
        request_park (request);
        return;
    }
    request_fail_fault (request, &fault);
    stream_destroy (&self);
}
