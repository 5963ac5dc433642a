/* guard-run - one scenario, to be run under callgrind by tests/guard/check.
 *
 * usage: guard-run SCENARIO FOLDER
 *   SCENARIO  codec, core, store
 *   FOLDER    an empty folder of the caller's
 */
#include <stdio.h>
#include <string.h>

#include "tests/guard/guard.h"

static const guard_scenario_t *const scenarios[] = { &guard_codec, &guard_core, &guard_store };

void guard_counted (const guard_scenario_t *scenario, void *state);

/* What callgrind counts: it is told this name (--toggle-collect), so the call must stay one. */
__attribute__ ((noinline, noclone)) void guard_counted (const guard_scenario_t *scenario, void *state)
{
    scenario->run (state);
    __asm__ volatile("" ::: "memory"); /* no tail call */
}

int main (int argc, char **argv)
{
    for (size_t i = 0; argc == 3 && i < sizeof scenarios / sizeof *scenarios; i++) {
        if (strcmp (argv[1], scenarios[i]->name) != 0)
            continue;
        void *state = scenarios[i]->set_up (argv[2]);
        guard_counted (scenarios[i], state);
        scenarios[i]->tear_down (&state);
        return 0;
    }
    fprintf (stderr, "usage: guard-run codec|core|store FOLDER\n");
    return 2;
}
