/* beanstalkd: put, reserve, delete. A job that was deleted leaves nothing: it keeps no results. */
#include "tests/bench/cycle/cycle.h"

#include <stdio.h>
#include <string.h>

static void create (client_t *self, long number)
{
    (void)number;
    buf_printf (&self->out, "put 100 0 600 %d\r\n" SLICE_FMT "\r\n", PAYLOAD, SLICE_ARG (cycle_payload ()));
}

static void take (client_t *self)
{
    buf_printf (&self->out, "reserve-with-timeout %d\r\n", self->wait_ms / 1000);
}

static void finish (client_t *self)
{
    buf_printf (&self->out, "delete %s\r\n", self->job_id);
}

static long answer (client_t *self)
{
    static const char *const good[] = {
        [STEP_CREATE] = "INSERTED", [STEP_TAKE] = "RESERVED", [STEP_FINISH] = "DELETED"
    };
    const char *end = memmem (self->in.ptr, self->in.len, "\r\n", 2);
    if (!end)
        return ANSWER_PART;
    long head = end + 2 - self->in.ptr;
    self->nothing = strncmp (self->in.ptr, "TIMED_OUT", 9) == 0;
    if (self->nothing)
        return head;
    if (strncmp (self->in.ptr, good[self->step], strlen (good[self->step])) != 0)
        return ANSWER_BROKEN;
    if (self->step != STEP_TAKE)
        return head;
    unsigned long length = 0;
    char line[64] = "";
    slice_copy (slice_from (self->in.ptr, head < 63 ? (size_t)head : 63), line, sizeof line);
    if (sscanf (line, "RESERVED %20s %lu", self->job_id, &length) != 2)
        return ANSWER_BROKEN;
    long whole = head + (long)length + 2;
    return (long)self->in.len < whole ? ANSWER_PART : whole;
}

const queue_kind_t kind_beanstalk = { "beanstalk", NULL, create, take, finish, answer };
