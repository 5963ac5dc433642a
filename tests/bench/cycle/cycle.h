/* cycle.h - a client of a queue, as bench-cycle drives it: one request in flight, told apart by steps.
 *
 * Each kind of queue is a row of functions: they write the step's request into `out`, and say where its answer ends in
 * the bytes that have come. All kinds share one loop, so that none is measured with a better driver.
 */
#ifndef GLEANER_CYCLE_H
#define GLEANER_CYCLE_H

#include "proto/buf.h"
#include "proto/limits.h"
#include "proto/message.h"

enum { PAYLOAD = 200 };

typedef enum {
    STEP_HELLO,  /* what a connection needs before it can work; may take several answers */
    STEP_CREATE, /* a job is made, durable once it is answered */
    STEP_TAKE,   /* a consumer is handed a job */
    STEP_FINISH, /* its result is durable once it is answered */
} step_t;

typedef struct {
    int fd, number; /* its place among all clients: names its worker */
    bool consumer;
    step_t step;
    int part;        /* of STEP_HELLO */
    bool nothing;    /* STEP_TAKE: answered without a job */
    int wait_ms;     /* STEP_TAKE: how long it may wait for one */
    int64_t sent_us; /* the request of this step */
    buf_t in, out;
    /* what the job's answer said */
    char job_id[ID_MAX + 1];
    char token[TOKEN_MAX + 1];
    int64_t attempt;
    char payload[PAYLOAD + 16];
    decoder_t *decoder;
} client_t;

/* More of STEP_HELLO is to come: `out` has the next part. */
enum { ANSWER_BROKEN = -1, ANSWER_PART = 0 };

typedef struct {
    const char *name;
    void (*hello) (client_t *self); /* NULL: none is needed */
    void (*create) (client_t *self, long number);
    void (*take) (client_t *self);
    void (*finish) (client_t *self);
    /* Length of the current step's whole answer at the front of `in`; ANSWER_PART, ANSWER_BROKEN. */
    long (*answer) (client_t *self);
} queue_kind_t;

extern const queue_kind_t kind_redis, kind_beanstalk, kind_native, kind_http;

/* 200 bytes that stand for a job's commands. Valid UTF-8. */
slice_t cycle_payload (void);

#endif
