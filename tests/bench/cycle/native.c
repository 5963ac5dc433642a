/* Gleaner over ZeroMQ's wire protocol (ZMTP 3.0, RFC 23, with the NULL mechanism), spoken here by hand: a library's
 * thread and sockets for each of 128 clients would measure the clients. The broker's side is the real one. */
#include "tests/bench/cycle/cycle.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
    GREETING = 64,
    FLAG_MORE = 1,
    FLAG_LONG = 2,
    FLAG_COMMAND = 4,
    PART_GREETING = 0,
    PART_READY,
    PART_REGISTER,
};

static void append_frame (buf_t *out, int flags, slice_t body)
{
    unsigned char head[9] = { (unsigned char)flags, (unsigned char)body.len };
    size_t head_len = 2;
    if (body.len > 255) {
        head[0] |= FLAG_LONG;
        for (int i = 0; i < 8; i++)
            head[1 + i] = (unsigned char)((uint64_t)body.len >> (56 - 8 * i));
        head_len = 9;
    }
    buf_append (out, head, head_len);
    buf_append (out, body.ptr, body.len);
}

static void say (client_t *self, message_t *request)
{
    buf_t frame = { 0 };
    request->id = SLICE ("\x01");
    message_encode (request, &frame);
    append_frame (&self->out, FLAG_MORE, SLICE (""));
    append_frame (&self->out, 0, buf_slice (&frame));
    buf_fini (&frame);
}

static slice_t name_of (const client_t *self, char name[32])
{
    snprintf (name, 32, "bench-%04d", self->number);
    return slice_of (name);
}

static void hello (client_t *self)
{
    unsigned char greeting[GREETING] = { 0xff, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L' };
    self->decoder = decoder_new ();
    buf_append (&self->out, greeting, sizeof greeting);
    static const char ready[] = "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0";
    append_frame (&self->out, FLAG_COMMAND, slice_from (ready, sizeof ready)); /* with its NUL: a length of 0 */
}

static void say_register (client_t *self)
{
    char name[32];
    message_t request;
    message_init (&request, MSG_WORKER_REGISTER);
    request.worker_register.worker_id = request.worker_register.hostname = name_of (self, name);
    request.worker_register.slots = 1;
    say (self, &request);
}

static void create (client_t *self, long number)
{
    (void)number;
    message_t request;
    message_init (&request, MSG_JOB_CREATE);
    request.job_create.command = cycle_payload ();
    request.job_create.file_url = SLICE ("/uploads/x.zip");
    request.job_create.filename = SLICE ("x.zip");
    say (self, &request);
}

static void take (client_t *self)
{
    char name[32];
    message_t request;
    message_init (&request, MSG_JOB_POLL);
    request.job_poll.worker_id = name_of (self, name);
    request.job_poll.slot = 0;
    request.job_poll.wait = self->wait_ms;
    say (self, &request);
}

static void finish (client_t *self)
{
    char name[32];
    message_t request;
    message_init (&request, MSG_JOB_RESULT);
    request.job_result.job_id = slice_of (self->job_id);
    request.job_result.worker_id = name_of (self, name);
    request.job_result.attempt = self->attempt;
    request.job_result.token = slice_of (self->token);
    request.job_result.exit_code = 0;
    say (self, &request);
}

/* One frame at `at`: its flags and body; its whole length, or ANSWER_PART. */
static long take_frame (slice_t in, long at, int *flags, slice_t *body)
{
    const unsigned char *bytes = (const unsigned char *)in.ptr + at;
    long left = (long)in.len - at;
    if (left < 2)
        return ANSWER_PART;
    *flags = bytes[0];
    uint64_t length = bytes[1];
    long head = 2;
    if (*flags & FLAG_LONG) {
        head = 9;
        if (left < head)
            return ANSWER_PART;
        length = 0;
        for (int i = 0; i < 8; i++)
            length = length << 8 | bytes[1 + i];
    }
    if (length > REPLY_MAX)
        return ANSWER_BROKEN;
    *body = slice_from (bytes + head, (size_t)length);
    return left - head < (long)length ? ANSWER_PART : head + (long)length;
}

/* The next message's body frame; commands, PING among them, are passed over. */
static long take_message (client_t *self, slice_t *body)
{
    slice_t in = buf_slice (&self->in);
    for (long at = 0;;) {
        int flags = 0;
        long frame = take_frame (in, at, &flags, body);
        if (frame <= 0)
            return frame;
        at += frame;
        if (!(flags & (FLAG_COMMAND | FLAG_MORE)))
            return at;
    }
}

static bool understand (client_t *self, slice_t body)
{
    static const msg_type_t good[] = { [STEP_HELLO] = MSG_WORKER_REGISTER_OK,
                                       [STEP_CREATE] = MSG_JOB_CREATE_OK,
                                       [STEP_TAKE] = MSG_JOB_POLL_OK,
                                       [STEP_FINISH] = MSG_JOB_RESULT_OK };
    message_t reply;
    fault_t fault;
    if (message_decode (self->decoder, body, REPLY_MAX, &reply, &fault))
        return false;
    if (reply.type != good[self->step]) {
        if (reply.type == MSG_ERROR)
            fprintf (stderr, "bench-cycle: " SLICE_FMT "\n", SLICE_ARG (reply.error.text));
        return false;
    }
    if (self->step != STEP_TAKE)
        return true;
    const msg_job_poll_ok_t *job = &reply.job_poll_ok;
    self->nothing = !job->job_id.ptr;
    self->attempt = job->attempt;
    return self->nothing || (slice_copy (job->job_id, self->job_id, sizeof self->job_id) &&
                             slice_copy (job->token, self->token, sizeof self->token));
}

static long answer (client_t *self)
{
    slice_t body;
    if (self->step == STEP_HELLO && self->part == PART_GREETING) {
        if (self->in.len < GREETING)
            return ANSWER_PART;
        self->part = PART_READY;
        return GREETING;
    }
    if (self->step == STEP_HELLO && self->part == PART_READY) {
        int flags = 0;
        long length = take_frame (buf_slice (&self->in), 0, &flags, &body);
        if (length <= 0)
            return length;
        self->part = self->consumer ? PART_REGISTER : 0;
        if (self->consumer)
            say_register (self);
        return length;
    }
    long length = take_message (self, &body);
    if (length > 0 && !understand (self, body))
        return ANSWER_BROKEN;
    if (self->step == STEP_HELLO && length > 0)
        self->part = 0;
    return length;
}

const queue_kind_t kind_native = { "native", hello, create, take, finish, answer };
