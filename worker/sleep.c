#include "worker/sleep.h"

#include <stdlib.h>

#include "proto/buf.h"
#include "proto/clock.h"

enum {
    TICK_MS = 1000,
    MISSED_MS = 5 * 1000,       /* time that passed without us: more than a busy machine takes from a tick */
    FALSE_ALARM_MS = 30 * 1000, /* of running time without having slept */
};

typedef enum { AWAKE, GOING, ASLEEP } sleep_state_t;

struct sleep_watch {
    loop_t *loop;
    sleep_events_t events;
    sleep_bus_t *bus; /* NULL: none */
    sleep_state_t state;
    int64_t since_ms;       /* when it went to sleep, by both clocks */
    int64_t since_awake_ms; /* this one stands still while the machine sleeps */
    int64_t tick_ms;        /* when the tick is due */
    loop_timer_t tick;
};

/* A machine that slept, or a process that was stopped: its timer comes late, on the clock that goes on. */
static void on_tick (void *ctx)
{
    sleep_watch_t *self = ctx;
    int64_t now_ms = clock_mono_ms ();
    int64_t ran_ms = clock_awake_ms () - self->since_awake_ms;
    bool slept = now_ms - self->since_ms - ran_ms > MISSED_MS || now_ms - self->tick_ms > MISSED_MS;
    if (slept || ran_ms > FALSE_ALARM_MS) {
        sleep_watch_wake (self);
        return;
    }
    self->tick_ms = now_ms + TICK_MS;
    loop_timer_set (self->loop, &self->tick, TICK_MS, on_tick, self);
}

void sleep_watch_sleep (sleep_watch_t *self)
{
    if (self->state != AWAKE)
        return;
    self->state = GOING;
    self->since_ms = clock_mono_ms ();
    self->since_awake_ms = clock_awake_ms ();
    self->tick_ms = self->since_ms + TICK_MS;
    loop_timer_set (self->loop, &self->tick, TICK_MS, on_tick, self);
    self->events.going (self->events.ctx);
}

void sleep_watch_said (sleep_watch_t *self)
{
    if (self->state != GOING)
        return;
    self->state = ASLEEP;
    sleep_bus_release (self->bus);
}

void sleep_watch_wake (sleep_watch_t *self)
{
    if (self->state == AWAKE)
        return;
    self->state = AWAKE;
    loop_timer_stop (&self->tick);
    sleep_bus_delay (self->bus);
    self->events.woken (self->events.ctx, clock_mono_ms () - self->since_ms);
}

bool sleep_watch_is_awake (const sleep_watch_t *self)
{
    return self->state == AWAKE;
}

static void on_bus (void *ctx, bool going)
{
    if (going)
        sleep_watch_sleep (ctx);
    else
        sleep_watch_wake (ctx);
}

sleep_watch_t *sleep_watch_new (loop_t *loop, const sleep_events_t *events)
{
    sleep_watch_t *self = xcalloc (1, sizeof *self);
    self->loop = loop;
    self->events = *events;
    self->bus = sleep_bus_new (loop, on_bus, self);
    sleep_bus_delay (self->bus);
    return self;
}

void sleep_watch_destroy (sleep_watch_t **self_p)
{
    sleep_watch_t *self = *self_p;
    if (!self)
        return;
    loop_timer_stop (&self->tick);
    sleep_bus_destroy (&self->bus);
    free (self);
    *self_p = NULL;
}
