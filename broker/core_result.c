#include "broker/core_internal.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

void core_result_free (result_t **self_p)
{
    result_t *self = *self_p;
    if (!self)
        return;
    free (self->texts);
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
    stream_t stream;
    if (!stream_find (in->stream, &stream)) {
        core_refuse (self, event->request, ERR_SCHEMA, "`stream` must be stdout, stderr or journal.");
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
    job->lease->appended |= 1 << stream;
    effect_t *effect = core_effect (self, EFFECT_APPEND);
    effect->request = event->request;
    effect->seq = job->seq;
    effect->attempt = job->attempt;
    effect->message = *event->message;
}

/* ---- results ---- */

/* Stable codes of how a worker can fail, and whether another attempt may do better. */
static const struct {
    const char *reason;
    bool again;
} failures[] = {
    { "worker-error", true },        { "download-failed", true },  { "disk-full", true },
    { "file-missing", false },       { "archive-refused", false }, { "timeout", false },
    { "lease-lost", true },          { "out-of-memory", false },   { "disk-limit", false },
    { "too-many-processes", false }, { "secrets-lost", false },
};

/* A worker's own word is taken only when it is one of ours. */
static size_t failure_of (slice_t said)
{
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++)
        if (slice_eq_str (said, failures[i].reason))
            return i;
    return 0;
}

#define CLAIM_RECEIPT(in)                                                                                              \
    .expected = { (in)->stdout_bytes, (in)->stderr_bytes, (in)->journal_bytes },                                       \
    .sha256 = { (in)->stdout_sha256, (in)->stderr_sha256, (in)->journal_sha256 },                                      \
    .dropped = { (in)->stdout_dropped, (in)->stderr_dropped, INT_ABSENT }, .artifacts = (in)->artifacts_sha256,        \
    .artifacts_note = (in)->artifacts_note, .artifacts_bytes = (in)->artifacts_bytes,                                  \
    .artifacts_count = (in)->artifacts_count,                                                                          \
    .usage = {                                                                                                         \
        .cpu_ms = (in)->cpu_ms,                                                                                        \
        .memory_peak_bytes = (in)->memory_peak_bytes,                                                                  \
        .pids_peak = (in)->pids_peak,                                                                                  \
        .bytes_in = (in)->bytes_in,                                                                                    \
        .bytes_out = (in)->bytes_out,                                                                                  \
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
            .data = { in->stdout_data, in->stderr_data, in->journal_data },
            CLAIM_RECEIPT (in),
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
        .data = { [STREAM_JOURNAL] = in->journal_data },
        .reason = slice_of (failures[failure_of (in->reason)].reason),
        .error_message = in->error_message.ptr ? in->error_message : SLICE ("The worker could not run the job."),
        CLAIM_RECEIPT (in),
    };
}

void core_result_reply (core_t *self, uint64_t request, msg_type_t type, slice_t job_id)
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
        core_result_reply (self, event->request, claim->type, claim->job_id);
    else
        core_attempt_late (self, event, claim);
}

/* The worker sends the rest, and the result again (rule 29). */
static void refuse_mismatch (core_t *self, uint64_t request, stream_t stream, int64_t length)
{
    core_refuse (self, request, ERR_OUTPUT_MISMATCH, NULL);
    msg_error_t *out = &self->out->items[self->out->count - 1].message.error;
    out->offset = length;
    out->stream = slice_of (stream_name (stream));
}

/* What is known of the streams of an attempt that is over. */
typedef struct {
    slice_t data[STREAM_COUNT]; /* absent: in its file */
    int64_t bytes[STREAM_COUNT];
    slice_t sha256[STREAM_COUNT];
    int64_t dropped[STREAM_COUNT];
} streams_t;

slice_t core_result_reason (const claim_t *claim)
{
    if (claim->type == MSG_JOB_FAIL)
        return claim->reason;
    if (claim->signal != INT_ABSENT && claim->signal > 0)
        return SLICE ("signal");
    return claim->exit_code ? SLICE ("exit-nonzero") : SLICE_ABSENT;
}

/* Everything that makes the job's end, but for its output. */
static job_record_t end_of (core_t *self, const claim_t *claim)
{
    slice_t reason = core_result_reason (claim);
    job_record_t how = {
        .state = reason.ptr ? JOB_FAILED : JOB_COMPLETED,
        .exit_code = claim->exit_code,
        .signal = claim->signal != INT_ABSENT && claim->signal > 0 ? claim->signal : INT_ABSENT,
        .reason = reason,
        .error_message = claim->error_message,
        .artifacts = claim->artifacts,
    };
    if (claim->type == MSG_JOB_FAIL || !reason.ptr)
        return how;
    if (how.signal != INT_ABSENT)
        how.error_message =
            arena_printf (&self->out->arena, "A command was ended by signal %lld.", (long long)how.signal);
    else
        how.error_message =
            arena_printf (&self->out->arena, "A command ended with exit code %lld.", (long long)claim->exit_code);
    return how;
}

static int64_t known (int64_t told, int64_t seen)
{
    int64_t dropped = told != INT_ABSENT ? told : seen;
    return dropped > 0 ? dropped : INT_ABSENT;
}

static slice_t receipt_of (core_t *self, const claim_t *claim, const streams_t *streams)
{
    message_t receipt;
    message_init (&receipt, MSG_RECEIPT);
    msg_receipt_t *out = &receipt.receipt;
    out->stdout_sha256 = streams->sha256[STREAM_STDOUT];
    out->stderr_sha256 = streams->sha256[STREAM_STDERR];
    out->journal_sha256 = streams->sha256[STREAM_JOURNAL];
    out->stdout_dropped = known (claim->dropped[STREAM_STDOUT], streams->dropped[STREAM_STDOUT]);
    out->stderr_dropped = known (claim->dropped[STREAM_STDERR], streams->dropped[STREAM_STDERR]);
    out->artifacts_sha256 = claim->artifacts;
    out->artifacts_bytes = claim->artifacts_bytes;
    out->artifacts_count = claim->artifacts_count;
    out->artifacts_note = claim->artifacts_note;
    out->cpu_ms = claim->usage.cpu_ms;
    out->memory_peak_bytes = claim->usage.memory_peak_bytes;
    out->pids_peak = claim->usage.pids_peak;
    out->bytes_in = claim->usage.bytes_in;
    out->bytes_out = claim->usage.bytes_out;
    buf_clear (&self->list);
    message_encode_item (&receipt, &self->list);
    return core_keep (self, buf_slice (&self->list));
}

slice_t core_result_usage (core_t *self, const claim_t *claim)
{
    message_t item;
    message_init (&item, MSG_USAGE);
    item.usage = claim->usage;
    buf_clear (&self->list);
    message_encode_item (&item, &self->list);
    return self->list.len > 1 ? core_keep (self, buf_slice (&self->list)) : SLICE_ABSENT; /* 1: an empty map */
}

/* Those whose content is there; bits 1 << stream. */
static int streams_inline (const slice_t data[STREAM_COUNT])
{
    int streams = 0;
    for (int i = 0; i < STREAM_COUNT; i++)
        streams |= data[i].ptr ? 1 << i : 0;
    return streams;
}

/* Files of what the record holds. */
static void discard_streams (core_t *self, const job_t *job, int streams)
{
    streams &= job->lease->appended;
    if (!streams)
        return;
    effect_t *effect = core_effect (self, EFFECT_DISCARD);
    effect->seq = job->seq;
    effect->attempt = job->attempt;
    effect->streams = streams;
}

/* An agent that sends no token is taken at its word: its failure ends the job, as it always did (http-api.md). */
static bool worth_another (const job_t *job, const claim_t *claim)
{
    if (!core_attempt_left (job))
        return false;
    if (claim->type == MSG_JOB_FAIL)
        return claim->token.ptr && failures[failure_of (claim->reason)].again;
    return claim->exit_code != 0 && core_options_retry (job, claim->exit_code);
}

/* The result stands: the job is over, or another attempt follows. */
static void settle (core_t *self, uint64_t request, job_t *job, const claim_t *claim, const streams_t *streams)
{
    job_record_t how = end_of (self, claim);
    core_result_reply (self, request, claim->type, core_job_id_text (self, job));
    discard_streams (self, job, streams_inline (streams->data));
    if (worth_another (job, claim)) {
        attempt_end_t end = {
            .reason = how.reason,
            .text = how.error_message,
            .exit_code = how.exit_code,
            .signal = how.signal,
            .accepted = true,
            .usage = core_result_usage (self, claim),
        };
        memcpy (end.data, streams->data, sizeof end.data);
        core_attempt_retry (self, job, &end);
        return;
    }
    memcpy (how.data, streams->data, sizeof how.data);
    memcpy (how.bytes, streams->bytes, sizeof how.bytes);
    how.receipt = receipt_of (self, claim, streams);
    core_job_finish (self, job, &how, true);
}

static bool seal_needed (const lease_t *lease, const claim_t *claim)
{
    return claim->artifacts.ptr || lease->appended & ~streams_inline (claim->data);
}

/* Points a slice to a copy of its bytes at `at`. Returns where the next one goes. */
static char *move_slice (slice_t *slice, char *at)
{
    if (!slice->ptr)
        return at;
    if (slice->len)
        memcpy (at, slice->ptr, slice->len);
    slice->ptr = at;
    return at + slice->len + 1;
}

static result_t *result_new (uint64_t request, const claim_t *claim)
{
    result_t *result = xcalloc (1, sizeof *result);
    result->request = request;
    result->claim = *claim;
    claim_t *own = &result->claim;
    slice_t *slices[] = { &own->job_id,        &own->worker_id, &own->token,         &own->reason,
                          &own->error_message, &own->artifacts, &own->artifacts_note };
    size_t size = 1;
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        size += slices[i]->len + 1;
    for (int i = 0; i < STREAM_COUNT; i++)
        size += own->data[i].len + own->sha256[i].len + 2;
    result->texts = xcalloc (1, size);
    char *at = result->texts;
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        at = move_slice (slices[i], at);
    for (int i = 0; i < STREAM_COUNT; i++)
        at = move_slice (&own->sha256[i], move_slice (&own->data[i], at));
    return result;
}

static void seal (core_t *self, const event_t *event, job_t *job, const claim_t *claim)
{
    job->lease->result = result_new (event->request, claim);
    effect_t *effect = core_effect (self, EFFECT_SEAL);
    effect->seq = job->seq;
    effect->attempt = job->attempt;
    for (int i = 0; i < STREAM_COUNT; i++) {
        bool inlined = claim->data[i].ptr != NULL;
        effect->expected[i] = inlined ? INT_ABSENT : claim->expected[i];
        effect->sha256[i] = inlined ? SLICE_ABSENT : core_keep (self, claim->sha256[i]);
    }
    effect->artifacts = core_keep (self, claim->artifacts);
}

/* Most jobs print nothing on one stream at least. */
static slice_t hash_of (core_t *self, slice_t bytes)
{
    if (!bytes.len)
        return SLICE ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct sha256_ctx state;
    uint8_t hash[SHA256_DIGEST_SIZE];
    char *hex = arena_alloc (&self->out->arena, SHA256_HEX + 1);
    sha256_init (&state);
    sha256_update (&state, bytes.len, (const uint8_t *)bytes.ptr);
    sha256_digest (&state, SHA256_DIGEST_SIZE, hash);
    hex_format (hash, sizeof hash, hex);
    return slice_from (hex, SHA256_HEX);
}

/* A stream that came with the result: its hash, and whether it is what was announced. */
static bool take_inline (core_t *self, const claim_t *claim, stream_t i, streams_t *streams)
{
    streams->sha256[i] = hash_of (self, claim->data[i]);
    streams->data[i] = core_keep (self, claim->data[i]);
    streams->bytes[i] = (int64_t)claim->data[i].len;
    streams->dropped[i] = INT_ABSENT;
    bool length = claim->expected[i] == INT_ABSENT || claim->expected[i] == streams->bytes[i];
    return length && (!claim->sha256[i].ptr || slice_eq (claim->sha256[i], streams->sha256[i]));
}

static const claim_t *with_empty (const claim_t *claim, stream_t i, claim_t *room)
{
    *room = *claim;
    if (!room->data[i].ptr)
        room->data[i] = SLICE ("");
    return room;
}

/* The result came whole: recorded in this one step. */
static void finish_at_once (core_t *self, const event_t *event, job_t *job, const claim_t *claim)
{
    streams_t streams = { 0 };
    for (stream_t i = STREAM_STDOUT; i < STREAM_COUNT; i++) {
        claim_t room;
        bool more = !claim->data[i].ptr && claim->expected[i] != INT_ABSENT && claim->expected[i] != 0;
        if (more || !take_inline (self, with_empty (claim, i, &room), i, &streams)) {
            refuse_mismatch (self, event->request, i, more ? 0 : (int64_t)claim->data[i].len);
            return;
        }
    }
    settle (self, event->request, job, claim, &streams);
}

static void on_result (core_t *self, const event_t *event)
{
    claim_t claim = claim_of (event->message);
    job_t *job = core_find_job (self, claim.job_id);
    if (!job) {
        result_of_finished (self, event, &claim);
        return;
    }
    if (claim.artifacts.ptr && !hex_valid (claim.artifacts, SHA256_HEX)) {
        core_refuse_field (self, event->request, ERR_SCHEMA, "artifactsSha256",
                           "`artifactsSha256` must be a SHA-256 in hex.");
        return;
    }
    err_t err = core_lease_claim (self, job, claim.worker_id, claim.attempt, claim.token);
    if (!err && job->lease->result)
        err = ERR_RESULT_PENDING;
    if (err == ERR_STALE_ATTEMPT)
        core_attempt_late (self, event, &claim);
    else if (err)
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

static void finish_sealed (core_t *self, const event_t *event, job_t *job, result_t *result)
{
    streams_t streams;
    memcpy (streams.data, event->data, sizeof streams.data);
    memcpy (streams.bytes, event->bytes, sizeof streams.bytes);
    memcpy (streams.sha256, event->sha256, sizeof streams.sha256);
    memcpy (streams.dropped, event->dropped, sizeof streams.dropped);
    for (stream_t i = STREAM_STDOUT; i < STREAM_COUNT; i++) {
        if (!result->claim.data[i].ptr || take_inline (self, &result->claim, i, &streams))
            continue;
        refuse_mismatch (self, result->request, i, streams.bytes[i]);
        core_result_free (&job->lease->result);
        return;
    }
    /* The lease, and the result with it, ends before its effects are carried out. */
    claim_t claim = result->claim;
    slice_t *texts[] = { &claim.reason, &claim.error_message, &claim.artifacts, &claim.artifacts_note, &claim.token };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = core_keep (self, *texts[i]);
    for (int i = 0; i < STREAM_COUNT; i++)
        claim.data[i] = claim.sha256[i] = SLICE_ABSENT; /* compared, and in `streams` */
    claim.job_id = claim.worker_id = SLICE_ABSENT;
    uint64_t request = result->request;
    core_result_free (&job->lease->result);
    settle (self, request, job, &claim, &streams);
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
    if (event->err == ERR_OUTPUT_MISMATCH)
        refuse_mismatch (self, result->request, event->faulty_stream, event->bytes[event->faulty_stream]);
    else
        core_refuse (self, result->request, event->err, NULL);
    core_result_free (&job->lease->result);
}
