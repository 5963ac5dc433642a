/* calls.h - the table of calls in flight: by id, by deadline, and those not yet sent in order. */
#ifndef GATEWAY_CALLS_H
#define GATEWAY_CALLS_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "gateway/link.h"

typedef struct call {
    uint64_t id; /* 0: free */
    link_order_t order;
    int64_t deadline_ms;
    bool sent;
    bool held;      /* `body` holds the frame: not yet sent, or repeatable */
    zmq_msg_t body; /* valid while `held` */
    uint32_t slot;
    uint32_t heap_at;
    struct call *prev, *next; /* unsent calls; free ones by `next` */
} call_t;

typedef struct {
    call_t **blocks;
    uint32_t block_count;
    call_t *free;
    uint64_t generation;
    call_t **heap; /* by deadline_ms, earliest first */
    uint32_t count;
    call_t *unsent_first, *unsent_last;
} calls_t;

void calls_init (calls_t *self);
/* Every call must have been removed. */
void calls_fini (calls_t *self);

/* A new call that ends at `deadline_ms`, not sent and not held; NULL when LINK_CALLS_MAX are there. */
call_t *calls_add (calls_t *self, int64_t deadline_ms);
/* The call with this id; NULL when there is none any more. */
call_t *calls_find (const calls_t *self, uint64_t id);
/* Forgets the call. Its body must not be held. */
void calls_remove (calls_t *self, call_t *call);
/* Moves the call's deadline. */
void calls_move (calls_t *self, call_t *call, int64_t deadline_ms);
/* The call with the earliest deadline; NULL when there is none. */
call_t *calls_earliest (const calls_t *self);

/* Appends to, or takes out of, the list of unsent calls. */
void calls_queue (calls_t *self, call_t *call);
void calls_unqueue (calls_t *self, call_t *call);

#endif
