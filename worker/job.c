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
    RETURN_PATIENCE_MS = 2 * 1000,
    ENDED_BEFORE_MS = 500,
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

static void __attribute__ ((format (printf, 3, 0)))
failed (job_t *self, const char *reason, const char *format, va_list args)
{
    vsnprintf (self->text, sizeof self->text, format, args);
    snprintf (self->reason, sizeof self->reason, "%s", reason);
    self->failed = true;
}

void job_failed (job_t *self, const char *reason, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    failed (self, reason, format, args);
    va_end (args);
}

void job_fail (job_t *self, const char *reason, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    failed (self, reason, format, args);
    va_end (args);
    job_flush (self);
}

void job_fail_errno (job_t *self, int error, const char *what)
{
    bool full = error == ENOSPC || error == EDQUOT;
    job_fail (self, full ? "disk-full" : "worker-error", "%s: %s.", what, strerror (error));
}

/* ---- the lease ---- */

static void on_lease_over (void *ctx)
{
    job_t *self = ctx;
    if (self->state >= STATE_COLLECT || self->stopping)
        return; /* nothing runs any more; whether the result is late is the broker's to say */
    log_event (LEVEL_WARN, "lease-lost", "job=%s not renewed for %lld ms: stopping it", self->lease.job_id,
               (long long)self->lease.lease_ms);
    job_stop (self, STOP_LEASE_LOST);
}

/* The lease counts from when its renewal was sent, not from when the answer came: the broker's runs at least as long.
 */
static void lease_lasts (job_t *self, int64_t sent_ms, int64_t for_ms)
{
    int64_t left = sent_ms + for_ms - clock_mono_ms ();
    loop_timer_set (self->host->loop, &self->lease_timer, left, on_lease_over, self);
}

static void renew (void *ctx);

static void on_renewed (void *ctx, const call_answer_t *answer)
{
    job_t *self = ctx;
    self->renew_call = 0;
    if (answer->outcome == CALL_AWAY) {
        loop_timer_set (self->host->loop, &self->renew_timer, backoff_next_ms (&self->renew_backoff), renew, self);
    } else if (answer->outcome == CALL_REFUSED && self->state == STATE_REPORT) {
        return; /* the result is on its way: it may be what has ended the lease, and its answer tells */
    } else if (answer->outcome == CALL_REFUSED) {
        log_event (LEVEL_WARN, "lease-refused", "job=%s %s", self->lease.job_id, answer->text);
        job_stop (self, STOP_LEASE_LOST);
    } else if (answer->reply->job_renew_ok.cancel_requested == 1) {
        job_stop (self, STOP_CANCELLED);
    } else {
        backoff_reset (&self->renew_backoff);
        lease_lasts (self, self->renew_sent_ms, self->lease.lease_ms);
        renew (self);
    }
}

static void renew_within (job_t *self, int64_t wait_ms)
{
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

/* Waits at the broker, so that a cancel is heard of at once; answered in time to be the next renewal. */
static void renew (void *ctx)
{
    job_t *self = ctx;
    int64_t wait_ms = self->lease.lease_ms / 3;
    renew_within (self, wait_ms < RENEW_WAIT_MAX_MS ? wait_ms : RENEW_WAIT_MAX_MS);
}

static void renew_no_more (job_t *self)
{
    self->host->transport->ops->cancel (self->host->transport, self->renew_call);
    self->renew_call = 0;
    loop_timer_stop (&self->renew_timer);
}

void job_asleep (job_t *self, int64_t sent_ms, int64_t for_ms)
{
    if (self->slot < 0 || self->state >= STATE_RETURN)
        return;
    self->asleep = true;
    renew_no_more (self);
    for (int i = 0; i < STREAM_COUNT && self->state < STATE_COLLECT; i++)
        output_pause (&self->out[i]);
    if (for_ms > 0)
        lease_lasts (self, sent_ms, for_ms);
}

void job_awake (job_t *self)
{
    if (!self->asleep)
        return;
    self->asleep = false;
    backoff_reset (&self->renew_backoff);
    renew_within (self, 0); /* answered at once: what is left of the lease may be little */
    for (int i = 0; i < STREAM_COUNT && self->state < STATE_COLLECT; i++)
        output_go_on (&self->out[i]);
}

/* ---- stopping ---- */

static void on_returned (void *ctx, const call_answer_t *answer)
{
    job_t *self = ctx;
    self->report = 0;
    if (answer->outcome != CALL_OK) /* the goodbye, or the lease's end, gives it back too; usage alone is refused */
        log_event (LEVEL_DEBUG, "return-refused", "job=%s %s", self->lease.job_id, answer->text);
    job_done (self);
}

/* Nothing was started: another worker shall have it at once. */
static void give_back (job_t *self)
{
    transport_t *transport = self->host->transport;
    self->state = STATE_RETURN;
    renew_no_more (self);
    loop_timer_stop (&self->retry_timer);
    transport->ops->cancel (transport, self->fetch);
    self->fetch = 0;
    message_t request;
    message_init (&request, MSG_JOB_RETURN);
    request.job_return.job_id = slice_of (self->lease.job_id);
    request.job_return.worker_id = slice_of (self->lease.worker_id);
    request.job_return.attempt = self->lease.attempt;
    request.job_return.token = slice_of (self->lease.token);
    self->report = transport->ops->call (transport, &request, RETURN_PATIENCE_MS, on_returned, self);
}

/* The broker has ended this attempt without a result. What it has used belongs into its record all the same (rule 25);
 * told once, for it hinders nobody when that is lost. */
static void tell_usage (job_t *self)
{
    transport_t *transport = self->host->transport;
    message_t message;
    self->state = STATE_RETURN;
    renew_no_more (self);
    job_artifacts_fini (self);
    message_init (&message, MSG_JOB_FAIL);
    msg_job_fail_t *out = &message.job_fail;
    out->job_id = slice_of (self->lease.job_id);
    out->worker_id = slice_of (self->lease.worker_id);
    out->attempt = self->lease.attempt;
    out->token = slice_of (self->lease.token);
    out->reason = SLICE ("lease-lost");
    out->error_message = SLICE ("The worker was told to stop the job, or its lease had run out.");
    out->cpu_ms = self->usage.cpu_ms;
    out->memory_peak_bytes = self->usage.memory_peak_bytes;
    out->pids_peak = self->usage.pids_peak;
    out->bytes_in = self->usage.bytes_in;
    out->bytes_out = 0;
    for (int i = 0; i < STREAM_COUNT; i++)
        out->bytes_out += self->out[i].length;
    self->report = transport->ops->call (transport, &message, RETURN_PATIENCE_MS, on_returned, self);
}

void job_stopped (job_t *self)
{
    bool ended_there = self->why == STOP_CANCELLED || self->why == STOP_LEASE_LOST;
    if (self->why == STOP_WORKER && self->state <= STATE_EXTRACT)
        give_back (self);
    else if (ended_there && self->begun && self->state < STATE_REPORT) /* else the report tells it, on its way */
        tell_usage (self);
    else
        job_done (self);
}

void job_kill (job_t *self)
{
    child_kill (&self->child);
    job_group_kill (self);
}

void job_stop (job_t *self, job_stop_t why)
{
    static const char *const words[] = { "cancelled", "lease lost", "worker stops", "timeout" };
    if (self->stopping || self->state >= STATE_RETURN)
        return;
    log_event (LEVEL_INFO, "job-stopped", "job=%s attempt=%lld: %s", self->lease.job_id, (long long)self->lease.attempt,
               words[why]);
    self->stopping = true;
    self->why = why;
    self->spooled = false;
    if (self->child.pid)
        job_run_stop_processes (self);
    else if (self->state != STATE_STRAYS) /* else when they are gone */
        job_stopped (self);
}

void job_leave (job_t *self)
{
    if (self->state <= STATE_EXTRACT)
        job_stop (self, STOP_WORKER);
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
    self->child = CHILD_NONE;
    self->container = CHILD_NONE;
    self->group = CGROUP_JOB_NONE;
    self->output_max = OUTPUT_MAX_DEFAULT;
    message_t none;
    message_init (&none, MSG_USAGE);
    self->usage = none.usage;
    return self;
}

static void on_ended_before (void *ctx)
{
    job_done (ctx);
}

/* The lease of a job whose result an earlier run has left, and which is being sent: its slot was free meanwhile, and
 * was given the job again (rule 17). It must not run once more; the slot asks again after a while. */
static bool ended_before (job_t *self)
{
    char path[FOLDER_PATH_MAX + 320];
    snprintf (path, sizeof path, "%s/result", self->spool);
    if (access (path, F_OK) != 0)
        return false;
    self->spooled = true;
    self->state = STATE_RETURN; /* nothing of it is to be stopped */
    loop_timer_set (self->host->loop, &self->retry_timer, ENDED_BEFORE_MS, on_ended_before, self);
    return true;
}

static void on_decline (void *ctx)
{
    job_t *self = ctx;
    mkdir (self->spool, 0700);
    job_fail (self, "lease-lost",
              "The worker stopped the job when its lease had run out, and does not begin an attempt twice.");
}

static void on_start (void *ctx)
{
    job_t *self = ctx;
    if (mkdir (self->folder, 0700) != 0 || mkdir (self->spool, 0700) != 0) {
        job_fail_errno (self, errno, "The worker could not make the job's folder");
        return;
    }
    if (self->secrets_lost) {
        job_fail (self, "secrets-lost", "The broker does not have the key of the job's secrets any more.");
        return;
    }
    job_journal_phase (self, "download");
    if (!job_reuse (self))
        job_fetch (self);
}

static void take_secrets (job_t *self, const msg_job_poll_ok_t *given)
{
    self->secrets_lost = given->secrets_lost == 1;
    if (!given->secrets.len)
        return;
    buf_append (&self->secrets, given->secrets.ptr, given->secrets.len);
    self->mask = mask_new (buf_slice (&self->secrets));
}

static void wipe_secrets (job_t *self)
{
    mask_destroy (&self->mask);
    if (self->secrets.ptr)
        explicit_bzero (self->secrets.ptr, self->secrets.len);
    buf_fini (&self->secrets);
}

static job_t *begin (const job_host_t *host, const msg_job_poll_ok_t *given, int slot, loop_fn *first)
{
    job_t *self = job_new (host, given->job_id, given->attempt, given->token);
    self->slot = slot;
    self->lease.lease_ms = given->lease_ms;
    self->timeout_ms = given->timeout_ms == INT_ABSENT ? TIMEOUT_DEFAULT_MS : given->timeout_ms;
    self->command = slice_dup (given->command);
    self->file_url = slice_dup (given->file_url);
    self->delta_url = slice_dup (given->delta_url);
    self->env = slice_dup (given->env);
    self->traceparent = slice_dup (given->traceparent);
    take_secrets (self, given);
    self->goes_on = slice_eq_str (given->on_error, "continue");
    self->network_none = slice_eq_str (given->network, "none");
    self->image = slice_dup (given->image);
    self->sandbox = self->image ? host->engine : host->sandbox;
    self->artifacts = slice_dup (given->artifacts);
    if (given->output_max != INT_ABSENT)
        self->output_max = given->output_max;
    job_limits_init (self, given);
    job_outputs_init (self);
    for (stream_t i = STREAM_STDOUT; i < STREAM_PRINTED_COUNT; i++)
        output_mask (&self->out[i], self->mask);
    if (ended_before (self))
        return self;
    sweeper_take (self->host->sweeper, self->folder);
    sweeper_take (self->host->sweeper, self->spool);
    lease_lasts (self, clock_mono_ms (), self->lease.lease_ms);
    loop_timer_set (host->loop, &self->renew_timer, RENEW_FIRST_MS, renew, self);
    loop_timer_set (host->loop, &self->retry_timer, 0, first, self);
    return self;
}

job_t *job_start (const job_host_t *host, const msg_job_poll_ok_t *given, int slot)
{
    return begin (host, given, slot, on_start);
}

job_t *job_decline (const job_host_t *host, const msg_job_poll_ok_t *given, int slot)
{
    return begin (host, given, slot, on_decline);
}

static void on_resume (void *ctx)
{
    job_report (ctx);
}

job_t *job_resume (const job_host_t *host, const char *spool)
{
    buf_t frame = { 0 };
    decoder_t *decoder = decoder_new ();
    message_t message;
    job_t *self = NULL;
    if (job_result_read (spool, decoder, &frame, &message)) {
        bool fine = message.type == MSG_JOB_RESULT;
        const msg_job_result_t *result = &message.job_result;
        const msg_job_fail_t *fail = &message.job_fail;
        self = job_new (host, fine ? result->job_id : fail->job_id, fine ? result->attempt : fail->attempt,
                        fine ? result->token : fail->token);
        self->slot = -1;
        self->state = STATE_REPORT;
        job_outputs_init (self);
        self->journal_closed = true;
        job_result_take (self, &message);
        self->spooled = true;
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
    job_fetch_fini (self);
    job_run_fini (self);
    job_container_fini (self);
    job_artifacts_fini (self);
    job_journal_fini (self);
    for (int i = 0; i < STREAM_COUNT; i++)
        output_fini (&self->out[i]);
    sweeper_take (self->host->sweeper, self->folder);
    if (!self->spooled)
        sweeper_take (self->host->sweeper, self->spool);
    free (self->command);
    free (self->file_url);
    free (self->delta_url);
    free (self->env);
    free (self->traceparent);
    wipe_secrets (self);
    free (self->image);
    free (self->artifacts);
    free (self->folder);
    free (self->spool);
    free (self);
    *self_p = NULL;
}
