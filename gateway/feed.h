/* feed.h - an answer's body that is fed by job-follow calls: as the job's output comes, with bounded memory.
 *
 * The next call is made only when what the last one brought has been handed to the client, or half of it. While there
 * is nothing to hand over, the connection is suspended.
 */
#ifndef GATEWAY_FEED_H
#define GATEWAY_FEED_H

#include "gateway/gateway.h"
#include "proto/stream.h"

typedef struct feed feed_t;

/* One reply (or failure) of job-follow: appends to `feed->out`, and sets `ended` when it was the last. */
typedef void feed_reply_fn (feed_t *feed, link_end_t end, const message_t *reply);

struct feed {
    gateway_t *gateway;
    request_t *request; /* NULL: over */
    feed_reply_fn *on_reply;
    void (*ask) (feed_t *, message_t *); /* fills the next call; NULL: a job-follow */
    void (*on_abandon) (feed_t *);       /* the client went away before the end; may be NULL */

    char *job_id;
    char *auth;      /* of the request, which may be over; NULL: none */
    int64_t attempt; /* INT_ABSENT: whichever is the last */
    bool stay;       /* with it, also when another one runs */
    stream_t stream;
    bool alone; /* `stream` is the only one that is asked for */
    int64_t offset[STREAM_COUNT];
    int64_t wait_ms;
    bool ahead; /* what follows is asked for before all is handed over */

    buf_t out;
    size_t out_at;
    bool ended;
    bool broken; /* the body cannot be completed: the connection is cut, so that the client sees it */

    bool calling, closed, streams; /* feed.c's */

    bool follow, ranged, text; /* the owner's */
    int64_t limit;             /* bytes still to be handed over; -1: no limit */
    int phase;
    char last[ID_MAX + 1];
    bool resumed; /* the client has read up to a place that is known */
    int failures;
    char tail[STREAM_PRINTED_COUNT][4];
    size_t tail_len[STREAM_PRINTED_COUNT];
};

/* A feed for `request`. It frees itself when its response has gone and no call is in flight. */
feed_t *feed_new (request_t *request, slice_t job_id, feed_reply_fn *on_reply);
/* Asks for the next output. On a code other than 0 nothing was begun. */
err_t feed_next (feed_t *self);
/* The feed as a body of content type `type`, to be completed with headers and given to request_answer. */
struct MHD_Response *feed_response (feed_t *self, const char *type);
/* Frees a feed that never had a response; none of its calls may be in flight. */
void feed_destroy (feed_t **self_p);

/* direct.c: answers the upload's request with the output of its job as it comes. */
void direct_answer (request_t *request, slice_t job_id);

#endif
