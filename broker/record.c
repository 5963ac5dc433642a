#include "broker/record.h"

const char *job_state_name (job_state_t state)
{
    static const char *const names[] = {
        [JOB_PENDING] = "pending",
        [JOB_RUNNING] = "running",
        [JOB_COMPLETED] = "completed",
        [JOB_FAILED] = "failed",
    };
    return names[state];
}

bool job_output_gone (const job_record_t *job, int streams)
{
    /* The length of what an attempt without a result has printed is not known. */
    bool silent = true;
    for (int i = 0; i < STREAM_COUNT; i++)
        silent = silent && (job->bytes[i] == 0 || !(streams & 1 << i));
    return job->purged & PURGED_OUTPUT && !silent;
}

bool job_owned (const job_record_t *job, slice_t owner)
{
    return !owner.ptr ? !job->owner.ptr : job->owner.ptr && slice_eq (job->owner, owner);
}

int64_t known_ms (int64_t ms)
{
    return ms ? ms : INT_ABSENT;
}

void job_tell (const job_record_t *job, decoder_t *options, decoder_t *receipts, message_t *status)
{
    message_t item;
    fault_t fault;
    msg_job_status_ok_t *out = &status->job_status_ok;
    out->status = slice_of (job_state_name (job->state));
    out->worker_id = job->worker_id;
    out->filename = job->filename;
    out->stdout_bytes = job->bytes[STREAM_STDOUT];
    out->stderr_bytes = job->bytes[STREAM_STDERR];
    out->journal_bytes = job->bytes[STREAM_JOURNAL];
    out->exit_code = job->exit_code;
    out->signal = job->signal;
    out->error_message = job->error_message;
    out->reason = job->reason;
    out->attempt = job->attempt;
    out->max_attempts = job->max_attempts;
    out->timeout_ms = job->timeout_ms;
    out->created_at = known_ms (job->created_ms);
    out->started_at = known_ms (job->started_ms);
    out->completed_at = known_ms (job->completed_ms);
    out->direct_worker = job->pinned;
    out->idempotency_key = job->idempotency_key;
    out->owner = job->owner;
    if (job->receipt.len && !message_decode_item (receipts, job->receipt, MSG_RECEIPT, &item, &fault))
        message_copy_common (&item, status);
    if (job->options.len && !message_decode_item (options, job->options, MSG_JOB_OPTIONS, &item, &fault))
        message_copy_common (&item, status);
}

static char lower (char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool holds (slice_t in, slice_t text)
{
    for (size_t from = 0; from + text.len <= in.len; from++) {
        size_t same = 0;
        while (same < text.len && lower (in.ptr[from + same]) == lower (text.ptr[same]))
            same++;
        if (same == text.len)
            return true;
    }
    return false;
}

bool job_holds_text (const job_record_t *job, slice_t text, decoder_t *options)
{
    char id[JOB_ID_LEN + 1];
    message_t message;
    fault_t fault;
    job_id_format (&job->id, id);
    if (holds (slice_of (id), text) || holds (job->command, text) || holds (job->filename, text))
        return true;
    return job->options.len && !message_decode_item (options, job->options, MSG_JOB_OPTIONS, &message, &fault) &&
           holds (message.job_options.name, text);
}
