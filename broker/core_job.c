#include "broker/core_internal.h"

#include <stdlib.h>
#include <string.h>

/* Not blank, and no control characters but those that end or indent lines: what runs is what was shown. */
static bool command_safe (slice_t command)
{
    bool blank = true;
    for (size_t i = 0; i < command.len; i++) {
        unsigned char c = (unsigned char)command.ptr[i];
        if ((c < ' ' && c != '\n' && c != '\r' && c != '\t') || c == 0x7f)
            return false;
        blank = blank && (c == ' ' || c < ' ');
    }
    return !blank;
}

/* Direct mode: an online worker of that machine, an idle one before the others. */
static worker_t *worker_of_machine (const core_t *self, slice_t machine)
{
    worker_t *found = NULL;
    size_t at = 0;
    for (worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at)) {
        if (!worker->online || !worker->machine || !slice_eq_str (machine, worker->machine))
            continue;
        size_t load = worker->leases.count + worker->pinned.count;
        if (!found || load < found->leases.count + found->pinned.count ||
            (load == found->leases.count + found->pinned.count && strcmp (worker->id, found->id) < 0))
            found = worker;
    }
    return found;
}

static err_t check_create (const core_t *self, const msg_job_create_t *in, worker_t **pinned)
{
    *pinned = NULL;
    if (!command_safe (in->command))
        return ERR_BAD_COMMAND;
    if (!filename_safe (in->filename))
        return ERR_BAD_FILENAME;
    if (!file_url_safe (in->file_url))
        return ERR_BAD_FILE_URL;
    if ((int64_t)self->jobs.count >= self->config.jobs_max)
        return ERR_BUSY;
    if (!in->machine.ptr)
        return ERR_NONE;
    *pinned = worker_of_machine (self, in->machine);
    return *pinned ? ERR_NONE : ERR_NO_DIRECT_WORKER;
}

static int64_t or_default (int64_t value, int64_t fallback)
{
    return value == INT_ABSENT || value == 0 ? fallback : value;
}

void core_on_job_create (core_t *self, const event_t *event)
{
    const msg_job_create_t *in = &event->message->job_create;
    worker_t *pinned = NULL;
    err_t err = check_create (self, in, &pinned);
    if (err) {
        core_refuse (self, event->request, err, NULL);
        return;
    }
    job_id_t id = { .seq = job_seq_next (self->last_seq, self->wall_ms) };
    job_salt_make (core_random (self), id.salt);
    self->last_seq = id.seq;
    job_t *job = core_job_new (self, &id);
    job->max_attempts = (int32_t)or_default (in->max_attempts, ATTEMPTS_DEFAULT);
    job->timeout_ms = or_default (in->timeout_ms, TIMEOUT_DEFAULT_MS);
    job->pinned = pinned;

    job_record_t *record = &core_effect (self, EFFECT_JOB_INSERT)->job;
    core_job_record (self, job, record);
    record->command = in->command;
    record->file_url = in->file_url;
    record->filename = in->filename;
    record->timeout_ms = job->timeout_ms;
    record->max_attempts = job->max_attempts;
    record->created_ms = self->wall_ms;
    record->pinned = slice_of (pinned ? pinned->id : NULL);
    core_reply (self, event->request, MSG_JOB_CREATE_OK)->job_create_ok.job_id = core_job_id_text (self, job);
    core_queue_put (self, job, true);
}

void core_job_record (core_t *self, const job_t *job, job_record_t *record)
{
    const lease_t *lease = job->lease;
    *record = (job_record_t){
        .id.seq = job->seq,
        .state = lease ? JOB_RUNNING : JOB_PENDING,
        .attempt = job->attempt,
        .slot = lease ? lease->slot : SLOT_NONE,
        .started_ms = lease ? lease->started_wall_ms : 0,
        .exit_code = INT_ABSENT,
        .stdout_bytes = INT_ABSENT,
        .stderr_bytes = INT_ABSENT,
        .max_attempts = job->max_attempts,
        .timeout_ms = job->timeout_ms,
    };
    memcpy (record->id.salt, job->salt, sizeof job->salt);
    if (!lease)
        return;
    record->worker_id = slice_of (lease->worker ? lease->worker->id : NULL);
    record->group = core_group_text (self, lease);
    record->token = arena_printf (&self->out->arena, "%s", lease->token);
}

void core_job_finish (core_t *self, job_t *job, job_record_t *how, bool keep_token)
{
    job_record_t now;
    core_job_record (self, job, &now);
    if (!job->lease)
        core_queue_remove (self, job);
    how->id = now.id;
    how->attempt = now.attempt;
    how->worker_id = now.worker_id;
    how->slot = now.slot;
    how->started_ms = now.started_ms;
    how->completed_ms = self->wall_ms;
    /* Only an accepted result leaves its token in the record: by it a repeated one is known (rule 24). */
    how->token = keep_token ? now.token : SLICE_ABSENT;
    core_effect (self, EFFECT_JOB_UPDATE)->job = *how;
    core_effect (self, EFFECT_JOB_CHANGED)->seq = job->seq;
    if (job->lease)
        core_lease_free (self, job, slice_eq_str (how->reason, "cancelled"));
    core_job_free (self, job);
}

void core_job_fail (core_t *self, job_t *job, const char *reason, slice_t text)
{
    job_record_t how = {
        .state = JOB_FAILED,
        .exit_code = INT_ABSENT,
        .reason = slice_of (reason),
        .error_message = text,
        .stdout_bytes = INT_ABSENT,
        .stderr_bytes = INT_ABSENT,
    };
    if (!job->lease) { /* nothing has run, or nothing that ran is shown */
        how.stdout_data = how.stderr_data = SLICE ("");
        how.stdout_bytes = how.stderr_bytes = 0;
    }
    core_job_finish (self, job, &how, false);
}

bool core_stored_cancelled (const job_record_t *stored)
{
    return slice_eq_str (stored->reason, "cancelled");
}

void core_on_job_cancel (core_t *self, const event_t *event)
{
    slice_t job_id = event->message->job_cancel.job_id;
    job_t *job = core_find_job (self, job_id);
    if (!job && !event->stored) {
        core_refuse (self, event->request, ERR_NO_SUCH_JOB, NULL);
        return;
    }
    msg_job_cancel_ok_t *out = &core_reply (self, event->request, MSG_JOB_CANCEL_OK)->job_cancel_ok;
    out->job_id = job_id;
    out->status = slice_of (job_state_name (job ? JOB_FAILED : event->stored->state));
    if (job)
        core_job_fail (self, job, "cancelled", SLICE ("The job was cancelled."));
}

void core_on_job_check_cancel (core_t *self, const event_t *event)
{
    bool known = core_knows_job (self, event->message->job_check_cancel.job_id);
    if (!known && !event->stored) {
        core_refuse (self, event->request, ERR_NO_SUCH_JOB, NULL);
        return;
    }
    core_reply (self, event->request, MSG_JOB_CHECK_CANCEL_OK)->job_check_cancel_ok.cancel_requested =
        !known && core_stored_cancelled (event->stored);
}
