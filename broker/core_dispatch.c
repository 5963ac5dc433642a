#include "broker/core_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { EXACT_WAIT_MS = 5 * 1000 }; /* a longer wait may end a little sooner */

bool core_may_park (const core_t *self, int64_t wait_ms)
{
    return wait_ms != INT_ABSENT && wait_ms > 0 && self->parked < self->config.parked_max;
}

/* When a wait that begins now is over (rule 15). A long one ends with others of about its length, up to a sixteenth of
 * it sooner: one wake-up answers them all, their workers ask again together, and send their next heartbeats together.
 */
static int64_t wait_end (const core_t *self, int64_t wait_ms)
{
    int64_t end_ms = self->now_ms + wait_ms;
    if (wait_ms <= EXACT_WAIT_MS)
        return end_ms;
    int64_t step_ms = 1;
    while (2 * step_ms <= wait_ms / 16)
        step_ms *= 2;
    return end_ms - end_ms % step_ms;
}

parked_t *core_park (core_t *self, uint64_t request, int64_t wait_ms)
{
    parked_t *parked = xcalloc (1, sizeof *parked);
    parked->request = request;
    core_timer_set (self, &parked->timer, TIMER_PARKED, wait_end (self, wait_ms));
    self->parked++;
    return parked;
}

void core_parked_free (core_t *self, parked_t *parked)
{
    core_timer_stop (self, &parked->timer);
    if (parked->worker) {
        list_remove (&parked->worker->polls, &parked->worker_link);
        list_remove (&self->polls, &parked->poll_link);
    }
    if (parked->lease)
        parked->lease->renew = NULL;
    self->parked--;
    free (parked);
}

void core_poll_answer_empty (core_t *self, parked_t *parked)
{
    core_reply (self, parked->request, MSG_JOB_POLL_OK);
    core_parked_free (self, parked);
}

void core_reply_job (core_t *self, uint64_t request, job_t *job)
{
    effect_t *effect = core_effect (self, EFFECT_REPLY_JOB);
    effect->request = request;
    effect->seq = job->seq;
    effect->attempt = job->attempt;
    effect->again = job->lease->handed++ > 0;
    message_init (&effect->message, MSG_JOB_POLL_OK);
    msg_job_poll_ok_t *out = &effect->message.job_poll_ok;
    out->job_id = core_job_id_text (self, job);
    out->attempt = job->attempt;
    out->token = arena_printf (&self->out->arena, "%s", job->lease->token);
    out->lease_ms = self->config.lease_ms;
    out->timeout_ms = job->timeout_ms;
    out->output_max = self->config.output_max;
}

/* The parked poll that a newly pending job goes to: of those that fit, the one that has waited longest. */
static parked_t *poll_for (const core_t *self, const job_t *job)
{
    if (job->pinned) {
        link_t *link = job->pinned->draining ? NULL : list_first (&job->pinned->polls);
        return link ? LIST_ITEM (link, parked_t, worker_link) : NULL;
    }
    LIST_EACH (link, &self->polls)
    {
        parked_t *parked = LIST_ITEM (link, parked_t, poll_link);
        if (!parked->worker->draining && core_queue_fits (job->queue, parked->worker))
            return parked;
    }
    return NULL;
}

bool core_dispatch_parked (core_t *self, job_t *job)
{
    parked_t *parked = poll_for (self, job);
    if (!parked)
        return false;
    core_lease_begin (self, job, parked->worker, parked->slot);
    core_reply_job (self, parked->request, job);
    core_parked_free (self, parked);
    return true;
}

void core_dispatch_worker (core_t *self, worker_t *worker)
{
    LIST_EACH (link, &worker->polls)
    {
        parked_t *parked = LIST_ITEM (link, parked_t, worker_link);
        job_t *job = core_queue_take (self, worker);
        if (!job)
            return;
        core_lease_begin (self, job, worker, parked->slot);
        core_reply_job (self, parked->request, job);
        core_parked_free (self, parked);
    }
}

static lease_t *lease_of_slot (const worker_t *worker, int64_t slot)
{
    LIST_EACH (link, &worker->leases)
    {
        lease_t *lease = LIST_ITEM (link, lease_t, worker_link);
        if (lease->slot == slot)
            return lease;
    }
    return NULL;
}

/* A second poll of one slot: the first one's sender has given up on it (rule 16). */
static void drop_parked_of_slot (core_t *self, worker_t *worker, int64_t slot)
{
    LIST_EACH (link, &worker->polls)
    {
        parked_t *parked = LIST_ITEM (link, parked_t, worker_link);
        if (parked->slot == slot)
            core_poll_answer_empty (self, parked);
    }
}

static void poll_park (core_t *self, const event_t *event, worker_t *worker, int64_t slot)
{
    int64_t wait_ms = event->message->job_poll.wait;
    if (!core_may_park (self, wait_ms)) {
        core_reply (self, event->request, MSG_JOB_POLL_OK);
        return;
    }
    parked_t *parked = core_park (self, event->request, wait_ms);
    parked->worker = worker;
    parked->slot = slot;
    list_append (&worker->polls, &parked->worker_link);
    list_append (&self->polls, &parked->poll_link);
}

/* A poll that names its slot: redelivery when the slot holds a lease, for then the answer was lost (rule 17). */
static bool poll_slot (core_t *self, const event_t *event, worker_t *worker, int64_t slot)
{
    if (slot >= (worker->slots == INT_ABSENT ? SLOTS_MAX : worker->slots)) {
        core_refuse (self, event->request, ERR_SCHEMA, "`slot` must be below the slots that the worker declared.");
        return true;
    }
    drop_parked_of_slot (self, worker, slot);
    lease_t *lease = lease_of_slot (worker, slot);
    if (!lease)
        return false;
    core_lease_renew (self, lease);
    core_reply_job (self, event->request, lease->job);
    return true;
}

/* A worker that declared its slots but does not name one gets no more than they hold, asked for or leased. */
static bool poll_full (const worker_t *worker, int64_t slot)
{
    return slot == SLOT_NONE && worker->slots != INT_ABSENT &&
           (int64_t)(worker->leases.count + worker->polls.count) >= worker->slots;
}

void core_on_job_poll (core_t *self, const event_t *event)
{
    const msg_job_poll_t *in = &event->message->job_poll;
    if (!in->worker_id.ptr) {
        core_poll_anonymous (self, event);
        return;
    }
    worker_t *worker = core_find_worker (self, in->worker_id);
    if (!worker) {
        core_refuse (self, event->request, ERR_NO_SUCH_WORKER, NULL);
        return;
    }
    core_worker_seen (self, worker);
    int64_t slot = in->slot == INT_ABSENT ? SLOT_NONE : in->slot;
    if (slot != SLOT_NONE && poll_slot (self, event, worker, slot))
        return;
    if (poll_full (worker, slot)) {
        core_reply (self, event->request, MSG_JOB_POLL_OK);
        return;
    }
    job_t *job = worker->draining ? NULL : core_queue_take (self, worker);
    if (!job) {
        poll_park (self, event, worker, slot);
        return;
    }
    core_lease_begin (self, job, worker, slot);
    core_reply_job (self, event->request, job);
}

void core_on_poll_withdrawn (core_t *self, const event_t *event)
{
    LIST_EACH (link, &self->polls)
    {
        parked_t *parked = LIST_ITEM (link, parked_t, poll_link);
        if (parked->request != event->request)
            continue;
        core_refuse (self, parked->request, ERR_UNAUTHORIZED, NULL);
        core_parked_free (self, parked);
        return;
    }
}
