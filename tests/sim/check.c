#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

void sim_fail (world_t *w, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (w->why, sizeof w->why, format, args);
    va_end (args);
    longjmp (w->failed, 1);
}

shadow_t *shadow_find (world_t *w, int64_t seq)
{
    for (int i = w->job_count; i-- > 0;)
        if (w->jobs[i].id.seq == seq)
            return &w->jobs[i];
    return NULL;
}

static bool is_final (job_state_t state)
{
    return state == JOB_COMPLETED || state == JOB_FAILED;
}

static void shadow_set (shadow_t *job, const job_record_t *record)
{
    if (job->attempt != record->attempt || record->state == JOB_PENDING)
        job->output = 0;
    job->state = record->state;
    job->attempt = record->attempt;
    slice_copy (record->token, job->token, sizeof job->token);
    slice_copy (record->reason, job->reason, sizeof job->reason);
}

/* An accepted result is that of the lease: by its token, or by the holder's id. */
static void check_accepted (world_t *w, const shadow_t *job, const job_record_t *record)
{
    if (job->state != JOB_RUNNING || job->attempt != record->attempt || !slice_eq_str (record->token, job->token))
        sim_fail (w, "a result was accepted for a lease that was not current");
    const packet_t *from = w->current;
    if (!from || (from->type != MSG_JOB_RESULT && from->type != MSG_JOB_FAIL))
        return; /* sealed: its sender was checked when the seal was ordered */
    if (!from->old && (from->attempt != record->attempt || strcmp (from->token, job->token) != 0))
        sim_fail (w, "a result of attempt %lld was accepted as that of attempt %lld", (long long)from->attempt,
                  (long long)record->attempt);
    if (!slice_eq_str (record->worker_id, w->actors[from->actor].id))
        sim_fail (w, "a result of another worker than the holder was accepted");
}

static void check_update (world_t *w, shadow_t *job, const job_record_t *record)
{
    if (is_final (job->state))
        sim_fail (w, "the final state of a job changed");
    if (record->attempt > job->max_attempts)
        sim_fail (w, "attempt %lld of %lld", (long long)record->attempt, (long long)job->max_attempts);
    bool same_lease = job->state == JOB_RUNNING && slice_eq_str (record->token, job->token);
    if (record->state == JOB_RUNNING && job->state == JOB_RUNNING && !same_lease)
        sim_fail (w, "two live leases on one job");
    if (record->state == JOB_RUNNING && record->attempt != job->attempt + (same_lease ? 0 : 1))
        sim_fail (w, "attempt %lld follows %lld", (long long)record->attempt, (long long)job->attempt);
    if (record->state == JOB_PENDING && (record->attempt > job->attempt || record->attempt < job->attempt - 1))
        sim_fail (w, "attempts %lld after %lld", (long long)record->attempt, (long long)job->attempt);
    if (is_final (record->state) && record->token.ptr)
        check_accepted (w, job, record);
    shadow_set (job, record);
}

static void check_insert (world_t *w, const job_record_t *record)
{
    if (w->job_count && record->id.seq <= w->jobs[w->job_count - 1].id.seq)
        sim_fail (w, "a new job's id is not above the last one's");
    w->jobs = xrealloc (w->jobs, (size_t)(w->job_count + 1) * sizeof *w->jobs);
    w->jobs[w->job_count++] =
        (shadow_t){ .id = record->id, .state = record->state, .max_attempts = record->max_attempts };
}

void check_effects (world_t *w)
{
    for (size_t i = 0; i < w->effects.count; i++) {
        const effect_t *effect = &w->effects.items[i];
        if (effect->kind == EFFECT_JOB_INSERT)
            check_insert (w, &effect->job);
        else if (effect->kind == EFFECT_JOB_UPDATE)
            check_update (w, shadow_find (w, effect->job.id.seq), &effect->job);
    }
}

void check_acknowledged (world_t *w)
{
    for (int i = 0; i < w->job_count; i++) {
        job_record_t record;
        if (w->jobs[i].acknowledged && w->store->ops->job_get (w->store, &w->jobs[i].id, &record))
            sim_fail (w, "an acknowledged job is not in the store");
    }
}

/* A job that leaves for a worker is on disk as this attempt, in this worker's hands or those of its group. */
void check_delivery (world_t *w, const packet_t *packet)
{
    job_id_t id;
    job_record_t record;
    if (packet->type != MSG_JOB_POLL_OK || !packet->job[0])
        return;
    if (!job_id_parse (slice_of (packet->job), &id) || w->store->ops->job_get (w->store, &id, &record))
        sim_fail (w, "a job was handed out that is not in the store");
    if (record.attempt < packet->attempt)
        sim_fail (w, "attempt %lld was handed out before it was stored", (long long)packet->attempt);
    if (record.state != JOB_RUNNING || !slice_eq_str (record.token, packet->token))
        return; /* over again in the same turn */
    const char *worker = w->actors[packet->actor].id;
    if (record.worker_id.ptr && !slice_eq_str (record.worker_id, worker) && !w->actors[packet->actor].nameless)
        sim_fail (w, "a job was handed to a worker that does not hold it");
}

void check_all_final (world_t *w)
{
    for (int i = 0; i < w->job_count; i++)
        if (!is_final (w->jobs[i].state))
            sim_fail (w, "job %d of %d is still %s long after everything was healed", i, w->job_count,
                      job_state_name (w->jobs[i].state));
}

void shadow_reload (world_t *w)
{
    int kept = 0;
    for (int i = 0; i < w->job_count; i++) {
        job_record_t record;
        shadow_t job = w->jobs[i];
        if (w->store->ops->job_get (w->store, &job.id, &record)) {
            if (job.acknowledged)
                sim_fail (w, "an acknowledged job was lost in a crash");
            continue;
        }
        job_state_t before = job.state;
        int64_t output = job.output;
        shadow_set (&job, &record);
        job.output = before == job.state ? output : job.output; /* files outlive the process */
        w->jobs[kept++] = job;
    }
    w->job_count = kept;
}
