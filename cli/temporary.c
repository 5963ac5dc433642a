#include "cli/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const int ends[] = { SIGINT, SIGTERM, SIGHUP };

/* What is under way; written while these signals are blocked. */
static char unfinished[PATH_MAX];
static int unfinished_folder;

static void on_end (int number)
{
    if (unfinished[0])
        unlinkat (unfinished_folder, unfinished, 0);
    raise (number); /* its handler was for once */
}

static void block (sigset_t *before)
{
    sigset_t set;
    sigemptyset (&set);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        sigaddset (&set, ends[i]);
    sigprocmask (SIG_BLOCK, &set, before);
}

/* What is ignored, by nohup say, stays so. */
static void hear (bool on)
{
    struct sigaction now;
    struct sigaction next = { .sa_handler = on ? on_end : SIG_DFL, .sa_flags = (int)SA_RESETHAND };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        if (sigaction (ends[i], NULL, &now) == 0 && now.sa_handler == (on ? SIG_DFL : on_end))
            sigaction (ends[i], &next, NULL);
}

int temporary_make (int folder, const char *name)
{
    sigset_t before;
    block (&before);
    bool fits = strlen (name) < sizeof unfinished;
    int fd = fits ? openat (folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666) : -1;
    int code = fits ? errno : ENAMETOOLONG;
    if (fd >= 0) {
        snprintf (unfinished, sizeof unfinished, "%s", name);
        unfinished_folder = folder;
        hear (true);
    }
    sigprocmask (SIG_SETMASK, &before, NULL);
    errno = code;
    return fd;
}

void temporary_done (void)
{
    sigset_t before;
    block (&before);
    unfinished[0] = '\0';
    hear (false);
    sigprocmask (SIG_SETMASK, &before, NULL);
}

const char *temporary_folder (void)
{
    const char *folder = getenv ("TMPDIR");
    return folder && *folder ? folder : "/tmp";
}

int temporary_file (void)
{
    const char *folder = temporary_folder ();
    char path[PATH_MAX];
    snprintf (path, sizeof path, "%s/gleaner-XXXXXX", folder);
    int fd = mkostemp (path, O_CLOEXEC);
    if (fd < 0)
        cli_say (0, "cannot make a file in '%s': %s.", folder, strerror (errno));
    else
        unlink (path);
    return fd;
}
