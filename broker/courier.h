/* courier.h - HTTP POSTs in a thread of their own, so that no receiver can hold the loop up.
 *
 * The certificate of an https URL is checked, a redirect is not followed, and of an answer only its status and its
 * Retry-After count. What is in flight when the courier ends is dropped.
 */
#ifndef GLEANER_COURIER_H
#define GLEANER_COURIER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"

enum {
    COURIER_MAX = 64,                /* in its hands at once; one more is refused */
    COURIER_CONNECT_MS = 5 * 1000,   /* until a connection stands */
    COURIER_ANSWER_MAX = 256 * 1024, /* bytes of an answer that are read, and thrown away */
};

typedef struct post {
    /* what is to be sent */
    const char *url; /* borrowed, as `ctx`, until the post comes back or the courier ends */
    void *ctx;
    char *headers; /* lines `Name: value`; freed with the post; NULL: none beside Content-Type: application/json */
    buf_t body;
    int64_t timeout_ms; /* for all of it */
    /* what came of it */
    long status;            /* of HTTP; 0: there was no answer */
    int64_t retry_after_ms; /* the receiver's wish; 0: it has none */
    char problem[160];      /* one phrase, where there was no answer */
    struct post *next;
} post_t;

typedef struct courier courier_t;

/* Starts the thread. `agent` (borrowed) names us to receivers. NULL, with one sentence in `problem`: it cannot. */
courier_t *courier_new (const char *agent, char *problem, size_t problem_size);
/* Ends it within a moment, whatever is in flight. */
void courier_destroy (courier_t **self_p);
/* Readable when a post has come back. */
int courier_fd (const courier_t *self);
/* Takes the post over and does not wait. False, and nothing taken, when it has its hands full. */
bool courier_send (courier_t *self, post_t **post_p);
/* One that has come back, the caller's; NULL: none. */
post_t *courier_take (courier_t *self);

post_t *post_new (const char *url, void *ctx, int64_t timeout_ms);
void post_destroy (post_t **self_p);

/* How long to wait after the `failures`th failure in a row (from 1 on), ms: `first_ms`, doubled with each further one
 * up to `most_ms`, jittered down to half of it by `random`; but no shorter than the receiver's own wish, of an hour at
 * most. */
int64_t courier_pause (int failures, int64_t first_ms, int64_t most_ms, int64_t wish_ms, uint32_t random);

#endif
