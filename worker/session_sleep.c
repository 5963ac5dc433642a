/* session_sleep.c - what a session says and leaves unsaid when its machine sleeps. */
#include "proto/clock.h"
#include "proto/log.h"
#include "worker/session_internal.h"

enum { SLEEP_MS = 2 * 1000 }; /* a machine that is to sleep waits so long for the broker to hear of it */

static void jobs_asleep (session_t *self, int64_t sent_ms, int64_t for_ms)
{
    for (int i = 0; i < session_job_count (self); i++)
        if (session_job_at (self, i))
            job_asleep (session_job_at (self, i), sent_ms, for_ms);
}

static void on_sleep_heard (void *ctx, const call_answer_t *answer)
{
    session_t *self = ctx;
    self->sleep_call = 0;
    if (answer->outcome == CALL_OK) {
        int64_t for_ms = answer->reply->worker_sleep_ok.for_ms;
        log_event (LEVEL_INFO, "worker-asleep", "its leases are kept for %lld s", (long long)(for_ms / 1000));
        jobs_asleep (self, self->sleep_sent_ms, for_ms);
    } else {
        log_event (LEVEL_WARN, "worker-asleep", "its leases are not kept: %s", answer->text);
        if (answer->err == ERR_NO_SUCH_WORKER)
            self->registered = false;
    }
    sleep_watch_said (self->sleep);
}

/* Takes back what waits at the broker. */
static void fall_silent (session_t *self)
{
    transport_t *transport = self->config.transport;
    spare_stop (self->spare);
    transport->ops->cancel (transport, self->registering);
    transport->ops->cancel (transport, self->heartbeat);
    self->registering = self->heartbeat = 0;
    loop_timer_stop (&self->register_timer);
    loop_timer_stop (&self->heartbeat_timer);
    for (int i = 0; i < self->slot_count; i++) {
        transport->ops->cancel (transport, self->slots[i].poll);
        self->slots[i].poll = 0;
        loop_timer_stop (&self->slots[i].timer);
    }
}

/* Silent before it is said: whatever came after it would tell the broker that we are awake. */
static void on_going (void *ctx)
{
    session_t *self = ctx;
    self->sleep_sent_ms = clock_mono_ms ();
    fall_silent (self);
    jobs_asleep (self, self->sleep_sent_ms, 0);
    if (!self->registered || self->leaving) {
        log_event (LEVEL_INFO, "worker-asleep", "without a word: the broker does not know it");
        sleep_watch_said (self->sleep);
        return;
    }
    message_t request;
    message_init (&request, MSG_WORKER_SLEEP);
    request.worker_sleep.worker_id = slice_of (self->config.worker_id);
    transport_t *transport = self->config.transport;
    self->sleep_call = transport->ops->call (transport, &request, SLEEP_MS, on_sleep_heard, self);
}

static void on_woken (void *ctx, int64_t asleep_ms)
{
    session_t *self = ctx;
    log_event (LEVEL_INFO, "worker-awake", "after %lld ms", (long long)asleep_ms);
    self->config.transport->ops->cancel (self->config.transport, self->sleep_call);
    self->sleep_call = 0;
    for (int i = 0; i < session_job_count (self); i++)
        if (session_job_at (self, i))
            job_awake (session_job_at (self, i));
    if (self->registered && !self->leaving)
        session_heartbeat (self);
    else
        session_register (self);
    for (int i = 0; i < self->slot_count; i++)
        session_poll (&self->slots[i]);
    session_idle (self);
}

void session_sleep (session_t *self)
{
    sleep_watch_sleep (self->sleep);
}

void session_wake (session_t *self)
{
    sleep_watch_wake (self->sleep);
}

void session_sleep_init (session_t *self)
{
    self->sleep = sleep_watch_new (self->config.loop, &(sleep_events_t){ on_going, on_woken, self });
}

void session_sleep_fini (session_t *self)
{
    sleep_watch_destroy (&self->sleep);
}
