/* extract.c - the program gleaner-extract: a process of its own for bytes that somebody else made, forked from one that
 * the worker has started before.
 *
 * usage: gleaner-extract ARCHIVE FOLDER. Exit status: 0 done; 3 refused, 4 the disk is full,
 * each with one sentence on stdout; 2 wrong usage.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/archive.h"
#include "worker/fork_serve.h"

enum {
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3,
    EXIT_DISK_FULL = 4,
    CPU_SECONDS_MAX = 300,
    FILES_MAX = 128, /* open at once */
};
#define MEMORY_MAX (512LL << 20)

static void limit (int resource, rlim_t value)
{
    const struct rlimit both = { value, value };
    setrlimit (resource, &both);
}

int main (int argc, char **argv)
{
    setlocale (LC_CTYPE, "C.UTF-8"); /* or the library cannot tell names */
    if (fork_serve_wanted (argc, argv))
        archive_warm ();
    fork_serve (&argc, &argv);
    if (argc != 3) {
        fprintf (stderr, "usage: gleaner-extract ARCHIVE FOLDER\n");
        return EXIT_USAGE;
    }
    prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they reserve address space by the terabyte */
    limit (RLIMIT_AS, MEMORY_MAX);
#endif
    limit (RLIMIT_CPU, CPU_SECONDS_MAX);
    limit (RLIMIT_FSIZE, ARCHIVE_BYTES_MAX);
    limit (RLIMIT_NOFILE, FILES_MAX);
    umask (0022);
    char problem[512];
    int status = 0;
    if (!archive_extract (argv[1], argv[2], problem, sizeof problem)) {
        status = errno == ENOSPC || errno == EDQUOT ? EXIT_DISK_FULL : EXIT_REFUSED;
        printf ("%s\n", problem);
        fflush (stdout);
    }
    _exit (status); /* without what libraries do at an end: that cost a small archive as much as the rest */
}
