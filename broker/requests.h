/* requests.h - who asked what, until it is answered. A handle names a request; a used-up handle names none. */
#ifndef GLEANER_REQUESTS_H
#define GLEANER_REQUESTS_H

#include "broker/auth.h"
#include "proto/message.h"

enum { REQUESTS_MAX = 1000 * 1000 }; /* unanswered requests at once; one more is dropped */

/* Who asked, for as long as the answer may take. */
typedef struct {
    role_t role;
    char id[IDENTITY_ID_MAX + 1];
    char name[NAME_MAX_BYTES + 1];
    bool audited; /* how it ended belongs into the audit log; likewise */
    char from[64];
    char subject[ID_MAX + 1];
} speaker_t;

typedef struct {
    msg_type_t type;
    bool answered;           /* its answer is in the outbox: nothing more can be said to it */
    slice_t routing;         /* the peer's ZeroMQ routing id */
    slice_t id;              /* the sender's id, raw msgpack; absent when it gave none */
    char job_id[ID_MAX + 1]; /* of a job-status */
    speaker_t *speaker;      /* owned; NULL: a worker, or nobody had to say who it is */
    uint64_t key;            /* request_key of the connection's CURVE key; 0: it has none */
} request_t;

typedef struct requests requests_t;

requests_t *requests_new (void);
void requests_destroy (requests_t **self_p);
/* Copies routing and id. Returns the handle; 0 when REQUESTS_MAX are open. */
uint64_t request_open (requests_t *self, msg_type_t type, slice_t routing, slice_t id);
/* Keeps who asked; the request must be open. Returns what is kept. */
speaker_t *request_speaker (requests_t *self, uint64_t handle, const who_t *who);
/* What tells a CURVE key (hex) from others, nearly always. */
uint64_t request_key (slice_t key);
/* NULL when the handle's request has been answered. */
request_t *request_find (const requests_t *self, uint64_t handle);
void request_close (requests_t *self, uint64_t handle);
/* The next open request: begin with *at 0; 0 at the end. The one given may be closed before the next call. */
uint64_t requests_next (const requests_t *self, uint32_t *at);

#endif
