#include "broker/core_internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/lines.h"

queue_t *core_queue_find (core_t *self, slice_t requires)
{
    if (!requires.len)
        return &self->any;
    LIST_EACH (link, &self->queues)
    {
        queue_t *queue = LIST_ITEM (link, queue_t, link);
        if (slice_eq_str (requires, queue->requires))
            return queue;
    }
    if ((int64_t)self->queues.count >= self->config.queues_max)
        return NULL;
    queue_t *queue = xcalloc (1, sizeof *queue);
    queue->requires = slice_dup (requires);
    list_append (&self->queues, &queue->link);
    return queue;
}

void core_queue_enter (job_t *job, queue_t *queue)
{
    job->queue = queue;
    queue->users++;
}

void core_queue_leave (core_t *self, job_t *job)
{
    queue_t *queue = job->queue;
    if (--queue->users || !list_linked (&queue->link))
        return;
    list_remove (&self->queues, &queue->link);
    heap_fini (&queue->jobs);
    free (queue->requires);
    free (queue);
}

/* What every worker has without saying so, unless it says otherwise. */
static slice_t plain_label (const worker_t *worker, slice_t key)
{
    if (slice_eq_str (key, "worker"))
        return slice_of (worker->id);
    if (slice_eq_str (key, "hostname"))
        return slice_of (worker->hostname);
    return slice_eq_str (key, "os") ? slice_of (worker->os) : SLICE_ABSENT;
}

bool core_queue_fits (const queue_t *queue, const worker_t *worker)
{
    slice_t rest = slice_of (queue->requires);
    slice_t line, key, value;
    while (lines_next (&rest, &line)) {
        line_split (line, &key, &value);
        slice_t has = worker ? lines_get (slice_of (worker->labels), key) : SLICE_ABSENT;
        if (worker && !has.ptr)
            has = plain_label (worker, key);
        if (!slice_eq (has, value))
            return false;
    }
    return true;
}

void core_queue_put (core_t *self, job_t *job)
{
    if (core_dispatch_parked (self, job))
        return;
    self->pending++;
    job->ready_ms = self->now_ms;
    list_append (&self->ready, &job->ready_link);
    heap_put (&job->queue->jobs, &job->node, job->options ? -job->options->priority : 0, job->seq);
}

/* Jobs are loaded by age, so nearly all belong at the end. One that had waited for its time lies further back; beyond
 * so many steps the order is not worth more. */
void core_queue_since (core_t *self, job_t *job, int64_t ready_ms)
{
    enum { STEPS_MAX = 64 };
    if (!list_linked (&job->ready_link))
        return; /* somebody was there to take it */
    job->ready_ms = ready_ms;
    list_remove (&self->ready, &job->ready_link);
    link_t *at = &self->ready.head;
    for (int steps = 0; steps < STEPS_MAX && at->prev != &self->ready.head &&
                        LIST_ITEM (at->prev, job_t, ready_link)->ready_ms > ready_ms;
         steps++)
        at = at->prev;
    list_insert_before (&self->ready, at, &job->ready_link);
}

void core_queue_delay (core_t *self, job_t *job, int64_t due_ms, bool backing_off)
{
    self->pending++;
    job->delay = xcalloc (1, sizeof *job->delay);
    job->delay->job = job;
    job->delay->backing_off = backing_off;
    self->backing_off += backing_off;
    core_timer_set (self, &job->delay->timer, TIMER_JOB, due_ms);
}

static void end_delay (core_t *self, job_t *job)
{
    core_timer_stop (self, &job->delay->timer);
    self->backing_off -= job->delay->backing_off;
    free (job->delay);
    job->delay = NULL;
}

void core_queue_due (core_t *self, delay_t *delay)
{
    job_t *job = delay->job;
    if (job->pinned && !job->pinned->online) {
        core_job_fail (self, job, "worker-lost", SLICE ("The worker that alone may run the job is offline."));
        return;
    }
    end_delay (self, job);
    self->pending--;
    core_queue_put (self, job);
}

static void unqueue (core_t *self, job_t *job)
{
    heap_remove (&job->queue->jobs, &job->node);
    list_remove (&self->ready, &job->ready_link);
}

void core_queue_remove (core_t *self, job_t *job)
{
    self->pending--;
    if (job->delay)
        end_delay (self, job);
    else
        unqueue (self, job);
}

static heap_node_t *better (heap_node_t *a, heap_node_t *b)
{
    if (!a || !b)
        return a ? a : b;
    return b->key < a->key || (b->key == a->key && b->tie < a->tie) ? b : a;
}

job_t *core_queue_take (core_t *self, worker_t *worker)
{
    heap_node_t *top = worker ? heap_top (&worker->pinned.jobs) : NULL;
    if (!top) {
        top = heap_top (&self->any.jobs);
        LIST_EACH (link, &self->queues)
        {
            queue_t *queue = LIST_ITEM (link, queue_t, link);
            if (queue->jobs.count && core_queue_fits (queue, worker))
                top = better (top, heap_top (&queue->jobs));
        }
    }
    job_t *job = top ? LIST_ITEM (top, job_t, node) : NULL;
    if (job)
        core_queue_remove (self, job);
    return job;
}
