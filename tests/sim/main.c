/* gleaner-sim - runs the broker's core through seeded schedules of faults; see README.md. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

enum { SEEDS = 1000, STEPS = 1500 };

static int usage (void)
{
    fprintf (stderr, "usage: gleaner-sim [--seeds N] [--first S] [--seed S] [--steps K] [--break MISTAKE]\nMISTAKE:");
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
} options_t;

static bool parse (int argc, char **argv, options_t *options)
{
    *options = (options_t){ 1, SEEDS, STEPS, BREAK_NOTHING };
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp (argv[i], "--seeds") == 0)
            options->seeds = strtoull (value, NULL, 10);
        else if (strcmp (argv[i], "--first") == 0)
            options->first = strtoull (value, NULL, 10);
        else if (strcmp (argv[i], "--steps") == 0)
            options->steps = strtoll (value, NULL, 10);
        else if (strcmp (argv[i], "--break") == 0)
            options->broken = break_find (value);
        else if (strcmp (argv[i], "--seed") == 0) {
            options->first = strtoull (value, NULL, 10);
            options->seeds = 1;
        } else
            return false;
    }
    return argc % 2 == 1 && options->seeds > 0 && options->steps > 0 && options->broken >= 0;
}

int main (int argc, char **argv)
{
    static world_t world;
    options_t options;
    if (!parse (argc, argv, &options))
        return usage ();
    if (sodium_init () < 0)
        return 1;
    world.broken = (break_t)options.broken;
    int64_t steps = 0;
    int64_t crashes = 0;
    int64_t jobs = 0;
    int64_t completed = 0;
    clock_t start = clock ();
    for (uint64_t seed = options.first; seed < options.first + options.seeds; seed++) {
        bool good = world_run (&world, seed, options.steps);
        steps += world.steps;
        crashes += world.crashes;
        jobs += world.job_total;
        completed += world.completed;
        if (good)
            continue;
        printf ("seed %llu failed after %lld steps: %s\nrepeat it: gleaner-sim --seed %llu --steps %lld\n",
                (unsigned long long)seed, (long long)world.steps, world.why, (unsigned long long)seed,
                (long long)options.steps);
        fflush (stdout);
        _exit (1); /* what the run was holding is not given back */
    }
    double seconds = (double)(clock () - start) / CLOCKS_PER_SEC;
    printf ("%llu seeds, %lld steps, %lld broker crashes, %lld jobs (%lld completed), %.0f steps/s of CPU: all held\n",
            (unsigned long long)options.seeds, (long long)steps, (long long)crashes, (long long)jobs,
            (long long)completed, (double)steps / seconds);
    return 0;
}
