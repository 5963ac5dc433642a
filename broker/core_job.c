#include "broker/core_internal.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/traceparent.h"

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

/* Direct mode: an online worker of that machine that can do it and is not draining, an idle one before the others. */
static worker_t *worker_of_machine (const core_t *self, const msg_job_create_t *in)
{
    worker_t *found = NULL;
    size_t at = 0;
    for (worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at)) {
        if (!worker->online || worker->draining || !worker->machine || !slice_eq_str (in->machine, worker->machine))
            continue;
        if (!core_options_possible (worker, in))
            continue;
        size_t load = worker->leases.count + worker->pinned.users;
        if (!found || load < found->leases.count + found->pinned.users ||
            (load == found->leases.count + found->pinned.users && strcmp (worker->id, found->id) < 0))
            found = worker;
    }
    return found;
}

static err_t check_create (const core_t *self, const msg_job_create_t *in, worker_t **pinned, const char **field,
                           const char **text)
{
    *pinned = NULL;
    *field = *text = NULL;
    if (!command_safe (in->command))
        return ERR_BAD_COMMAND;
    if (!filename_safe (in->filename))
        return ERR_BAD_FILENAME;
    if (!file_url_safe (in->file_url))
        return ERR_BAD_FILE_URL;
    err_t err = core_options_check (in, field, text);
    if (err)
        return err;
    if ((int64_t)self->jobs.count >= self->config.jobs_max)
        return ERR_BUSY;
    if (!in->machine.ptr)
        return ERR_NONE;
    *pinned = worker_of_machine (self, in);
    if (!*pinned && (in->network.ptr || in->image.ptr || in->delta_url.ptr))
        *text = "Direct mode with `network` none, an `image` or a delta needs a worker on the gateway's machine that "
                "can do "
                "that.";
    return *pinned ? ERR_NONE : ERR_NO_DIRECT_WORKER;
}

static int64_t or_default (int64_t value, int64_t fallback)
{
    return value == INT_ABSENT || value == 0 ? fallback : value;
}

/* What was asked for, so that the same key with another request is found out. */
static slice_t hash_request (core_t *self, const message_t *create, slice_t mark)
{
    message_t plain = *create;
    plain.job_create.idempotency_key = SLICE_ABSENT;
    plain.job_create.traceparent = SLICE_ABSENT; /* a try again is another span of its sender's */
    plain.job_create.secrets = SLICE_ABSENT; /* their mark stands for them: nobody shall try words against the hash */
    buf_clear (&self->list);
    message_encode_item (&plain, &self->list);
    unsigned char hash[REQUEST_HASH];
    crypto_generichash (hash, sizeof hash, (const unsigned char *)self->list.ptr, self->list.len,
                        (const unsigned char *)mark.ptr, mark.len);
    return core_keep (self, slice_from (hash, sizeof hash));
}

static void reply_created (core_t *self, uint64_t request, slice_t job_id, bool repeated)
{
    msg_job_create_ok_t *out = &core_reply (self, request, MSG_JOB_CREATE_OK)->job_create_ok;
    out->job_id = job_id;
    out->repeated = repeated;
}

static void repeat_create (core_t *self, const event_t *event, slice_t hash)
{
    if (!slice_eq (event->stored->request_hash, hash)) {
        core_refuse_field (self, event->request, ERR_IDEMPOTENCY_MISMATCH, "idempotencyKey", NULL);
        return;
    }
    char *text = arena_alloc (&self->out->arena, JOB_ID_LEN + 1);
    job_id_format (&event->stored->id, text);
    reply_created (self, event->request, slice_from (text, JOB_ID_LEN), true);
}

/* How long from now on it is to wait, ms. */
static int64_t delay_of (const core_t *self, const msg_job_create_t *in)
{
    int64_t delay = in->delay_ms == INT_ABSENT ? 0 : in->delay_ms;
    int64_t until = in->not_before == INT_ABSENT ? 0 : in->not_before - self->wall_ms;
    return delay > until ? delay : until;
}

/* NULL when its requirements make one queue too many. */
static job_t *job_of (core_t *self, const msg_job_create_t *in, const message_t *options, worker_t *pinned)
{
    job_id_t id = { .seq = job_seq_next (self->last_seq, self->wall_ms) };
    job_salt_make (core_random (self), id.salt);
    job_t *job = core_job_new (self, &id);
    job->max_attempts = (int32_t)or_default (in->max_attempts, ATTEMPTS_DEFAULT);
    job->timeout_ms = or_default (in->timeout_ms, TIMEOUT_DEFAULT_MS);
    job->pinned = pinned;
    if (!core_options_take (self, job, &options->job_options)) {
        core_job_forget (self, job);
        return NULL;
    }
    self->last_seq = id.seq;
    return job;
}

/* The trace that it belongs to: the one that it came with, if that is one that counts (rule 52), or one of its own. */
static slice_t trace_of (core_t *self, slice_t told, const job_t *job)
{
    traceparent_t trace;
    if (!traceparent_parse (told, &trace)) {
        uint64_t random[2] = { 0 };
        if (!self->config.trace)
            return SLICE_ABSENT;
        for (int i = 0; i < 2; i++)
            random[i] = core_random (self) | 1; /* an id of zeros is none */
        hex_format (random, sizeof random, trace.trace_id);
        traceparent_span (trace.trace_id, core_job_id_text (self, job), SPAN_JOB, 0, trace.parent_id);
        trace.flags = TRACE_SAMPLED;
    }
    char *text = arena_alloc (&self->out->arena, TRACEPARENT_LEN + 1);
    traceparent_format (&trace, text);
    return slice_from (text, TRACEPARENT_LEN);
}

void core_on_job_create (core_t *self, const event_t *event)
{
    const msg_job_create_t *in = &event->message->job_create;
    slice_t hash = in->idempotency_key.len ? hash_request (self, event->message, event->mark) : SLICE_ABSENT;
    if (hash.ptr && event->stored) {
        repeat_create (self, event, hash);
        return;
    }
    worker_t *pinned = NULL;
    const char *field = NULL;
    const char *text = NULL;
    err_t err = check_create (self, in, &pinned, &field, &text);
    if (!err)
        err = core_options_check_delta (event, &field, &text);
    message_t options;
    message_init (&options, MSG_JOB_OPTIONS);
    message_copy_common (event->message, &options);
    options.job_options.sealed = event->sealed;
    options.job_options.secret_names = core_options_secret_names (self, in);
    if (!err)
        core_options_imply (self, &options.job_options);
    job_t *job = err ? NULL : job_of (self, in, &options, pinned);
    if (!job) {
        core_refuse_field (self, event->request, err ? err : ERR_BUSY, field,
                           err ? text : "Too many different requirements are queued: try again later.");
        return;
    }
    job->owner = slice_dup (event->owner);
    options.job_options.traceparent = trace_of (self, in->traceparent, job);
    int64_t delay = delay_of (self, in);
    job_record_t *record = &core_effect (self, EFFECT_JOB_INSERT)->job;
    core_job_record (self, job, record);
    record->command = in->command;
    record->file_url = in->file_url;
    record->filename = in->filename;
    record->timeout_ms = job->timeout_ms;
    record->max_attempts = job->max_attempts;
    record->created_ms = self->wall_ms;
    record->pinned = slice_of (pinned ? pinned->id : NULL);
    record->options = core_options_encode (self, &options);
    record->brief_options = core_options_brief (self, &options);
    record->labels = in->labels;
    record->delta = blob_url_sha256 (in->delta_url);
    record->idempotency_key = hash.ptr ? in->idempotency_key : SLICE_ABSENT;
    record->request_hash = hash;
    record->not_before_ms = delay > 0 ? self->wall_ms + delay : 0;
    reply_created (self, event->request, core_job_id_text (self, job), false);
    if (delay > 0)
        core_queue_delay (self, job, self->now_ms + delay, false);
    else
        core_queue_put (self, job);
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
        .signal = INT_ABSENT,
        .bytes = BYTES_UNKNOWN,
        .max_attempts = job->max_attempts,
        .timeout_ms = job->timeout_ms,
    };
    memcpy (record->id.salt, job->salt, sizeof job->salt);
    record->owner = job->owner ? core_keep (self, slice_of (job->owner)) : SLICE_ABSENT;
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
    how->owner = now.owner;
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
        .signal = INT_ABSENT,
        .reason = slice_of (reason),
        .error_message = text,
        .bytes = BYTES_UNKNOWN,
    };
    if (job->lease) {
        attempt_end_t end = { .reason = how.reason, .text = text, .exit_code = INT_ABSENT, .signal = INT_ABSENT };
        core_attempt_record (self, job, &end);
    } else { /* nothing has run, or nothing that ran is shown */
        for (int i = 0; i < STREAM_COUNT; i++) {
            how.data[i] = SLICE ("");
            how.bytes[i] = 0;
        }
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
    out->already_over = !job;
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
