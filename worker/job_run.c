#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/id.h"
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    KILL_AFTER_MS = 5 * 1000, /* for a keeper that does not do it by itself */
    REFUSAL_MAX = 512,        /* bytes kept of what the extractor says */
    STRAYS_TICK_MS = 10,
    DRAIN_TURNS_MAX = 4,
    EXTRACT_REFUSED = 3,
    EXTRACT_DISK_FULL = 4,
    EXTRACT_OTHER_HASH = 6,
};

/* ---- pipes ---- */

static void on_pidfd (void *ctx, uint32_t events);
static void on_talk (void *ctx, uint32_t events);
static void hear_keeper (job_t *self);
static void end_reported (job_t *self);
static void commands_ended (job_t *self, const keeper_report_t *report);

static void on_pipe (job_t *self, stream_t stream)
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

/* The beginning of the command that prints is told before what it prints. */
static void on_stream (job_t *self, stream_t stream)
{
    if (self->state == STATE_RUN && !self->in_command)
        hear_keeper (self);
    if (self->child.out[stream] >= 0)
        on_pipe (self, stream);
    end_reported (self);
}

static void on_stdout (void *ctx, uint32_t events)
{
    (void)events;
    on_stream (ctx, STREAM_STDOUT);
}

static void on_stderr (void *ctx, uint32_t events)
{
    (void)events;
    on_stream (ctx, STREAM_STDERR);
}

static void drain_once (job_t *self)
{
    for (stream_t i = STREAM_STDOUT; i < STREAM_PRINTED_COUNT; i++)
        if (self->child.out[i] >= 0)
            on_pipe (self, i);
}

/* What is left in the pipes of an ended child; who else holds them open is not waited for. */
static void drain (job_t *self)
{
    for (int turn = 0; turn < DRAIN_TURNS_MAX; turn++)
        drain_once (self);
}

static void end_outputs (job_t *self)
{
    for (stream_t i = STREAM_STDOUT; i < STREAM_PRINTED_COUNT; i++)
        output_end (&self->out[i], &self->disk_error);
}

/* ---- what the keeper says: see keeper.c ---- */

static void command_ended (job_t *self, int64_t number, int exit_code, int signal_number)
{
    drain_once (self); /* what it has printed is in the pipes, and comes before its end */
    self->in_command = false;
    job_journal_end (self, number, exit_code, signal_number);
    if (!job_group_stops (self)) /* no command comes after the one that was over a limit */
        keeper_tell (&self->child, KEEPER_GO_ON);
}

static void take_line (job_t *self, const char *line)
{
    long long number;
    int exit_code;
    int signal_number;
    keeper_report_t *report = &self->report_of_keeper;
    if (sscanf (line, "begin %lld", &number) == 1) {
        self->in_command = self->begun = true;
        job_journal_begin (self, number);
    } else if (sscanf (line, "end %lld %d %d", &number, &exit_code, &signal_number) == 3) {
        command_ended (self, number, exit_code, signal_number);
    } else if (job_limits_hear (self, line)) {
        return;
    } else if (sscanf (line, "%d %d %d %d %d", &report->exit_code, &report->signal_number, &report->start_errno,
                       &report->left, &report->rests) == 5) {
        self->reported = true;
    }
}

static void hear_keeper (job_t *self)
{
    char line[CHILD_LINE_MAX];
    while (child_hear (&self->child, line))
        take_line (self, line);
    if (self->child.heard_all)
        loop_unwatch (self->host->loop, self->child.talk);
}

/* ---- processes ---- */

static void unwatch (job_t *self)
{
    loop_unwatch (self->host->loop, self->child.pidfd);
    loop_unwatch (self->host->loop, self->child.out[0]);
    loop_unwatch (self->host->loop, self->child.out[1]);
    loop_unwatch (self->host->loop, self->child.talk);
}

static void watch (job_t *self)
{
    loop_watch (self->host->loop, self->child.out[0], EPOLLIN, on_stdout, self);
    loop_watch (self->host->loop, self->child.out[1], EPOLLIN, on_stderr, self);
    loop_watch (self->host->loop, self->child.pidfd, EPOLLIN, on_pidfd, self);
    if (self->child.talk >= 0)
        loop_watch (self->host->loop, self->child.talk, EPOLLIN, on_talk, self);
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
    keeper_tell (&self->child, KEEPER_STOP);
    child_signal (&self->child, SIGCONT); /* a stopped one must hear it */
    loop_timer_set (self->host->loop, &self->kill_timer, KILL_AFTER_MS, on_kill, self);
}

void job_run_kill_processes (job_t *self)
{
    if (self->state != STATE_RUN || !self->child.pid)
        return;
    keeper_tell (&self->child, KEEPER_KILL);
    child_signal (&self->child, SIGCONT);
    loop_timer_set (self->host->loop, &self->kill_timer, KILL_AFTER_MS, on_kill, self);
}

/* Takes up what the keeper has told of the job's end. */
static void take_report (job_t *self)
{
    if (self->report_of_keeper.left)
        strays_end (self->host->strays); /* reaped when they end; the keeper has waited enough */
    self->exit_code = self->report_of_keeper.exit_code;
    self->signal_number = self->report_of_keeper.signal_number;
}

/* Reaps the keeper. False when it ended without its report: what it kept has become ours. */
static bool reap_keeper (job_t *self)
{
    hear_keeper (self);
    self->exit_code = child_reap (&self->child, &self->signal_number);
    if (!self->reported || (self->signal_number && self->report_of_keeper.left))
        return false;
    take_report (self);
    return true;
}

void job_run_fini (job_t *self)
{
    loop_timer_stop (&self->timeout_timer);
    loop_timer_stop (&self->kill_timer);
    if (self->child.pid) {
        unwatch (self);
        job_kill (self);
        struct pollfd ended = { self->child.pidfd, POLLIN, 0 };
        if (poll (&ended, 1, KILL_AFTER_MS) == 1 && !reap_keeper (self) && self->state == STATE_RUN)
            strays_end (self->host->strays);
    }
    job_group_end (self);
    child_close (&self->child);
    buf_fini (&self->refusal);
}

/* ---- commands ---- */

static void on_timeout (void *ctx)
{
    job_stop (ctx, STOP_TIMEOUT);
}

static void keeper_begin (job_t *self)
{
    keeper_job_t work = {
        .sandbox = self->sandbox,
        .wants = { .folder = self->folder, .network_none = self->network_none },
        .input = -1,
        .goes_on = self->goes_on,
    };
    int error = self->image ? job_container_begin (self) : job_group_begin (self);
    work.group = self->group.procs;
    if (!error)
        error = job_input_open (self, &work.input);
    if (!error)
        error = keepers_run (self->host->keepers, &work, &self->child);
    if (work.input >= 0)
        close (work.input);
    if (error) {
        job_fail_errno (self, error, "The commands could not be started");
        return;
    }
    loop_timer_set (self->host->loop, &self->timeout_timer, self->timeout_ms, on_timeout, self);
    watch (self);
}

/* The broker hands a job only to who says that it can (labels `network-none`, `images`); a label may have been wrong.
 */
static bool may_run (job_t *self)
{
    if (self->sandbox && (!self->network_none || self->sandbox->ops->cuts_network))
        return true;
    if (!self->sandbox)
        job_fail (self, "no-engine", "The job asks for an `image`, and this worker has neither docker nor podman.");
    else
        job_fail (self, "no-sandbox",
                  "The job asks for `network` none, and this worker has no sandbox that could cut it off.");
    return false;
}

static void run_begin (job_t *self)
{
    if (!may_run (self))
        return;
    self->state = STATE_RUN;
    job_journal_phase (self, "run");
    job_limits_tell (self);
    log_event (LEVEL_INFO, "job-started", "job=%s attempt=%lld", self->lease.job_id, (long long)self->lease.attempt);
    keeper_begin (self);
}

static void fail_unreported (job_t *self)
{
    if (self->signal_number || self->exit_code == 128 + SIGKILL) /* as bwrap tells it */
        job_fail (self, "worker-error", "The job's processes were ended from outside: its keeper was killed.");
    else
        job_fail (self, "worker-error", "The job's keeper failed (%d), and its processes were ended.", self->exit_code);
}

static void on_container_removed (void *ctx)
{
    job_t *self = ctx;
    commands_ended (self, self->told ? &self->report_of_keeper : NULL);
}

/* `report` is NULL when the keeper ended without one. */
static void commands_ended (job_t *self, const keeper_report_t *report)
{
    self->told = report;
    job_group_end (self);
    if (job_container_end (self, on_container_removed)) {
        self->state = STATE_STRAYS;
        return;
    }
    if (self->stopping && self->why != STOP_TIMEOUT) {
        job_stopped (self);
    } else if (self->disk_error) {
        job_fail_errno (self, self->disk_error, "The worker could not keep the job's output");
    } else if (job_limits_over (self)) {
        self->stopping = false;
        job_collect (self);
    } else if (self->stopping) {
        self->stopping = false;
        job_failed (self, "timeout", "The job ran longer than its %lld.%03lld s and was stopped.",
                    (long long)(self->timeout_ms / 1000), (long long)(self->timeout_ms % 1000));
        job_collect (self);
    } else if (!report) {
        fail_unreported (self);
    } else if (report->start_errno) {
        job_fail_errno (self, report->start_errno, "A command could not be started");
    } else {
        job_collect (self);
    }
}

static void on_strays (void *ctx)
{
    job_t *self = ctx;
    if (strays_left (self->host->strays) && clock_mono_ms () < self->strays_until_ms)
        loop_timer_set (self->host->loop, &self->kill_timer, STRAYS_TICK_MS, on_strays, self);
    else
        commands_ended (self, NULL);
}

static void keeper_lost (job_t *self)
{
    log_event (LEVEL_WARN, "keeper-lost", "job=%s attempt=%lld: ending what it kept", self->lease.job_id,
               (long long)self->lease.attempt);
    self->state = STATE_STRAYS;
    self->strays_until_ms = clock_mono_ms () + STRAYS_MS_MAX;
    job_group_kill (self);
    strays_end (self->host->strays);
    on_strays (self);
}

/* What the extractor has said, made printable: it was among bytes that anybody may have made. */
static void refusal_text (const job_t *self, char text[REFUSAL_MAX + 1])
{
    slice_t said = buf_slice (&self->refusal);
    while (said.len && said.ptr[said.len - 1] == '\n')
        said.len--;
    snprintf (text, REFUSAL_MAX + 1, SLICE_FMT, SLICE_ARG (said));
    for (char *at = text; *at; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

static void extract_ended (job_t *self)
{
    char text[REFUSAL_MAX + 1];
    refusal_text (self, text);
    slice_t sha256 = blob_url_sha256 (slice_of (self->file_url));
    if (self->exit_code == 0 && !self->delta_url)
        projects_note (self->host->projects, sha256, self->folder);
    if (self->kept && self->exit_code == 0)
        archives_sure (self->host->archives, sha256);
    if (self->exit_code == 0)
        spare_note (self->host->spare, sha256, self->spared ? SPARE_WORTH_MS : clock_mono_ms () - self->extract_ms);
    bool damaged = self->exit_code == EXTRACT_OTHER_HASH || self->exit_code == EXTRACT_REFUSED;
    if (self->stopping)
        job_stopped (self);
    else if (self->spared && self->exit_code)
        job_extract_afresh (self);
    else if (self->exit_code == 0)
        run_begin (self);
    else if (damaged && self->kept)
        job_fetch_anew (self);
    else if (self->exit_code == EXTRACT_DISK_FULL)
        job_fail (self, "disk-full", "The worker's disk is full: the archive could not be extracted.");
    else if (self->exit_code == EXTRACT_REFUSED)
        job_fail (self, "archive-refused", "%s", *text ? text : "The archive was refused.");
    else if (self->signal_number == SIGXCPU)
        job_fail (self, "archive-refused", "ARCHIVE_LIMIT: The archive was refused: it takes too long to unpack.");
    else
        job_fail (self, "worker-error", "The archive could not be extracted: %s",
                  *text ? text : "the extractor failed.");
}

static void children_over (job_t *self)
{
    unwatch (self);
    loop_timer_stop (&self->timeout_timer);
    loop_timer_stop (&self->kill_timer);
}

/* The job is over when its keeper says so; the keeper stays for the next one. */
static void end_reported (job_t *self)
{
    if (self->state != STATE_RUN || !self->reported || !self->report_of_keeper.rests)
        return;
    children_over (self);
    drain (self);
    end_outputs (self);
    keepers_rest (self->host->keepers, &self->child);
    child_close (&self->child);
    take_report (self);
    commands_ended (self, &self->report_of_keeper);
}

static void on_talk (void *ctx, uint32_t events)
{
    (void)events;
    hear_keeper (ctx);
    end_reported (ctx);
}

/* It had died, as one that served before can, and had not begun: nothing of the job has run. */
static void keep_again (job_t *self)
{
    self->kept_again = true;
    keeper_begin (self);
}

static void on_pidfd (void *ctx, uint32_t events)
{
    (void)events;
    job_t *self = ctx;
    bool extracting = self->state == STATE_EXTRACT;
    bool told = false;
    children_over (self);
    if (extracting)
        self->exit_code = child_reap (&self->child, &self->signal_number);
    else
        told = reap_keeper (self);
    drain (self);
    if (!extracting)
        end_outputs (self);
    child_close (&self->child);
    if (extracting)
        extract_ended (self);
    else if (told)
        commands_ended (self, &self->report_of_keeper);
    else if (self->begun || self->kept_again || self->stopping)
        keeper_lost (self);
    else
        keep_again (self);
}

/* ---- the archive ---- */

void job_extract (job_t *self)
{
    char archive[FOLDER_PATH_MAX + 320];
    char delta[FOLDER_PATH_MAX + 320];
    char sha256[SHA256_HEX + 1] = "";
    job_archive_path (self, false, archive);
    job_archive_path (self, true, delta);
    if (self->kept && !self->sure)
        slice_copy (blob_url_sha256 (slice_of (self->file_url)), sha256, sizeof sha256);
    job_prepare_folder (self);
    self->state = STATE_EXTRACT;
    self->extract_ms = clock_mono_ms ();
    job_journal_phase (self, "extract");
    char numbers[4][24];
    const archive_limits_t *limits = self->host->archive;
    const int64_t values[] = { limits->files, limits->bytes, limits->ratio, limits->depth };
    for (int i = 0; i < 4; i++)
        snprintf (numbers[i], sizeof numbers[i], "%lld", (long long)values[i]);
    const char *argv[] = { self->host->extractor,
                           archive,
                           self->folder,
                           numbers[0],
                           numbers[1],
                           numbers[2],
                           numbers[3],
                           self->delta_url ? delta : "",
                           sha256,
                           self->spared ? "over" : "",
                           NULL };
    static const char *const env[] = { NULL };
    const child_spec_t spec = {
        .program = argv[0], .argv = argv, .env = env, .folder = self->folder, .server = self->host->extractors
    };
    int error = child_start (&spec, &self->child);
    if (!error)
        watch (self);
    else
        job_fail (self, "worker-error", "%s could not be started: %s.", self->host->extractor, strerror (error));
}

bool job_reuse (job_t *self)
{
    bool known;
    if (self->delta_url)
        return false;
    int error = projects_give (self->host->projects, blob_url_sha256 (slice_of (self->file_url)), self->folder, &known);
    if (!known)
        return false;
    self->state = STATE_EXTRACT;
    self->usage.bytes_in = 0;
    job_journal_phase (self, "extract");
    if (error)
        job_fail_errno (self, error, "The project could not be copied");
    else
        run_begin (self);
    return true;
}
