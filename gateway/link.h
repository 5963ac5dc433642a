/* link.h - the gateway's one line to the broker: a DEALER with a table of the calls in flight.
 *
 * Calls are answered by a callback from link_turn, never from within link_call. While the broker is away, calls wait
 * for as long as the broker's timeout, so that its restart of some 100 ms is seen by nobody.
 */
#ifndef GATEWAY_LINK_H
#define GATEWAY_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/curve_keys.h"
#include "proto/message.h"

typedef struct link link_t;

enum {
    LINK_CALLS_MAX = 65536,            /* calls in flight or waiting; one more is BUSY */
    LINK_HELD_MAX = 128 * 1024 * 1024, /* bytes of calls that wait for the broker; one more is BUSY */
    LINK_SLOW_MS = 30 * 1000,          /* patience for calls that take a disk's time */
};

typedef enum {
    LINK_REPLY, /* `reply` is the broker's: the answer, or `error` */
    LINK_LOST,  /* the call had been sent and the connection broke; `reply` is an error BROKER_UNAVAILABLE */
    LINK_LATE,  /* no answer in time, or the broker was away; likewise */
    LINK_ENDED, /* the gateway stops; `reply` is an error SHUTTING_DOWN */
} link_end_t;

/* Ends a call, once. `reply` and what it points to are valid until the callback returns. */
typedef void link_done_fn (void *ctx, link_end_t end, const message_t *reply);

typedef struct {
    link_done_fn *done; /* NULL: nobody waits for the answer */
    void *ctx;
    int64_t patience_ms; /* beyond the broker's timeout; below 0: less than that */
    bool repeatable; /* may be sent again when the connection broke: it changes nothing, or the same twice (rule 32) */
} link_order_t;

/* Connects to `endpoint`, by CURVE with `keys` unless they are NULL. NULL and one sentence in `problem` when that is no
 * endpoint. */
link_t *link_new (const char *endpoint, const curve_keys_t *keys, int64_t timeout_ms, char *problem,
                  size_t problem_size);
void link_destroy (link_t **self_p);

/* The descriptors to wait on. They are edge-triggered: call link_turn before every sleep until it returns false. */
int link_fd (const link_t *self);
int link_monitor_fd (const link_t *self);

/* How often a broker has been reached: another number, another one perhaps. 0: not yet. */
uint64_t link_connections (const link_t *self);

/* Sends `request` (its id is set here; nothing is borrowed afterwards). Returns 0, and then `done` is called once; or
 * BUSY or SHUTTING_DOWN, and then it is not. */
err_t link_call (link_t *self, message_t *request, const link_order_t *order);

/* Takes what has come, at most some hundred replies, and ends calls that are too late. True: there is more. */
bool link_turn (link_t *self);
/* When the next call is too late, monotonic ms; INT64_MAX: none. */
int64_t link_deadline (const link_t *self);

/* Ends every call with LINK_ENDED. Afterwards only calls without `done` are taken. */
void link_close (link_t *self);

#endif
