#include "broker/core_internal.h"

#include <stdlib.h>
#include <string.h>

void core_result_free (result_t **self_p)
{
    result_t *self = *self_p;
    if (!self)
        return;
    free (self->reason);
    free (self->error_message);
    free (self->inline_data[0]);
    free (self->inline_data[1]);
    free (self);
    *self_p = NULL;
}

/* ---- output ---- */

static void output_of_finished (core_t *self, const event_t *event)
{
    const msg_job_output_t *in = &event->message->job_output;
    if (!event->stored) {
        core_refuse (self, event->request, ERR_NO_SUCH_JOB, NULL);
        return;
    }
    if (!core_stored_cancelled (event->stored)) {
        core_refuse (self, event->request, in->token.ptr ? ERR_STALE_ATTEMPT : ERR_NOT_LEASE_HOLDER, NULL);
        return;
    }
    msg_job_output_ok_t *out = &core_reply (self, event->request, MSG_JOB_OUTPUT_OK)->job_output_ok;
    out->offset = (in->offset == INT_ABSENT ? 0 : in->offset) + (int64_t)in->data.len;
    out->cancel_requested = 1;
}

void core_on_job_output (core_t *self, const event_t *event)
{
    const msg_job_output_t *in = &event->message->job_output;
    if (!slice_eq_str (in->stream, "stdout") && !slice_eq_str (in->stream, "stderr")) {
        core_refuse (self, event->request, ERR_SCHEMA, "`stream` must be stdout or stderr.");
        return;
    }
    job_t *job = core_find_job (self, in->job_id);
    if (!job) {
        output_of_finished (self, event);
        return;
    }
    err_t err = core_lease_claim (self, job, in->worker_id, in->attempt, in->token);
    if (err) {
        core_refuse (self, event->request, err, NULL);
        return;
    }
    if (job->lease->result) {
        core_refuse (self, event->request, ERR_RESULT_PENDING, NULL);
        return;
    }
    job->lease->appended = true;
    effect_t *effect = core_effect (self, EFFECT_APPEND);
    effect->request = event->request;
    effect->seq = job->seq;
    effect->attempt = job->attempt;
    effect->message = *event->message;
}

/* ---- results ---- */

/* What a job-result and a job-fail say in the same words. Slices are borrowed from the message. */
typedef struct {
    msg_type_t type;
    slice_t job_id, worker_id, token;
    int64_t attempt;
    int64_t exit_code, signal;
    slice_t reason, error_message;
    slice_t data[2];
    int64_t expected[2];
} claim_t;

static const char *const fail_reasons[] = { "worker-error", "download-failed", "archive-refused",
                                            "timeout",      "cancelled",       "disk-full" };

/* Reasons are stable codes: a worker's own word is taken only when it is one of ours. */
static slice_t fail_reason (slice_t said)
{
    for (size_t i = 0; i < sizeof fail_reasons / sizeof *fail_reasons; i++)
        if (slice_eq_str (said, fail_reasons[i]))
            return said;
    return slice_of (fail_reasons[0]);
}

static claim_t claim_of (const message_t *message)
{
    if (message->type == MSG_JOB_RESULT) {
        const msg_job_result_t *in = &message->job_result;
        return (claim_t){
            .type = MSG_JOB_RESULT,
            .job_id = in->job_id,
            .worker_id = in->worker_id,
            .token = in->token,
            .attempt = in->attempt,
            .exit_code = in->exit_code,
            .signal = in->signal,
            .data = { in->stdout_data, in->stderr_data },
            .expected = { in->stdout_bytes, in->stderr_bytes },
        };
    }
    const msg_job_fail_t *in = &message->job_fail;
    return (claim_t){
        .type = MSG_JOB_FAIL,
        .job_id = in->job_id,
        .worker_id = in->worker_id,
        .token = in->token,
        .attempt = in->attempt,
        .exit_code = INT_ABSENT,
        .signal = INT_ABSENT,
        .reason = fail_reason (in->reason),
        .error_message = in->error_message.ptr ? in->error_message : SLICE ("The worker could not run the job."),
        .expected = { in->stdout_bytes, in->stderr_bytes },
    };
}

static void reply_accepted (core_t *self, uint64_t request, msg_type_t type, slice_t job_id)
{
    if (type == MSG_JOB_RESULT)
        core_reply (self, request, MSG_JOB_RESULT_OK)->job_result_ok.job_id = job_id;
    else
        core_reply (self, request, MSG_JOB_FAIL_OK)->job_fail_ok.job_id = job_id;
}

/* The same result once more, its answer having been lost, gets the same answer; any other comes too late (rule 24). */
static void result_of_finished (core_t *self, const event_t *event, const claim_t *claim)
{
    const job_record_t *stored = event->stored;
    if (!stored)
        core_refuse (self, event->request, ERR_NO_SUCH_JOB, NULL);
    else if (!claim->token.ptr)
        core_refuse (self, event->request, ERR_NOT_LEASE_HOLDER, "The job is over: nobody holds it any more.");
    else if (stored->token.ptr && slice_eq (stored->token, claim->token) &&
             (claim->attempt == INT_ABSENT || claim->attempt == stored->attempt))
        reply_accepted (self, event->request, claim->type, claim->job_id);
    else
        core_refuse (self, event->request, ERR_STALE_ATTEMPT, NULL);
}

static void refuse_mismatch (core_t *self, uint64_t request, int stream, int64_t length)
{
    core_refuse (self, request, ERR_OUTPUT_MISMATCH, NULL);
    msg_error_t *out = &self->out->items[self->out->count - 1].message.error;
    out->offset = length;
    out->stream = slice_of (stream ? "stderr" : "stdout");
}

/* Everything that makes the job's end, but for its output. */
static job_record_t end_of (core_t *self, const claim_t *claim)
{
    job_record_t how = {
        .state = claim->type == MSG_JOB_RESULT && claim->exit_code == 0 ? JOB_COMPLETED : JOB_FAILED,
        .exit_code = claim->exit_code,
        .reason = claim->reason,
        .error_message = claim->error_message,
    };
    if (claim->type == MSG_JOB_FAIL || how.state == JOB_COMPLETED)
        return how;
    if (claim->signal != INT_ABSENT && claim->signal > 0) {
        how.reason = SLICE ("signal");
        how.error_message =
            arena_printf (&self->out->arena, "A command was ended by signal %lld.", (long long)claim->signal);
    } else {
        how.reason = SLICE ("exit-nonzero");
        how.error_message =
            arena_printf (&self->out->arena, "A command ended with exit code %lld.", (long long)claim->exit_code);
    }
    return how;
}

static void discard_streams (core_t *self, const job_t *job, int streams)
{
    if (!streams || !job->lease->appended)
        return;
    effect_t *effect = core_effect (self, EFFECT_DISCARD);
    effect->seq = job->seq;
    effect->attempt = job->attempt;
    effect->streams = streams;
}

static bool seal_needed (const lease_t *lease, const claim_t *claim)
{
    return lease->appended && !(claim->data[0].ptr && claim->data[1].ptr);
}

static void seal (core_t *self, const event_t *event, job_t *job, const claim_t *claim)
{
    result_t *result = xcalloc (1, sizeof *result);
    result->request = event->request;
    result->type = claim->type;
    result->exit_code = claim->exit_code;
    result->signal = claim->signal;
    result->reason = slice_dup (claim->reason);
    result->error_message = slice_dup (claim->error_message);
    for (int i = 0; i < 2; i++) {
        result->inline_data[i] = slice_dup (claim->data[i]);
        result->inline_len[i] = claim->data[i].len;
        result->expected[i] = claim->data[i].ptr ? INT_ABSENT : claim->expected[i];
    }
    job->lease->result = result;
    effect_t *effect = core_effect (self, EFFECT_SEAL);
    effect->seq = job->seq;
    effect->attempt = job->attempt;
    effect->stdout_bytes = result->expected[0];
    effect->stderr_bytes = result->expected[1];
}

/* The result came whole: recorded in this one step. */
static void finish_at_once (core_t *self, const event_t *event, job_t *job, const claim_t *claim)
{
    for (int i = 0; i < 2; i++) {
        if (!claim->data[i].ptr && claim->expected[i] != INT_ABSENT && claim->expected[i] != 0) {
            refuse_mismatch (self, event->request, i, 0);
            return;
        }
    }
    job_record_t how = end_of (self, claim);
    how.stdout_data = claim->data[0].ptr ? claim->data[0] : SLICE ("");
    how.stderr_data = claim->data[1].ptr ? claim->data[1] : SLICE ("");
    how.stdout_bytes = (int64_t)how.stdout_data.len;
    how.stderr_bytes = (int64_t)how.stderr_data.len;
    discard_streams (self, job, 3);
    reply_accepted (self, event->request, claim->type, claim->job_id);
    core_job_finish (self, job, &how, true);
}

static void on_result (core_t *self, const event_t *event)
{
    claim_t claim = claim_of (event->message);
    job_t *job = core_find_job (self, claim.job_id);
    if (!job) {
        result_of_finished (self, event, &claim);
        return;
    }
    err_t err = core_lease_claim (self, job, claim.worker_id, claim.attempt, claim.token);
    if (!err && job->lease->result)
        err = ERR_RESULT_PENDING;
    if (err)
        core_refuse (self, event->request, err, NULL);
    else if (seal_needed (job->lease, &claim))
        seal (self, event, job, &claim);
    else
        finish_at_once (self, event, job, &claim);
}

void core_on_job_result (core_t *self, const event_t *event)
{
    on_result (self, event);
}

void core_on_job_fail (core_t *self, const event_t *event)
{
    on_result (self, event);
}

/* A text that outlives its result: until the next step. */
static slice_t keep_text (core_t *self, const char *text, size_t len)
{
    if (!text)
        return SLICE_ABSENT;
    char *copy = arena_alloc (&self->out->arena, len + 1);
    memcpy (copy, text, len);
    return slice_from (copy, len);
}

static void finish_sealed (core_t *self, const event_t *event, job_t *job, const result_t *result)
{
    claim_t claim = {
        .type = result->type,
        .exit_code = result->exit_code,
        .signal = result->signal,
        .reason = keep_text (self, result->reason, result->reason ? strlen (result->reason) : 0),
        .error_message =
            keep_text (self, result->error_message, result->error_message ? strlen (result->error_message) : 0),
    };
    job_record_t how = end_of (self, &claim);
    slice_t sealed[2] = { event->stdout_data, event->stderr_data };
    int64_t length[2] = { event->stdout_bytes, event->stderr_bytes };
    int gone = 0;
    for (int i = 0; i < 2; i++) {
        if (result->inline_data[i]) {
            sealed[i] = keep_text (self, result->inline_data[i], result->inline_len[i]);
            length[i] = (int64_t)result->inline_len[i];
        }
        if (sealed[i].ptr)
            gone |= 1 << i;
    }
    how.stdout_data = sealed[0];
    how.stderr_data = sealed[1];
    how.stdout_bytes = length[0];
    how.stderr_bytes = length[1];
    discard_streams (self, job, gone);
    reply_accepted (self, result->request, result->type, core_job_id_text (self, job));
    core_result_free (&job->lease->result);
    core_job_finish (self, job, &how, true);
}

void core_on_sealed (core_t *self, const event_t *event)
{
    job_t *job = map_get (&self->jobs, slice_from (&event->seq, sizeof event->seq));
    result_t *result = job && job->lease && job->attempt == event->attempt ? job->lease->result : NULL;
    if (!result)
        return; /* cancelled, lost or answered meanwhile */
    if (!event->err) {
        finish_sealed (self, event, job, result);
        return;
    }
    if (event->err == ERR_OUTPUT_MISMATCH) {
        bool first = result->expected[0] != INT_ABSENT && result->expected[0] != event->stdout_bytes;
        refuse_mismatch (self, result->request, first ? 0 : 1, first ? event->stdout_bytes : event->stderr_bytes);
    } else {
        core_refuse (self, result->request, event->err, NULL);
    }
    core_result_free (&job->lease->result);
}
