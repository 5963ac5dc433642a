#include "worker/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct {
    int null_fd;
    int out[2]; /* the pipes' writing ends */
} streams_t;

/* Runs in the child between vfork and exec: system calls only, and nothing of the parent's memory is written but the
 * errno that reports a failure. */
static int become (const child_spec_t *spec, const streams_t *streams)
{
    const struct rlimit no_core = { 0, 0 };
    sigset_t none;
    setpgid (0, 0);
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    setrlimit (RLIMIT_CORE, &no_core);
    umask (077);
    if (dup2 (streams->null_fd, 0) < 0 || dup2 (streams->out[0], 1) < 0 || dup2 (streams->out[1], 2) < 0 ||
        chdir (spec->folder) != 0)
        return errno;
    syscall (SYS_close_range, 3U, ~0U, 0U);
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

static int open_streams (streams_t *streams, child_t *out)
{
    *streams = (streams_t){ open ("/dev/null", O_RDONLY | O_CLOEXEC), { -1, -1 } };
    *out = (child_t){ 0, -1, { -1, -1 } };
    for (int i = 0; i < 2; i++) {
        int ends[2];
        if (pipe2 (ends, O_CLOEXEC) != 0)
            return errno;
        out->out[i] = ends[0];
        streams->out[i] = ends[1];
        fcntl (ends[0], F_SETFL, O_NONBLOCK);
    }
    return streams->null_fd < 0 ? errno : 0;
}

static void close_fd (int *fd)
{
    if (*fd >= 0)
        close (*fd);
    *fd = -1;
}

int child_start (const child_spec_t *spec, child_t *out)
{
    streams_t streams;
    volatile int error = 0;
    error = open_streams (&streams, out);
    if (!error)
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
    if (error)
        child_close (out);
    return error;
}

void child_signal (const child_t *self, int number)
{
    if (self->pid > 0)
        kill (-self->pid, number);
}

int child_reap (child_t *self, int *signal_number)
{
    int status = 0;
    *signal_number = 0;
    child_signal (self, SIGKILL); /* the group outlives its leader; what it left behind goes with it */
    while (waitpid (self->pid, &status, 0) < 0 && errno == EINTR)
        ;
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
}
