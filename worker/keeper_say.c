/* keeper_say.c - what a keeper tells the worker, in lines (keeper.c). */
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>

#include "proto/clock.h"
#include "worker/child.h"
#include "worker/keeper_internal.h"
#include "worker/tree.h"

enum {
    USE_OFTEN_MS = 2 * 1000, /* between two words on usage */
    USE_OFTEN_UNTIL_MS = 60 * 1000,
    USE_SELDOM_MS = 10 * 1000,
};

/* In one piece, and never waiting: a worker that stands still hears less. */
bool keeper_send (keeper_t *self, int flags)
{
    size_t len = self->said_len;
    self->said_len = 0;
    return !len || send (CHILD_TALK_FD, self->said, len, flags | MSG_NOSIGNAL) == (ssize_t)len;
}

void keeper_say (keeper_t *self, const char *format, ...)
{
    va_list args;
    if (self->said_len + CHILD_LINE_MAX > sizeof self->said)
        keeper_send (self, MSG_DONTWAIT);
    va_start (args, format);
    int len = vsnprintf (self->said + self->said_len, CHILD_LINE_MAX, format, args);
    va_end (args);
    self->said_len += len > 0 ? (size_t)len : 0;
}

static int64_t ms_of (const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_usec / 1000;
}

int64_t keeper_reaped_ms (void)
{
    struct rusage reaped = { 0 };
    getrusage (RUSAGE_CHILDREN, &reaped);
    return ms_of (&reaped.ru_utime) + ms_of (&reaped.ru_stime);
}

void keeper_say_usage (keeper_t *self, bool any_left)
{
    tree_usage_t now = { 0 };
    if (any_left)
        now = tree_usage ();
    if (any_left)
        watch_note (&self->watch, &now);
    int64_t cpu_ms = now.cpu_ms + keeper_reaped_ms () - self->cpu_before_ms;
    if (cpu_ms > self->cpu_ms)
        self->cpu_ms = cpu_ms;
    keeper_say (self, "use %lld %lld %lld\n", (long long)self->cpu_ms, (long long)now.rss_bytes,
                (long long)now.processes);
}

void keeper_say_if_over (keeper_t *self)
{
    if (self->watch.over == OVER_NOTHING || self->over_told)
        return;
    self->over_told = true;
    keeper_say (self, "over %c %lld\n", (int)self->watch.over, (long long)self->watch.over_used);
}

void keeper_say_usage_in_time (keeper_t *self)
{
    int64_t now_ms = clock_mono_ms ();
    if (now_ms < self->use_ms)
        return;
    keeper_say_usage (self, true);
    self->use_ms = now_ms + (now_ms - self->began_ms < USE_OFTEN_UNTIL_MS ? USE_OFTEN_MS : USE_SELDOM_MS);
}
