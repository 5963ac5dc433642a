/* job_spool.c - the message that tells how a job ended, and its copy on the disk for the next run of the worker. */
#include <stdio.h>
#include <string.h>

#include "proto/log.h"
#include "worker/job_internal.h"

static bool is_short (const output_t *out, size_t max)
{
    return max && !out->begun && out->length <= (int64_t)max;
}

bool job_goes_inline (const job_t *self, stream_t stream)
{
    size_t max = self->host->transport->ops->inline_bytes_max;
    const output_t *journal = &self->out[STREAM_JOURNAL];
    if (stream ==
        STREAM_JOURNAL) /* text, for which there is room in every result; it takes the place of what was sent */
        return !self->journal_unproven && !journal->call && journal->length <= STORE_INLINE_MAX;
    return !self->failed && is_short (&self->out[STREAM_STDOUT], max) && is_short (&self->out[STREAM_STDERR], max);
}

static int64_t dropped_of (const output_t *out)
{
    return out->dropped ? out->dropped : INT_ABSENT;
}

static void receipt_fill (job_t *self, msg_receipt_t *out)
{
    for (int i = 0; i < STREAM_COUNT; i++)
        output_sha256 (&self->out[i], self->sha256[i]);
    if (!self->unproven) {
        out->stdout_bytes = self->out[STREAM_STDOUT].length;
        out->stderr_bytes = self->out[STREAM_STDERR].length;
        out->stdout_sha256 = slice_of (self->sha256[STREAM_STDOUT]);
        out->stderr_sha256 = slice_of (self->sha256[STREAM_STDERR]);
    }
    if (!self->unproven && !self->journal_unproven) {
        out->journal_bytes = self->out[STREAM_JOURNAL].length;
        out->journal_sha256 = slice_of (self->sha256[STREAM_JOURNAL]);
    }
    out->stdout_dropped = dropped_of (&self->out[STREAM_STDOUT]);
    out->stderr_dropped = dropped_of (&self->out[STREAM_STDERR]);
    const artifacts_t *artifacts = &self->collected;
    if (artifacts->sha256[0]) {
        out->artifacts_sha256 = slice_of (artifacts->sha256);
        out->artifacts_bytes = artifacts->bytes;
        out->artifacts_count = artifacts->count;
    }
    if (artifacts->note[0])
        out->artifacts_note = slice_of (artifacts->note);
    out->cpu_ms = self->usage.cpu_ms;
    out->memory_peak_bytes = self->usage.memory_peak_bytes;
    out->pids_peak = self->usage.pids_peak;
    out->bytes_in = self->usage.bytes_in;
    out->bytes_out = artifacts->sha256[0] ? artifacts->bytes : 0;
    for (int i = 0; i < STREAM_COUNT; i++)
        out->bytes_out += self->out[i].length;
}

#define RECEIPT_COPY(to, from)                                                                                         \
    do {                                                                                                               \
        (to)->stdout_bytes = (from)->stdout_bytes;                                                                     \
        (to)->stderr_bytes = (from)->stderr_bytes;                                                                     \
        (to)->stdout_sha256 = (from)->stdout_sha256;                                                                   \
        (to)->stderr_sha256 = (from)->stderr_sha256;                                                                   \
        (to)->journal_bytes = (from)->journal_bytes;                                                                   \
        (to)->journal_sha256 = (from)->journal_sha256;                                                                 \
        (to)->stdout_dropped = (from)->stdout_dropped;                                                                 \
        (to)->stderr_dropped = (from)->stderr_dropped;                                                                 \
        (to)->artifacts_sha256 = (from)->artifacts_sha256;                                                             \
        (to)->artifacts_bytes = (from)->artifacts_bytes;                                                               \
        (to)->artifacts_count = (from)->artifacts_count;                                                               \
        (to)->artifacts_note = (from)->artifacts_note;                                                                 \
        (to)->cpu_ms = (from)->cpu_ms;                                                                                 \
        (to)->memory_peak_bytes = (from)->memory_peak_bytes;                                                           \
        (to)->pids_peak = (from)->pids_peak;                                                                           \
        (to)->bytes_in = (from)->bytes_in;                                                                             \
        (to)->bytes_out = (from)->bytes_out;                                                                           \
    } while (0)

static bool read_inline (const job_t *self, stream_t stream, buf_t inlined[STREAM_COUNT])
{
    return job_goes_inline (self, stream) && !output_read_all (&self->out[stream], &inlined[stream]);
}

static void result_fill (const job_t *self, message_t *message, const msg_receipt_t *receipt,
                         buf_t inlined[STREAM_COUNT])
{
    message_init (message, MSG_JOB_RESULT);
    msg_job_result_t *out = &message->job_result;
    out->job_id = slice_of (self->lease.job_id);
    out->worker_id = slice_of (self->lease.worker_id);
    out->attempt = self->lease.attempt;
    out->token = slice_of (self->lease.token);
    out->exit_code = self->exit_code;
    if (self->signal_number)
        out->signal = self->signal_number;
    RECEIPT_COPY (out, receipt);
    if (read_inline (self, STREAM_STDOUT, inlined) && read_inline (self, STREAM_STDERR, inlined)) {
        out->stdout_bytes = out->stderr_bytes = INT_ABSENT;
        out->stdout_data = buf_slice (&inlined[STREAM_STDOUT]);
        out->stderr_data = buf_slice (&inlined[STREAM_STDERR]);
    }
    if (read_inline (self, STREAM_JOURNAL, inlined)) {
        out->journal_bytes = INT_ABSENT;
        out->journal_data = buf_slice (&inlined[STREAM_JOURNAL]);
    }
}

static void failure_fill (const job_t *self, message_t *message, const msg_receipt_t *receipt,
                          buf_t inlined[STREAM_COUNT])
{
    message_init (message, MSG_JOB_FAIL);
    msg_job_fail_t *out = &message->job_fail;
    out->job_id = slice_of (self->lease.job_id);
    out->worker_id = slice_of (self->lease.worker_id);
    out->attempt = self->lease.attempt;
    out->token = slice_of (self->lease.token);
    out->reason = slice_of (self->reason);
    out->error_message = slice_of (self->text);
    RECEIPT_COPY (out, receipt);
    if (read_inline (self, STREAM_JOURNAL, inlined)) {
        out->journal_bytes = INT_ABSENT;
        out->journal_data = buf_slice (&inlined[STREAM_JOURNAL]);
    }
}

void job_result_fill (job_t *self, message_t *message, buf_t inlined[STREAM_COUNT])
{
    message_t receipt;
    message_init (&receipt, MSG_RECEIPT);
    receipt_fill (self, &receipt.receipt);
    if (self->failed)
        failure_fill (self, message, &receipt.receipt, inlined);
    else
        result_fill (self, message, &receipt.receipt, inlined);
}

void job_result_keep (job_t *self, const message_t *message)
{
    buf_t frame = { 0 };
    char path[FOLDER_PATH_MAX + 320];
    snprintf (path, sizeof path, "%s/result", self->spool);
    message_encode (message, &frame);
    int error = file_write (path, buf_slice (&frame));
    self->spooled = !error;
    if (error)
        log_event (LEVEL_ERROR, "spool-failed", "job=%s %s", self->lease.job_id, strerror (error));
    buf_fini (&frame);
}

bool job_result_read (const char *spool, decoder_t *decoder, buf_t *frame, message_t *message)
{
    char path[FOLDER_PATH_MAX + 320];
    fault_t fault;
    snprintf (path, sizeof path, "%s/result", spool);
    return !file_read (path, FRAME_MAX, frame) &&
           !message_decode (decoder, buf_slice (frame), FRAME_MAX, message, &fault) &&
           (message->type == MSG_JOB_RESULT || message->type == MSG_JOB_FAIL);
}

static void receipt_of (const message_t *message, msg_receipt_t *out)
{
    if (message->type == MSG_JOB_RESULT)
        RECEIPT_COPY (out, &message->job_result);
    else
        RECEIPT_COPY (out, &message->job_fail);
}

static void receipt_take (job_t *self, const msg_receipt_t *in)
{
    artifacts_t *artifacts = &self->collected;
    self->out[0].dropped = in->stdout_dropped == INT_ABSENT ? 0 : in->stdout_dropped;
    self->out[1].dropped = in->stderr_dropped == INT_ABSENT ? 0 : in->stderr_dropped;
    self->usage = (msg_usage_t){
        .cpu_ms = in->cpu_ms,
        .memory_peak_bytes = in->memory_peak_bytes,
        .pids_peak = in->pids_peak,
        .bytes_in = in->bytes_in,
    };
    slice_copy (in->artifacts_note, artifacts->note, sizeof artifacts->note);
    if (slice_copy (in->artifacts_sha256, artifacts->sha256, sizeof artifacts->sha256)) {
        artifacts->bytes = in->artifacts_bytes;
        artifacts->count = in->artifacts_count;
    }
}

/* Torn by a power loss, say: what would be shown as output was never printed. */
static bool file_is_whole (const output_t *out, slice_t sha256)
{
    char hex[SHA256_HEX + 1];
    output_sha256 (out, hex);
    return !sha256.ptr || slice_eq_str (sha256, hex);
}

void job_result_take (job_t *self, const message_t *message)
{
    message_t receipt;
    message_init (&receipt, MSG_RECEIPT);
    receipt_of (message, &receipt.receipt);
    self->failed = message->type == MSG_JOB_FAIL;
    if (self->failed) {
        slice_copy (message->job_fail.reason, self->reason, sizeof self->reason);
        slice_copy (message->job_fail.error_message, self->text, sizeof self->text);
    } else {
        self->exit_code = (int)message->job_result.exit_code;
        self->signal_number = message->job_result.signal == INT_ABSENT ? 0 : (int)message->job_result.signal;
    }
    receipt_take (self, &receipt.receipt);
    for (int i = 0; i < STREAM_COUNT; i++)
        output_reopen (&self->out[i]);
    if (!file_is_whole (&self->out[STREAM_JOURNAL], receipt.receipt.journal_sha256))
        job_journal_give_up (self, "It was damaged on the disk.");
    if (file_is_whole (&self->out[STREAM_STDOUT], receipt.receipt.stdout_sha256) &&
        file_is_whole (&self->out[STREAM_STDERR], receipt.receipt.stderr_sha256))
        return;
    self->unproven = true;
    job_failed (self, "worker-error", "The job's output was damaged on the worker's disk before it could be sent.");
}
