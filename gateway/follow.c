#include <stdio.h>
#include <stdlib.h>

#include "gateway/feed.h"
#include "gateway/handlers.h"
#include "gateway/range.h"
#include "gateway/translate.h"

enum { FOLLOW_MS = 10 * 1000 }; /* the broker waits so long for more, then is asked again */

static int64_t stream_length (const feed_t *self, const msg_job_follow_ok_t *reply)
{
    const int64_t length[STREAM_COUNT] = { reply->stdout_bytes, reply->stderr_bytes, reply->journal_bytes };
    return length[self->stream] == INT_ABSENT ? 0 : length[self->stream];
}

/* Takes the bytes of the stream asked for. An older broker sends those of the other one, too: they are passed over. */
static void take_output (feed_t *self, const msg_job_follow_ok_t *reply)
{
    slice_t data[STREAM_COUNT] = { reply->stdout_data, reply->stderr_data, reply->journal_data };
    int64_t from[STREAM_COUNT] = { reply->stdout_offset, reply->stderr_offset, reply->journal_offset };
    bool moved = self->attempt > 0 && reply->attempt != self->attempt;
    if (moved || from[self->stream] != self->offset[self->stream]) {
        /* Another attempt began meanwhile: these are not the bytes that follow. */
        self->broken = !self->follow;
        self->ended = true;
        return;
    }
    for (int stream = 0; stream < STREAM_COUNT; stream++)
        if (from[stream] != INT_ABSENT)
            self->offset[stream] = from[stream] + (int64_t)(data[stream].ptr ? data[stream].len : 0);
    self->attempt = reply->attempt;
    slice_t wanted = data[self->stream].ptr ? data[self->stream] : SLICE ("");
    if (self->limit >= 0 && (int64_t)wanted.len > self->limit)
        wanted.len = (size_t)self->limit;
    if (wanted.len)
        buf_append (&self->out, wanted.ptr, wanted.len);
    if (self->limit >= 0)
        self->limit -= (int64_t)wanted.len;
    bool all = self->offset[self->stream] >= stream_length (self, reply);
    bool over = reply->end == 1 || (all && reply->status.ptr && !slice_eq_str (reply->status, "running") &&
                                    !slice_eq_str (reply->status, "pending"));
    if (self->limit == 0 || (self->follow ? over : all))
        self->ended = true;
}

static void later_reply (feed_t *self, link_end_t end, const message_t *reply)
{
    if (reply->type == MSG_JOB_FOLLOW_OK)
        take_output (self, &reply->job_follow_ok);
    else if (!self->follow || end == LINK_REPLY || end == LINK_ENDED)
        self->broken = true; /* else the broker is away for a moment: its output will come */
}

static void refuse_beyond (feed_t *self, int64_t length)
{
    request_fail_beyond (self->request, "offset", length);
    feed_destroy (&self);
}

static void add_number (struct MHD_Response *response, const char *name, int64_t number)
{
    char text[32];
    snprintf (text, sizeof text, "%lld", (long long)number);
    MHD_add_response_header (response, name, text);
}

static void answer_stream (feed_t *self, const msg_job_follow_ok_t *reply, int64_t from, int64_t count)
{
    char text[96];
    int64_t length = stream_length (self, reply);
    request_t *request = self->request;
    struct MHD_Response *response =
        feed_response (self, self->text ? "text/plain; charset=utf-8" : "application/octet-stream");
    MHD_add_response_header (response, "Content-Security-Policy", "sandbox");
    MHD_add_response_header (response, "Accept-Ranges", "bytes");
    snprintf (text, sizeof text, SLICE_FMT, SLICE_ARG (reply->status));
    MHD_add_response_header (response, "X-Job-Status", text);
    add_number (response, "X-Output-Bytes", length);
    add_number (response, "X-Attempt", reply->attempt);
    if (self->ranged) {
        range_format (from, count, length, text, sizeof text);
        MHD_add_response_header (response, "Content-Range", text);
    }
    request_answer (request, self->ranged ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
}

/* Until the first reply nothing has been answered, and an error can still be one. It tells the length, too. */
static void first_reply (feed_t *self, link_end_t end, const message_t *reply)
{
    request_t *request = self->request;
    if (reply->type == MSG_ERROR && error_find (reply->error.code) == ERR_BEYOND_END &&
        reply->error.offset != INT_ABSENT) {
        refuse_beyond (self, reply->error.offset);
        return;
    }
    if (reply->type != MSG_JOB_FOLLOW_OK) {
        translate_answer (request, end, reply);
        feed_destroy (&self);
        return;
    }
    const msg_job_follow_ok_t *first = &reply->job_follow_ok;
    int64_t length = stream_length (self, first);
    int64_t asked = self->offset[self->stream];
    range_t range;
    int64_t from = asked;
    int64_t count = -1;
    self->ranged = !self->follow && range_parse (request_header (request, "Range"), &range);
    bool there = !self->ranged || range_resolve (&range, length, &from, &count);
    if (!there || (asked > length && !self->follow)) {
        refuse_beyond (self, length);
        return;
    }
    self->on_reply = later_reply;
    self->limit = self->ranged ? count : -1;
    if (self->ranged && from != asked) { /* what came is from another place */
        self->offset[self->stream] = from;
        self->attempt = first->attempt;
    } else {
        take_output (self, first);
    }
    if (self->follow)
        self->wait_ms = FOLLOW_MS;
    answer_stream (self, first, from, count);
}

static err_t read_stream (request_t *request, stream_t *stream, fault_t *fault)
{
    slice_t name = request_query (request, "stream");
    if (stream_find (name.ptr ? name : SLICE ("stdout"), stream))
        return 0;
    return fault_set (fault, ERR_SCHEMA, "stream", "`stream` must be 'stdout', 'stderr' or 'journal'.");
}

/* `offset`, and `follow`: not a job-follow's own fields. */
static err_t read_place (request_t *request, int64_t *offset, bool *follow, fault_t *fault)
{
    slice_t text = request_query (request, "offset");
    slice_t live = request_query (request, "follow");
    message_t message;
    message_init (&message, MSG_JOB_OUTPUT);
    err_t err = text.ptr ? message_set_text (&message, SLICE ("offset"), text, fault) : 0;
    *offset = err || message.job_output.offset == INT_ABSENT ? 0 : message.job_output.offset;
    if (!err && (*offset < 0 || *offset > OFFSET_MAX))
        err = fault_set (fault, ERR_SCHEMA, "offset", "`offset` must be from 0 to %lld.", (long long)OFFSET_MAX);
    if (!err && text.ptr && request_header (request, "Range").ptr)
        err = fault_set (fault, ERR_SCHEMA, "offset", "`offset` and a Range header contradict each other: send one.");
    *follow = slice_eq_str (live, "true") || slice_eq_str (live, "1");
    if (!err && live.ptr && !*follow && !slice_eq_str (live, "false") && !slice_eq_str (live, "0"))
        err = fault_set (fault, ERR_SCHEMA, "follow", "`follow` must be true or false.");
    return err;
}

/* `view=text`: for a browser's tab, which saves any other type as a file. */
static err_t read_view (request_t *request, bool *text, fault_t *fault)
{
    slice_t view = request_query (request, "view");
    *text = slice_eq_str (view, "text");
    if (!view.ptr || *text)
        return 0;
    return fault_set (fault, ERR_SCHEMA, "view", "`view` must be 'text'.");
}

static err_t begin_reading (request_t *request, const msg_job_follow_t *in, fault_t *fault)
{
    stream_t stream = STREAM_STDOUT;
    int64_t offset = 0;
    bool follow = false;
    bool text = false;
    err_t err = read_stream (request, &stream, fault);
    if (!err)
        err = read_place (request, &offset, &follow, fault);
    if (!err)
        err = read_view (request, &text, fault);
    if (err)
        return err;
    feed_t *feed = feed_new (request, in->job_id, first_reply);
    feed->attempt = in->attempt;
    feed->stay = in->attempt != INT_ABSENT;
    feed->stream = stream;
    feed->alone = true;
    feed->follow = follow;
    feed->text = text;
    feed->ahead = !follow;
    feed->limit = -1;
    feed->offset[stream] = offset;
    err = feed_next (feed);
    if (err)
        feed_destroy (&feed);
    return err ? fault_set (fault, err, "", NULL) : 0;
}

void output_read_handle (request_t *request)
{
    source_t source = { 0 };
    message_t message;
    fault_t fault;
    err_t err = translate_request (&source, request, MSG_JOB_FOLLOW, &message, &fault);
    if (!err)
        err = translate_check (&message, &fault);
    if (!err)
        err = begin_reading (request, &message.job_follow, &fault);
    if (err)
        request_fail_fault (request, &fault);
    else
        request_park (request);
    source_fini (&source);
}
