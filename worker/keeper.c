/* keeper.c - the program gleaner-keeper: runs a job's commands, and leaves nothing of them behind.
 *
 * usage: gleaner-keeper [--contained|--check FOLDER...]; gleaner-worker starts it (keepers.h). --contained: it is the
 * first process of a sandbox, serves one job, and takes from itself and from what it starts what Landlock can; the
 * FOLDERs stay writable. --check: it ends when that was done.
 *
 * It runs one job after another, and ends when the worker is gone, or wants it: at the end of descriptor 3, a socket.
 * Over it comes the job's folder, with what is to be its stdout and stderr, where the worker has control groups the
 * one of the job (cgroup.h), and its input: NUL-terminated strings, to its end: the job's limits (keeper_input.c), the
 * commands, as lines for /bin/sh, and a NAME=VALUE for each variable of their environment; a command line would show
 * secrets to all. A word from the worker (keepers.h) means that it has read what an ended command printed: the next one
 * waits for that, a second at most, so that nobody's output is counted to another. Lines tell what happens:
 *
 *   begin N               the N-th command, from 1 on, is about to be started
 *   end N EXIT SIGNAL     it has ended: its exit code, or 128 + its signal (0: none)
 *   use CPU_MS RSS PROCS  what all that the commands started has used so far, and uses now: tree.h
 *   over WHAT USED        more than a limit allows: watch.h; all is killed
 *   peak MEMORY TASKS     before the last line: the most that was seen at once
 *   EXIT SIGNAL ERRNO LEFT RESTS
 *                         the last line, when all is over: of the job, the errno of a shell that could not be started
 *                         (0: none), 1 when something is left that does not die of KILL, else 0, and 1 when it can
 *                         serve another job, else 0: then it ends
 *
 *   RUN (a line after the other) --> ASK (TERM) --> KILL (until no child is left) --> report --> RUN, the next job
 *     |   told to, or the last line ended  |  grace over  ^
 *     +----------------------------------- + -------------+  descriptor 3 ended, or over a limit
 *
 * It is the subreaper of all that the commands start: what leaves its group or its session is found all the same. Of a
 * job nothing stays: its input is wiped, its descriptors are closed, and its last process has been waited for. When a
 * command has changed the keeper's own limits, or one could not be started, the keeper serves no other job. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/child.h"
#include "worker/confine.h"
#include "worker/fds.h"
#include "worker/keeper_internal.h"
#include "worker/keepers.h"
#include "worker/landlock.h"

enum { EXIT_UNPREPARED = 1, EXIT_USAGE = 2 };

/* The commands' streams and folder. Returns 0 or an errno. */
static int take_place (const char *folder, const int fds[FDS_MAX])
{
    if (dup2 (fds[0], STDOUT_FILENO) < 0 || dup2 (fds[1], STDERR_FILENO) < 0 || chdir (folder) != 0)
        return errno;
    return 0;
}

/* The worker sees the end of what the job prints, and the next job sees nothing of this one: no lock or flag either
 * that was set on its stdin. */
static void leave_place (const keeper_t *self)
{
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    bool left = null >= 0 && chdir ("/") == 0;
    for (int fd = STDIN_FILENO; left && fd <= STDERR_FILENO; fd++)
        left = dup2 (null, fd) == fd;
    if (!left)
        _exit (EXIT_UNPREPARED);
    close (null);
    if (self->group >= 0)
        close (self->group);
    keeper_wipe_input ();
}

/* Waits for the next one. False when none will come. */
static bool take_job (keeper_t *self)
{
    static char message[FDS_MESSAGE_MAX];
    int fds[FDS_MAX];
    ssize_t got = 0;
    do /* a word on the job before, that was over by then */
        got = fds_receive (CHILD_TALK_FD, message, sizeof message - 1, fds);
    while ((got < 0 && errno == EINTR) || got == 1);
    if (got <= 0)
        return false;
    message[got] = '\0';
    *self = (keeper_t){ .signal_fd = self->signal_fd,
                        .own = self->own,
                        .contained = self->contained,
                        .group = fds[3],
                        .cpu_before_ms = keeper_reaped_ms () };
    self->goes_on = message[0] == KEEPER_RUN_ON;
    keeper_take_signals (self); /* of the job before */
    self->start_errno = take_place (message + 1, fds);
    if (!self->start_errno)
        self->start_errno = keeper_take_input (self, fds[2]);
    for (int i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close (fds[i]);
    return true;
}

/* True when it can serve another one. */
static bool run_job (keeper_t *self)
{
    if (!self->start_errno) {
        keeper_run (self);
        keeper_say_usage (self, self->left);
        watch_look_last (&self->watch);
        keeper_say_if_over (self);
        keeper_say (self, "peak %lld %lld\n", (long long)self->watch.memory_peak_bytes,
                    (long long)self->watch.pids_peak);
    }
    leave_place (self);
    bool rests = !self->left && !self->start_errno && !self->contained && own_limits_same (self->own);
    keeper_say (self, "%d %d %d %d %d\n", self->exit_code, self->signal_number, self->start_errno, self->left, rests);
    keeper_send (self, 0); /* this must arrive */
    return rests;
}

static bool prepare (keeper_t *self)
{
    sigset_t all, heard;
    sigfillset (&all);
    sigprocmask (SIG_SETMASK, &all, NULL);
    sigemptyset (&heard);
    sigaddset (&heard, SIGTERM);
    sigaddset (&heard, SIGCHLD);
    self->signal_fd = signalfd (-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    return self->signal_fd >= 0 && prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

static int allow (int rules, const char *path, landlock_may_t may)
{
    int folder = open (path, O_PATH | O_CLOEXEC);
    if (folder < 0)
        return errno;
    int error = landlock_allow (rules, folder, may);
    close (folder);
    return error;
}

/* From now on this process and what it starts write only below `writable`: a second wall behind the mounts. Ports stay
 * open, for which of them builds need is not known before. */
static int restrict_files (char *const writable[])
{
    int rules;
    int error = landlock_begin (true, &rules);
    if (!error)
        error = allow (rules, "/", MAY_RUN);
    for (; *writable && !error; writable++)
        error = allow (rules, *writable, MAY_BUT_DEVICES);
    return landlock_enter (rules, error);
}

/* The job has the same user: it must not trace or read this process, nor get a descriptor of outside by it. */
static bool contain (char *const writable[])
{
    syscall (SYS_close_range, CHILD_TALK_FD + 1U, ~0U, 0U);
    int error = prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl (PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ? errno : 0;
    if (!error)
        error = restrict_files (writable);
    if (error)
        fprintf (stderr, "gleaner-keeper: it cannot restrict itself: %s.\n", strerror (error));
    return !error;
}

int main (int argc, char **argv)
{
    keeper_t self = { .contained = argc > 1 };
    own_limits_t limits;
    bool checks = argc > 1 && strcmp (argv[1], KEEPER_CHECK) == 0;
    if (checks)
        return contain (argv + 2) ? 0 : EXIT_UNPREPARED;
    if ((self.contained && strcmp (argv[1], KEEPER_CONTAINED) != 0) ||
        fcntl (CHILD_TALK_FD, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf (stderr, "usage: gleaner-keeper [--contained FOLDER...]; gleaner-worker starts it.\n");
        return EXIT_USAGE;
    }
    confine_prepare (); /* before its own files in /proc are not its any more */
    if ((self.contained && !contain (argv + 2)) || !prepare (&self))
        return EXIT_UNPREPARED;
    own_limits_note (&limits);
    self.own = &limits;
    while (take_job (&self) && run_job (&self))
        ;
    _exit (0);
}
