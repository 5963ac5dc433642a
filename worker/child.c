#include "worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/buf.h"
#include "worker/fork_server.h"

typedef struct {
    int null_fd;
    int out[2]; /* the pipes' writing ends; -1: null_fd */
    int talk;   /* or -1 */
    int passed; /* or -1 */
} streams_t;

enum { FD_MIN = 16 }; /* above those that a child has at fixed numbers */

/* As many as slots, mostly. Until a child is reaped, its number is no other's. */
static pid_t *known;
static size_t known_count;

void child_know (pid_t pid)
{
    known = xrealloc (known, (known_count + 1) * sizeof *known);
    known[known_count++] = pid;
}

bool child_is_known (pid_t pid)
{
    for (size_t i = 0; i < known_count; i++)
        if (known[i] == pid)
            return true;
    return false;
}

static void forget (pid_t pid)
{
    for (size_t i = 0; i < known_count; i++)
        if (known[i] == pid)
            known[i] = known[--known_count];
}

/* Runs in the child between vfork and exec: system calls only, and nothing of the parent's memory is written but the
 * errno that reports a failure. */
static int become (const child_spec_t *spec, const streams_t *streams)
{
    const struct rlimit no_core = { 0, 0 };
    sigset_t none;
    setpgid (0, 0);
    if (!spec->outlives)
        prctl (PR_SET_PDEATHSIG, SIGKILL);
    setrlimit (RLIMIT_CORE, &no_core);
    umask (077);
    if (dup2 (streams->null_fd, 0) < 0 || chdir (spec->folder) != 0)
        return errno;
    for (int i = 0; i < (spec->complains ? 1 : 2); i++)
        if (dup2 (streams->out[i] < 0 ? streams->null_fd : streams->out[i], i + 1) < 0)
            return errno;
    if (streams->talk >= 0 ? dup2 (streams->talk, CHILD_TALK_FD) < 0 : close (CHILD_TALK_FD) < 0 && errno != EBADF)
        return errno;
    if (streams->passed >= 0 && dup2 (streams->passed, CHILD_PASSED_FD) < 0)
        return errno;
    syscall (SYS_close_range, streams->passed >= 0 ? CHILD_PASSED_FD + 1U : CHILD_PASSED_FD + 0U, ~0U, 0U);
    for (int number = 1; number < SIGRTMAX; number++)
        if (number != SIGKILL && number != SIGSTOP)
            signal (number, SIG_DFL);
    sigemptyset (&none);
    sigprocmask (SIG_SETMASK, &none, NULL);
    execve (spec->program, (char *const *)(uintptr_t)spec->argv, (char *const *)(uintptr_t)spec->env);
    return errno;
}

/* vfork: the parent waits until exec, and no page table is copied. Kept apart so that no variable of a caller lives
 * across it. */
static pid_t __attribute__ ((noinline)) spawn (const child_spec_t *spec, const streams_t *streams, volatile int *error)
{
    pid_t pid = vfork ();
    if (pid == 0) {
        *error = become (spec, streams);
        _exit (127);
    }
    if (pid < 0)
        *error = errno;
    return pid;
}

static void close_fd (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
}

int child_pipes (int ours[2], int theirs[2])
{
    ours[0] = ours[1] = theirs[0] = theirs[1] = -1;
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2 (ends, O_CLOEXEC) != 0)
            return errno;
        ours[i] = ends[0];
        theirs[i] = ends[1];
        fcntl (ends[0], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

static int open_talk (int *ours, int *theirs)
{
    int ends[2];
    if (socketpair (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return errno;
    *ours = ends[0];
    fcntl (*ours, F_SETFL, O_NONBLOCK);
    *theirs = fcntl (ends[1], F_DUPFD_CLOEXEC, FD_MIN);
    int error = *theirs < 0 ? errno : 0;
    close (ends[1]);
    return error;
}

/* Opened anew: where it is read is this child's alone. */
static int open_passed (int fd, int *passed)
{
    char path[32];
    snprintf (path, sizeof path, "/proc/self/fd/%d", fd);
    int again = open (path, O_RDONLY | O_CLOEXEC);
    *passed = again < 0 ? -1 : fcntl (again, F_DUPFD_CLOEXEC, FD_MIN);
    int error = *passed < 0 ? errno : 0;
    if (again >= 0)
        close (again);
    return error;
}

static int open_streams (const child_spec_t *spec, streams_t *streams, child_t *out)
{
    *streams = (streams_t){ open ("/dev/null", O_RDWR | O_CLOEXEC), { -1, -1 }, -1, -1 };
    *out = CHILD_NONE;
    out->contains = spec->contains;
    if (streams->null_fd < 0)
        return errno;
    int error = spec->passed ? open_passed (spec->passed, &streams->passed) : 0;
    if (error)
        return error;
    return spec->talks ? open_talk (&out->talk, &streams->talk) : child_pipes (out->out, streams->out);
}

int child_start (const child_spec_t *spec, child_t *out)
{
    streams_t streams;
    volatile int error = 0;
    error = open_streams (spec, &streams, out);
    if (!error && (!spec->server || fork_server_start (spec->server, spec, streams.out, &out->pid) != 0))
        out->pid = spawn (spec, &streams, &error);
    if (out->pid > 0 && error) {
        waitpid (out->pid, NULL, 0);
        out->pid = 0;
    }
    if (!error) {
        out->pidfd = (int)syscall (SYS_pidfd_open, out->pid, 0U);
        if (out->pidfd < 0) {
            error = errno;
            child_signal (out, SIGKILL);
            waitpid (out->pid, NULL, 0);
        }
    }
    close_fd (&streams.null_fd);
    close_fd (&streams.out[0]);
    close_fd (&streams.out[1]);
    close_fd (&streams.talk);
    close_fd (&streams.passed);
    if (error)
        child_close (out);
    else
        child_know (out->pid);
    return error;
}

void child_signal (const child_t *self, int number)
{
    if (self->pid > 0)
        kill (-self->pid, number);
}

void child_kill (child_t *self)
{
    if (self->talk < 0 || self->contains) {
        child_signal (self, SIGKILL);
        return;
    }
    shutdown (self->talk, SHUT_WR);
    child_signal (self, SIGCONT); /* one that was stopped must hear it */
}

static bool take_line (child_t *self, char line[CHILD_LINE_MAX])
{
    const char *end = memchr (self->heard, '\n', self->heard_len);
    size_t len = end ? (size_t)(end - self->heard) : 0;
    if (!end || len >= CHILD_LINE_MAX)
        return false;
    memcpy (line, self->heard, len);
    line[len] = '\0';
    self->heard_len -= len + 1;
    memmove (self->heard, end + 1, self->heard_len);
    return true;
}

bool child_hear (child_t *self, char line[CHILD_LINE_MAX])
{
    if (take_line (self, line))
        return true;
    if (self->talk < 0 || self->heard_all)
        return false;
    ssize_t got;
    do /* a reset, by one that ended without reading all, comes once, before what it said */
        got = recv (self->talk, self->heard + self->heard_len, sizeof self->heard - self->heard_len, 0);
    while (got < 0 && errno == ECONNRESET);
    self->heard_all = got == 0;
    self->heard_len += got > 0 ? (size_t)got : 0;
    return got > 0 && take_line (self, line);
}

int child_reap (child_t *self, int *signal_number)
{
    int status = 0;
    *signal_number = 0;
    child_signal (self, SIGKILL); /* the group outlives its leader; what it left behind goes with it */
    while (waitpid (self->pid, &status, 0) < 0 && errno == EINTR)
        ;
    forget (self->pid);
    self->pid = 0;
    close_fd (&self->pidfd);
    if (!WIFSIGNALED (status))
        return WEXITSTATUS (status);
    *signal_number = WTERMSIG (status);
    return 128 + *signal_number;
}

void child_close (child_t *self)
{
    self->pid = 0;
    close_fd (&self->pidfd);
    close_fd (&self->out[0]);
    close_fd (&self->out[1]);
    close_fd (&self->talk);
}
