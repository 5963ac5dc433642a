/* sleep.h - notices that this machine goes to sleep, and that it is awake again.
 *
 *   AWAKE --> GOING (the broker is told) --> ASLEEP --> AWAKE
 *
 * To sleep by logind's PrepareForSleep, which waits for us (sleep_bus.c), or when somebody says so. Awake by logind,
 * when somebody says so, when the clocks show that time has passed without us, or after 30 s in which nothing happened:
 * then it was a false alarm.
 */
#ifndef GLEANER_WORKER_SLEEP_H
#define GLEANER_WORKER_SLEEP_H

#include <stdbool.h>

#include "worker/loop.h"

/* ---- sleep.c ---- */

typedef struct sleep_watch sleep_watch_t;

typedef struct {
    void (*going) (void *ctx); /* be silent, but tell the broker; then sleep_watch_said */
    void (*woken) (void *ctx, int64_t asleep_ms);
    void *ctx;
} sleep_events_t;

/* Watches from now on; without a system bus it hears only what it is told. The caller destroys it. */
sleep_watch_t *sleep_watch_new (loop_t *loop, const sleep_events_t *events);
void sleep_watch_destroy (sleep_watch_t **self_p);
/* The machine goes to sleep: `going` is called, unless it has been. */
void sleep_watch_sleep (sleep_watch_t *self);
/* The machine may sleep: the broker has been told, or cannot be. */
void sleep_watch_said (sleep_watch_t *self);
/* The machine is awake: `woken` is called, unless it was awake. */
void sleep_watch_wake (sleep_watch_t *self);
/* False from `going` to `woken`. */
bool sleep_watch_is_awake (const sleep_watch_t *self);

/* ---- sleep_bus.c: logind on the system bus ---- */

typedef struct sleep_bus sleep_bus_t;
typedef void sleep_bus_fn (void *ctx, bool going);

/* Connects to the bus at DBUS_SYSTEM_BUS_ADDRESS or where it always is. NULL when there is none. The caller destroys.
 */
sleep_bus_t *sleep_bus_new (loop_t *loop, sleep_bus_fn *fn, void *ctx);
void sleep_bus_destroy (sleep_bus_t **self_p);
/* From now on the machine waits for sleep_bus_release before it sleeps, as long as logind lets us (5 s). NULL is
 * ignored by both. */
void sleep_bus_delay (sleep_bus_t *self);
void sleep_bus_release (sleep_bus_t *self);

#endif
