/* collect.c - the program gleaner-collect: a process of its own, so that packing many files does not hold up the
 * worker.
 *
 * usage: gleaner-collect FOLDER OUT.zip PATTERN... Prints "files N" on stdout, and what is missing on stderr. OUT.zip
 * is empty when N is 0. Exit status: 0 done, 3 it could not be written, with one sentence on stderr, 2 wrong usage.
 */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/glob.h"
#include "worker/collect.h"
#include "worker/enclose.h"

enum {
    EXIT_USAGE = 2,
    EXIT_UNWRITTEN = 3,
    CPU_SECONDS_MAX = 300,
    PROBLEM_SIZE = 512,
};
#define MEMORY_MAX (512LL << 20)

static void limit (int resource, rlim_t value)
{
    const struct rlimit both = { value, value };
    setrlimit (resource, &both);
}

static void limit_all (void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they reserve address space by the terabyte */
    limit (RLIMIT_AS, MEMORY_MAX);
#endif
    limit (RLIMIT_CPU, CPU_SECONDS_MAX);
}

/* Opens what it takes, then shuts itself in. False and one sentence in `problem`. */
static bool begin (const char *folder, const char *path, collect_order_t *order, char problem[PROBLEM_SIZE])
{
    enclose_t walls;
    struct stat info;
    order->folder = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (order->folder < 0) {
        snprintf (problem, PROBLEM_SIZE, "The job's folder cannot be read: %s.", strerror (errno));
        return false;
    }
    int fd = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat (fd, &info) != 0 || !S_ISREG (info.st_mode)) {
        snprintf (problem, PROBLEM_SIZE, "The artifacts could not be packed: %s.",
                  fd < 0 ? strerror (errno) : "not a plain file");
        return false;
    }
    order->zip = zip_write_new (fd, problem, PROBLEM_SIZE);
    if (!order->zip)
        return false;
    limit_all ();
    int error = enclose_prepare (&walls, ENCLOSE_COLLECT);
    if (!error)
        error = enclose_enter (&walls, order->folder);
    if (error)
        snprintf (problem, PROBLEM_SIZE, "The collector cannot be shut in: %s.", strerror (error));
    return !error;
}

static int run (const char *folder, const char *path, collect_order_t *order)
{
    collect_result_t result = { 0 };
    char problem[PROBLEM_SIZE];
    bool written = begin (folder, path, order, problem) && collect (order, &result, problem, sizeof problem);
    bool keep = written && result.files > 0;
    if (order->zip)
        written = zip_write_end (&order->zip, keep, problem, sizeof problem) && written;
    if (written) {
        printf ("files %lld\n", (long long)result.files);
        if (result.notes.len)
            fprintf (stderr, SLICE_FMT "\n", SLICE_ARG (buf_slice (&result.notes)));
    } else {
        fprintf (stderr, "%s\n", problem);
    }
    buf_fini (&result.notes);
    return written ? 0 : EXIT_UNWRITTEN;
}

int main (int argc, char **argv)
{
    if (argc < 4 || argc > COLLECT_PATTERNS_MAX) {
        fprintf (stderr, "usage: gleaner-collect FOLDER OUT.zip PATTERN...\n");
        return EXIT_USAGE;
    }
    for (int i = 3; i < argc; i++) {
        if (!glob_safe (argv[i])) {
            fprintf (stderr, "An artifact pattern must stay below the job's folder.\n");
            return EXIT_USAGE;
        }
    }
    setlocale (LC_CTYPE, "C.UTF-8"); /* or the library cannot tell names */
    setenv ("TZ", "UTC", 1);         /* a ZIP holds local times: they must not tell machines apart */
    tzset ();
    collect_order_t order = { .patterns = (const char *const *)&argv[3], .pattern_count = argc - 3 };
    int status = run (argv[1], argv[2], &order);
    fflush (stdout);
    _exit (status); /* what sanitizers do at an end is shut out as well */
}
