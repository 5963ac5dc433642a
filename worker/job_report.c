#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/log.h"
#include "worker/job_internal.h"

enum { REPORT_PATIENCE_MS = 15 * 1000 };

static void on_sent (void *ctx)
{
    job_t *self = ctx;
    if (self->state == STATE_FLUSH && self->out[0].acked >= self->out[0].length &&
        self->out[1].acked >= self->out[1].length)
        job_report (self);
}

static void on_lost (void *ctx, err_t err)
{
    job_t *self = ctx;
    log_event (LEVEL_WARN, "output-refused", "job=%s %s", self->lease.job_id, error_row (err)->code);
    job_stop (self, STOP_LEASE_LOST);
}

static void on_cancelled (void *ctx)
{
    job_stop (ctx, STOP_CANCELLED);
}

void job_outputs_init (job_t *self)
{
    static const char *const names[STREAMS] = { "stdout", "stderr" };
    const output_events_t events = { on_sent, on_lost, on_cancelled, self };
    for (int i = 0; i < STREAMS; i++) {
        buf_t path = { 0 };
        buf_printf (&path, "%s/%s", self->spool, names[i]);
        output_init (&self->out[i], self->host->loop, self->host->transport, &self->lease, names[i], path.ptr, &events);
    }
}

/* A stream of which nothing was sent yet may go inside the result: one trip less. */
static bool goes_inline (const job_t *self, int stream)
{
    const output_t *out = &self->out[stream];
    size_t max = self->host->transport->ops->inline_bytes_max;
    return max && !self->failed && !out->begun && out->length <= (int64_t)max;
}

static void fill_result (const job_t *self, message_t *message, buf_t inlined[STREAMS])
{
    message_init (message, MSG_JOB_RESULT);
    msg_job_result_t *out = &message->job_result;
    out->job_id = slice_of (self->lease.job_id);
    out->worker_id = slice_of (self->lease.worker_id);
    out->attempt = self->lease.attempt;
    out->token = slice_of (self->lease.token);
    out->exit_code = self->exit_code;
    if (self->signal_number)
        out->signal = self->signal_number;
    bool whole = goes_inline (self, 0) && goes_inline (self, 1) && !output_read_all (&self->out[0], &inlined[0]) &&
                 !output_read_all (&self->out[1], &inlined[1]);
    if (whole) {
        out->stdout_data = buf_slice (&inlined[0]);
        out->stderr_data = buf_slice (&inlined[1]);
    } else {
        out->stdout_bytes = self->out[0].length;
        out->stderr_bytes = self->out[1].length;
    }
}

static void fill_failure (const job_t *self, message_t *message)
{
    message_init (message, MSG_JOB_FAIL);
    msg_job_fail_t *out = &message->job_fail;
    out->job_id = slice_of (self->lease.job_id);
    out->worker_id = slice_of (self->lease.worker_id);
    out->attempt = self->lease.attempt;
    out->token = slice_of (self->lease.token);
    out->reason = slice_of (self->reason);
    out->error_message = slice_of (self->text);
    out->stdout_bytes = self->out[0].length;
    out->stderr_bytes = self->out[1].length;
}

static void fill_report (const job_t *self, message_t *message, buf_t inlined[STREAMS])
{
    if (self->failed)
        fill_failure (self, message);
    else
        fill_result (self, message, inlined);
}

/* On disk before it is sent: no outage, and no end of this program, loses it. */
static void keep_result (job_t *self, const message_t *message)
{
    buf_t frame = { 0 };
    char path[FOLDER_PATH_MAX + 320];
    snprintf (path, sizeof path, "%s/result", self->spool);
    message_encode (message, &frame);
    int error = file_write (path, buf_slice (&frame));
    self->spooled = !error;
    if (error)
        log_event (LEVEL_ERROR, "spool-failed", "job=%s %s", self->lease.job_id, strerror (error));
    buf_fini (&frame);
}

void job_flush (job_t *self)
{
    self->state = STATE_FLUSH;
    loop_timer_stop (&self->timeout_timer);
    bool both = true;
    for (int i = 0; i < STREAMS; i++)
        both = both && goes_inline (self, i);
    if (both) {
        for (int i = 0; i < STREAMS; i++)
            loop_timer_stop (&self->out[i].timer);
        job_report (self);
        return;
    }
    if (!self->spooled) { /* the output may have to wait long: what is to be said of it must not be lost meanwhile */
        message_t message;
        buf_t none[STREAMS] = { { 0 }, { 0 } };
        fill_report (self, &message, none);
        keep_result (self, &message);
    }
    output_send (&self->out[0]);
    if (self->state == STATE_FLUSH)
        output_send (&self->out[1]);
}

static void on_retry (void *ctx)
{
    job_report (ctx);
}

static void finished (job_t *self, const char *how)
{
    log_event (LEVEL_INFO, "job-ended", "job=%s attempt=%lld %s: %s", self->lease.job_id,
               (long long)self->lease.attempt,
               self->failed      ? self->reason
               : self->exit_code ? "exit-nonzero"
                                 : "completed",
               how);
    self->spooled = false;
    job_done (self);
}

static void on_reported (void *ctx, const call_answer_t *answer)
{
    job_t *self = ctx;
    self->report = 0;
    if (answer->outcome == CALL_AWAY) {
        loop_timer_set (self->host->loop, &self->retry_timer, backoff_next_ms (&self->backoff), on_retry, self);
    } else if (answer->outcome == CALL_REFUSED && answer->err == ERR_OUTPUT_MISMATCH &&
               answer->reply->error.offset != INT_ABSENT) {
        int stream = slice_eq_str (answer->reply->error.stream, "stderr");
        if (answer->reply->error.offset > self->out[stream].length) {
            finished (self, "refused: the broker has more output than was printed");
            return;
        }
        output_rewind (&self->out[stream], answer->reply->error.offset);
        self->out[!stream].begun = true;
        job_flush (self);
    } else if (answer->outcome == CALL_REFUSED) {
        finished (self, answer->text);
    } else {
        finished (self, "accepted");
    }
}

void job_report (job_t *self)
{
    message_t message;
    buf_t inlined[STREAMS] = { { 0 }, { 0 } };
    self->state = STATE_REPORT;
    fill_report (self, &message, inlined);
    if (!self->spooled)
        keep_result (self, &message);
    self->report =
        self->host->transport->ops->call (self->host->transport, &message, REPORT_PATIENCE_MS, on_reported, self);
    buf_fini (&inlined[0]);
    buf_fini (&inlined[1]);
}
