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

/* What is left of a time that the wall clock told before the restart; that clock may have gone back meanwhile. */
static int64_t left_ms (int64_t until_wall_ms, int64_t wall_ms, int64_t most)
{
    int64_t left = until_wall_ms - wall_ms;
    return left < 0 ? 0 : left > most ? most : left;
}

void core_load_worker (core_t *self, const worker_record_t *record, int64_t now_ms, int64_t wall_ms)
{
    self->now_ms = now_ms;
    worker_t *worker = core_worker_load (self, record);
    if (!worker->online)
        return;
    int64_t asleep = left_ms (record->asleep_until_ms, wall_ms, self->config.sleep_max_ms);
    if (asleep) {
        worker->asleep_since_ms = now_ms;
        worker->asleep_until_wall_ms = wall_ms + asleep;
    }
    core_timer_set (self, &worker->timer, TIMER_WORKER,
                    now_ms + (asleep > self->config.offline_ms ? asleep : self->config.offline_ms));
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

static void load_lease (core_t *self, job_t *job, const job_record_t *record, int64_t wall_ms)
{
    worker_t *worker = record->worker_id.ptr ? core_find_worker (self, record->worker_id) : NULL;
    lease_t *lease = core_lease_new (self, job, worker, record->slot);
    slice_copy (record->token, lease->token, sizeof lease->token);
    lease->started_wall_ms = record->started_ms;
    lease->appended = STREAMS_ALL; /* files may be there from before */
    lease->claimed = true;         /* and its holder may be at work, */
    lease->handed = 1;             /* for it was told */
    if (worker) {
        int64_t asleep =
            worker->asleep_since_ms == INT_ABSENT ? 0 : left_ms (worker->asleep_until_wall_ms, wall_ms, INT64_MAX);
        if (asleep > self->config.lease_ms)
            core_timer_set (self, &lease->timer, TIMER_LEASE, self->now_ms + asleep);
        return;
    }
    size_t count = 0;
    worker_t **candidates = load_candidates (self, record->group, &count);
    if (count)
        core_group_join (self, lease, candidates[0]->place, candidates, count);
    else
        core_timer_set (self, &lease->timer, TIMER_LEASE, self->now_ms); /* nobody can hold it any more */
    free (candidates);
}

static void load_options (core_t *self, job_t *job, slice_t stored)
{
    message_t options;
    fault_t fault;
    message_init (&options, MSG_JOB_OPTIONS);
    if (stored.len)
        message_decode_item (self->decoder, stored, MSG_JOB_OPTIONS, &options, &fault);
    int64_t most = self->config.queues_max;
    self->config.queues_max = INT64_MAX; /* they were let in before */
    core_options_take (self, job, &options.job_options);
    self->config.queues_max = most;
}

/* How long it has waited is told by the wall clock, which may have been set back meanwhile. */
static void load_ready (core_t *self, job_t *job, const job_record_t *record, int64_t wall_ms)
{
    int64_t since_ms = record->not_before_ms > record->created_ms ? record->not_before_ms : record->created_ms;
    int64_t waited_ms = wall_ms > since_ms ? wall_ms - since_ms : 0;
    core_queue_put (self, job);
    core_queue_since (self, job, self->now_ms - waited_ms);
}

void core_load_job (core_t *self, const job_record_t *record, int64_t now_ms, int64_t wall_ms)
{
    assert (record->state == JOB_PENDING || record->state == JOB_RUNNING);
    self->now_ms = now_ms;
    job_t *job = core_job_new (self, &record->id);
    job->attempt = (int32_t)record->attempt;
    job->max_attempts = (int32_t)record->max_attempts;
    job->timeout_ms = record->timeout_ms;
    job->pinned = record->pinned.ptr ? core_find_worker (self, record->pinned) : NULL;
    job->owner = slice_dup (record->owner);
    load_options (self, job, record->options);
    core_load_last_seq (self, job->seq);
    bool backing_off = record->attempt > 0;
    int64_t most = backing_off ? core_backoff_max (self, job) : INT64_MAX / 4;
    int64_t wait = left_ms (record->not_before_ms, wall_ms, most);
    if (record->state == JOB_RUNNING)
        load_lease (self, job, record, wall_ms);
    else if (wait)
        core_queue_delay (self, job, now_ms + wait, backing_off);
    else
        load_ready (self, job, record, wall_ms);
}

static void check_lease (const core_t *self, const job_t *job)
{
    const lease_t *lease = job->lease;
    assert (lease->job == job);
    assert (heap_holds (&lease->timer.node));
    assert (!job->delay && !heap_holds (&job->node));
    assert (!(lease->worker && lease->candidate_count));
    bool asleep = lease->worker && lease->worker->asleep_since_ms != INT_ABSENT;
    int64_t most = lease->worker ? lease->heard_ms + self->config.lease_ms : lease->hard_ms;
    assert (lease->timer.due_ms <= most || asleep || lease->result);
    assert (!lease->renew || lease->renew->lease == lease);
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
    for (size_t i = 0; i < worker->pinned.jobs.count; i++)
        assert (LIST_ITEM (worker->pinned.jobs.nodes[i], job_t, node)->pinned == worker);
    if (!worker->polls.count || worker->draining)
        return; /* else no job that it may run is left waiting */
    assert (!self->any.jobs.count && !worker->pinned.jobs.count);
    LIST_EACH (at, &self->queues)
    {
        const queue_t *queue = LIST_ITEM (at, queue_t, link);
        assert (!queue->jobs.count || !core_queue_fits (queue, worker));
    }
}

void core_check (const core_t *self)
{
    int64_t pending = 0;
    int64_t ready = 0;
    int64_t backing_off = 0;
    size_t at = 0;
    for (const job_t *job = map_next (&self->jobs, &at); job; job = map_next (&self->jobs, &at)) {
        assert (job->attempt >= 0 && job->attempt <= job->max_attempts);
        if (job->lease) {
            check_lease (self, job);
            continue;
        }
        pending++;
        assert ((job->delay != NULL) != heap_holds (&job->node));
        assert (heap_holds (&job->node) == list_linked (&job->ready_link));
        ready += heap_holds (&job->node);
        backing_off += job->delay && job->delay->backing_off;
    }
    assert (pending == self->pending && ready == (int64_t)self->ready.count && backing_off == self->backing_off);
    at = 0;
    for (const worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at))
        check_worker (self, worker);
}
