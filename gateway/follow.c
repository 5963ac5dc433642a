#include <stdlib.h>

#include "gateway/feed.h"
#include "gateway/handlers.h"
#include "gateway/translate.h"

/* Takes the bytes of the stream asked for, from its offset to the end that it has now. Those of the other one come
 * along in the same reply and are passed over. */
static void take_output (feed_t *self, const msg_job_follow_ok_t *reply)
{
    slice_t data[FEED_STREAMS] = { reply->stdout_data, reply->stderr_data };
    int64_t from[FEED_STREAMS] = { reply->stdout_offset, reply->stderr_offset };
    if (from[self->stream] != self->offset[self->stream]) {
        self->broken = true; /* another attempt began meanwhile: these are not the bytes that follow */
        return;
    }
    for (int stream = 0; stream < FEED_STREAMS; stream++)
        self->offset[stream] = from[stream] + (int64_t)(data[stream].ptr ? data[stream].len : 0);
    self->attempt = reply->attempt;
    slice_t wanted = data[self->stream];
    if (wanted.ptr && wanted.len)
        buf_append (&self->out, wanted.ptr, wanted.len);
    else
        self->ended = true;
}

static void later_reply (feed_t *self, link_end_t end, const message_t *reply)
{
    (void)end;
    if (reply->type == MSG_JOB_FOLLOW_OK)
        take_output (self, &reply->job_follow_ok);
    else
        self->broken = true;
}

/* Until the first reply nothing has been answered, and an error can still be one. */
static void first_reply (feed_t *self, link_end_t end, const message_t *reply)
{
    request_t *request = self->request;
    if (reply->type != MSG_JOB_FOLLOW_OK) {
        translate_answer (request, end, reply);
        feed_destroy (&self);
        return;
    }
    self->on_reply = later_reply;
    take_output (self, &reply->job_follow_ok);
    if (self->broken) {
        request_fail (request, ERR_BAD_OFFSET, "offset", NULL);
        feed_destroy (&self);
        return;
    }
    request_answer (request, MHD_HTTP_OK, feed_response (self, "application/octet-stream"));
}

static err_t read_stream (request_t *request, int *stream, fault_t *fault)
{
    slice_t name = request_query (request, "stream");
    *stream = slice_eq_str (name, "stderr") ? FEED_STDERR : FEED_STDOUT;
    if (!name.ptr || *stream == FEED_STDERR || slice_eq_str (name, "stdout"))
        return 0;
    return fault_set (fault, ERR_SCHEMA, "stream", "`stream` must be 'stdout' or 'stderr'.");
}

static err_t read_offset (request_t *request, int64_t *offset, fault_t *fault)
{
    slice_t text = request_query (request, "offset");
    message_t message;
    message_init (&message, MSG_JOB_OUTPUT);
    err_t err = text.ptr ? message_set_text (&message, SLICE ("offset"), text, fault) : 0;
    *offset = err || message.job_output.offset == INT_ABSENT ? 0 : message.job_output.offset;
    if (!err && (*offset < 0 || *offset > OFFSET_MAX))
        err = fault_set (fault, ERR_SCHEMA, "offset", NULL);
    return err;
}

void output_read_handle (request_t *request)
{
    source_t source = { 0 };
    message_t message;
    fault_t fault;
    int stream = FEED_STDOUT;
    int64_t offset = 0;
    err_t err = translate_request (&source, request, MSG_JOB_FOLLOW, &message, &fault);
    if (!err)
        err = translate_check (&message, &fault);
    if (!err)
        err = read_stream (request, &stream, &fault);
    if (!err)
        err = read_offset (request, &offset, &fault);
    if (err) {
        request_fail_fault (request, &fault);
    } else {
        feed_t *feed = feed_new (request, message.job_follow.job_id, first_reply);
        feed->attempt = message.job_follow.attempt;
        feed->stream = stream;
        feed->offset[stream] = offset;
        err = feed_next (feed);
        if (err) {
            feed_destroy (&feed);
            request_fail (request, err, NULL, NULL);
        } else {
            request_park (request);
        }
    }
    source_fini (&source);
}
