#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    RENEW_FIRST_MS = 500, /* a job that is over sooner never asks */
    RENEW_WAIT_MAX_MS = 10 * 1000,
    RENEW_PATIENCE_MS = 5 * 1000, /* beyond the wait */
};

const lease_t *job_lease (const job_t *self)
{
    return &self->lease;
}

int job_slot (const job_t *self)
{
    return self->slot;
}

bool job_is_spooled (const job_t *self)
{
    return self->spooled;
}

void job_done (job_t *self)
{
    if (self->state == STATE_DONE)
        return;
    self->state = STATE_DONE;
    self->host->done (self->host->ctx, self);
}

void job_fail (job_t *self, const char *reason, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (self->text, sizeof self->text, format, args);
    va_end (args);
    snprintf (self->reason, sizeof self->reason, "%s", reason);
    self->failed = true;
    job_flush (self);
}

/* ---- the lease ---- */

static void on_lease_over (void *ctx)
{
    job_t *self = ctx;
    if (self->state >= STATE_FLUSH || self->stopping)
        return; /* nothing runs any more; whether the result is late is the broker's to say */
    log_event (LEVEL_WARN, "lease-lost", "job=%s not renewed for %lld ms: stopping it", self->lease.job_id,
               (long long)self->lease.lease_ms);
    job_stop (self, STOP_LEASE_LOST);
}

/* The lease counts from when its renewal was sent, not from when the answer came: the broker's runs at least as long.
 */
static void lease_renewed (job_t *self, int64_t sent_ms)
{
    int64_t left = sent_ms + self->lease.lease_ms - clock_mono_ms ();
    loop_timer_set (self->host->loop, &self->lease_timer, left, on_lease_over, self);
}

static void renew (void *ctx);

static void on_renewed (void *ctx, const call_answer_t *answer)
{
    job_t *self = ctx;
    self->renew_call = 0;
    if (answer->outcome == CALL_AWAY) {
        loop_timer_set (self->host->loop, &self->renew_timer, backoff_next_ms (&self->renew_backoff), renew, self);
    } else if (answer->outcome == CALL_REFUSED) {
        log_event (LEVEL_WARN, "lease-refused", "job=%s %s", self->lease.job_id, answer->text);
        job_stop (self, STOP_LEASE_LOST);
    } else if (answer->reply->job_renew_ok.cancel_requested == 1) {
        job_stop (self, STOP_CANCELLED);
    } else {
        backoff_reset (&self->renew_backoff);
        lease_renewed (self, self->renew_sent_ms);
        renew (self);
    }
}

/* Waits at the broker, so that a cancel is heard of at once; answered in time to be the next renewal. */
static void renew (void *ctx)
{
    job_t *self = ctx;
    int64_t wait_ms = self->lease.lease_ms / 3;
    wait_ms = wait_ms < RENEW_WAIT_MAX_MS ? wait_ms : RENEW_WAIT_MAX_MS;
    message_t request;
    message_init (&request, MSG_JOB_RENEW);
    request.job_renew.job_id = slice_of (self->lease.job_id);
    request.job_renew.worker_id = slice_of (self->lease.worker_id);
    request.job_renew.attempt = self->lease.attempt;
    request.job_renew.token = slice_of (self->lease.token);
    request.job_renew.wait = wait_ms;
    self->renew_sent_ms = clock_mono_ms ();
    self->renew_call = self->host->transport->ops->call (self->host->transport, &request, wait_ms + RENEW_PATIENCE_MS,
                                                         on_renewed, self);
}

/* ---- stopping ---- */

void job_kill (job_t *self)
{
    child_signal (&self->child, SIGKILL);
}

void job_stop (job_t *self, job_stop_t why)
{
    static const char *const words[] = { "cancelled", "lease lost", "worker stops", "timeout" };
    if (self->stopping || self->state == STATE_DONE)
        return;
    log_event (LEVEL_INFO, "job-stopped", "job=%s attempt=%lld: %s", self->lease.job_id, (long long)self->lease.attempt,
               words[why]);
    self->stopping = true;
    self->why = why;
    self->spooled = false;
    if (self->child.pid)
        job_run_stop_processes (self);
    else
        job_done (self);
}

/* ---- life ---- */

static char *path_of (const char *work_dir, const char *sub, const lease_t *lease)
{
    char path[FOLDER_PATH_MAX + 300];
    snprintf (path, sizeof path, "%s/%s/%s.%lld", work_dir, sub, lease->job_id, (long long)lease->attempt);
    return xstrdup (path);
}

static job_t *job_new (const job_host_t *host, slice_t job_id, int64_t attempt, slice_t token)
{
    job_t *self = xcalloc (1, sizeof *self);
    self->host = host;
    self->lease.worker_id = host->worker_id;
    self->lease.attempt = attempt;
    slice_copy (job_id, self->lease.job_id, sizeof self->lease.job_id);
    slice_copy (token, self->lease.token, sizeof self->lease.token);
    self->folder = path_of (host->work_dir, "jobs", &self->lease);
    self->spool = path_of (host->work_dir, "spool", &self->lease);
    self->archive_fd = -1;
    self->child = (child_t){ 0, -1, { -1, -1 } };
    return self;
}

static void on_start (void *ctx)
{
    job_t *self = ctx;
    if (mkdir (self->folder, 0700) != 0 || mkdir (self->spool, 0700) != 0)
        job_fail (self, "worker-error", "The worker cannot make the job's folder: %s.", strerror (errno));
    else
        job_fetch (self);
}

job_t *job_start (const job_host_t *host, const msg_job_poll_ok_t *given, int slot)
{
    job_t *self = job_new (host, given->job_id, given->attempt, given->token);
    self->slot = slot;
    self->lease.lease_ms = given->lease_ms;
    self->timeout_ms = given->timeout_ms == INT_ABSENT ? TIMEOUT_DEFAULT_MS : given->timeout_ms;
    self->command = slice_dup (given->command);
    self->next_command = self->command;
    self->file_url = slice_dup (given->file_url);
    job_outputs_init (self);
    folder_remove (self->folder);
    folder_remove (self->spool);
    lease_renewed (self, clock_mono_ms ());
    loop_timer_set (host->loop, &self->renew_timer, RENEW_FIRST_MS, renew, self);
    loop_timer_set (host->loop, &self->retry_timer, 0, on_start, self);
    return self;
}

static void on_resume (void *ctx)
{
    job_report (ctx);
}

/* What the result file says, which is the message that was to be sent. */
static job_t *job_from_result (const job_host_t *host, const message_t *message)
{
    bool failed = message->type == MSG_JOB_FAIL;
    job_t *self = NULL;
    if (failed) {
        const msg_job_fail_t *in = &message->job_fail;
        self = job_new (host, in->job_id, in->attempt, in->token);
        slice_copy (in->reason, self->reason, sizeof self->reason);
        slice_copy (in->error_message, self->text, sizeof self->text);
    } else {
        const msg_job_result_t *in = &message->job_result;
        self = job_new (host, in->job_id, in->attempt, in->token);
        self->exit_code = (int)in->exit_code;
        self->signal_number = in->signal == INT_ABSENT ? 0 : (int)in->signal;
    }
    self->failed = failed;
    return self;
}

job_t *job_resume (const job_host_t *host, const char *spool)
{
    char path[FOLDER_PATH_MAX + 320];
    snprintf (path, sizeof path, "%s/result", spool);
    buf_t frame = { 0 };
    decoder_t *decoder = decoder_new ();
    message_t message;
    fault_t fault;
    job_t *self = NULL;
    if (!file_read (path, FRAME_MAX, &frame) &&
        !message_decode (decoder, buf_slice (&frame), FRAME_MAX, &message, &fault) &&
        (message.type == MSG_JOB_RESULT || message.type == MSG_JOB_FAIL))
        self = job_from_result (host, &message);
    if (self) {
        self->slot = -1;
        self->spooled = true;
        self->state = STATE_REPORT;
        job_outputs_init (self);
        for (int i = 0; i < STREAMS; i++)
            output_reopen (&self->out[i]);
        loop_timer_set (host->loop, &self->retry_timer, 0, on_resume, self);
    }
    decoder_destroy (&decoder);
    buf_fini (&frame);
    return self;
}

void job_destroy (job_t **self_p)
{
    job_t *self = *self_p;
    if (!self)
        return;
    transport_t *transport = self->host->transport;
    transport->ops->cancel (transport, self->renew_call);
    transport->ops->cancel (transport, self->fetch);
    transport->ops->cancel (transport, self->report);
    loop_timer_stop (&self->renew_timer);
    loop_timer_stop (&self->lease_timer);
    loop_timer_stop (&self->retry_timer);
    job_run_fini (self);
    for (int i = 0; i < STREAMS; i++)
        output_fini (&self->out[i]);
    folder_remove (self->folder);
    if (!self->spooled)
        folder_remove (self->spool);
    free (self->command);
    free (self->file_url);
    free (self->folder);
    free (self->spool);
    free (self);
    *self_p = NULL;
}
