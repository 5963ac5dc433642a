#include "broker/core_internal.h"

#include <stdlib.h>
#include <string.h>

lease_t *core_lease_new (core_t *self, job_t *job, worker_t *worker, int64_t slot)
{
    lease_t *lease = xcalloc (1, sizeof *lease);
    lease->job = job;
    lease->slot = slot;
    lease->hard_ms = self->now_ms + job->timeout_ms + self->config.grace_ms;
    job->lease = lease;
    if (worker)
        core_lease_bind (self, lease, worker);
    else
        core_timer_set (self, &lease->timer, TIMER_LEASE, lease->hard_ms);
    return lease;
}

void core_lease_bind (core_t *self, lease_t *lease, worker_t *worker)
{
    lease->worker = worker;
    list_append (&worker->leases, &lease->worker_link);
    core_lease_renew (self, lease);
}

lease_t *core_lease_begin (core_t *self, job_t *job, worker_t *worker, int64_t slot)
{
    job->attempt++;
    lease_t *lease = core_lease_new (self, job, worker, slot);
    lease->started_wall_ms = self->wall_ms;
    uint64_t random[2];
    for (int i = 0; i < 2; i++)
        random[i] = core_random (self);
    hex_format (random, sizeof random, lease->token);
    if (worker) {
        core_job_record (self, job, &core_effect (self, EFFECT_JOB_UPDATE)->job);
        core_effect (self, EFFECT_JOB_CHANGED)->seq = job->seq;
    }
    return lease;
}

void core_lease_renew (core_t *self, lease_t *lease)
{
    int64_t due = self->now_ms + self->config.lease_ms;
    lease->heard_ms = self->now_ms;
    if (core_lease_overrun (self, lease) && due > lease->hard_ms)
        due = lease->hard_ms;
    core_timer_set (self, &lease->timer, TIMER_LEASE, due);
}

bool core_lease_overrun (const core_t *self, const lease_t *lease)
{
    return lease->heard_ms >= lease->hard_ms - self->config.grace_ms;
}

/* Whoever waits on a lease that is over hears of it. */
static void answer_waiting (core_t *self, lease_t *lease, bool cancelled)
{
    if (lease->renew) {
        uint64_t request = lease->renew->request;
        if (cancelled) {
            msg_job_renew_ok_t *out = &core_reply (self, request, MSG_JOB_RENEW_OK)->job_renew_ok;
            out->cancel_requested = 1;
            out->lease_ms = 0;
        } else {
            core_refuse (self, request, ERR_STALE_ATTEMPT, NULL);
        }
        core_parked_free (self, lease->renew);
    }
    if (lease->result) {
        core_refuse (self, lease->result->request, ERR_STALE_ATTEMPT, NULL);
        core_result_free (&lease->result);
    }
}

void core_lease_free (core_t *self, job_t *job, bool cancelled)
{
    lease_t *lease = job->lease;
    answer_waiting (self, lease, cancelled);
    core_timer_stop (self, &lease->timer);
    if (lease->worker)
        list_remove (&lease->worker->leases, &lease->worker_link);
    core_group_leave (self, lease);
    free (lease);
    job->lease = NULL;
}

void core_lease_lost (core_t *self, job_t *job, const char *reason, slice_t text, bool at_once)
{
    if (!core_attempt_left (job)) {
        if (job->max_attempts > 1)
            text = arena_printf (&self->out->arena, SLICE_FMT " That was attempt %d of %d.", SLICE_ARG (text),
                                 (int)job->attempt, (int)job->max_attempts);
        core_job_fail (self, job, reason, text);
        return;
    }
    attempt_end_t end = {
        .reason = slice_of (reason),
        .text = text,
        .exit_code = INT_ABSENT,
        .signal = INT_ABSENT,
        .at_once = at_once,
    };
    core_attempt_retry (self, job, &end);
}

void core_lease_return (core_t *self, job_t *job)
{
    if (job->pinned && !job->pinned->online) {
        core_job_fail (self, job, "worker-lost", SLICE ("The worker that alone may run the job is offline."));
        return;
    }
    effect_t *discard = core_effect (self, EFFECT_DISCARD);
    discard->seq = job->seq;
    discard->attempt = job->attempt;
    discard->streams = STREAMS_ALL;
    core_lease_free (self, job, false);
    core_effect (self, EFFECT_JOB_CHANGED)->seq = job->seq;
    job->attempt--;
    core_job_record (self, job, &core_effect (self, EFFECT_JOB_UPDATE)->job);
    core_queue_put (self, job);
}

/* A group's lease belongs to the first candidate that names itself with the job; the others are out of it. */
static err_t claim_group (core_t *self, lease_t *lease, worker_t *worker)
{
    if (!worker || !core_group_has (lease, worker))
        return ERR_NOT_LEASE_HOLDER;
    core_group_leave (self, lease);
    core_lease_bind (self, lease, worker);
    core_job_record (self, lease->job, &core_effect (self, EFFECT_JOB_UPDATE)->job);
    core_group_drop (self, worker, lease, false);
    return ERR_NONE;
}

err_t core_lease_claim (core_t *self, job_t *job, slice_t worker_id, int64_t attempt, slice_t token)
{
    lease_t *lease = job->lease;
    bool fenced = token.ptr || attempt != INT_ABSENT;
    if (!lease)
        return fenced ? ERR_STALE_ATTEMPT : ERR_NOT_LEASE_HOLDER;
    if (token.ptr && !slice_eq_str (token, lease->token))
        return ERR_STALE_ATTEMPT;
    if (attempt != INT_ABSENT && attempt != job->attempt)
        return ERR_STALE_ATTEMPT;
    worker_t *worker = core_find_worker (self, worker_id);
    err_t err = ERR_NONE;
    if (!worker_id.ptr) /* an old agent's stream-output: its lease has no slot */
        err = token.ptr || lease->slot == SLOT_NONE ? ERR_NONE : ERR_NOT_LEASE_HOLDER;
    else if (!lease->worker)
        err = claim_group (self, lease, worker);
    else if (lease->worker != worker)
        err = ERR_NOT_LEASE_HOLDER;
    if (err)
        return err;
    lease->claimed = true;
    if (worker)
        core_worker_seen (self, worker);
    if (lease->worker)
        core_lease_renew (self, lease);
    return ERR_NONE;
}

static void refuse_stored_renew (core_t *self, const event_t *event)
{
    if (!event->stored) {
        core_refuse (self, event->request, ERR_NO_SUCH_JOB, NULL);
        return;
    }
    if (!core_stored_cancelled (event->stored)) {
        core_refuse (self, event->request, ERR_STALE_ATTEMPT, NULL);
        return;
    }
    msg_job_renew_ok_t *out = &core_reply (self, event->request, MSG_JOB_RENEW_OK)->job_renew_ok;
    out->cancel_requested = 1;
    out->lease_ms = 0;
}

void core_on_job_renew (core_t *self, const event_t *event)
{
    const msg_job_renew_t *in = &event->message->job_renew;
    job_t *job = core_find_job (self, in->job_id);
    if (!job) {
        refuse_stored_renew (self, event);
        return;
    }
    err_t err = core_lease_claim (self, job, in->worker_id, in->attempt, in->token);
    if (err) {
        core_refuse (self, event->request, err, NULL);
        return;
    }
    lease_t *lease = job->lease;
    if (lease->renew) {
        msg_job_renew_ok_t *out = &core_reply (self, lease->renew->request, MSG_JOB_RENEW_OK)->job_renew_ok;
        out->cancel_requested = 0;
        out->lease_ms = self->config.lease_ms;
        core_parked_free (self, lease->renew);
    }
    if (core_may_park (self, in->wait)) {
        lease->renew = core_park (self, event->request, in->wait);
        lease->renew->lease = lease;
        return;
    }
    msg_job_renew_ok_t *out = &core_reply (self, event->request, MSG_JOB_RENEW_OK)->job_renew_ok;
    out->cancel_requested = 0;
    out->lease_ms = self->config.lease_ms;
}

bool core_lease_unheard (const lease_t *lease)
{
    return !lease->claimed && lease->handed <= 1;
}

void core_on_job_return (core_t *self, const event_t *event)
{
    const msg_job_return_t *in = &event->message->job_return;
    job_t *job = core_find_job (self, in->job_id);
    if (!job) {
        core_refuse (self, event->request, event->stored ? ERR_STALE_ATTEMPT : ERR_NO_SUCH_JOB, NULL);
        return;
    }
    bool heard = in->undelivered == 1 && job->lease && !core_lease_unheard (job->lease);
    err_t err = core_lease_claim (self, job, in->worker_id, in->attempt, in->token);
    /* The attempt's number is given again: what is being sealed for it must not meet the next lease's result. */
    if (!err && job->lease->result)
        err = ERR_RESULT_PENDING;
    if (err) {
        core_refuse (self, event->request, err, NULL);
        return;
    }
    core_reply (self, event->request, MSG_JOB_RETURN_OK)->job_return_ok.job_id = in->job_id;
    if (!heard)
        core_lease_return (self, job);
}
