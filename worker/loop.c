#include "worker/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/clock.h"

enum { EVENTS_PER_TURN = 64 };

typedef struct {
    loop_fd_fn *fn; /* NULL: not watched */
    void *ctx;
    uint32_t generation; /* tells an event of an earlier use of the same descriptor number */
} watch_t;

struct loop {
    int epoll_fd;
    int timer_fd;
    int64_t armed_ms; /* what timer_fd is set to; 0: disarmed */
    watch_t *watches; /* by descriptor */
    size_t watch_count;
    uint32_t generation;
    loop_timer_t timers; /* heads of rings */
    loop_timer_t due;
    loop_fn *before_wait;
    void *before_wait_ctx;
    bool stopped;
};

static void timer_link (loop_timer_t *head, loop_timer_t *timer)
{
    timer->next = head;
    timer->prev = head->prev;
    head->prev->next = timer;
    head->prev = timer;
}

loop_t *loop_new (void)
{
    loop_t *self = xcalloc (1, sizeof *self);
    self->timers.next = self->timers.prev = &self->timers;
    self->due.next = self->due.prev = &self->due;
    self->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
    self->timer_fd = timerfd_create (CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    struct epoll_event event = { .events = EPOLLIN, .data.u64 = (uint32_t)self->timer_fd };
    if (self->epoll_fd < 0 || self->timer_fd < 0 ||
        epoll_ctl (self->epoll_fd, EPOLL_CTL_ADD, self->timer_fd, &event) != 0)
        loop_destroy (&self);
    return self;
}

void loop_destroy (loop_t **self_p)
{
    loop_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    if (self->epoll_fd >= 0)
        close (self->epoll_fd);
    if (self->timer_fd >= 0)
        close (self->timer_fd);
    free (self->watches);
    free (self);
}

static void watches_grow (loop_t *self, size_t fd)
{
    if (fd < self->watch_count)
        return;
    size_t count = self->watch_count ? self->watch_count : 64;
    while (count <= fd)
        count *= 2;
    self->watches = xrealloc (self->watches, count * sizeof *self->watches);
    for (size_t at = self->watch_count; at < count; at++)
        self->watches[at] = (watch_t){ 0 };
    self->watch_count = count;
}

int loop_watch (loop_t *self, int fd, uint32_t events, loop_fd_fn *fn, void *ctx)
{
    assert (fd >= 0 && fn);
    watches_grow (self, (size_t)fd);
    watch_t *watch = &self->watches[fd];
    bool known = watch->fn != NULL;
    if (!known)
        watch->generation = ++self->generation;
    struct epoll_event event = { .events = events, .data.u64 = (uint64_t)watch->generation << 32 | (uint32_t)fd };
    if (epoll_ctl (self->epoll_fd, known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) != 0)
        return -1;
    watch->fn = fn;
    watch->ctx = ctx;
    return 0;
}

void loop_unwatch (loop_t *self, int fd)
{
    if (fd < 0 || (size_t)fd >= self->watch_count || !self->watches[fd].fn)
        return;
    self->watches[fd].fn = NULL;
    epoll_ctl (self->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

void loop_timer_set (loop_t *self, loop_timer_t *timer, int64_t in_ms, loop_fn *fn, void *ctx)
{
    loop_timer_stop (timer);
    timer->at_ms = clock_mono_ms () + (in_ms > 0 ? in_ms : 0);
    timer->fn = fn;
    timer->ctx = ctx;
    timer_link (&self->timers, timer);
}

void loop_timer_stop (loop_timer_t *timer)
{
    if (!timer->next)
        return;
    timer->next->prev = timer->prev;
    timer->prev->next = timer->next;
    timer->next = timer->prev = NULL;
}

void loop_before_wait (loop_t *self, loop_fn *fn, void *ctx)
{
    self->before_wait = fn;
    self->before_wait_ctx = ctx;
}

static void timers_fire (loop_t *self)
{
    int64_t now_ms = clock_mono_ms ();
    for (loop_timer_t *timer = self->timers.next, *next; timer != &self->timers; timer = next) {
        next = timer->next;
        if (timer->at_ms > now_ms)
            continue;
        loop_timer_stop (timer);
        timer_link (&self->due, timer);
    }
    while (self->due.next != &self->due) {
        loop_timer_t *timer = self->due.next;
        loop_timer_stop (timer);
        timer->fn (timer->ctx);
    }
}

/* A timerfd and not epoll's own timeout: that one stands still while the machine sleeps, and a lease does not. */
static void timer_arm (loop_t *self)
{
    int64_t at_ms = 0;
    for (loop_timer_t *timer = self->timers.next; timer != &self->timers; timer = timer->next)
        if (!at_ms || timer->at_ms < at_ms)
            at_ms = timer->at_ms;
    if (at_ms == self->armed_ms)
        return;
    struct itimerspec spec = { .it_value = { .tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000 } };
    timerfd_settime (self->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
    self->armed_ms = at_ms;
}

static void event_dispatch (loop_t *self, const struct epoll_event *event)
{
    uint32_t fd = (uint32_t)event->data.u64;
    if ((int)fd == self->timer_fd) {
        uint64_t expirations;
        if (read (self->timer_fd, &expirations, sizeof expirations) > 0)
            self->armed_ms = 0;
        return;
    }
    watch_t *watch = &self->watches[fd];
    if (watch->fn && watch->generation == (uint32_t)(event->data.u64 >> 32))
        watch->fn (watch->ctx, event->events);
}

void loop_run (loop_t *self)
{
    struct epoll_event events[EVENTS_PER_TURN];
    while (!self->stopped) {
        if (self->before_wait)
            self->before_wait (self->before_wait_ctx);
        if (self->stopped)
            break;
        timer_arm (self);
        int count = epoll_wait (self->epoll_fd, events, EVENTS_PER_TURN, -1);
        for (int at = 0; at < count; at++)
            event_dispatch (self, &events[at]);
        timers_fire (self);
    }
}

void loop_stop (loop_t *self)
{
    self->stopped = true;
}
