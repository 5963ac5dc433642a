#include "program.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

void program_begin (void)
{
    int fd = open ("/dev/null", O_RDONLY); /* stays open where it has taken the number of a stream */
    while (fd >= 0 && fd <= STDERR_FILENO)
        fd = open ("/dev/null", O_RDONLY);
    if (fd >= 0)
        close (fd);
}

int program_refuse (const char *program, const char *problem)
{
    fprintf (stderr, "%s: %s\n", program, problem);
    return EXIT_REFUSED;
}

/* Whether this process has a terminal that could hang up. */
static bool has_terminal (void)
{
    int fd = open ("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd >= 0)
        close (fd);
    return fd >= 0;
}

static bool had_terminal;

int program_signals (void)
{
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGHUP);
    sigprocmask (SIG_BLOCK, &set, NULL);
    signal (SIGPIPE, SIG_IGN);
    had_terminal = has_terminal ();
    return signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

program_asked_t program_asked (int fd, int *number)
{
    struct signalfd_siginfo info;
    if (read (fd, &info, sizeof info) != sizeof info)
        return ASKED_NOTHING;
    if (number)
        *number = (int)info.ssi_signo;
    return info.ssi_signo != SIGHUP || (had_terminal && !has_terminal ()) ? ASKED_STOP : ASKED_RELOAD;
}

void program_machine (char *out, size_t size)
{
    int fd = open ("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read (fd, out, size - 1);
    if (fd >= 0)
        close (fd);
    out[len > 0 ? len : 0] = '\0';
    out[strcspn (out, "\n")] = '\0';
}

bool program_beside (const char *name, char *out, size_t size)
{
    char self[PATH_MAX];
    ssize_t len = readlink ("/proc/self/exe", self, sizeof self - 1);
    self[len > 0 ? len : 0] = '\0';
    int needed = snprintf (out, size, "%s/%s", dirname (self), name);
    return needed > 0 && (size_t)needed < size && access (out, F_OK) == 0;
}
