/* bench-sandbox - a job of `true` in a sandbox as the worker starts it, from the start to the end of all of it; or
 * bwrap with the very same arguments, and `true` in place of the keeper.
 *
 * usage: bench-sandbox ours|bwrap KEEPER FOLDER COUNT; KEEPER: the path of gleaner-keeper
 * prints one JSON object: count, seconds, per_second
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/clock.h"
#include "worker/child.h"
#include "worker/keepers.h"
#include "worker/sandbox.h"

enum { PATIENCE_MS = 10 * 1000 };

static int give_up (const char *why)
{
    fprintf (stderr, "bench-sandbox: %s\n", why);
    return 1;
}

static bool start_bwrap (sandbox_t *sandbox, const sandbox_job_t *job)
{
    char why[SANDBOX_PROBLEM_SIZE];
    argv_t argv = { 0 };
    argv_t plain = { 0 };
    sandbox->ops->keeper (sandbox, job, &argv);
    for (size_t i = 0; i < argv.count && strcmp (argv.items[i], KEEPER_CONTAINED) != 0; i++)
        argv_add (&plain, argv.items[i]);
    free (plain.items[plain.count - 1]); /* the keeper */
    plain.items[plain.count - 1] = xstrdup ("/bin/true");
    bool good = sandbox_try (&plain, NULL, sandbox->filter_fd, PATIENCE_MS, why);
    argv_fini (&argv);
    argv_fini (&plain);
    return good;
}

static bool start_ours (sandbox_t *sandbox, const sandbox_job_t *job)
{
    static const char input[] = "true";
    keepers_t keepers = { 0 };
    child_t child;
    int number;
    keeper_job_t work = { .sandbox = sandbox, .wants = *job, .input = memfd_create ("input", MFD_CLOEXEC) };
    if (work.input < 0 || pwrite (work.input, input, sizeof input, 0) != sizeof input)
        return false;
    int error = keepers_run (&keepers, &work, &child);
    close (work.input);
    if (error)
        return false;
    struct pollfd ended = { child.pidfd, POLLIN, 0 };
    bool good = poll (&ended, 1, PATIENCE_MS) == 1;
    good = child_reap (&child, &number) == 0 && good;
    child_close (&child);
    return good;
}

int main (int argc, char **argv)
{
    long count = argc == 5 ? atol (argv[4]) : 0;
    bool ours = argc == 5 && strcmp (argv[1], "ours") == 0;
    char problem[SANDBOX_PROBLEM_SIZE];
    char jobs[FOLDER_PATH_MAX + 8];
    sandbox_t sandbox;
    if (count < 1 || (!ours && strcmp (argv[1], "bwrap") != 0))
        return give_up ("usage: bench-sandbox ours|bwrap KEEPER FOLDER COUNT");
    snprintf (jobs, sizeof jobs, "%s/jobs", argv[3]);
    mkdir (jobs, 0700);
    const sandbox_config_t config = { .keeper = argv[2], .work_dir = argv[3], .tmp_max = 1 << 20, .network = true };
    const sandbox_job_t job = { .folder = jobs };
    if (!sandbox_open (&sandbox, &sandbox_bwrap_ops, &config, problem))
        return give_up (problem);
    int64_t start_ms = clock_mono_ms ();
    for (long i = 0; i < count; i++)
        if (!(ours ? start_ours (&sandbox, &job) : start_bwrap (&sandbox, &job)))
            return give_up ("a start failed");
    double seconds = (double)(clock_mono_ms () - start_ms) / 1e3;
    sandbox_close (&sandbox);
    printf ("{\"count\": %ld, \"seconds\": %.3f, \"per_second\": %.2f}\n", count, seconds, (double)count / seconds);
    return 0;
}
