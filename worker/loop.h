/* loop.h - the worker's one event loop: file descriptors (epoll), timers (CLOCK_BOOTTIME), a hook before each sleep.
 *
 * Handlers run one after the other on one thread and may watch, unwatch, set and stop anything, themselves included.
 */
#ifndef GLEANER_WORKER_LOOP_H
#define GLEANER_WORKER_LOOP_H

#include <stdint.h>

typedef struct loop loop_t;
typedef void loop_fd_fn (void *ctx, uint32_t events); /* EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP */
typedef void loop_fn (void *ctx);

/* A timer, embedded in its owner. Zeroed is valid and stopped. Fires once. */
typedef struct loop_timer {
    struct loop_timer *next;
    struct loop_timer *prev;
    int64_t at_ms; /* clock_mono_ms */
    loop_fn *fn;
    void *ctx;
} loop_timer_t;

/* The caller owns the loop. NULL with errno when the kernel gives no descriptors. */
loop_t *loop_new (void);
void loop_destroy (loop_t **self_p);

/* Calls `fn` while `fd` has one of `events` (level-triggered). Watching again changes events, fn and ctx.
 * Returns 0 or -1 with errno. */
int loop_watch (loop_t *self, int fd, uint32_t events, loop_fd_fn *fn, void *ctx);
/* Forgets `fd`; before it is closed. No event of it is delivered any more. Unknown ones are ignored. */
void loop_unwatch (loop_t *self, int fd);

/* Fires `fn` in `in_ms` milliseconds, instead of when it was set before. */
void loop_timer_set (loop_t *self, loop_timer_t *timer, int64_t in_ms, loop_fn *fn, void *ctx);
void loop_timer_stop (loop_timer_t *timer);

/* Called before each sleep: for sockets whose readiness epoll cannot tell (ZMQ_FD is edge-triggered). */
void loop_before_wait (loop_t *self, loop_fn *fn, void *ctx);

/* Runs until loop_stop. */
void loop_run (loop_t *self);
void loop_stop (loop_t *self);

#endif
