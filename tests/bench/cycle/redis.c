/* Redis as people use it for jobs: a list, moved to a second one while a job runs, and a hash of results. */
#include "tests/bench/cycle/cycle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void create (client_t *self, long number)
{
    buf_printf (&self->out, "*3\r\n$5\r\nLPUSH\r\n$1\r\nq\r\n$%d\r\n%08ld" SLICE_FMT "\r\n", PAYLOAD + 8, number,
                SLICE_ARG (cycle_payload ()));
}

static void take (client_t *self)
{
    char seconds[16];
    int length = snprintf (seconds, sizeof seconds, "%d", self->wait_ms / 1000);
    buf_printf (&self->out, "*4\r\n$10\r\nBRPOPLPUSH\r\n$1\r\nq\r\n$1\r\nr\r\n$%d\r\n%s\r\n", length, seconds);
}

static void finish (client_t *self)
{
    buf_printf (&self->out,
                "*1\r\n$5\r\nMULTI\r\n*4\r\n$4\r\nHSET\r\n$4\r\ndone\r\n$8\r\n%.8s\r\n$1\r\n0\r\n"
                "*4\r\n$4\r\nLREM\r\n$1\r\nr\r\n$1\r\n1\r\n$%zu\r\n%s\r\n*1\r\n$4\r\nEXEC\r\n",
                self->payload, strlen (self->payload), self->payload);
}

/* Length of one reply (RESP 2), ANSWER_PART when it is not all there; `bulk` is its last text. */
static long reply_length (slice_t in, slice_t *bulk, int depth)
{
    const char *end = in.len ? memmem (in.ptr, in.len, "\r\n", 2) : NULL;
    if (!end)
        return ANSWER_PART;
    long head = end + 2 - in.ptr;
    long number = strtol (in.ptr + 1, NULL, 10);
    if (in.ptr[0] == '-' || depth > 2)
        return ANSWER_BROKEN;
    if (in.ptr[0] == '$') {
        long whole = number < 0 ? head : head + number + 2;
        *bulk = number < 0 ? SLICE_ABSENT : slice_from (in.ptr + head, (size_t)number);
        return (long)in.len < whole ? ANSWER_PART : whole;
    }
    long at = head;
    for (long i = 0; in.ptr[0] == '*' && i < number; i++) {
        long item = reply_length (slice_from (in.ptr + at, in.len - (size_t)at), bulk, depth + 1);
        if (item <= 0)
            return item;
        at += item;
    }
    return at;
}

static long answer (client_t *self)
{
    enum { FINISH_REPLIES = 4 };
    slice_t bulk = SLICE_ABSENT;
    long at = 0;
    for (int i = 0; i < (self->step == STEP_FINISH ? FINISH_REPLIES : 1); i++) {
        long reply = reply_length (slice_from (self->in.ptr + at, self->in.len - (size_t)at), &bulk, 0);
        if (reply <= 0)
            return reply;
        at += reply;
    }
    if (self->step == STEP_TAKE) {
        self->nothing = !bulk.ptr;
        if (bulk.ptr && !slice_copy (bulk, self->payload, sizeof self->payload))
            return ANSWER_BROKEN;
    }
    return at;
}

const queue_kind_t kind_redis = { "redis", NULL, create, take, finish, answer };
