/* extract.c - the program gleaner-extract: a process of its own for bytes that somebody else made, forked from one that
 * the worker has started before.
 *
 * usage: gleaner-extract ARCHIVE FOLDER FILES BYTES RATIO DEPTH: the last four are archive_limits_t. Exit status: 0
 * done; 3 refused: on stdout one sentence, before it its code and a colon; 4 the disk is full, 5 another fault that is
 * not the archive's: one sentence; 2 wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/archive.h"
#include "worker/enclose.h"
#include "worker/fork_serve.h"

enum {
    EXIT_USAGE = 2,
    EXIT_REFUSED = 3,
    EXIT_DISK_FULL = 4,
    EXIT_FAULT = 5,
    CPU_SECONDS_MAX = 300,
    FILES_MAX = 128, /* open at once */
};
#define MEMORY_MAX (512LL << 20)

static void limit (int resource, rlim_t value, rlim_t most)
{
    const struct rlimit both = { value, most };
    setrlimit (resource, &both);
}

static void limit_all (const archive_limits_t *limits)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they reserve address space by the terabyte */
    limit (RLIMIT_AS, MEMORY_MAX, MEMORY_MAX);
#endif
    limit (RLIMIT_CPU, CPU_SECONDS_MAX, CPU_SECONDS_MAX + 10); /* SIGXCPU first: the worker tells by that */
    limit (RLIMIT_FSIZE, (rlim_t)limits->bytes, (rlim_t)limits->bytes);
    limit (RLIMIT_NOFILE, FILES_MAX, FILES_MAX);
    umask (0022);
}

static bool read_limits (char **argv, archive_limits_t *out)
{
    int64_t *numbers[] = { &out->files, &out->bytes, &out->ratio, &out->depth };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        char *end = NULL;
        *numbers[i] = strtoll (argv[i], &end, 10);
        if (*numbers[i] <= 0 || *end)
            return false;
    }
    return true;
}

static int tell (int error, const char *what)
{
    printf ("%s: %s.\n", what, strerror (error));
    return error == ENOSPC || error == EDQUOT ? EXIT_DISK_FULL : EXIT_FAULT;
}

static int extract (const enclose_t *walls, const char *archive_path, const char *folder_path,
                    const archive_limits_t *limits)
{
    archive_refusal_t refusal;
    int archive = open (archive_path, O_RDONLY | O_CLOEXEC);
    int folder = archive < 0 ? -1 : open (folder_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return tell (errno, archive < 0 ? "The archive cannot be opened" : "The job's folder cannot be opened");
    limit_all (limits);
    int error = enclose_enter (walls, folder);
    if (error)
        return tell (error, "The extractor cannot be shut in");
    if (archive_extract (archive, folder, limits, &refusal))
        return 0;
    if (!refusal.code)
        return tell (refusal.error, "The archive cannot be unpacked");
    printf ("%s: The archive was refused: %s\n", refusal.code, refusal.text);
    return EXIT_REFUSED;
}

int main (int argc, char **argv)
{
    enclose_t walls;
    archive_limits_t limits;
    setlocale (LC_CTYPE, "C.UTF-8"); /* or the library cannot tell names */
    archive_warm ();                 /* once shut in, nothing can be loaded */
    int error = enclose_prepare (&walls, ENCLOSE_EXTRACT);
    fork_serve (&argc, &argv);
    if (argc != 7 || !read_limits (argv + 3, &limits)) {
        fprintf (stderr, "usage: gleaner-extract ARCHIVE FOLDER FILES BYTES RATIO DEPTH\n");
        return EXIT_USAGE;
    }
    int status = error ? tell (error, "The extractor cannot be shut in") : extract (&walls, argv[1], argv[2], &limits);
    fflush (stdout);
    _exit (status); /* without what libraries do at an end: that cost a small archive as much as the rest */
}
