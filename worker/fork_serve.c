#include "worker/fork_serve.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker/fds.h"
#include "worker/fork_server.h"

enum { ARGUMENTS_MAX = 16 };

/* A child of the worker: as child.c's, of which limits, mask and signals are inherited from the fork server. Returns 0
 * or an errno. */
static int become (const char *folder, const int fds[FDS_MAX], pid_t worker)
{
    setpgid (0, 0);
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (getppid () != worker) /* it has died before that */
        _exit (1);
    if (dup2 (fds[0], STDOUT_FILENO) < 0 || dup2 (fds[1], STDERR_FILENO) < 0 || chdir (folder) != 0)
        return errno;
    return 0;
}

/* Where the strings of a request are, the folder first. Returns their number, 0 when it is no request. */
static int split (char *request, size_t len, char *strings[ARGUMENTS_MAX + 1])
{
    int count = 0;
    if (!len || request[len - 1])
        return 0;
    for (char *at = request; at < request + len && count < ARGUMENTS_MAX; at += strlen (at) + 1)
        strings[count++] = at;
    strings[count] = NULL;
    return count;
}

/* False when nobody hears it: then the worker has started another in its place. */
static bool answer (pid_t pid, int error)
{
    const fork_answer_t said = { pid, error };
    return send (CHILD_TALK_FD, &said, sizeof said, MSG_NOSIGNAL) == sizeof said;
}

/* Not by fork(): the child is to be the worker's. */
static pid_t fork_for_parent (void)
{
    return (pid_t)syscall (SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, NULL);
}

bool fork_serve_wanted (int argc, char **argv)
{
    return argc == 2 && strcmp (argv[1], FORK_SERVER_ARGUMENT) == 0;
}

void fork_serve (int *argc, char ***argv)
{
    static char request[FDS_MESSAGE_MAX];
    static char *strings[ARGUMENTS_MAX + 1];
    const pid_t worker = getppid ();
    int fds[FDS_MAX];
    if (!fork_serve_wanted (*argc, *argv))
        return;
    for (;;) {
        ssize_t got = fds_receive (CHILD_TALK_FD, request, sizeof request, fds);
        if (got <= 0)
            _exit (0);
        pid_t pid = fork_for_parent ();
        if (pid == 0) {
            int count = split (request, (size_t)got, strings);
            int error = count < 2 ? EINVAL : become (strings[0], fds, worker);
            if (!answer (getpid (), error) || error)
                _exit (1);
            syscall (SYS_close_range, CHILD_TALK_FD + 0U, ~0U, 0U);
            *argc = count - 1;
            *argv = strings + 1;
            return;
        }
        if (pid < 0)
            answer (0, errno);
        for (int i = 0; i < FDS_MAX; i++)
            if (fds[i] >= 0)
                close (fds[i]);
    }
}
