/* guard.h - fixed pieces of work whose instructions tests/guard/check counts.
 *
 * A scenario does the same in each run: its times and seeds are constants, its ids are made from them. What it needs
 * first is set up beforehand and not counted. It asserts that its work was done, since a refusal is quick.
 */
#ifndef GLEANER_TESTS_GUARD_H
#define GLEANER_TESTS_GUARD_H

#include <stdint.h>

#define GUARD_WALL_MS 1700000000000LL

typedef struct {
    const char *name;
    void *(*set_up) (const char *folder); /* the caller's, an empty one; files may be left in it */
    void (*run) (void *self);
    void (*tear_down) (void **self_p);
} guard_scenario_t;

extern const guard_scenario_t guard_codec, guard_core, guard_store;

#endif
