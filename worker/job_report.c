
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    REPORT_PATIENCE_MS = 15 * 1000,
    MISMATCHES_MAX = 5,
    ARTIFACT_LOSSES_MAX = 3,
};

static void on_sent (void *ctx)
{
    job_t *self = ctx;
    for (int i = 0; i < STREAM_COUNT; i++)
        if (self->state != STATE_FLUSH || !output_is_sent (&self->out[i]))
            return;
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
    const output_events_t events = { on_sent, on_lost, on_cancelled, job_journal_kept, self };
    for (int i = 0; i < STREAM_COUNT; i++) {
        buf_t path = { 0 };
        const char *name = stream_name ((stream_t)i);
        buf_printf (&path, "%s/%s", self->spool, name);
        output_init (&self->out[i], self->host->loop, self->host->transport, &self->lease, name, path.ptr, &events);
        self->out[i].max = i == STREAM_JOURNAL ? JOURNAL_MAX : self->output_max;
    }
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

void job_flush (job_t *self)
{
    self->state = STATE_FLUSH;
    job_journal_phase (self, "upload");
    job_journal_close (self);
    if (job_goes_inline (self)) {
        for (int i = 0; i < STREAM_COUNT; i++)
            loop_timer_stop (&self->out[i].timer);
        job_report (self);
        return;
    }
    if (!self->spooled) { /* the output may have to wait long: what is to be said of it must not be lost meanwhile */
        message_t message;
        buf_t none[STREAM_COUNT] = { { 0 } };
        job_result_fill (self, &message, none);
        job_result_keep (self, &message);
    }
    for (int i = 0; i < STREAM_COUNT && self->state == STATE_FLUSH; i++)
        output_send (&self->out[i]);
}

/* The broker has other output than we do. When it has less, the rest is sent; else all of it, in place of what it has.
 */
static void on_mismatch (job_t *self, const msg_error_t *error)
{
    stream_t stream = STREAM_STDOUT;
    stream_find (error->stream, &stream);
    output_t *out = &self->out[stream];
    log_event (LEVEL_WARN, "output-mismatch", "job=%s %s has %lld bytes here, %lld there", self->lease.job_id,
               out->name, (long long)out->length, (long long)error->offset);
    if (++self->mismatches > MISMATCHES_MAX) {
        self->unproven = true;
        self->spooled = false;
        job_failed (self, "worker-error", "The job's %s did not reach the broker as it was printed, in %d tries.",
                    out->name, MISMATCHES_MAX);
        job_report (self);
        return;
    }
    if (error->offset < out->length)
        output_rewind (out, error->offset);
    else
        output_replace (out);
    for (int i = 0; i < STREAM_COUNT; i++)
        self->out[i].begun = true;
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
    for (int i = 0; i < STREAM_COUNT; i++)
        buf_fini (&inlined[i]);
}
