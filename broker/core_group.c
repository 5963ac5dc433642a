/* core_group.c - leases of agents that poll without saying who they are (http-api.md, "What old agents do").
 *
 * Such an agent is known by its address alone. When several idle agents share it, the job is leased to all of them, and
 * the first call that carries both the job and a candidate's id says which one has it. An agent runs one job at a time,
 * so whoever holds one job is out of every other group: that is how the rest becomes known too.
 *
 * One of them that drains may be the one that asks: as long as it is idle, and so may ask, none of them is given a job.
 */
#include "broker/core_internal.h"

#include <stdlib.h>
#include <string.h>

bool core_group_has (const lease_t *lease, const worker_t *worker)
{
    for (size_t i = 0; i < lease->candidate_count; i++)
        if (lease->candidates[i] == worker)
            return true;
    return false;
}

void core_group_join (core_t *self, lease_t *lease, place_t *place, worker_t **candidates, size_t count)
{
    (void)self;
    lease->candidates = xcalloc (count, sizeof (worker_t *));
    memcpy (lease->candidates, candidates, count * sizeof (worker_t *));
    lease->candidate_count = count;
    for (size_t i = 0; i < count; i++)
        candidates[i]->group_count++;
    lease->place = place;
    list_append (&place->groups, &lease->place_link);
}

void core_group_leave (core_t *self, lease_t *lease)
{
    place_t *place = lease->place;
    for (size_t i = 0; i < lease->candidate_count; i++)
        lease->candidates[i]->group_count--;
    free (lease->candidates);
    lease->candidates = NULL;
    lease->candidate_count = 0;
    if (!place)
        return;
    lease->place = NULL;
    list_remove (&place->groups, &lease->place_link);
    core_place_drop_if_empty (self, place);
}

slice_t core_group_text (core_t *self, const lease_t *lease)
{
    if (!lease->candidate_count)
        return SLICE_ABSENT;
    size_t size = 0;
    for (size_t i = 0; i < lease->candidate_count; i++)
        size += strlen (lease->candidates[i]->id) + 1;
    char *text = arena_alloc (&self->out->arena, size);
    char *end = text;
    for (size_t i = 0; i < lease->candidate_count; i++) {
        end = stpcpy (end, lease->candidates[i]->id);
        *end++ = '\n';
    }
    return slice_from (text, size - 1);
}

static bool is_candidate (const worker_t *worker)
{
    return worker->online && worker->slots == INT_ABSENT && !worker->leases.count;
}

static void lease_to_group (core_t *self, job_t *job, place_t *place, size_t count)
{
    worker_t **candidates = xcalloc (count, sizeof (worker_t *));
    size_t filled = 0;
    LIST_EACH (link, &place->workers)
    {
        worker_t *worker = LIST_ITEM (link, worker_t, place_link);
        if (is_candidate (worker))
            candidates[filled++] = worker;
    }
    lease_t *lease = core_lease_begin (self, job, NULL, SLOT_NONE);
    core_group_join (self, lease, place, candidates, filled);
    core_job_record (self, job, &core_effect (self, EFFECT_JOB_UPDATE)->job);
    core_effect (self, EFFECT_JOB_CHANGED)->seq = job->seq;
    free (candidates);
}

void core_poll_anonymous (core_t *self, const event_t *event)
{
    slice_t addr = event->message->job_poll.remote_addr;
    place_t *place = addr.ptr ? map_get (&self->places, addr) : NULL;
    size_t idle = 0;
    bool draining = false;
    worker_t *single = NULL;
    if (place) {
        LIST_EACH (link, &place->workers)
        {
            worker_t *worker = LIST_ITEM (link, worker_t, place_link);
            if (!is_candidate (worker))
                continue;
            idle++;
            draining = draining || worker->draining;
            single = worker;
        }
    }
    bool alone = idle == 1 && !place->groups.count;
    bool may = place && idle > place->groups.count && !draining;
    job_t *job = may ? core_queue_take (self, alone ? single : NULL) : NULL;
    if (!job) {
        core_reply (self, event->request, MSG_JOB_POLL_OK);
        return;
    }
    if (alone)
        core_lease_begin (self, job, single, SLOT_NONE);
    else
        lease_to_group (self, job, place, idle);
    core_reply_job (self, event->request, job);
}

static void candidate_remove (lease_t *lease, worker_t *worker)
{
    size_t kept = 0;
    worker->group_count--;
    for (size_t i = 0; i < lease->candidate_count; i++)
        if (lease->candidates[i] != worker)
            lease->candidates[kept++] = lease->candidates[i];
    lease->candidate_count = kept;
}

/* What is left of a group after a candidate went out: nobody has the job, or, when the others are known to hold other
 * jobs, the one left has it. */
static worker_t *group_settle (core_t *self, lease_t *lease, bool restarted)
{
    if (!lease->candidate_count) {
        core_lease_lost (self, lease->job, "worker-lost",
                         SLICE ("The agents that may have had the job were restarted."), true);
        return NULL;
    }
    worker_t *last = lease->candidates[0];
    bool bound = lease->candidate_count == 1 && !restarted && !last->leases.count;
    if (bound) {
        core_group_leave (self, lease);
        core_lease_bind (self, lease, last);
    }
    core_job_record (self, lease->job, &core_effect (self, EFFECT_JOB_UPDATE)->job);
    return bound ? last : NULL;
}

/* A group that still counts the worker among its candidates; NULL when there is none. */
static lease_t *group_of (const worker_t *worker, const lease_t *but)
{
    if (!worker->group_count)
        return NULL;
    LIST_EACH (link, &worker->place->groups)
    {
        lease_t *lease = LIST_ITEM (link, lease_t, place_link);
        if (lease != but && core_group_has (lease, worker))
            return lease;
    }
    return NULL;
}

/* Binding one by elimination takes that one out of its other groups in turn: the recursion ends with the groups. */
void core_group_drop (core_t *self, worker_t *worker, const lease_t *but, bool restarted)
{
    for (lease_t *lease = group_of (worker, but); lease; lease = group_of (worker, but)) {
        candidate_remove (lease, worker);
        worker_t *bound = group_settle (self, lease, restarted);
        if (bound)
            core_group_drop (self, bound, NULL, false);
    }
}

static bool group_alive (const lease_t *lease)
{
    for (size_t i = 0; i < lease->candidate_count; i++)
        if (lease->candidates[i]->online)
            return true;
    return false;
}

void core_group_offline (core_t *self, worker_t *worker)
{
    if (!worker->place)
        return;
    LIST_EACH (link, &worker->place->groups)
    {
        lease_t *lease = LIST_ITEM (link, lease_t, place_link);
        if (!group_alive (lease))
            core_lease_lost (self, lease->job, "worker-lost",
                             SLICE ("The agents that may have had the job were not heard of any more."), false);
    }
}
