/* keeper_command.c - the commands of a keeper's job: each a shell of its own, one after the other. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "worker/confine.h"
#include "worker/keeper_internal.h"

enum { GO_ON_MS_MAX = 1000 }; /* a worker that stands still does not hold its jobs up */

/* The next line that is not blank; NULL when there is none. */
char *keeper_take_line (keeper_t *self)
{
    while (*self->next) {
        char *line = self->next;
        char *end = strchrnul (line, '\n');
        self->next = *end ? end + 1 : end;
        *end = '\0';
        if (end > line && end[-1] == '\r') /* a browser's form ends lines so */
            end[-1] = '\0';
        if (line[strspn (line, " \t\r")])
            return line;
    }
    return NULL;
}

/* Runs in the child between vfork and exec, as in child.c: a process group and a control group of its own, no signal
 * blocked. */
static int become (const keeper_t *self, char *line)
{
    static char shell[] = "sh";
    static char option[] = "-c";
    char *argv[] = { shell, option, line, NULL };
    sigset_t none;
    setpgid (0, 0);
    if (self->group >= 0 && write (self->group, "0", 1) != 1)
        return errno;
    sigemptyset (&none);
    sigprocmask (SIG_SETMASK, &none, NULL);
    execve ("/bin/sh", argv, self->env);
    return errno;
}

static pid_t __attribute__ ((noinline)) spawn (const keeper_t *self, char *line, volatile int *error)
{
    pid_t pid = vfork ();
    if (pid == 0) {
        *error = become (self, line);
        _exit (127);
    }
    if (pid < 0)
        *error = errno;
    return pid;
}

int keeper_start (keeper_t *self, char *line)
{
    volatile int error = 0;
    confine_begin (&self->watch.limits, self->own);
    pid_t pid = spawn (self, line, &error);
    confine_end (&self->watch.limits, self->own);
    if (pid > 0 && error)
        waitpid (pid, NULL, 0);
    self->command = error ? 0 : pid;
    return error;
}

/* The first failure is what the job is said to have ended with. */
void keeper_command_ended (keeper_t *self, int status)
{
    int signal_number = WIFSIGNALED (status) ? WTERMSIG (status) : 0;
    int exit_code = signal_number ? 128 + signal_number : WEXITSTATUS (status);
    self->command = 0;
    if (self->exit_code == 0) {
        self->exit_code = exit_code;
        self->signal_number = signal_number;
    }
    keeper_say (self, "end %lld %d %d\n", (long long)self->number, exit_code, signal_number);
    self->line = self->exit_code == 0 || self->goes_on ? keeper_take_line (self) : NULL;
    if (self->line && self->phase == PHASE_RUN) { /* else all is told at once, at the end */
        self->ends_told += keeper_send (self, MSG_DONTWAIT);
        self->go_on_ms = clock_mono_ms () + GO_ON_MS_MAX;
    }
}
