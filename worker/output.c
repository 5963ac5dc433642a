#include "worker/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/log.h"

enum {
    PIPE_BYTES = 64 * 1024,
    PIPE_TURN_MAX = 16, /* reads of a pipe before others have their turn */
    SOON_MS = 20,       /* lets a short job's output go with its result */
    CALL_PATIENCE_MS = 15 * 1000,
};

void output_init (output_t *self, loop_t *loop, transport_t *transport, const lease_t *lease, stream_t stream,
                  char *path, const output_events_t *events)
{
    *self = (output_t){
        .loop = loop,
        .transport = transport,
        .lease = lease,
        .stream = stream,
        .path = path,
        .fd = -1,
        .max = OUTPUT_MAX_DEFAULT,
        .soon_ms = SOON_MS,
        .events = *events,
    };
    sha256_init (&self->hash);
}

void output_fini (output_t *self)
{
    self->transport->ops->cancel (self->transport, self->call);
    loop_timer_stop (&self->timer);
    if (self->fd >= 0)
        close (self->fd);
    free (self->path);
    mask_stream_fini (&self->masked);
    self->fd = -1;
    self->path = NULL;
}

int output_append (output_t *self, slice_t bytes)
{
    const char *at = bytes.ptr;
    size_t len = bytes.len;
    if (self->fd < 0)
        self->fd = open (self->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (self->fd < 0)
        return errno;
    while (len) {
        ssize_t written = pwrite (self->fd, at, len, self->length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return errno;
        sha256_update (&self->hash, (size_t)written, (const uint8_t *)at);
        self->length += written;
        at += written;
        len -= (size_t)written;
    }
    return 0;
}

static void keep (output_t *self, slice_t printed, int *error)
{
    int64_t room = self->max - self->length;
    size_t kept = (int64_t)printed.len < room ? printed.len : (size_t)room;
    int64_t before = self->length;
    self->dropped += (int64_t)(printed.len - kept);
    if (kept && !*error) /* with a full disk the pipe is still read, so that the job does not hang */
        *error = output_append (self, slice_from (printed.ptr, kept));
    if (self->length > before && self->events.kept)
        self->events.kept (self->events.ctx, self->stream, printed.ptr, (size_t)(self->length - before));
}

bool output_take (output_t *self, int pipe_fd, int *error)
{
    char bytes[PIPE_BYTES];
    for (int turn = 0; turn < PIPE_TURN_MAX; turn++) {
        ssize_t got = read (pipe_fd, bytes, sizeof bytes);
        if (got == 0)
            return false;
        if (got < 0)
            return errno == EAGAIN || errno == EINTR;
        keep (self, mask_stream_take (&self->masked, slice_from (bytes, (size_t)got)), error);
    }
    return true;
}

void output_mask (output_t *self, const mask_t *mask)
{
    mask_stream_init (&self->masked, mask);
}

void output_end (output_t *self, int *error)
{
    keep (self, mask_stream_end (&self->masked), error);
}

void output_reopen (output_t *self)
{
    static unsigned char bytes[CHUNK_MAX];
    self->fd = open (self->path, O_RDWR | O_CLOEXEC);
    ssize_t got = 0;
    while (self->fd >= 0 && (got = pread (self->fd, bytes, sizeof bytes, self->length)) > 0) {
        sha256_update (&self->hash, (size_t)got, bytes);
        self->length += got;
    }
    self->begun = true;
}

void output_sha256 (const output_t *self, char hex[SHA256_HEX + 1])
{
    unsigned char hash[SHA256_DIGEST_SIZE];
    struct sha256_ctx state = self->hash;
    sha256_digest (&state, SHA256_DIGEST_SIZE, hash);
    hex_format (hash, sizeof hash, hex);
}

static void on_soon (void *ctx)
{
    output_send (ctx);
}

bool output_is_sent (const output_t *self)
{
    return self->given_up || (self->acked >= self->length && !self->anew);
}

void output_send_soon (output_t *self)
{
    if (!self->paused && !self->call && !self->timer.next && !output_is_sent (self))
        loop_timer_set (self->loop, &self->timer, self->begun ? 0 : self->soon_ms, on_soon, self);
}

static void on_answer (void *ctx, const call_answer_t *answer)
{
    output_t *self = ctx;
    self->call = 0;
    if (answer->outcome == CALL_AWAY) {
        loop_timer_set (self->loop, &self->timer, backoff_next_ms (&self->backoff), on_soon, self);
        return;
    }
    backoff_reset (&self->backoff);
    if (answer->outcome == CALL_REFUSED && answer->err == ERR_OUTPUT_GAP && answer->reply->error.offset != INT_ABSENT) {
        log_event (LEVEL_INFO, "output-gap", "job=%s %s is sent again from %lld on", self->lease->job_id,
                   stream_name (self->stream), (long long)answer->reply->error.offset);
        output_rewind (self, answer->reply->error.offset);
        output_send (self);
        return;
    }
    if (answer->outcome == CALL_REFUSED) {
        self->events.lost (self->events.ctx, answer->err);
        return;
    }
    self->anew = false;
    self->acked = answer->reply->job_output_ok.offset;
    if (answer->reply->job_output_ok.cancel_requested == 1)
        self->events.cancelled (self->events.ctx);
    else
        output_send (self);
}

/* The bytes from here on are lost, and said to be. */
static void unreadable (output_t *self)
{
    log_event (LEVEL_ERROR, "spool-unreadable", "job=%s %s", self->lease->job_id, stream_name (self->stream));
    self->dropped += self->length - self->acked;
    self->length = self->acked;
    self->anew = false;
}

void output_send (output_t *self)
{
    self->paused = false;
    if (self->call)
        return;
    loop_timer_stop (&self->timer);
    if (output_is_sent (self)) {
        self->events.sent (self->events.ctx);
        return;
    }
    static char piece[CHUNK_MAX]; /* one thread; the transport copies it */
    int64_t left = self->length - self->acked;
    ssize_t got = left ? pread (self->fd, piece, left < CHUNK_MAX ? (size_t)left : CHUNK_MAX, self->acked) : 0;
    if (left && got <= 0) {
        unreadable (self);
        self->events.sent (self->events.ctx);
        return;
    }
    self->begun = true;
    message_t message;
    message_init (&message, MSG_JOB_OUTPUT);
    message.job_output.job_id = slice_of (self->lease->job_id);
    message.job_output.worker_id = slice_of (self->lease->worker_id);
    message.job_output.attempt = self->lease->attempt;
    message.job_output.token = slice_of (self->lease->token);
    message.job_output.stream = slice_of (stream_name (self->stream));
    message.job_output.offset = self->acked;
    if (self->replacing)
        message.job_output.replace = 1;
    message.job_output.data = slice_from (piece, (size_t)got);
    self->call = self->transport->ops->call (self->transport, &message, CALL_PATIENCE_MS, on_answer, self);
}

void output_rewind (output_t *self, int64_t offset)
{
    self->begun = true;
    if (offset < self->length)
        self->acked = offset;
}

void output_replace (output_t *self)
{
    self->begun = self->replacing = self->anew = true;
    self->acked = 0;
}

void output_pause (output_t *self)
{
    self->paused = true;
    self->transport->ops->cancel (self->transport, self->call);
    self->call = 0;
    loop_timer_stop (&self->timer);
}

void output_go_on (output_t *self)
{
    self->paused = false;
    output_send_soon (self);
}

void output_give_up (output_t *self)
{
    output_pause (self);
    self->given_up = true;
}

int output_read_all (const output_t *self, buf_t *out)
{
    buf_reserve (out, (size_t)self->length);
    ssize_t got = self->length ? pread (self->fd, out->ptr, (size_t)self->length, 0) : 0;
    if (got != self->length)
        return got < 0 ? errno : EIO;
    out->len = (size_t)got;
    return 0;
}
