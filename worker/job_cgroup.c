/* job_cgroup.c - a job's commands in a control group of their own (cgroup.h), where the worker has them.
 *
 * At memory.max the kernel ends all that is in the group by itself; at pids.max it only refuses, and the job is ended
 * from here. Either is heard of at once, by the group's files. */
#include <string.h>
#include <sys/epoll.h>

#include "worker/job_internal.h"

/* What the kernel has counted takes the place of what the keeper has seen. */
static void take (int64_t *usage, int64_t counted)
{
    if (counted)
        *usage = counted;
}

/* What the kernel has refused or ended, with what was used by then. */
static void look (job_t *self)
{
    const limits_t *limits = &self->limits;
    cgroup_counts_t counts;
    cgroup_job_count (&self->group, &counts);
    take (&self->usage.cpu_ms, counts.cpu_ms);
    take (&self->usage.memory_peak_bytes, counts.memory_peak_bytes);
    take (&self->usage.pids_peak, counts.pids_peak);
    if (limits->memory_bytes && counts.memory_kills)
        job_limits_note_over (self, OVER_MEMORY,
                              counts.memory_peak_bytes ? counts.memory_peak_bytes : limits->memory_bytes);
    /* Where the peak is known it tells this limit from one above it, which is the worker's own. */
    if (limits->pids && counts.pids_refused && (!counts.pids_peak || counts.pids_peak >= limits->pids))
        job_limits_note_over (self, OVER_PIDS, limits->pids);
}

static void unwatch (job_t *self)
{
    loop_unwatch (self->host->loop, self->group.memory_events);
    loop_unwatch (self->host->loop, self->group.pids_events);
}

bool job_group_stops (job_t *self)
{
    if (!self->group.path)
        return false;
    look (self);
    if (self->over == OVER_NOTHING)
        return false;
    unwatch (self);
    job_run_kill_processes (self);
    job_group_kill (self);
    return true;
}

static void on_event (void *ctx, uint32_t events)
{
    (void)events;
    job_group_stops (ctx);
}

int job_group_begin (job_t *self)
{
    cgroup_t *cgroup = self->host->cgroup;
    if (!cgroup || self->image || self->group.path)
        return 0;
    const char *name = strrchr (self->folder, '/') + 1; /* no other attempt has it */
    int error = cgroup_job_open (cgroup, name, &self->limits, &self->group);
    if (error)
        return error;
    loop_watch (self->host->loop, self->group.memory_events, EPOLLPRI, on_event, self);
    loop_watch (self->host->loop, self->group.pids_events, EPOLLPRI, on_event, self);
    return 0;
}

void job_group_kill (job_t *self)
{
    cgroup_job_kill (&self->group);
}

void job_group_end (job_t *self)
{
    if (!self->group.path)
        return;
    look (self);
    unwatch (self);
    cgroup_job_close (self->host->cgroup, &self->group);
}
