#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "broker/broker.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/notify.h"
#include "proto/program.h"

/* With so many workers something is always said. Turns that are so far apart let their messages gather, and one serves
 * them all; who comes after a silence waits for nothing. */
enum { CROWD = 1000, CROWD_PACE_US = 3000 };

void broker_die (err_t err)
{
    log_event (
        LEVEL_ERROR, "store-lost",
        "%s: stopping without another answer; start again once the disk is well, or examine the data with --check",
        error_row (err)->code);
    _exit (EX_TEMPFAIL);
}

static void read_clocks (broker_t *self)
{
    self->now_ms = clock_mono_ms ();
    self->wall_ms = clock_wall_ms ();
}

/* Milliseconds until something is due. */
static long patience (const broker_t *self)
{
    enum { POLL_MAX_MS = 60 * 1000 };
    int64_t due = core_deadline (self->core);
    int64_t follow = follow_deadline (self);
    due = follow < due ? follow : due;
    int64_t events = events_deadline (self);
    due = events < due ? events : due;
    int64_t measure = measure_deadline (self);
    due = measure < due ? measure : due;
    int64_t peers = peers_deadline (self->peers);
    due = peers < due ? peers : due;
    int64_t admission = admit_deadline (self);
    due = admission < due ? admission : due;
    int64_t endless = endless_deadline (self->endless);
    due = endless < due ? endless : due;
    int64_t webhooks = webhooks_deadline (self);
    due = webhooks < due ? webhooks : due;
    int64_t traces = traces_deadline (self);
    due = traces < due ? traces : due;
    due = self->disk_due_ms < due ? self->disk_due_ms : due;
    due = self->keep.due_ms < due ? self->keep.due_ms : due;
    int64_t notify = notify_deadline ();
    due = notify < due ? notify : due;
    if (self->again || self->returned || self->peers_changed)
        return 0;
    int64_t wait = due == INT64_MAX ? POLL_MAX_MS : due - clock_mono_ms ();
    return (long)(wait < 0 ? 0 : wait > POLL_MAX_MS ? POLL_MAX_MS : wait);
}

static void take_signal (broker_t *self)
{
    program_asked_t asked = program_asked (self->signals, NULL);
    if (asked == ASKED_STOP)
        self->stopping = true;
    if (asked != ASKED_RELOAD)
        return;
    notify_reloading ();
    if (reload_run (self->reload))
        webhooks_reload (self);
    self->auth_moved = true; /* identities and their like are looked at, too, watched or not */
    notify_reloaded ();
}

static void tell_manager (const broker_t *self)
{
    if (!notify_turn ())
        return;
    core_counts_t counts = core_counts (self->core);
    notify_status ("%lld jobs wait, %lld run; %lld of %lld workers are there%s", (long long)counts.pending,
                   (long long)counts.running, (long long)counts.online, (long long)counts.workers,
                   self->disk_full ? "; the disk is full" : "");
}

static int zmq_number (void *socket, int option)
{
    int number = 0;
    size_t size = sizeof number;
    return zmq_getsockopt (socket, option, &number, &size) == 0 ? number : 0;
}

static void let_gather (broker_t *self)
{
    int64_t left_us = self->gathered_us + CROWD_PACE_US - clock_mono_us ();
    if (left_us > 0)
        usleep ((useconds_t)left_us);
    self->gathered_us = clock_mono_us ();
}

/* zmq_poll asks each of its sockets before and after it waits, a system call a time. Here the kernel's poll does: a
 * socket's descriptor tells only that something changed, but the loop always takes all that there is, and what sending
 * has let pass (ZMQ_FD in zmq_getsockopt(3)) is asked for once, before the wait. */
static void wait_for_work (broker_t *self)
{
    struct pollfd fds[] = {
        { .fd = self->router_fd, .events = POLLIN },
        { .fd = depot_fd (self->depot), .events = POLLIN },
        { .fd = self->signals, .events = POLLIN },
        { .fd = self->monitor_fd, .events = POLLIN },
        { .fd = auth_fd (self->auth), .events = POLLIN },
        { .fd = self->curve_fd, .events = POLLIN },
        { .fd = self->courier ? courier_fd (self->courier) : -1, .events = POLLIN },
    };
    bool there = zmq_number (self->router, ZMQ_EVENTS) & ZMQ_POLLIN;
    poll (fds, sizeof fds / sizeof *fds, there ? 0 : (int)patience (self));
    metrics_turn (measure_metrics (self->measure));
    if ((there || fds[0].revents) && core_counts (self->core).online > CROWD)
        let_gather (self);
    self->peers_changed = self->peers_changed || fds[3].revents;
    self->auth_moved = self->auth_moved || fds[4].revents;
    self->again = false;
    if (fds[2].revents)
        take_signal (self);
}

static void on_gone (void *ctx, slice_t worker_id)
{
    broker_t *self = ctx;
    event_t event = { .kind = EVENT_GONE, .now_ms = self->now_ms, .wall_ms = self->wall_ms, .worker_id = worker_id };
    log_event (LEVEL_INFO, "worker-gone", SLICE_FMT " closed its connection", SLICE_ARG (worker_id));
    broker_step (self, &event, NULL);
}

static void end_endless (broker_t *self, bool drained)
{
    for (int ended = endless_turn (self->endless, self->now_ms, drained); ended > 0; ended--) {
        self->refused_frames++;
        refusals_note (&self->refusals, ERR_BAD_FRAMES, "frame-refused",
                       "a message without an end; its connection was cut");
    }
}

static void take_posts (broker_t *self)
{
    post_t *post = NULL;
    while (self->courier && !self->lost && (post = courier_take (self->courier))) {
        if (post->ctx == self->traces)
            traces_outcome (self, post);
        else
            webhooks_outcome (self, post);
        post_destroy (&post);
    }
}

static void tick (broker_t *self, bool drained)
{
    if (self->peers_changed || peers_deadline (self->peers) <= self->now_ms)
        self->peers_changed = peers_take (self->peers, self->now_ms, on_gone, self);
    if (core_deadline (self->core) <= self->now_ms) {
        event_t event = { .kind = EVENT_TICK, .now_ms = self->now_ms, .wall_ms = self->wall_ms };
        broker_step (self, &event, NULL);
    }
    end_endless (self, drained);
    follow_tick (self);
    events_tick (self);
    disk_tick (self);
    keep_tick (self);
    measure_tick (self);
    take_posts (self);
    webhooks_tick (self);
    traces_tick (self);
}

static void publish (broker_t *self)
{
    events_publish (self);
    measure_publish (self);
    webhooks_publish (self);
    traces_publish (self);
}

static bool admit_key (void *ctx, slice_t key)
{
    const broker_t *self = ctx;
    return auth_admits_key (self->auth, key, self->wall_ms);
}

static void turn (broker_t *self)
{
    wait_for_work (self);
    read_clocks (self);
    admit_tick (self);
    if (self->curve && curve_turn (self->curve, self->now_ms, admit_key, self))
        self->again = true;
    bool drained = socket_take (self);
    broker_take_outcomes (self);
    tick (self, drained);

    /* The one place where it is decided that nothing acknowledged is ever lost: all that this turn changed is on disk,
     * by one commit for the whole batch, before any of its answers leaves. Output files that the record has made
     * superfluous go last. */
    err_t err = self->lost ? ERR_DISK_FULL : self->store->ops->commit (self->store);
    if (err == ERR_DISK_FULL)
        disk_recover (self);
    else if (err)
        broker_die (err);
    else
        publish (self);
    socket_send (self);
    metrics_turned (measure_metrics (self->measure));
    broker_submit_discards (self);
    snapshot_tick (self);
    usage_tick (self);
}

void broker_run (broker_t *self)
{
    self->router_fd = zmq_number (self->router, ZMQ_FD);
    self->monitor_fd = zmq_number (peers_monitor (self->peers), ZMQ_FD);
    self->curve_fd = self->curve ? curve_fd (self->curve) : -1;
    self->peers_changed = true; /* what came before the descriptor was looked at */
    while (!self->stopping) {
        turn (self);
        tell_manager (self);
    }
    notify_stopping ();
    self->again = true; /* one more, without waiting */
    turn (self);        /* what undelivered leases have changed */
    measure_stop (self);
    traces_stop (self);
}
