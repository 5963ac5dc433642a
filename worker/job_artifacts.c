/* job_artifacts.c - what a job's patterns take, packed by gleaner-collect, hashed, and sent as a blob.
 *
 *   COLLECT --> HASH --> PUT (a piece after the other) --> COMMIT --> done
 *      |         |        ^   |                             |
 *      +---------+--------|---+-- a note, done              |
 *                         +---- the upload is lost ---------+
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/lines.h"
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    COLLECT_MS_MAX = 5 * 60 * 1000,
    COLLECT_UNWRITTEN = 3,
    SAID_MAX = 1000,         /* bytes kept of what the collector says */
    HASH_TURN = 1024 * 1024, /* bytes hashed before others have their turn */
    CALL_PATIENCE_MS = 15 * 1000,
    UPLOADS_MAX = 5, /* begun again when the broker has lost one */
};

struct job_artifacts {
    job_t *job;
    child_t child;
    buf_t said[2]; /* stdout: "files N"; stderr: what is missing */
    bool late;
    loop_timer_t timer;
    int fd; /* of the ZIP */
    struct sha256_ctx hash;
    int64_t offset; /* hashed, then sent */
    char upload[33];
    int uploads;
    call_id_t call;
    backoff_t backoff;
    artifacts_t result;
};
typedef struct job_artifacts artifacts_run_t;

static void put (void *ctx);

static void zip_path (const job_t *job, char path[FOLDER_PATH_MAX + 320])
{
    snprintf (path, FOLDER_PATH_MAX + 320, "%s/artifacts.zip", job->spool);
}

static void child_unwatch (artifacts_run_t *self)
{
    loop_unwatch (self->job->host->loop, self->child.pidfd);
    loop_unwatch (self->job->host->loop, self->child.out[0]);
    loop_unwatch (self->job->host->loop, self->child.out[1]);
}

void job_artifacts_fini (job_t *job)
{
    artifacts_run_t *self = job->collecting;
    if (!self)
        return;
    job->collecting = NULL;
    job->host->transport->ops->cancel (job->host->transport, self->call);
    loop_timer_stop (&self->timer);
    child_unwatch (self);
    if (self->child.pid) {
        int ignored = 0;
        child_signal (&self->child, SIGKILL);
        child_reap (&self->child, &ignored);
    }
    child_close (&self->child);
    if (self->fd >= 0)
        close (self->fd);
    buf_fini (&self->said[0]);
    buf_fini (&self->said[1]);
    free (self);
}

/* ---- the end ---- */

static void done (artifacts_run_t *self)
{
    job_t *job = self->job;
    artifacts_t result = self->result;
    char path[FOLDER_PATH_MAX + 320];
    zip_path (job, path);
    unlink (path);
    job_artifacts_fini (job);
    if (result.sha256[0])
        log_event (LEVEL_INFO, "artifacts-sent", "job=%s %lld files, %lld bytes", job->lease.job_id,
                   (long long)result.count, (long long)result.bytes);
    else
        log_event (LEVEL_INFO, "artifacts-none", "job=%s %s", job->lease.job_id, result.note);
    job_artifacts_done (job, &result);
}

/* Without artifacts, and a note says why: that is no failure of the job. */
static void give_up (artifacts_run_t *self, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

static void give_up (artifacts_run_t *self, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    self->result = (artifacts_t){ 0 };
    vsnprintf (self->result.note, sizeof self->result.note, format, args);
    va_end (args);
    done (self);
}

/* ---- sending ---- */

static void upload_begin (artifacts_run_t *self)
{
    random_id_make (self->upload);
    self->offset = 0;
    put (self);
}

/* True when the answer was dealt with. */
static bool answer_bad (artifacts_run_t *self, const call_answer_t *answer)
{
    if (answer->outcome == CALL_OK) {
        backoff_reset (&self->backoff);
        return false;
    }
    job_t *job = self->job;
    bool lost = answer->err == ERR_BAD_OFFSET || answer->err == ERR_NO_SUCH_UPLOAD;
    if (answer->outcome == CALL_AWAY)
        loop_timer_set (job->host->loop, &self->timer, backoff_next_ms (&self->backoff), put, self);
    else if (lost && ++self->uploads < UPLOADS_MAX)
        upload_begin (self);
    else
        give_up (self, "The artifacts were refused: %.800s", answer->text);
    return true;
}

static void on_committed (void *ctx, const call_answer_t *answer)
{
    artifacts_run_t *self = ctx;
    self->call = 0;
    if (answer_bad (self, answer))
        return;
    if (slice_eq_str (answer->reply->blob_commit_ok.sha256, self->result.sha256))
        done (self);
    else if (++self->uploads < UPLOADS_MAX)
        upload_begin (self);
    else
        give_up (self, "The artifacts did not reach the broker as they were sent.");
}

static void commit (artifacts_run_t *self)
{
    transport_t *transport = self->job->host->transport;
    message_t request;
    message_init (&request, MSG_BLOB_COMMIT);
    request.blob_commit.upload = slice_of (self->upload);
    request.blob_commit.bytes = self->result.bytes;
    request.blob_commit.sha256 = slice_of (self->result.sha256);
    self->call = transport->ops->call (transport, &request, CALL_PATIENCE_MS, on_committed, self);
}

static void on_put (void *ctx, const call_answer_t *answer)
{
    artifacts_run_t *self = ctx;
    self->call = 0;
    if (answer_bad (self, answer))
        return;
    int64_t length = answer->reply->blob_put_ok.offset;
    if (length <= self->offset || length > self->result.bytes) {
        give_up (self, "The artifacts could not be sent: the broker counts other bytes.");
        return;
    }
    self->offset = length;
    put (self);
}

/* Sends the next piece, or the end. A piece that was sent before is known by its offset. */
static void put (void *ctx)
{
    static char piece[CHUNK_MAX]; /* one thread; the transport copies it */
    artifacts_run_t *self = ctx;
    if (self->offset >= self->result.bytes) {
        commit (self);
        return;
    }
    int64_t left = self->result.bytes - self->offset;
    ssize_t got = pread (self->fd, piece, left < CHUNK_MAX ? (size_t)left : CHUNK_MAX, self->offset);
    if (got <= 0) {
        give_up (self, "The artifacts could not be read again: %s.", got < 0 ? strerror (errno) : "the file is cut");
        return;
    }
    transport_t *transport = self->job->host->transport;
    message_t request;
    message_init (&request, MSG_BLOB_PUT);
    request.blob_put.upload = slice_of (self->upload);
    request.blob_put.offset = self->offset;
    request.blob_put.data = slice_from (piece, (size_t)got);
    self->call = transport->ops->call (transport, &request, CALL_PATIENCE_MS, on_put, self);
}

/* ---- hashing ---- */

static void hash_some (void *ctx)
{
    static unsigned char bytes[HASH_TURN];
    artifacts_run_t *self = ctx;
    ssize_t got = pread (self->fd, bytes, sizeof bytes, self->offset);
    if (got < 0) {
        give_up (self, "The artifacts could not be read again: %s.", strerror (errno));
        return;
    }
    if (got > 0) {
        sha256_update (&self->hash, (size_t)got, bytes);
        self->offset += got;
        loop_timer_set (self->job->host->loop, &self->timer, 0, hash_some, self);
        return;
    }
    unsigned char hash[SHA256_DIGEST_SIZE];
    sha256_digest (&self->hash, SHA256_DIGEST_SIZE, hash);
    hex_format (hash, sizeof hash, self->result.sha256);
    self->result.bytes = self->offset;
    upload_begin (self);
}

static void hash_begin (artifacts_run_t *self)
{
    char path[FOLDER_PATH_MAX + 320];
    zip_path (self->job, path);
    self->fd = open (path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (self->fd < 0) {
        give_up (self, "The artifacts could not be read again: %s.", strerror (errno));
        return;
    }
    sha256_init (&self->hash);
    hash_some (self);
}

/* ---- collecting ---- */

static void take_said (artifacts_run_t *self, int stream)
{
    char bytes[SAID_MAX];
    int fd = self->child.out[stream];
    ssize_t got;
    while (fd >= 0 && (got = read (fd, bytes, sizeof bytes)) > 0) {
        size_t room = SAID_MAX - self->said[stream].len;
        buf_append (&self->said[stream], bytes, (size_t)got < room ? (size_t)got : room);
    }
    if (fd >= 0 && (got == 0 || (errno != EAGAIN && errno != EINTR))) {
        loop_unwatch (self->job->host->loop, fd);
        close (fd);
        self->child.out[stream] = -1;
    }
}

static void on_stdout (void *ctx, uint32_t events)
{
    (void)events;
    take_said (ctx, 0);
}

static void on_stderr (void *ctx, uint32_t events)
{
    (void)events;
    take_said (ctx, 1);
}

/* What the collector says in words, as one line. */
static void note_said (artifacts_run_t *self)
{
    slice_t said = buf_slice (&self->said[1]);
    while (said.len && said.ptr[said.len - 1] == '\n')
        said.len--;
    snprintf (self->result.note, sizeof self->result.note, SLICE_FMT, SLICE_ARG (said));
    for (char *at = self->result.note; (at = strchr (at, '\n'));)
        *at = ' ';
}

static void on_ended (void *ctx, uint32_t events)
{
    (void)events;
    artifacts_run_t *self = ctx;
    int signal_number = 0;
    loop_timer_stop (&self->timer);
    take_said (self, 0);
    take_said (self, 1);
    child_unwatch (self);
    int status = child_reap (&self->child, &signal_number);
    child_close (&self->child);
    note_said (self);
    long long files = 0;
    buf_append (&self->said[0], "", 1);
    bool counted = sscanf (self->said[0].ptr, "files %lld", &files) == 1;
    bool unwritten = status == COLLECT_UNWRITTEN && self->result.note[0];
    if (self->late)
        give_up (self, "The artifacts could not be packed within %d s.", COLLECT_MS_MAX / 1000);
    else if (!unwritten && (status != 0 || !counted))
        give_up (self, "The artifacts could not be packed: the packer failed (%d).", status);
    else if (unwritten || files == 0)
        done (self);
    else {
        self->result.count = files;
        hash_begin (self);
    }
}

static void on_late (void *ctx)
{
    artifacts_run_t *self = ctx;
    self->late = true;
    child_signal (&self->child, SIGKILL);
}

static int collect_start (artifacts_run_t *self, slice_t patterns)
{
    static const char *const env[] = { NULL };
    const job_t *job = self->job;
    char path[FOLDER_PATH_MAX + 320];
    zip_path (job, path);
    size_t count = 3;
    char **argv = xcalloc (lines_count (patterns) + 4, sizeof *argv);
    argv[0] = xstrdup (job->host->collector);
    argv[1] = xstrdup (job->folder);
    argv[2] = xstrdup (path);
    for (slice_t line; lines_next (&patterns, &line);)
        argv[count++] = slice_dup (line);
    child_spec_t spec = { .program = argv[0], .argv = (const char *const *)argv, .env = env, .folder = job->folder };
    int error = child_start (&spec, &self->child);
    while (count)
        free (argv[--count]);
    free (argv);
    return error;
}

static void on_unstarted (void *ctx)
{
    give_up (ctx, "The artifacts could not be packed: the packer could not be started.");
}

void job_artifacts_begin (job_t *job)
{
    loop_t *loop = job->host->loop;
    artifacts_run_t *self = xcalloc (1, sizeof *self);
    job->collecting = self;
    self->job = job;
    self->fd = -1;
    self->child = CHILD_NONE;
    if (collect_start (self, slice_of (job->artifacts)) != 0) {
        loop_timer_set (loop, &self->timer, 0, on_unstarted, self);
        return;
    }
    loop_watch (loop, self->child.out[0], EPOLLIN, on_stdout, self);
    loop_watch (loop, self->child.out[1], EPOLLIN, on_stderr, self);
    loop_watch (loop, self->child.pidfd, EPOLLIN, on_ended, self);
    loop_timer_set (loop, &self->timer, COLLECT_MS_MAX, on_late, self);
}
