#include <string.h>

#include "gateway/feed.h"
#include "gateway/handlers.h"
#include "gateway/jsonout.h"
#include "gateway/routes.h"
#include "gateway/translate.h"

enum {
    QUIET_MS = 10 * 1000, /* a comment is sent when nothing else was for so long */
    FAILURES_MAX = 40,    /* broker's timeouts in a row before the stream is given up: about a minute */
};

/* ---- text that arrives in pieces ---- */

/* How many bytes at the end of `text` begin a UTF-8 sequence that is not complete yet: 0 to 3. */
static size_t incomplete_tail (slice_t text)
{
    for (size_t back = 1; back <= 3 && back <= text.len; back++) {
        unsigned char byte = (unsigned char)text.ptr[text.len - back];
        if ((byte & 0xc0) == 0x80)
            continue;
        size_t need = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

/* One event with the bytes kept back before and those of `data`; what is incomplete is kept back, unless `last`. */
static void add_output (feed_t *self, stream_t stream, slice_t data, bool last)
{
    buf_t text = { 0 };
    buf_append (&text, self->tail[stream], self->tail_len[stream]);
    if (data.ptr)
        buf_append (&text, data.ptr, data.len);
    size_t keep = last ? 0 : incomplete_tail (buf_slice (&text));
    memcpy (self->tail[stream], text.ptr + text.len - keep, keep);
    self->tail_len[stream] = keep;
    text.len -= keep;
    if (text.len > 0) {
        buf_printf (&self->out, "data: {\"type\":\"%s\",\"data\":", stream_name (stream));
        jsonout_bytes (&self->out, buf_slice (&text));
        buf_append_str (&self->out, "}\n\n");
    }
    buf_fini (&text);
}

/* ---- events ---- */

static void add_text_or_null (buf_t *out, const char *key, slice_t text)
{
    buf_printf (out, ",\"%s\":", key);
    if (text.ptr)
        jsonout_bytes (out, text);
    else
        buf_append_str (out, "null");
}

static void add_exit (feed_t *self, const msg_job_follow_ok_t *reply)
{
    buf_append_str (&self->out, "data: {\"type\":\"exit\",\"exitCode\":");
    if (reply->exit_code == INT_ABSENT)
        buf_append_str (&self->out, "null");
    else
        buf_printf (&self->out, "%lld", (long long)reply->exit_code);
    add_text_or_null (&self->out, "status", reply->status);
    add_text_or_null (&self->out, "errorMessage", reply->error_message);
    add_text_or_null (&self->out, "reason", reply->reason);
    buf_append_str (&self->out, "}\n\n");
    self->ended = true;
}

static void add_output_of (feed_t *self, const msg_job_follow_ok_t *reply)
{
    slice_t data[STREAM_PRINTED_COUNT] = { reply->stdout_data, reply->stderr_data };
    self->offset[STREAM_STDOUT] = reply->stdout_offset;
    self->offset[STREAM_STDERR] = reply->stderr_offset;
    self->attempt = reply->attempt > 0 ? reply->attempt : INT_ABSENT;
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_PRINTED_COUNT; stream++) {
        add_output (self, stream, data[stream], reply->end == 1);
        self->offset[stream] += (int64_t)(data[stream].ptr ? data[stream].len : 0);
    }
}

static void add_failure (feed_t *self, link_end_t end, const message_t *reply)
{
    /* The job goes on at the broker: its short absence is none of the reader's business. */
    if (end != LINK_REPLY && end != LINK_ENDED && ++self->failures < FAILURES_MAX)
        return;
    buf_append_str (&self->out, "data: {\"type\":\"error\"");
    if (reply->type == MSG_ERROR) {
        add_text_or_null (&self->out, "code", reply->error.code);
        add_text_or_null (&self->out, "error", reply->error.text);
    }
    buf_append_str (&self->out, "}\n\n");
    if (end != LINK_REPLY)
        self->on_abandon (self);
    self->ended = true;
}

static void direct_reply (feed_t *self, link_end_t end, const message_t *reply)
{
    if (reply->type != MSG_JOB_FOLLOW_OK) {
        add_failure (self, end, reply);
    } else {
        self->failures = 0;
        add_output_of (self, &reply->job_follow_ok);
        if (reply->job_follow_ok.end == 1)
            add_exit (self, &reply->job_follow_ok);
    }
    if (self->out.len == 0)
        buf_append_str (&self->out, ": waiting\n\n");
}

static void direct_abandon (feed_t *self)
{
    message_t message;
    message_init (&message, MSG_JOB_CANCEL);
    message.auth = slice_of (self->auth);
    message.job_cancel.job_id = slice_of (self->job_id);
    link_call (self->gateway->link, &message, &(link_order_t){ .repeatable = true });
}

void direct_answer (request_t *request, slice_t job_id)
{
    feed_t *feed = feed_new (request, job_id, direct_reply);
    feed->on_abandon = direct_abandon;
    feed->wait_ms = QUIET_MS;
    struct MHD_Response *response = feed_response (feed, "text/event-stream");
    MHD_add_response_header (response, "X-Exec-Id", feed->job_id);
    MHD_add_response_header (response, "X-Job-Id", feed->job_id);
    request_answer (request, MHD_HTTP_OK, response);
}

/* ---- DELETE /api/execute ---- */

static void stop_done (void *ctx, link_end_t end, const message_t *reply)
{
    request_t *request = ctx;
    if (reply->type != MSG_JOB_CANCEL_OK) {
        translate_answer (request, end, reply);
        return;
    }
    buf_t json = { 0 };
    buf_append_str (&json, "{\"success\":true,\"stopped\":true,\"execId\":");
    jsonout_text (&json, reply->job_cancel_ok.job_id);
    add_text_or_null (&json, "status", reply->job_cancel_ok.status);
    buf_append (&json, "}", 1);
    request_answer_json (request, MHD_HTTP_OK, &json);
}

static err_t read_exec_id (source_t *source, request_t *request, slice_t *out, fault_t *fault)
{
    *out = request_query (request, "execId");
    if (!out->ptr && request->body.len) {
        err_t err = source_parse (source, request, fault);
        if (err)
            return err;
        json_t *value = json_object_get (source->object, "execId");
        if (value && !json_is_string (value) && !json_is_null (value))
            return fault_set (fault, ERR_SCHEMA, "execId", "`execId` must be a text.");
        if (json_is_string (value))
            *out = slice_from (json_string_value (value), json_string_length (value));
    }
    if (!out->ptr || out->len == 0)
        return fault_set (fault, ERR_MISSING_FIELD, "execId", "`execId` is missing.");
    return 0;
}

void execute_stop_handle (request_t *request)
{
    source_t source = { 0 };
    fault_t fault;
    message_t message;
    message_init (&message, MSG_JOB_CANCEL);
    request_sign (request, &message);
    err_t err = read_exec_id (&source, request, &message.job_cancel.job_id, &fault);
    if (!err)
        err = message_check (&message, &fault);
    if (!err) {
        link_order_t order = { .done = stop_done, .ctx = request, .repeatable = true };
        err = link_call (request->gateway->link, &message, &order);
        if (err)
            fault_set (&fault, err, "", NULL);
    }
    source_fini (&source);
    if (err)
        request_fail_fault (request, &fault);
    else
        request_park (request);
}
