#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    FETCH_TRIES_MAX = 8,      /* an absolute URL, or a server that is away */
    KILL_AFTER_MS = 5 * 1000, /* between TERM and KILL */
    CHILD_ENV_MAX = 32,
    REFUSAL_MAX = 512, /* bytes kept of what the extractor says */
    EXTRACT_REFUSED = 3,
};

/* ---- processes ---- */

static void on_pidfd (void *ctx, uint32_t events);

static void on_pipe (job_t *self, int stream)
{
    int fd = self->child.out[stream];
    bool open = true;
    if (self->state == STATE_EXTRACT) {
        char bytes[REFUSAL_MAX];
        ssize_t got = read (fd, bytes, sizeof bytes);
        if (got > 0 && self->refusal.len < REFUSAL_MAX)
            buf_append (&self->refusal, bytes, (size_t)got);
        open = got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
    } else {
        open = output_take (&self->out[stream], fd, &self->disk_error);
        output_send_soon (&self->out[stream]);
    }
    if (open)
        return;
    loop_unwatch (self->host->loop, fd);
    close (fd);
    self->child.out[stream] = -1;
}

static void on_stdout (void *ctx, uint32_t events)
{
    (void)events;
    on_pipe (ctx, 0);
}

static void on_stderr (void *ctx, uint32_t events)
{
    (void)events;
    on_pipe (ctx, 1);
}

static void unwatch (job_t *self)
{
    loop_unwatch (self->host->loop, self->child.pidfd);
    loop_unwatch (self->host->loop, self->child.out[0]);
    loop_unwatch (self->host->loop, self->child.out[1]);
}

/* The environment that a job sees: what tools need, its own folder as home, and who it is; nothing else of the
 * lender's. */
static size_t fill_env (const job_t *self, char **env)
{
    static const char *const passed[] = { "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME" };
    buf_t line = { 0 };
    size_t count = 0;
#define ADD(...)                                                                                                       \
    do {                                                                                                               \
        buf_clear (&line);                                                                                             \
        buf_printf (&line, __VA_ARGS__);                                                                               \
        env[count++] = xstrdup (line.ptr);                                                                             \
    } while (0)
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (getenv (passed[i]))
            ADD ("%s=%s", passed[i], getenv (passed[i]));
    if (!getenv ("PATH"))
        ADD ("PATH=/usr/local/bin:/usr/bin:/bin");
    ADD ("HOME=%s", self->folder);
    ADD ("PWD=%s", self->folder);
    ADD ("TERM=dumb");
    ADD ("CI=true");
    ADD ("GLEANER_JOB_ID=%s", self->lease.job_id);
    ADD ("GLEANER_ATTEMPT=%lld", (long long)self->lease.attempt);
    ADD ("GLEANER_WORKER_ID=%s", self->lease.worker_id);
#undef ADD
    buf_fini (&line);
    env[count] = NULL;
    return count;
}

static int start_child (job_t *self, const char *const *argv)
{
    char *env[CHILD_ENV_MAX];
    size_t count = fill_env (self, env);
    child_spec_t spec = { argv[0], argv, (const char *const *)env, self->folder };
    int error = child_start (&spec, &self->child);
    while (count)
        free (env[--count]);
    if (error)
        return error;
    loop_watch (self->host->loop, self->child.out[0], EPOLLIN, on_stdout, self);
    loop_watch (self->host->loop, self->child.out[1], EPOLLIN, on_stderr, self);
    loop_watch (self->host->loop, self->child.pidfd, EPOLLIN, on_pidfd, self);
    return 0;
}

static void on_kill (void *ctx)
{
    job_kill (ctx);
}

void job_run_stop_processes (job_t *self)
{
    if (self->state == STATE_EXTRACT) {
        job_kill (self);
        return;
    }
    child_signal (&self->child, SIGTERM);
    child_signal (&self->child, SIGCONT); /* a stopped one must hear it */
    loop_timer_set (self->host->loop, &self->kill_timer, KILL_AFTER_MS, on_kill, self);
}

void job_run_fini (job_t *self)
{
    loop_timer_stop (&self->timeout_timer);
    loop_timer_stop (&self->kill_timer);
    if (self->child.pid) {
        int ignored = 0;
        unwatch (self);
        job_kill (self);
        child_reap (&self->child, &ignored);
    }
    child_close (&self->child);
    if (self->archive_fd >= 0)
        close (self->archive_fd);
    buf_fini (&self->refusal);
}

/* ---- commands ---- */

/* The next line that is not blank; NULL when there is none. */
static char *take_command (job_t *self)
{
    while (self->next_command && *self->next_command) {
        char *line = self->next_command;
        char *end = strchrnul (line, '\n');
        self->next_command = *end ? end + 1 : end;
        *end = '\0';
        if (end > line && end[-1] == '\r') /* a browser's form ends lines so */
            end[-1] = '\0';
        if (line[strspn (line, " \t\r")])
            return line;
    }
    return NULL;
}

static void on_timeout (void *ctx)
{
    job_stop (ctx, STOP_TIMEOUT);
}

static void run_next (job_t *self)
{
    const char *command = take_command (self);
    if (!command) {
        job_flush (self);
        return;
    }
    const char *argv[] = { "/bin/sh", "-c", command, NULL };
    int error = start_child (self, argv);
    if (error)
        job_fail (self, "worker-error", "A command could not be started: %s.", strerror (error));
}

static void run_begin (job_t *self)
{
    self->state = STATE_RUN;
    log_event (LEVEL_INFO, "job-started", "job=%s attempt=%lld", self->lease.job_id, (long long)self->lease.attempt);
    loop_timer_set (self->host->loop, &self->timeout_timer, self->timeout_ms, on_timeout, self);
    run_next (self);
}

static void command_ended (job_t *self)
{
    if (self->stopping && self->why == STOP_TIMEOUT)
        job_fail (self, "timeout", "The job ran longer than its %lld s and was stopped.",
                  (long long)(self->timeout_ms / 1000));
    else if (self->stopping)
        job_done (self);
    else if (self->disk_error)
        job_fail (self, "disk-full", "The worker could not keep the job's output: %s.", strerror (self->disk_error));
    else if (self->exit_code != 0)
        job_flush (self);
    else
        run_next (self);
}

static void extract_ended (job_t *self)
{
    char text[REFUSAL_MAX + 1];
    slice_t said = buf_slice (&self->refusal);
    while (said.len && said.ptr[said.len - 1] == '\n')
        said.len--;
    snprintf (text, sizeof text, SLICE_FMT, SLICE_ARG (said));
    if (self->stopping)
        job_done (self);
    else if (self->exit_code == 0)
        run_begin (self);
    else if (self->exit_code == EXTRACT_REFUSED)
        job_fail (self, "archive-refused", "The archive was refused: %s", text);
    else
        job_fail (self, "worker-error", "The archive could not be extracted: %s",
                  *text ? text : "the extractor failed.");
}

static void on_pidfd (void *ctx, uint32_t events)
{
    (void)events;
    job_t *self = ctx;
    bool extracting = self->state == STATE_EXTRACT;
    unwatch (self);
    loop_timer_stop (&self->kill_timer);
    self->exit_code = child_reap (&self->child, &self->signal_number);
    /* What is left in the pipes; who else holds them open is not waited for. */
    for (int i = 0; i < STREAMS; i++)
        if (self->child.out[i] >= 0)
            on_pipe (self, i);
    child_close (&self->child);
    if (extracting)
        extract_ended (self);
    else
        command_ended (self);
}

/* ---- the archive ---- */

static void archive_path (const job_t *self, char path[FOLDER_PATH_MAX + 320])
{
    snprintf (path, FOLDER_PATH_MAX + 320, "%s/archive.zip", self->spool);
}

static void extract (job_t *self)
{
    char archive[FOLDER_PATH_MAX + 320];
    archive_path (self, archive);
    self->state = STATE_EXTRACT;
    const char *argv[] = { self->host->extractor, archive, self->folder, NULL };
    int error = start_child (self, argv);
    if (error)
        job_fail (self, "worker-error", "%s could not be started: %s.", self->host->extractor, strerror (error));
}

static int on_bytes (void *ctx, const void *bytes, size_t len)
{
    job_t *self = ctx;
    const char *at = bytes;
    crypto_hash_sha256_update (&self->hash, bytes, len);
    while (len) {
        ssize_t written = write (self->archive_fd, at, len);
        if (written < 0 && errno != EINTR)
            return errno;
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
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[SHA256_HEX + 1];
    crypto_hash_sha256_final (&self->hash, hash);
    hex_format (hash, sizeof hash, hex);
    slice_t wanted = blob_url_sha256 (slice_of (self->file_url));
    return !wanted.ptr || slice_eq_str (wanted, hex);
}

static void on_retry (void *ctx)
{
    job_fetch (ctx);
}

static void on_fetched (void *ctx, call_outcome_t outcome, const char *cause)
{
    job_t *self = ctx;
    self->fetch = 0;
    close (self->archive_fd);
    self->archive_fd = -1;
    bool fits = outcome != CALL_OK || hash_fits (self);
    if (outcome == CALL_OK && fits)
        extract (self);
    else if (outcome == CALL_REFUSED || ++self->tries >= FETCH_TRIES_MAX)
        job_fail (self, "download-failed", "%.700s could not be downloaded: %.250s", self->file_url,
                  fits ? cause : "its bytes do not have the promised hash.");
    else
        loop_timer_set (self->host->loop, &self->retry_timer, backoff_next_ms (&self->backoff), on_retry, self);
}

void job_fetch (job_t *self)
{
    char path[FOLDER_PATH_MAX + 320];
    archive_path (self, path);
    self->archive_fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (self->archive_fd < 0) {
        job_fail (self, "worker-error", "The worker cannot write the archive: %s.", strerror (errno));
        return;
    }
    crypto_hash_sha256_init (&self->hash);
    fetch_to_t to = { on_bytes, on_fetched, self };
    self->fetch = self->host->transport->ops->fetch (self->host->transport, self->file_url, &to);
}
