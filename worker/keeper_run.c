/* keeper_run.c - a keeper's job from its first command until nothing of it is left: the phases of keeper.c. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "worker/child.h"
#include "worker/keeper_internal.h"
#include "worker/keepers.h"
#include "worker/tree.h"

enum {
    STOP_GRACE_MS = 4 * 1000, /* between TERM and KILL, when the job is stopped */
    END_GRACE_MS = 1 * 1000,  /* and for what is left when its commands have ended */
    KILL_TICK_MS = 10,
    KILL_MS_MAX =
        10 * 1000,       /* what does not die of KILL by then (the kernel holds it, or it is another user's) is left */
    REAP_MAX = 256,      /* children before the descriptors are looked at again */
    USE_FIRST_MS = 1000, /* usage is told first after this */
};

static void ask (keeper_t *self, int64_t grace_ms)
{
    self->phase = PHASE_ASK;
    self->until_ms = clock_mono_ms () + grace_ms;
    tree_signal (SIGTERM, NULL);
    tree_signal (SIGCONT, NULL); /* a stopped one must hear it */
}

static void kill_now (keeper_t *self)
{
    self->phase = PHASE_KILL;
    self->until_ms = clock_mono_ms () + KILL_MS_MAX;
}

/* Reaps what has ended, orphans too. False when no child is left. */
static bool reap (keeper_t *self)
{
    self->more = false;
    for (int i = 0; i < REAP_MAX; i++) {
        int status = 0;
        struct rusage usage;
        pid_t pid = wait4 (-1, &status, WNOHANG, &usage);
        if (pid == 0)
            return true;
        if (pid < 0)
            return errno != ECHILD;
        watch_note_reaped (&self->watch, &usage);
        if (pid == self->command)
            keeper_command_ended (self, status);
    }
    self->more = true;
    return true;
}

static bool may_run_next (const keeper_t *self)
{
    return self->phase == PHASE_RUN && !self->command &&
           (!self->line || self->ends_seen >= self->ends_told || clock_mono_ms () >= self->go_on_ms);
}

static void run_next (keeper_t *self, bool any_left)
{
    if (self->line) {
        keeper_say (self, "begin %lld\n", (long long)++self->number);
        keeper_send (self, MSG_DONTWAIT); /* before it can print anything */
        self->start_errno = keeper_start (self, self->line);
    }
    if (self->line && !self->start_errno)
        return;
    self->phase = PHASE_ASK;
    self->until_ms = 0;
    if (any_left)
        ask (self, END_GRACE_MS);
}

/* How long there is nothing to be done, ms. */
static int patience_ms (const keeper_t *self)
{
    int64_t until_ms = self->phase != PHASE_RUN ? self->until_ms : self->use_ms;
    if (self->phase == PHASE_KILL)
        return KILL_TICK_MS;
    if (watch_due_ms (&self->watch) < until_ms)
        until_ms = watch_due_ms (&self->watch);
    if (self->more)
        return 1;
    if (self->phase == PHASE_RUN && !self->command && self->go_on_ms < until_ms)
        until_ms = self->go_on_ms;
    int64_t left_ms = until_ms - clock_mono_ms ();
    return left_ms < 0 ? 0 : (int)left_ms;
}

static void stop (keeper_t *self)
{
    if (self->stopped)
        return;
    self->stopped = true;
    if (self->phase != PHASE_KILL)
        ask (self, STOP_GRACE_MS);
}

static void take_word (keeper_t *self)
{
    char word = 0;
    ssize_t got = recv (CHILD_TALK_FD, &word, 1, MSG_DONTWAIT);
    self->ends_seen += got > 0 && word == KEEPER_GO_ON;
    if (got > 0 && word == KEEPER_STOP)
        stop (self);
    if (got > 0 && word == KEEPER_KILL)
        kill_now (self);
    if (got != 0)
        return;
    self->deserted = true;
    kill_now (self);
}

/* Takes the signals that have come. True when one of them asks for the end. */
bool keeper_take_signals (const keeper_t *self)
{
    struct signalfd_siginfo info;
    bool term = false;
    while (read (self->signal_fd, &info, sizeof info) == sizeof info)
        term = term || info.ssi_signo == SIGTERM;
    return term;
}

/* Sleeps until something is to be done, and takes note of what the worker says. */
static void listen_to_worker (keeper_t *self)
{
    struct pollfd fds[] = { { self->deserted ? -1 : CHILD_TALK_FD, POLLIN, 0 }, { self->signal_fd, POLLIN, 0 } };
    if (poll (fds, 2, patience_ms (self)) <= 0)
        return;
    if (fds[1].revents && keeper_take_signals (self))
        stop (self);
    if (fds[0].revents)
        take_word (self);
}

static void look_for_excess (keeper_t *self)
{
    if (self->phase == PHASE_KILL)
        return;
    watch_look (&self->watch, self->command);
    keeper_say_if_over (self);
    if (!self->over_told)
        return;
    watch_signal (self->command, SIGKILL); /* many at once, and whoever forks just now */
    kill_now (self);
}

void keeper_run (keeper_t *self)
{
    bool any_left = true;
    self->began_ms = clock_mono_ms ();
    self->use_ms = self->began_ms + USE_FIRST_MS;
    watch_begin (&self->watch, &self->watch.limits, self->began_ms);
    self->line = keeper_take_line (self);
    run_next (self, false);
    any_left = reap (self);
    while (self->phase == PHASE_RUN || any_left) {
        keeper_send (self, MSG_DONTWAIT);
        listen_to_worker (self);
        any_left = reap (self);
        look_for_excess (self);
        if (may_run_next (self))
            run_next (self, any_left);
        keeper_say_usage_in_time (self);
        if (self->phase == PHASE_ASK && clock_mono_ms () >= self->until_ms)
            kill_now (self);
        if (self->phase != PHASE_KILL || !any_left)
            continue;
        self->left = clock_mono_ms () >= self->until_ms;
        if (self->left)
            return;
        tree_signal (SIGSTOP, NULL); /* first: what stands still forks no more */
        tree_signal (SIGKILL, NULL);
    }
}
