/* session_notify.c - what a session tells the service manager, and how long it lets jobs run on when it is to stop. */
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/notify.h"
#include "worker/session_internal.h"

enum {
    EXTEND_MS = 30 * 1000, /* what is asked for while jobs run on, */
    EXTEND_EVERY_MS = 10 * 1000,
};

static int running_count (const session_t *self)
{
    int count = 0;
    for (int i = 0; i < session_job_count (self); i++)
        count += session_job_at (self, i) && !job_is_spooled (session_job_at (self, i));
    return count;
}

void session_tell (void *ctx)
{
    session_t *self = ctx;
    if (notify_turn ()) {
        const char *how = self->stopping     ? "stopping"
                          : self->registered ? "registered"
                          : self->was_ready  ? "registering anew"
                          : self->told_ready ? "the server is away; trying again"
                                             : "registering";
        notify_status ("%d of %d slots run a job; %s", running_count (self), self->slot_count, how);
    }
    int64_t due_ms = notify_deadline ();
    if (due_ms != INT64_MAX)
        loop_timer_set (self->config.loop, &self->notify_timer, due_ms - clock_mono_ms (), session_tell, self);
}

void session_tell_ready (session_t *self)
{
    if (!self->told_ready)
        notify_ready ();
    self->told_ready = true;
    session_tell (self);
}

/* The manager's patience ends with the unit's TimeoutStopSec unless it hears of more. */
static void extend (void *ctx)
{
    session_t *self = ctx;
    if (!running_count (self))
        return;
    notify_extend (EXTEND_MS);
    loop_timer_set (self->config.loop, &self->extend_timer, EXTEND_EVERY_MS, extend, self);
}

static void waited_enough (void *ctx)
{
    session_t *self = ctx;
    log_event (LEVEL_INFO, "stop-wait-over", "what still runs is given back");
    session_stop (self);
}

void session_tell_stopping (session_t *self)
{
    int64_t wait_ms = self->config.options->stop_wait_ms;
    notify_stopping ();
    session_tell (self);
    extend (self);
    if (wait_ms && running_count (self))
        loop_timer_set (self->config.loop, &self->stop_timer, wait_ms, waited_enough, self);
}

void session_notify_fini (session_t *self)
{
    loop_timer_stop (&self->notify_timer);
    loop_timer_stop (&self->extend_timer);
    loop_timer_stop (&self->stop_timer);
}
