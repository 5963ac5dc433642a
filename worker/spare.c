#include "worker/spare.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/limits.h"
#include "proto/log.h"
#include "worker/child.h"
#include "worker/folders.h"
#include "worker/landlock.h"

enum {
    NICENESS = 19,
    END_MS_MAX = 2000, /* for a killed extractor to be gone when the worker ends */
    TEXT_MAX = 512,    /* of what the extractor says */
};

struct spare {
    spare_config_t config;
    char wanted[SHA256_HEX + 1];  /* empty: none */
    char ready[SHA256_HEX + 1];   /* likewise */
    char no_good[SHA256_HEX + 1]; /* too large, or not to be unpacked: it is not tried again and again */
    int64_t room;                 /* that it takes, in bytes */
    int64_t begun_ms;
    int64_t quiet_ms;
    child_t child; /* that makes it */
    bool stopped;  /* and is to */
    loop_timer_t timer;
    char said[TEXT_MAX];
    size_t said_len;
    char folder[FOLDER_PATH_MAX + 16];
    char project[FOLDER_PATH_MAX + 32];
    char archive[FOLDER_PATH_MAX + 32];
};

static void drop (spare_t *self)
{
    self->ready[0] = '\0';
    self->room = 0;
    sweeper_take (self->config.sweeper, self->folder);
}

/* ---- making it ---- */

static void close_pipe (spare_t *self, int i)
{
    if (self->child.out[i] < 0)
        return;
    loop_unwatch (self->config.loop, self->child.out[i]);
    close (self->child.out[i]);
    self->child.out[i] = -1;
}

/* What it prints on stdout is heard; the rest is read only so that it does not wait. */
static void on_pipe (spare_t *self, int i)
{
    char bytes[TEXT_MAX];
    ssize_t got = self->child.out[i] < 0 ? 0 : read (self->child.out[i], bytes, sizeof bytes);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    for (ssize_t at = 0; i == 0 && at < got && self->said_len < TEXT_MAX - 1; at++)
        self->said[self->said_len++] = bytes[at];
    self->said[self->said_len] = '\0';
    if (got <= 0)
        close_pipe (self, i);
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

/* For what there is. */
static bool has_room (const spare_t *self)
{
    return archives_room (self->config.archives, self->room) >= self->room;
}

/* It has ended well. */
static void finish (spare_t *self)
{
    archives_sure (self->config.archives, slice_of (self->wanted)); /* it was looked at, if it was not before */
    self->room = strtoll (self->said, NULL, 10);
    if (unlink (self->archive) != 0 || self->room <= 0 || !has_room (self)) {
        memcpy (self->no_good, self->wanted, sizeof self->no_good);
        drop (self);
        return;
    }
    memcpy (self->ready, self->wanted, sizeof self->ready);
    self->quiet_ms = SPARE_QUIET_MS;
    log_event (LEVEL_INFO, "spare-ready", "%.12s is unpacked for the next job of it: %lld bytes, %lld ms", self->ready,
               (long long)self->room, (long long)(clock_mono_ms () - self->begun_ms));
}

static void let_go (spare_t *self)
{
    loop_unwatch (self->config.loop, self->child.pidfd);
    on_pipe (self, 0); /* what it has said last */
    for (int i = 0; i < 2; i++)
        close_pipe (self, i);
}

static void on_ended (void *ctx, uint32_t events)
{
    spare_t *self = ctx;
    int signal_number = 0;
    (void)events;
    let_go (self);
    int status = child_reap (&self->child, &signal_number);
    child_close (&self->child);
    if (!self->stopped && status == 0) {
        finish (self);
        return;
    }
    log_event (LEVEL_DEBUG, "spare-stopped", "%.12s: status %d, signal %d", self->wanted, status, signal_number);
    if (!self->stopped)
        memcpy (self->no_good, self->wanted, sizeof self->no_good);
    drop (self);
}

/* Whoever else wants a processor or the disk comes first. */
static void make_modest (pid_t pid)
{
    setpriority (PRIO_PROCESS, (id_t)pid, NICENESS);
    syscall (SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, IOPRIO_PRIO_VALUE (IOPRIO_CLASS_IDLE, 0));
}

static int start (spare_t *self, const char *sha256)
{
    char numbers[4][24];
    const archive_limits_t *limits = self->config.archive;
    int64_t room = archives_room (self->config.archives, 0);
    const int64_t values[] = { limits->files, room < limits->bytes ? room : limits->bytes, limits->ratio,
                               limits->depth };
    for (int i = 0; i < 4; i++)
        snprintf (numbers[i], sizeof numbers[i], "%lld", (long long)values[i]);
    const char *argv[] = { self->config.extractor,
                           self->archive,
                           self->project,
                           numbers[0],
                           numbers[1],
                           numbers[2],
                           numbers[3],
                           "",
                           sha256,
                           "tell",
                           NULL };
    static const char *const env[] = { NULL };
    const child_spec_t spec = {
        .program = argv[0], .argv = argv, .env = env, .folder = self->project, .server = self->config.extractors
    };
    return child_start (&spec, &self->child);
}

static void watch (spare_t *self)
{
    loop_watch (self->config.loop, self->child.out[0], EPOLLIN, on_stdout, self);
    loop_watch (self->config.loop, self->child.out[1], EPOLLIN, on_stderr, self);
    loop_watch (self->config.loop, self->child.pidfd, EPOLLIN, on_ended, self);
}

static bool is_to_be_made (const spare_t *self)
{
    return self->config.allowed && self->wanted[0] && strcmp (self->wanted, self->ready) != 0 &&
           strcmp (self->wanted, self->no_good) != 0;
}

static void make (void *ctx)
{
    spare_t *self = ctx;
    if (!is_to_be_made (self))
        return;
    if (self->child.pid) { /* the one that was killed is not yet gone */
        spare_idle (self);
        return;
    }
    drop (self);
    self->begun_ms = clock_mono_ms ();
    self->stopped = false;
    self->said_len = 0;
    self->said[0] = '\0';
    if (!archives_room (self->config.archives, 0) || mkdir (self->folder, 0700) != 0)
        return;
    bool sure = false;
    bool there = folder_make_apart (self->project) == 0 &&
                 archives_take (self->config.archives, slice_of (self->wanted), self->archive, &sure);
    int error = there ? start (self, sure ? "" : self->wanted) : ENOENT;
    if (error) {
        log_event (LEVEL_DEBUG, "spare-failed", "%.12s: %s", self->wanted, strerror (error));
        self->wanted[0] = '\0';
        drop (self);
        return;
    }
    make_modest (self->child.pid);
    watch (self);
}

/* ---- life ---- */

spare_t *spare_new (const spare_config_t *config)
{
    spare_t *self = xcalloc (1, sizeof *self);
    self->config = *config;
    self->config.allowed = config->allowed && landlock_version (); /* enclose.h, ENCLOSE_RENEW */
    self->child = CHILD_NONE;
    self->quiet_ms = SPARE_QUIET_MS;
    snprintf (self->folder, sizeof self->folder, "%s/spare", config->work_dir);
    snprintf (self->project, sizeof self->project, "%s/project", self->folder);
    snprintf (self->archive, sizeof self->archive, "%s/archive.zip", self->folder);
    drop (self);
    return self;
}

void spare_destroy (spare_t **self_p)
{
    spare_t *self = *self_p;
    int ignored;
    if (!self)
        return;
    spare_stop (self);
    if (self->child.pid) {
        struct pollfd ended = { self->child.pidfd, POLLIN, 0 };
        poll (&ended, 1, END_MS_MAX);
        let_go (self);
        child_reap (&self->child, &ignored);
        child_close (&self->child);
    }
    drop (self);
    free (self);
    *self_p = NULL;
}

void spare_note (spare_t *self, slice_t sha256, int64_t took_ms)
{
    if (self->config.allowed && sha256.len == SHA256_HEX && took_ms >= SPARE_WORTH_MS)
        slice_copy (sha256, self->wanted, sizeof self->wanted);
}

bool spare_take (spare_t *self, slice_t sha256, const char *folder)
{
    if (!self->ready[0] || !slice_eq_str (sha256, self->ready))
        return false;
    if (rename (self->project, folder) != 0) {
        self->config.allowed = errno == ENOENT; /* somebody has removed it; else it would be made again and again */
        log_event (LEVEL_WARN, "spare-failed", "%s cannot become %s: %s", self->project, folder, strerror (errno));
        drop (self);
        return false;
    }
    drop (self);
    return true;
}

void spare_idle (spare_t *self)
{
    if (is_to_be_made (self))
        loop_timer_set (self->config.loop, &self->timer, self->quiet_ms, make, self);
}

void spare_stop (spare_t *self)
{
    loop_timer_stop (&self->timer);
    if (!self->child.pid || self->stopped)
        return;
    self->stopped = true;
    if (self->quiet_ms < SPARE_QUIET_MAX_MS)
        self->quiet_ms *= 2;
    child_kill (&self->child);
}

int64_t spare_yield (spare_t *self)
{
    int64_t room = self->room;
    if (!self->ready[0] || has_room (self))
        return 0;
    drop (self);
    return room;
}
