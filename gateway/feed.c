#include "gateway/feed.h"

#include <stdlib.h>
#include <string.h>

#include "proto/limits.h"

enum { BLOCK = 64 * 1024 };

static void request_ended (request_t *request)
{
    feed_t *self = request->work;
    if (self)
        self->request = NULL;
}

feed_t *feed_new (request_t *request, slice_t job_id, feed_reply_fn *on_reply)
{
    feed_t *self = xcalloc (1, sizeof *self);
    self->gateway = request->gateway;
    self->request = request;
    self->on_reply = on_reply;
    self->job_id = slice_dup (job_id);
    self->auth = slice_dup (request->auth);
    self->attempt = INT_ABSENT;
    request->work = self;
    request->on_end = request_ended;
    return self;
}

void feed_destroy (feed_t **self_p)
{
    feed_t *self = *self_p;
    *self_p = NULL;
    if (self->request)
        self->request->work = NULL;
    buf_fini (&self->out);
    free (self->job_id);
    free (self->auth);
    free (self);
}

static void follow_done (void *ctx, link_end_t end, const message_t *reply)
{
    feed_t *self = ctx;
    self->calling = false;
    if (self->closed) {
        feed_destroy (&self);
        return;
    }
    request_t *request = self->streams ? self->request : NULL; /* before, answering is what resumes it */
    self->on_reply (self, end, reply);                         /* may destroy a feed that does not stream yet */
    if (request)
        request_resume (request);
}

static void ask_output (const feed_t *self, message_t *message)
{
    message_init (message, MSG_JOB_FOLLOW);
    msg_job_follow_t *follow = &message->job_follow;
    follow->job_id = slice_of (self->job_id);
    follow->attempt = self->attempt;
    if (self->stay)
        follow->stay = 1;
    if (self->alone)
        follow->stream = slice_of (stream_name (self->stream));
    follow->stdout_offset = self->offset[STREAM_STDOUT];
    follow->stderr_offset = self->offset[STREAM_STDERR];
    if (self->alone && self->stream == STREAM_JOURNAL)
        follow->journal_offset = self->offset[STREAM_JOURNAL];
    follow->wait = self->wait_ms;
}

err_t feed_next (feed_t *self)
{
    message_t message;
    if (self->ask)
        self->ask (self, &message);
    else
        ask_output (self, &message);
    if (self->request)
        request_sign (self->request, &message);
    link_order_t order = { .done = follow_done, .ctx = self, .patience_ms = self->wait_ms, .repeatable = true };
    err_t err = link_call (self->gateway->link, &message, &order);
    self->calling = err == 0;
    return err;
}

static void client_gone (request_t *request)
{
    feed_t *self = request->work;
    if (self)
        self->broken = true;
    request_resume (request);
}

/* While the second half of what came goes out, the next call is on its way. Failure is told when nothing is left. */
static void ask_ahead (feed_t *self)
{
    if (self->ahead && !self->ended && !self->calling && self->out.len - self->out_at < FOLLOW_MAX / 2)
        feed_next (self);
}

static ssize_t feed_read (void *cls, uint64_t pos, char *out, size_t max)
{
    (void)pos;
    feed_t *self = cls;
    size_t left = self->out.len - self->out_at;
    if (left > 0 && !self->broken) {
        size_t count = left < max ? left : max;
        memcpy (out, self->out.ptr + self->out_at, count);
        self->out_at += count;
        ask_ahead (self);
        return (ssize_t)count;
    }
    buf_clear (&self->out);
    self->out_at = 0;
    if (!self->ended && !self->broken && !self->calling && feed_next (self) != 0)
        self->broken = true;
    if (self->broken)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (self->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    request_park_watched (self->request, client_gone);
    return 0;
}

static void feed_close (void *cls)
{
    feed_t *self = cls;
    self->closed = true;
    if (!self->ended && self->on_abandon)
        self->on_abandon (self);
    self->ended = true;
    if (!self->calling)
        feed_destroy (&self);
}

struct MHD_Response *feed_response (feed_t *self, const char *type)
{
    uint64_t size = self->request->head ? 0 : MHD_SIZE_UNKNOWN; /* a chunked answer to HEAD would have a last chunk */
    self->streams = true;
    struct MHD_Response *response = MHD_create_response_from_callback (size, BLOCK, feed_read, self, feed_close);
    MHD_add_response_header (response, "Content-Type", type);
    MHD_add_response_header (response, "Cache-Control", "no-store");
    MHD_add_response_header (response, "X-Content-Type-Options", "nosniff");
    return response;
}
