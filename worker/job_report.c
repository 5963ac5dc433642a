
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    REPORT_PATIENCE_MS = 15 * 1000,
    MISMATCHES_MAX = 5,
    ARTIFACT_LOSSES_MAX = 3,
};

static bool is_ready (const job_t *self, stream_t stream)
{
    return job_goes_inline (self, stream) || output_is_sent (&self->out[stream]);
}

static bool all_ready (const job_t *self)
{
    return is_ready (self, STREAM_STDOUT) && is_ready (self, STREAM_STDERR) && is_ready (self, STREAM_JOURNAL);
}

static void on_sent (void *ctx)
{
    job_t *self = ctx;
    if (self->state == STATE_FLUSH && all_ready (self))
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

/* By a broker that knows no journals, say: that is no reason to stop the job. */
static void on_journal_lost (void *ctx, err_t err)
{
    job_t *self = ctx;
    if (err != ERR_SCHEMA) {
        on_lost (ctx, err);
        return;
    }
    job_journal_give_up (self, "The server does not take it.");
    on_sent (ctx);
}

void job_outputs_init (job_t *self)
{
    const output_events_t printed = { on_sent, on_lost, on_cancelled, job_journal_printed, self };
    const output_events_t journal = { on_sent, on_journal_lost, on_cancelled, NULL, self };
    for (stream_t i = STREAM_STDOUT; i < STREAM_COUNT; i++) {
        buf_t path = { 0 };
        buf_printf (&path, "%s/%s", self->spool, stream_name (i));
        output_init (&self->out[i], self->host->loop, self->host->transport, &self->lease, i, path.ptr,
                     i == STREAM_JOURNAL ? &journal : &printed);
        self->out[i].max = self->output_max;
    }
    job_journal_init (self);
}

/* ---- artifacts ---- */

void job_collect (job_t *self)
{
    if (!self->artifacts) {
        job_flush (self);
        return;
    }
    self->state = STATE_COLLECT;
    job_journal_phase (self, "artifacts");
    job_artifacts_begin (self);
}

void job_artifacts_done (job_t *self, const artifacts_t *result)
{
    self->collected = *result;
    self->spooled = false; /* what was kept, if anything, told of others */
    job_flush (self);
}

/* The broker does not have them after all. */
static void artifacts_again (job_t *self)
{
    bool can = self->artifacts && ++self->artifact_losses < ARTIFACT_LOSSES_MAX;
    log_event (LEVEL_WARN, "artifacts-missing", "job=%s %s", self->lease.job_id,
               can ? "sending them again" : "going on without them");
    if (can) {
        job_collect (self);
        return;
    }
    artifacts_t none = { .note = "The artifacts were lost on their way to the broker." };
    job_artifacts_done (self, &none);
}

/* ---- output ---- */

static void free_inlined (buf_t inlined[STREAM_COUNT])
{
    for (int i = 0; i < STREAM_COUNT; i++)
        buf_fini (&inlined[i]);
}

void job_flush (job_t *self)
{
    self->state = STATE_FLUSH;
    job_journal_close (self);
    for (stream_t i = STREAM_STDOUT; i < STREAM_COUNT; i++)
        if (job_goes_inline (self, i))
            loop_timer_stop (&self->out[i].timer);
    if (all_ready (self)) {
        job_report (self);
        return;
    }
    if (!self->spooled) { /* the output may have to wait long: what is to be said of it must not be lost meanwhile */
        message_t message;
        buf_t inlined[STREAM_COUNT] = { { 0 } };
        job_result_fill (self, &message, inlined);
        job_result_keep (self, &message);
        free_inlined (inlined);
    }
    for (stream_t i = STREAM_STDOUT; i < STREAM_COUNT && self->state == STATE_FLUSH; i++)
        if (!is_ready (self, i))
            output_send (&self->out[i]);
}

static void give_up_stream (job_t *self, stream_t stream)
{
    self->spooled = false;
    if (stream == STREAM_JOURNAL) {
        job_journal_give_up (self, "It did not reach the broker as it was written.");
        job_flush (self);
        return;
    }
    self->unproven = true;
    job_failed (self, "worker-error", "The job's %s did not reach the broker as it was printed, in %d tries.",
                stream_name (stream), MISMATCHES_MAX);
    job_report (self);
}

/* The broker has other output than we do. When it has less, the rest is sent; else all of it, in place of what it has.
 */
static void on_mismatch (job_t *self, const msg_error_t *error)
{
    stream_t stream = STREAM_STDOUT;
    if (!stream_find (error->stream, &stream))
        stream = STREAM_STDOUT;
    output_t *out = &self->out[stream];
    log_event (LEVEL_WARN, "output-mismatch", "job=%s %s has %lld bytes here, %lld there", self->lease.job_id,
               stream_name (stream), (long long)out->length, (long long)error->offset);
    if (++self->mismatches > MISMATCHES_MAX) {
        give_up_stream (self, stream);
        return;
    }
    if (error->offset < out->length)
        output_rewind (out, error->offset);
    else
        output_replace (out);
    self->out[STREAM_STDOUT].begun = self->out[STREAM_STDERR].begun = true;
    job_flush (self);
}

/* ---- the result ---- */

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
    if (answer->outcome == CALL_AWAY)
        loop_timer_set (self->host->loop, &self->retry_timer, backoff_next_ms (&self->backoff), on_retry, self);
    else if (answer->outcome == CALL_OK)
        finished (self, "accepted");
    else if (answer->err == ERR_OUTPUT_MISMATCH && answer->reply->error.offset != INT_ABSENT && !self->unproven)
        on_mismatch (self, &answer->reply->error);
    else if (answer->err == ERR_ARTIFACTS_MISSING && self->collected.sha256[0])
        artifacts_again (self);
    else
        finished (self, answer->text);
}

void job_report (job_t *self)
{
    message_t message;
    buf_t inlined[STREAM_COUNT] = { { 0 } };
    self->state = STATE_REPORT;
    job_result_fill (self, &message, inlined);
    if (!self->spooled)
        job_result_keep (self, &message);
    self->report =
        self->host->transport->ops->call (self->host->transport, &message, REPORT_PATIENCE_MS, on_reported, self);
    free_inlined (inlined);
}
