/* sleep_bus.c - logind's word that the machine goes to sleep, over sd-bus on the worker's loop.
 *
 * Everything is asynchronous: a bus that does not answer holds up nothing, and one that goes away is done without.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "worker/sleep.h"

#define LOGIND    "org.freedesktop.login1"
#define PATH      "/org/freedesktop/login1"
#define INTERFACE "org.freedesktop.login1.Manager"

struct sleep_bus {
    loop_t *loop;
    sd_bus *bus; /* NULL: it went away */
    int fd;
    loop_timer_t timer;
    sleep_bus_fn *fn;
    void *ctx;
    int lock; /* while it is open, the machine waits; -1: none */
};

static void disconnect (sleep_bus_t *self)
{
    if (!self->bus)
        return;
    loop_timer_stop (&self->timer);
    loop_unwatch (self->loop, self->fd);
    self->bus = sd_bus_close_unref (self->bus);
}

static void pump (void *ctx);

static void on_readable (void *ctx, uint32_t events)
{
    (void)events;
    pump (ctx);
}

/* Does what can be done now, and says what to wake for: sd_bus_get_events(3), sd_bus_get_timeout(3). */
static void pump (void *ctx)
{
    sleep_bus_t *self = ctx;
    uint64_t until_us = UINT64_MAX;
    int status;
    do
        status = sd_bus_process (self->bus, NULL);
    while (status > 0);
    int events = status < 0 ? status : sd_bus_get_events (self->bus);
    if (events < 0 || sd_bus_get_timeout (self->bus, &until_us) < 0 ||
        loop_watch (self->loop, self->fd, (uint32_t)events, on_readable, self) != 0) {
        log_event (LEVEL_DEBUG, "sleep-unwatched", "the system bus is gone: %s", strerror (events < 0 ? -events : 0));
        disconnect (self);
        return;
    }
    loop_timer_stop (&self->timer);
    if (until_us != UINT64_MAX)
        loop_timer_set (self->loop, &self->timer, (int64_t)(until_us / 1000) + 1 - clock_awake_ms (), pump, self);
}

static int on_prepare (sd_bus_message *message, void *ctx, sd_bus_error *error)
{
    (void)error;
    sleep_bus_t *self = ctx;
    int going = 0;
    if (sd_bus_message_read (message, "b", &going) >= 0)
        self->fn (self->ctx, going);
    return 0;
}

static int on_inhibited (sd_bus_message *reply, void *ctx, sd_bus_error *error)
{
    (void)error;
    sleep_bus_t *self = ctx;
    int fd = -1; /* the message's own */
    if (sd_bus_message_is_method_error (reply, NULL) || sd_bus_message_read (reply, "h", &fd) < 0) {
        const sd_bus_error *why = sd_bus_message_get_error (reply);
        log_event (LEVEL_DEBUG, "sleep-unwatched", "%s", why && why->message ? why->message : "logind did not answer");
        return 0;
    }
    sleep_bus_release (self);
    self->lock = fcntl (fd, F_DUPFD_CLOEXEC, 3);
    log_event (LEVEL_DEBUG, "sleep-watched", "the machine waits for us before it sleeps");
    return 0;
}

void sleep_bus_delay (sleep_bus_t *self)
{
    if (!self || !self->bus || self->lock >= 0)
        return;
    sd_bus_call_method_async (self->bus, NULL, LOGIND, PATH, INTERFACE, "Inhibit", on_inhibited, self, "ssss", "sleep",
                              "gleaner-worker", "tells the broker that its jobs are to be waited for", "delay");
    loop_timer_set (self->loop, &self->timer, 0, pump, self);
}

void sleep_bus_release (sleep_bus_t *self)
{
    if (!self || self->lock < 0)
        return;
    close (self->lock);
    self->lock = -1;
}

sleep_bus_t *sleep_bus_new (loop_t *loop, sleep_bus_fn *fn, void *ctx)
{
    sd_bus *bus = NULL;
    if (sd_bus_open_system (&bus) < 0)
        return NULL;
    sleep_bus_t *self = xcalloc (1, sizeof *self);
    *self = (sleep_bus_t){ .loop = loop, .bus = bus, .fd = sd_bus_get_fd (bus), .fn = fn, .ctx = ctx, .lock = -1 };
    sd_bus_match_signal_async (bus, NULL, LOGIND, PATH, INTERFACE, "PrepareForSleep", on_prepare, NULL, self);
    loop_timer_set (loop, &self->timer, 0, pump, self);
    return self;
}

void sleep_bus_destroy (sleep_bus_t **self_p)
{
    sleep_bus_t *self = *self_p;
    if (!self)
        return;
    disconnect (self);
    sleep_bus_release (self);
    free (self);
    *self_p = NULL;
}
