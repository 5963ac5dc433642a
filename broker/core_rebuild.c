/* core_rebuild.c - the core as the store remembers it, and the check of what must always hold. */
#include "broker/core_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void core_load_last_seq (core_t *self, int64_t seq)
{
    if (seq > self->last_seq)
        self->last_seq = seq;
}

void core_load_worker (core_t *self, const worker_record_t *record, int64_t now_ms)
{
    self->now_ms = now_ms;
    worker_t *worker = core_worker_load (self, record);
    if (worker->online)
        core_timer_set (self, &worker->timer, TIMER_WORKER, now_ms + self->config.offline_ms);
}

/* The workers that a stored group names. The caller frees. */
static worker_t **load_candidates (core_t *self, slice_t text, size_t *count)
{
    worker_t **candidates = xcalloc (1, sizeof (worker_t *));
    *count = 0;
    while (text.len) {
        const char *end = memchr (text.ptr, '\n', text.len);
        size_t len = end ? (size_t)(end - text.ptr) : text.len;
        worker_t *worker = core_find_worker (self, slice_from (text.ptr, len));
        /* Candidates of one group were heard of from one place. */
        if (worker && worker->place && (!*count || candidates[0]->place == worker->place)) {
            candidates = xrealloc (candidates, (*count + 1) * sizeof (worker_t *));
            candidates[(*count)++] = worker;
        }
        size_t used = end ? len + 1 : len;
        text = slice_from (text.ptr + used, text.len - used);
    }
    return candidates;
}

static void load_lease (core_t *self, job_t *job, const job_record_t *record)
{
    worker_t *worker = record->worker_id.ptr ? core_find_worker (self, record->worker_id) : NULL;
    lease_t *lease = core_lease_new (self, job, worker, record->slot);
    slice_copy (record->token, lease->token, sizeof lease->token);
    lease->started_wall_ms = record->started_ms;
    lease->appended = true; /* files may be there from before */
    lease->claimed = true;  /* and its holder may be at work */
    if (worker)
        return;
    size_t count = 0;
    worker_t **candidates = load_candidates (self, record->group, &count);
    if (count)
        core_group_join (self, lease, candidates[0]->place, candidates, count);
    else
        core_timer_set (self, &lease->timer, TIMER_LEASE, self->now_ms); /* nobody can hold it any more */
    free (candidates);
}

void core_load_job (core_t *self, const job_record_t *record, int64_t now_ms)
{
    assert (record->state == JOB_PENDING || record->state == JOB_RUNNING);
    self->now_ms = now_ms;
    job_t *job = core_job_new (self, &record->id);
    job->attempt = (int32_t)record->attempt;
    job->max_attempts = (int32_t)record->max_attempts;
    job->timeout_ms = record->timeout_ms;
    job->pinned = record->pinned.ptr ? core_find_worker (self, record->pinned) : NULL;
    core_load_last_seq (self, job->seq);
    if (record->state == JOB_RUNNING)
        load_lease (self, job, record);
    else
        core_queue_put (self, job, record->attempt == 0);
}

static void check_lease (const core_t *self, const job_t *job)
{
    const lease_t *lease = job->lease;
    assert (lease->job == job);
    assert (heap_holds (&lease->timer.node));
    assert (!list_linked (&job->queue_link) && !heap_holds (&job->again));
    assert (!(lease->worker && lease->candidate_count));
    assert (lease->timer.due_ms <= lease->hard_ms);
    assert (!lease->renew || lease->renew->lease == lease);
    (void)self;
}

static void check_worker (const core_t *self, const worker_t *worker)
{
    assert (worker->online == heap_holds (&worker->timer.node));
    size_t count = 0;
    LIST_EACH (at, &worker->leases)
    {
        const lease_t *lease = LIST_ITEM (at, lease_t, worker_link);
        assert (lease->worker == worker);
        LIST_EACH (other, &worker->leases)
        assert (other == at || lease->slot == SLOT_NONE ||
                LIST_ITEM (other, lease_t, worker_link)->slot != lease->slot);
        count++;
    }
    assert (count == worker->leases.count);
    LIST_EACH (at, &worker->pinned)
    assert (LIST_ITEM (at, job_t, queue_link)->pinned == worker);
    assert (!self->fresh.count || !worker->polls.count);
}

void core_check (const core_t *self)
{
    int64_t pending = 0;
    size_t at = 0;
    for (const job_t *job = map_next (&self->jobs, &at); job; job = map_next (&self->jobs, &at)) {
        assert (job->attempt >= 0 && job->attempt <= job->max_attempts);
        if (job->lease) {
            check_lease (self, job);
            continue;
        }
        pending++;
        assert (list_linked (&job->queue_link) != heap_holds (&job->again));
    }
    assert (pending == self->pending);
    at = 0;
    for (const worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at))
        check_worker (self, worker);
    int64_t last = 0;
    LIST_EACH (link, &self->fresh)
    {
        const job_t *job = LIST_ITEM (link, job_t, queue_link);
        assert (job->seq > last);
        last = job->seq;
    }
}
