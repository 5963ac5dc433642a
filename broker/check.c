/* check.c - whether a data directory is sound: the database, and the files that it tells of. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker.h"

enum { PATIENCE_MS = 60 * 1000, PIECE = 256 * 1024, SHOWN_MAX = 100 };

typedef struct {
    int folder;
    int64_t faults;
    int64_t jobs, blobs, outputs;
    char last_blob[SHA256_HEX + 1]; /* many jobs in a row share one */
    unsigned char piece[PIECE];
} check_t;

static void fault (void *ctx, const char *text)
{
    check_t *self = ctx;
    if (++self->faults <= SHOWN_MAX)
        printf ("%s\n", text);
}

static void fault_of_job (check_t *self, const job_record_t *job, const char *text)
{
    char id[JOB_ID_LEN + 1];
    char line[256];
    job_id_format (&job->id, id);
    snprintf (line, sizeof line, "%s: %s", id, text);
    fault (self, line);
}

/* The file's SHA-256 in hex and its length; false when it cannot be read. */
static bool hash_file (check_t *self, const char *path, char hex[SHA256_HEX + 1], int64_t *length)
{
    unsigned char hash[SHA256_DIGEST_SIZE];
    struct sha256_ctx state;
    struct stat info;
    int fd = openat (self->folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return false;
    if (fstat (fd, &info) != 0 || !S_ISREG (info.st_mode)) {
        close (fd);
        errno = EINVAL;
        return false;
    }
    sha256_init (&state);
    *length = 0;
    ssize_t got = 0;
    while ((got = read (fd, self->piece, PIECE)) > 0) {
        sha256_update (&state, (size_t)got, (const uint8_t *)self->piece);
        *length += got;
    }
    close (fd);
    sha256_digest (&state, SHA256_DIGEST_SIZE, hash);
    hex_format (hash, sizeof hash, hex);
    return got == 0;
}

static void check_blob (check_t *self, const job_record_t *job, slice_t sha256, const char *what)
{
    char path[128];
    char name[SHA256_HEX + 1];
    char hex[SHA256_HEX + 1];
    char text[128];
    int64_t length = 0;
    if (!slice_copy (sha256, name, sizeof name) || strcmp (name, self->last_blob) == 0)
        return;
    memcpy (self->last_blob, name, sizeof name);
    self->blobs++;
    snprintf (path, sizeof path, "blobs/%.2s/%s", name, name);
    if (!hash_file (self, path, hex, &length))
        snprintf (text, sizeof text, "its %s is missing: %s", what, strerror (errno));
    else if (strcmp (hex, name) != 0)
        snprintf (text, sizeof text, "its %s is damaged: %.16s... has another SHA-256", what, name);
    else
        return;
    fault_of_job (self, job, text);
}

static void check_stream (check_t *self, const job_record_t *job, stream_t stream, slice_t sha256)
{
    const char *name = stream_name (stream);
    int64_t bytes = job->bytes[stream];
    char path[128];
    char hex[SHA256_HEX + 1];
    char text[128];
    int64_t length = 0;
    if (job->data[stream].ptr || bytes == INT_ABSENT)
        return;
    self->outputs++;
    snprintf (path, sizeof path, "output/%02x/%lld.%lld.%s", (unsigned)(job->id.seq % 256), (long long)job->id.seq,
              (long long)job->attempt, name);
    if (!hash_file (self, path, hex, &length))
        snprintf (text, sizeof text, "its %s is missing: %s", name, strerror (errno));
    else if (length != bytes)
        snprintf (text, sizeof text, "its %s has %lld bytes, not %lld", name, (long long)length, (long long)bytes);
    else if (sha256.ptr && !slice_eq_str (sha256, hex))
        snprintf (text, sizeof text, "its %s is damaged: it has another SHA-256", name);
    else
        return;
    fault_of_job (self, job, text);
}

static void check_delta (check_t *self, const job_record_t *job, decoder_t *decoder)
{
    message_t options;
    fault_t unread;
    if (!job->options.len || message_decode_item (decoder, job->options, MSG_JOB_OPTIONS, &options, &unread))
        return;
    slice_t delta = blob_url_sha256 (options.job_options.delta_url);
    if (delta.ptr)
        check_blob (self, job, delta, "delta");
}

static bool check_job (void *ctx, const job_record_t *job)
{
    check_t *self = ctx;
    message_t receipt;
    fault_t unread;
    decoder_t *decoder = decoder_new ();
    self->jobs++;
    message_init (&receipt, MSG_RECEIPT);
    if (job->receipt.len)
        message_decode_item (decoder, job->receipt, MSG_RECEIPT, &receipt, &unread);
    bool over = job->state == JOB_COMPLETED || job->state == JOB_FAILED;
    slice_t blob = blob_url_sha256 (job->file_url);
    if (blob.ptr && !slice_eq_str (job->reason, "file-missing"))
        check_blob (self, job, blob, "archive");
    check_delta (self, job, decoder);
    if (job->artifacts.ptr)
        check_blob (self, job, job->artifacts, "artifacts");
    if (over && !(job->purged & PURGED_OUTPUT)) {
        const slice_t sha256[STREAM_COUNT] = { receipt.receipt.stdout_sha256, receipt.receipt.stderr_sha256,
                                               receipt.receipt.journal_sha256 };
        for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT; stream++)
            check_stream (self, job, stream, sha256[stream]);
    }
    decoder_destroy (&decoder);
    return true;
}

int check_run (const char *folder, store_t *store)
{
    check_t *self = xcalloc (1, sizeof *self);
    self->folder = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool sound = store_sqlite_check (store, fault, self);
    job_filter_t filter = { .before_seq = INT64_MAX, .state = -1 };
    for (int64_t next_seq; filter.before_seq; filter.before_seq = next_seq)
        if (store->ops->job_list (store, &filter, PATIENCE_MS, check_job, self, &next_seq)) {
            fault (self, "the jobs cannot be read: see the log line above");
            break;
        }
    sound = sound && !self->faults;
    if (sound)
        printf ("%s is sound: %lld jobs, %lld archives and artifacts, %lld output files\n", folder,
                (long long)self->jobs, (long long)self->blobs, (long long)self->outputs);
    else
        printf ("%s is damaged: %lld faults; restore a backup, or start with another --data\n", folder,
                (long long)self->faults);
    close (self->folder);
    free (self);
    return sound ? 0 : 1;
}
