/* job_fetch.c - the project's archive, and the delta over it, from their URLs into the spool; or from what was kept. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    FETCH_TRIES_MAX = 8, /* an absolute URL, or a server that is away */
    LARGE = 1024 * 1024, /* bytes of an archive: it may hold many files */
};

void job_archive_path (const job_t *self, bool delta, char path[FOLDER_PATH_MAX + 320])
{
    snprintf (path, FOLDER_PATH_MAX + 320, "%s/%s", self->spool, delta ? "delta.zip" : "archive.zip");
}

static const char *url_of (const job_t *self)
{
    return self->in_delta ? self->delta_url : self->file_url;
}

static int on_bytes (void *ctx, const void *bytes, size_t len)
{
    job_t *self = ctx;
    const char *at = bytes;
    sha256_update (&self->hash, len, bytes);
    self->usage.bytes_in = (self->usage.bytes_in == INT_ABSENT ? 0 : self->usage.bytes_in) + (int64_t)len;
    while (len) {
        ssize_t written = write (self->archive_fd, at, len);
        if (written < 0 && errno != EINTR) {
            self->disk_error = errno;
            return errno;
        }
        if (written > 0) {
            at += written;
            len -= (size_t)written;
        }
    }
    return 0;
}

/* A file that the broker named by its hash must have it. */
static bool hash_fits (job_t *self)
{
    unsigned char hash[SHA256_DIGEST_SIZE];
    char hex[SHA256_HEX + 1];
    sha256_digest (&self->hash, SHA256_DIGEST_SIZE, hash);
    hex_format (hash, sizeof hash, hex);
    slice_t wanted = blob_url_sha256 (slice_of (url_of (self)));
    return !wanted.ptr || slice_eq_str (wanted, hex);
}

/* One of them is there. */
static void fetched (job_t *self)
{
    char path[FOLDER_PATH_MAX + 320];
    if (!self->in_delta && !self->kept) {
        job_archive_path (self, false, path);
        archives_keep (self->host->archives, blob_url_sha256 (slice_of (self->file_url)), path);
        spare_yield (self->host->spare);
    }
    if (self->in_delta || !self->delta_url) {
        job_extract (self);
        return;
    }
    self->in_delta = true;
    self->tries = 0;
    job_fetch (self);
}

static void on_retry (void *ctx)
{
    job_fetch (ctx);
}

static void on_fetched (void *ctx, call_outcome_t outcome, const char *cause)
{
    job_t *self = ctx;
    self->fetch = 0;
    job_fetch_fini (self);
    bool fits = outcome != CALL_OK || hash_fits (self);
    bool again = !self->disk_error && outcome != CALL_REFUSED && !(outcome == CALL_OK && fits) &&
                 ++self->tries < FETCH_TRIES_MAX;
    if (!again)
        loop_timer_stop (&self->timeout_timer);
    if (again)
        loop_timer_set (self->host->loop, &self->retry_timer, backoff_next_ms (&self->backoff), on_retry, self);
    else if (outcome == CALL_OK && fits)
        fetched (self);
    else if (self->disk_error)
        job_fail_errno (self, self->disk_error, "The worker could not write the project");
    else if (outcome == CALL_REFUSED)
        job_fail (self, "file-missing", "%.700s could not be downloaded: %.250s", url_of (self), cause);
    else
        job_fail (self, "download-failed", "%.700s could not be downloaded: %.250s", url_of (self),
                  fits ? cause : "its bytes do not have the promised hash.");
}

static void on_late (void *ctx)
{
    job_t *self = ctx;
    transport_t *transport = self->host->transport;
    if (self->stopping)
        return;
    loop_timer_stop (&self->retry_timer);
    transport->ops->cancel (transport, self->fetch);
    self->fetch = 0;
    job_fetch_fini (self);
    job_fail (self, "timeout", "%.700s could not be downloaded within the job's %lld.%03lld s.", url_of (self),
              (long long)(self->timeout_ms / 1000), (long long)(self->timeout_ms % 1000));
}

/* A stranger's server may send a byte now and then for as long as it likes. */
static bool is_strangers (const job_t *self)
{
    return url_of (self)[0] != '/';
}

/* Where no job has a network, none is given one by way of the worker: what it is answered would be told, too. */
static bool may_fetch (job_t *self)
{
    const sandbox_t *sandbox = self->host->sandbox;
    if (!is_strangers (self) || !sandbox || sandbox->config.network)
        return true;
    job_fail (self, "download-failed",
              "%.700s was not asked: this worker takes projects from its own server alone (--network none).",
              url_of (self));
    return false;
}

/* What is in the spool may be a link to what is kept: it is removed, and not written over. */
static bool begin_file (job_t *self)
{
    char path[FOLDER_PATH_MAX + 320];
    job_archive_path (self, self->in_delta, path);
    unlink (path);
    if (!self->in_delta && !self->anew) {
        slice_t sha256 = blob_url_sha256 (slice_of (self->file_url));
        self->kept = archives_take (self->host->archives, sha256, path, &self->sure);
    }
    if (!self->in_delta && self->kept)
        return true;
    self->archive_fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (self->archive_fd < 0)
        job_fail_errno (self, errno, "The worker could not write the project");
    return self->archive_fd >= 0;
}

void job_fetch (job_t *self)
{
    if (!may_fetch (self))
        return;
    if (is_strangers (self) && self->tries == 0)
        loop_timer_set (self->host->loop, &self->timeout_timer, self->timeout_ms, on_late, self);
    if (!begin_file (self))
        return;
    if (self->archive_fd < 0) {
        if (self->usage.bytes_in == INT_ABSENT)
            self->usage.bytes_in = 0;
        fetched (self);
        return;
    }
    sha256_init (&self->hash);
    fetch_to_t to = { on_bytes, on_fetched, self };
    self->fetch = self->host->transport->ops->fetch (self->host->transport, url_of (self), &to);
}

bool job_folder_anew (job_t *self)
{
    sweeper_take (self->host->sweeper, self->folder);
    if (mkdir (self->folder, 0700) == 0)
        return true;
    job_fail_errno (self, errno, "The worker could not make the job's folder");
    return false;
}

void job_fetch_anew (job_t *self)
{
    log_event (LEVEL_WARN, "archive-damaged", "job=%s what was kept of %.100s is not it: downloading it again",
               self->lease.job_id, self->file_url);
    archives_drop (self->host->archives, blob_url_sha256 (slice_of (self->file_url)));
    self->anew = true;
    self->kept = self->in_delta = false;
    self->tries = 0;
    self->state = STATE_FETCH;
    buf_clear (&self->refusal);
    if (!job_folder_anew (self))
        return;
    job_journal_phase (self, "download");
    job_fetch (self);
}

static void set_apart (const job_t *self)
{
    char path[FOLDER_PATH_MAX + 320];
    struct stat info;
    job_archive_path (self, false, path);
    if (stat (path, &info) == 0 && info.st_size >= LARGE && rmdir (self->folder) == 0)
        folder_make_apart (self->folder);
}

void job_prepare_folder (job_t *self)
{
    self->spared = !self->afresh && !self->anew &&
                   spare_take (self->host->spare, blob_url_sha256 (slice_of (self->file_url)), self->folder);
    if (!self->spared)
        set_apart (self);
    else
        log_event (LEVEL_INFO, "spare-taken", "job=%s attempt=%lld", self->lease.job_id,
                   (long long)self->lease.attempt);
}

void job_extract_afresh (job_t *self)
{
    log_event (LEVEL_INFO, "spare-left", "job=%s attempt=%lld: unpacking its project after all", self->lease.job_id,
               (long long)self->lease.attempt);
    self->afresh = true;
    buf_clear (&self->refusal);
    if (job_folder_anew (self))
        job_extract (self);
}

void job_fetch_fini (job_t *self)
{
    if (self->archive_fd >= 0)
        close (self->archive_fd);
    self->archive_fd = -1;
}
