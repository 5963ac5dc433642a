#include "broker/core_internal.h"

#include <string.h>

void core_attempt_record (core_t *self, const job_t *job, const attempt_end_t *end)
{
    const lease_t *lease = job->lease;
    attempt_record_t *row = &core_effect (self, EFFECT_ATTEMPT_PUT)->attempt_row;
    *row = (attempt_record_t){
        .seq = job->seq,
        .attempt = job->attempt,
        .worker_id = slice_of (lease->worker ? lease->worker->id : NULL),
        .token = arena_printf (&self->out->arena, "%s", lease->token),
        .accepted = end->accepted,
        .reason = end->reason,
        .error_message = end->text,
        .exit_code = end->exit_code,
        .signal = end->signal,
        .started_ms = lease->started_wall_ms,
        .completed_ms = self->wall_ms,
        .late_exit_code = INT_ABSENT,
        .usage = end->usage,
    };
    memcpy (row->data, end->data, sizeof row->data);
}

bool core_attempt_left (const job_t *job)
{
    bool nowhere = job->pinned && !job->pinned->online;
    return job->attempt < job->max_attempts && !nowhere;
}

static int64_t backoff_first (const core_t *self, const job_t *job)
{
    return job->options && job->options->backoff_ms != INT_ABSENT ? job->options->backoff_ms : self->config.backoff_ms;
}

int64_t core_backoff_max (const core_t *self, const job_t *job)
{
    int64_t first = backoff_first (self, job);
    return first > self->config.backoff_max_ms ? first : self->config.backoff_max_ms;
}

/* Doubled with each attempt, then between half of it and all of it: what failed together must not come back together.
 */
static int64_t backoff (core_t *self, const job_t *job)
{
    int64_t base = backoff_first (self, job);
    int64_t most = core_backoff_max (self, job);
    for (int32_t i = 1; i < job->attempt && base < most; i++)
        base *= 2;
    if (base > most)
        base = most;
    return base - (int64_t)(core_random (self) % ((uint64_t)base / 2 + 1));
}

void core_attempt_retry (core_t *self, job_t *job, const attempt_end_t *end)
{
    core_attempt_record (self, job, end);
    int64_t pause = end->at_once ? 0 : backoff (self, job);
    core_lease_free (self, job, false);
    job_record_t *record = &core_effect (self, EFFECT_JOB_UPDATE)->job;
    core_job_record (self, job, record);
    record->not_before_ms = pause ? self->wall_ms + pause : 0;
    core_effect (self, EFFECT_JOB_CHANGED)->seq = job->seq;
    if (pause)
        core_queue_delay (self, job, self->now_ms + pause, true);
    else
        core_queue_put (self, job);
}

/* The worker was told to stop, or has found its lease over, and stopped: that is no result. */
static bool is_usage_alone (const claim_t *claim)
{
    return claim->type == MSG_JOB_FAIL && slice_eq_str (claim->reason, "lease-lost");
}

void core_attempt_late (core_t *self, const event_t *event, const claim_t *claim)
{
    const attempt_record_t *past = event->past;
    bool its = past && claim->token.ptr && slice_eq (past->token, claim->token);
    if (its && past->accepted) {
        core_result_reply (self, event->request, claim->type, claim->job_id);
        return;
    }
    if (its && !past->late_ms) {
        attempt_record_t *row = &core_effect (self, EFFECT_ATTEMPT_PUT)->attempt_row;
        *row = *past;
        slice_t *texts[] = { &row->worker_id, &row->token, &row->reason, &row->error_message };
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
            *texts[i] = core_keep (self, *texts[i]); /* the row that they point into ends with the first write */
        for (int i = 0; i < STREAM_COUNT; i++)
            row->data[i] = core_keep (self, row->data[i]);
        row->usage = core_result_usage (self, claim);
        if (!is_usage_alone (claim)) {
            row->late_ms = self->wall_ms;
            row->late_exit_code = claim->exit_code;
            row->late_reason = core_keep (self, core_result_reason (claim));
        }
    }
    core_refuse (self, event->request, ERR_STALE_ATTEMPT, NULL);
}
