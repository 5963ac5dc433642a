/* gleaner-sim - runs the broker's core through seeded schedules of faults; see README.md. */
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

enum { SEEDS = 1000, STEPS = 1500, REPEAT_EVERY = 16 };

static int usage (void)
{
    fprintf (stderr, "usage: gleaner-sim [--seeds N] [--first S] [--seed S] [--steps K] [--break MISTAKE] [--verbose]\n"
                     "MISTAKE:");
    for (int i = 1; i < BREAK_COUNT; i++)
        fprintf (stderr, " %s", break_names[i]);
    fprintf (stderr, "\n");
    return 2;
}

static int break_find (const char *name)
{
    for (int i = 0; i < BREAK_COUNT; i++)
        if (strcmp (name, break_names[i]) == 0)
            return i;
    return -1;
}

typedef struct {
    uint64_t first, seeds;
    int64_t steps;
    int broken;
    bool verbose;
} options_t;

static world_t world;
static options_t options;
static uint64_t seed;

static bool parse_one (const char *name, const char *value)
{
    if (strcmp (name, "--seeds") == 0)
        options.seeds = strtoull (value, NULL, 10);
    else if (strcmp (name, "--first") == 0)
        options.first = strtoull (value, NULL, 10);
    else if (strcmp (name, "--steps") == 0)
        options.steps = strtoll (value, NULL, 10);
    else if (strcmp (name, "--break") == 0)
        options.broken = break_find (value);
    else if (strcmp (name, "--seed") == 0) {
        options.first = strtoull (value, NULL, 10);
        options.seeds = 1;
    } else
        return false;
    return true;
}

static bool parse (int argc, char **argv)
{
    options = (options_t){ 1, SEEDS, STEPS, BREAK_NOTHING, false };
    for (int i = 1; i < argc; i++) {
        if (strcmp (argv[i], "--verbose") == 0)
            options.verbose = true;
        else if (i + 1 == argc || !parse_one (argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return options.seeds > 0 && options.steps > 0 && options.broken >= 0;
}

/* What the run was holding is not given back. */
static void end_failed (int signal)
{
    printf ("seed %llu failed after %lld steps: %s\nrepeat it: gleaner-sim --seed %llu --steps %lld",
            (unsigned long long)seed, (long long)world.steps, signal ? "an assertion of the core" : world.why,
            (unsigned long long)seed, (long long)options.steps);
    if (options.broken != BREAK_NOTHING)
        printf (" --break %s", break_names[options.broken]);
    printf (" --verbose\n");
    fflush (stdout);
    _exit (1);
}

/* A seed that does not repeat is of no use. */
static bool run (void)
{
    if (!world_run (&world, seed, options.steps))
        return false;
    uint64_t digest = world.digest;
    if (seed % REPEAT_EVERY || options.verbose)
        return true;
    if (!world_run (&world, seed, options.steps))
        return false;
    if (world.digest != digest)
        snprintf (world.why, sizeof world.why, "its second run differs from the first");
    return world.digest == digest;
}

int main (int argc, char **argv)
{
    if (!parse (argc, argv))
        return usage ();
    if (sodium_init () < 0)
        return 1;
    signal (SIGABRT, end_failed);
    world.broken = (break_t)options.broken;
    world.verbose = options.verbose;
    int64_t steps = 0;
    int64_t crashes = 0;
    int64_t full = 0;
    int64_t jobs = 0;
    int64_t completed = 0;
    uint64_t digest = 0;
    clock_t start = clock ();
    for (seed = options.first; seed < options.first + options.seeds; seed++) {
        if (!run ())
            end_failed (0);
        steps += world.steps;
        crashes += world.crashes;
        full += world.full;
        jobs += world.job_total;
        completed += world.completed;
        digest ^= world.digest;
    }
    double seconds = (double)(clock () - start) / CLOCKS_PER_SEC;
    printf ("%llu seeds, %lld steps, %lld broker crashes, %lld full disks, %lld jobs (%lld completed), digest %016llx, "
            "%.0f steps/s of CPU: all held\n",
            (unsigned long long)options.seeds, (long long)steps, (long long)crashes, (long long)full, (long long)jobs,
            (long long)completed, (unsigned long long)digest, (double)steps / seconds);
    return 0;
}
