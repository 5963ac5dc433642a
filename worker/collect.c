/* collect.c - the program gleaner-collect: a process of its own, so that packing many files does not hold up the
 * worker.
 *
 * usage: gleaner-collect FOLDER OUT.zip PATTERN... Prints "files N" on stdout, and what is missing on stderr. Exit
 * status: 0 done (OUT.zip is made only when N is not 0), 3 it could not be written, with one sentence on stderr, 2
 * wrong usage.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include "worker/collect.h"
#include "worker/glob.h"

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
    prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* they reserve address space by the terabyte */
    limit (RLIMIT_AS, MEMORY_MAX);
#endif
    limit (RLIMIT_CPU, CPU_SECONDS_MAX);
    setlocale (LC_CTYPE, "C.UTF-8"); /* or the library cannot tell names */
    setenv ("TZ", "UTC", 1);         /* a ZIP holds local times: they must not tell machines apart */
    tzset ();
    collect_order_t order = { argv[1], argv[2], (const char *const *)&argv[3], argc - 3 };
    collect_result_t result;
    char problem[PROBLEM_SIZE];
    int status = 0;
    if (collect (&order, &result, problem, sizeof problem)) {
        printf ("files %lld\n", (long long)result.files);
        if (result.notes.len)
            fprintf (stderr, SLICE_FMT "\n", SLICE_ARG (buf_slice (&result.notes)));
    } else {
        fprintf (stderr, "%s\n", problem);
        status = EXIT_UNWRITTEN;
    }
    buf_fini (&result.notes);
    return status;
}
