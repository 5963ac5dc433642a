#include "gateway/link.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include "gateway/calls.h"
#include "proto/clock.h"
#include "proto/curve_client.h"
#include "proto/log.h"

/* This thread writes a frame, one of libzmq's frees it: ThreadSanitizer does not see by what that one waits. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define HAND_OVER(frame) __tsan_release (frame)
#define TAKE_OVER(frame) __tsan_acquire (frame)
#else
#define HAND_OVER(frame) ((void)(frame))
#define TAKE_OVER(frame) ((void)(frame))
#endif

enum {
    TURN_MAX = 256,    /* replies taken in one turn */
    SMALL = 4096,      /* frames up to this size are copied, larger ones handed over */
    QUEUE_MAX = 10000, /* messages in ZeroMQ's own queue, each way */
    RETRY_MS = 3000,
    WATCHED = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED,
    REFUSALS = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
};

struct link {
    void *context;
    void *socket;
    void *monitor;
    char *endpoint;
    int64_t retry_ms; /* when to connect anew after a refusal; INT64_MAX: libzmq does it by itself */
    int64_t timeout_ms;
    bool connected;
    bool refusal_logged;
    bool closing;
    bool late_logged;
    uint64_t connections;
    size_t held_bytes; /* of unsent calls */
    calls_t calls;
    decoder_t *decoder;
    buf_t frame;
};

static int set_int (void *socket, int option, int value)
{
    return zmq_setsockopt (socket, option, &value, sizeof value);
}

static void set_options (void *socket)
{
    int64_t frame_max = REPLY_MAX;
    set_int (socket, ZMQ_IMMEDIATE, 1);
    set_int (socket, ZMQ_LINGER, 0);
    set_int (socket, ZMQ_RECONNECT_IVL, 50);
    set_int (socket, ZMQ_RECONNECT_IVL_MAX, 1000);
    set_int (socket, ZMQ_HEARTBEAT_IVL, 2000);
    set_int (socket, ZMQ_HEARTBEAT_TIMEOUT, 6000);
    set_int (socket, ZMQ_SNDHWM, QUEUE_MAX);
    set_int (socket, ZMQ_RCVHWM, QUEUE_MAX);
    set_int (socket, ZMQ_IPV6, 1);
    zmq_setsockopt (socket, ZMQ_MAXMSGSIZE, &frame_max, sizeof frame_max);
}

link_t *link_new (const char *endpoint, const curve_keys_t *keys, int64_t timeout_ms, char *problem,
                  size_t problem_size)
{
    link_t *self = xcalloc (1, sizeof *self);
    self->timeout_ms = timeout_ms;
    self->retry_ms = INT64_MAX;
    self->endpoint = xstrdup (endpoint);
    self->context = zmq_ctx_new ();
    self->socket = self->context ? zmq_socket (self->context, ZMQ_DEALER) : NULL;
    self->monitor = self->context ? zmq_socket (self->context, ZMQ_PAIR) : NULL;
    calls_init (&self->calls);
    self->decoder = decoder_new ();
    bool ok = self->socket && self->monitor;
    if (ok) {
        set_options (self->socket);
        set_int (self->monitor, ZMQ_LINGER, 0);
        ok = (!keys || curve_client (self->socket, keys) == 0) &&
             zmq_socket_monitor (self->socket, "inproc://link-monitor", WATCHED | REFUSALS) == 0 &&
             zmq_connect (self->monitor, "inproc://link-monitor") == 0 && zmq_connect (self->socket, endpoint) == 0;
    }
    if (ok)
        return self;
    snprintf (problem, problem_size, "'%s' cannot be used as the broker's endpoint (%s): say tcp://HOST:PORT.",
              endpoint, zmq_strerror (errno));
    link_destroy (&self);
    return NULL;
}

static void drop_body (link_t *self, call_t *call)
{
    if (!call->held)
        return;
    if (!call->sent)
        self->held_bytes -= zmq_msg_size (&call->body);
    zmq_msg_close (&call->body);
    call->held = false;
}

uint64_t link_connections (const link_t *self)
{
    return self->connections;
}

void link_destroy (link_t **self_p)
{
    link_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    for (call_t *call; (call = calls_earliest (&self->calls));) {
        drop_body (self, call);
        calls_remove (&self->calls, call);
    }
    calls_fini (&self->calls);
    if (self->socket) {
        /* Calls that nobody waits for (a cancel, a lease given back) may still be on their way out. */
        set_int (self->socket, ZMQ_LINGER, 200);
        zmq_socket_monitor (self->socket, NULL, 0);
        zmq_close (self->socket);
    }
    if (self->monitor)
        zmq_close (self->monitor);
    if (self->context)
        zmq_ctx_term (self->context);
    decoder_destroy (&self->decoder);
    buf_fini (&self->frame);
    free (self->endpoint);
    free (self);
}

static int fd_of (void *socket)
{
    int fd = -1;
    size_t size = sizeof fd;
    zmq_getsockopt (socket, ZMQ_FD, &fd, &size);
    return fd;
}

int link_fd (const link_t *self)
{
    return fd_of (self->socket);
}

int link_monitor_fd (const link_t *self)
{
    return fd_of (self->monitor);
}

static int events_of (void *socket)
{
    int events = 0;
    size_t size = sizeof events;
    zmq_getsockopt (socket, ZMQ_EVENTS, &events, &size);
    return events;
}

/* ---- sending ---- */

/* The id as msgpack: an unsigned integer of 64 bits. */
static void id_encode (uint64_t id, uint8_t out[9])
{
    out[0] = 0xcf;
    for (int at = 8; at > 0; at--, id >>= 8)
        out[at] = (uint8_t)id;
}

static void free_frame (void *data, void *hint)
{
    (void)hint;
    TAKE_OVER (data);
    free (data);
}

/* Makes a ZeroMQ message of what was encoded into `self->frame`. */
static void frame_take (link_t *self, zmq_msg_t *out)
{
    if (self->frame.len > SMALL) {
        HAND_OVER (self->frame.ptr);
        int rc = zmq_msg_init_data (out, self->frame.ptr, self->frame.len, free_frame, NULL);
        assert (rc == 0);
        self->frame = (buf_t){ 0 };
        return;
    }
    int rc = zmq_msg_init_size (out, self->frame.len);
    assert (rc == 0);
    memcpy (zmq_msg_data (out), self->frame.ptr, self->frame.len);
}

/* Sends and thereby consumes `body`; false when the socket takes nothing now, and then it is still the caller's. */
static bool socket_send (link_t *self, zmq_msg_t *body)
{
    if (zmq_send (self->socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) != 0)
        return false;
    return zmq_msg_send (body, self->socket, ZMQ_DONTWAIT) >= 0;
}

/* Sends a held call. */
static bool call_send (link_t *self, call_t *call)
{
    zmq_msg_t copy;
    zmq_msg_init (&copy);
    zmq_msg_copy (&copy, &call->body);
    if (!socket_send (self, &copy)) {
        zmq_msg_close (&copy);
        return false;
    }
    self->held_bytes -= zmq_msg_size (&call->body);
    calls_unqueue (&self->calls, call);
    call->sent = true;
    if (!call->order.repeatable)
        drop_body (self, call);
    calls_move (&self->calls, call, clock_mono_ms () + self->timeout_ms + call->order.patience_ms);
    return true;
}

static void queue_call (link_t *self, call_t *call)
{
    self->held_bytes += zmq_msg_size (&call->body);
    calls_queue (&self->calls, call);
}

err_t link_call (link_t *self, message_t *request, const link_order_t *order)
{
    if (self->closing && order->done)
        return ERR_SHUTTING_DOWN;
    if (self->held_bytes > LINK_HELD_MAX)
        return ERR_BUSY;
    call_t *call = calls_add (&self->calls,
                              clock_mono_ms () + self->timeout_ms + (order->patience_ms < 0 ? order->patience_ms : 0));
    if (!call)
        return ERR_BUSY;
    call->order = *order;
    uint8_t id[9];
    id_encode (call->id, id);
    request->id = slice_from (id, sizeof id);
    buf_clear (&self->frame);
    message_encode (request, &self->frame);
    request->id = SLICE_ABSENT;
    frame_take (self, &call->body);
    call->held = true;
    queue_call (self, call);
    /* Order is kept: nothing overtakes a call that waits. */
    if (self->connected && self->calls.unsent_first == call)
        call_send (self, call);
    return 0;
}

static void flush (link_t *self)
{
    while (self->connected && self->calls.unsent_first)
        if (!call_send (self, self->calls.unsent_first))
            return;
}

/* ---- endings ---- */

/* Ends `call`; it is gone before the callback runs. */
static void call_end (link_t *self, call_t *call, link_end_t end, const message_t *reply)
{
    link_order_t order = call->order;
    drop_body (self, call);
    calls_remove (&self->calls, call);
    if (order.done)
        order.done (order.ctx, end, reply);
}

static void call_fail (link_t *self, call_t *call, link_end_t end)
{
    message_t reply;
    message_error (&reply, end == LINK_ENDED ? ERR_SHUTTING_DOWN : ERR_BROKER_UNAVAILABLE, NULL);
    call_end (self, call, end, &reply);
}

/* Runs `fn` for every call that is there now; it may end calls and begin new ones. */
static void for_each_call (link_t *self, void (*fn) (link_t *, call_t *))
{
    uint32_t count = self->calls.count;
    uint64_t *ids = xcalloc (count, sizeof *ids);
    for (uint32_t at = 0; at < count; at++)
        ids[at] = self->calls.heap[at]->id;
    for (uint32_t at = 0; at < count; at++) {
        call_t *call = calls_find (&self->calls, ids[at]);
        if (call)
            fn (self, call);
    }
    free (ids);
}

static void end_at_close (link_t *self, call_t *call)
{
    if (call->order.done)
        call_fail (self, call, LINK_ENDED);
}

void link_close (link_t *self)
{
    self->closing = true;
    for_each_call (self, end_at_close);
}

/* The connection broke: what may be sent again waits for the next one, the rest cannot know how it went. */
static void end_at_loss (link_t *self, call_t *call)
{
    if (!call->sent)
        return;
    if (!call->held) {
        call_fail (self, call, LINK_LOST);
        return;
    }
    call->sent = false;
    queue_call (self, call);
    calls_move (&self->calls, call, clock_mono_ms () + self->timeout_ms);
}

static void connection_changed (link_t *self, bool connected)
{
    if (connected == self->connected)
        return;
    self->connected = connected;
    self->connections += connected;
    if (connected) {
        log_event (LEVEL_INFO, "broker-connected", "the broker is there");
        return;
    }
    log_event (LEVEL_WARN, "broker-lost", "the connection to the broker broke, %u calls are in flight",
               self->calls.count);
    for_each_call (self, end_at_loss);
}

/* libzmq gives a connection up for good whose handshake was refused. */
static void refused (link_t *self)
{
    if (!self->refusal_logged)
        log_event (LEVEL_ERROR, "broker-refused",
                   "%s refuses this gateway: is it enrolled, and is --curve-key its file?", self->endpoint);
    self->refusal_logged = true;
    self->retry_ms = clock_mono_ms () + RETRY_MS;
}

static void retry (link_t *self)
{
    if (self->retry_ms > clock_mono_ms ())
        return;
    self->retry_ms = INT64_MAX;
    zmq_disconnect (self->socket, self->endpoint);
    zmq_connect (self->socket, self->endpoint);
}

/* A monitor event is two frames: 16 bits of event and 32 of value, then the address. */
static void monitor_turn (link_t *self)
{
    for (;;) {
        uint8_t event[6];
        int size = zmq_recv (self->monitor, event, sizeof event, ZMQ_DONTWAIT);
        if (size < 0)
            return;
        zmq_recv (self->monitor, NULL, 0, ZMQ_DONTWAIT);
        uint16_t code = 0;
        if (size >= 2)
            memcpy (&code, event, sizeof code);
        if (code & REFUSALS)
            refused (self);
        if (code == ZMQ_EVENT_HANDSHAKE_SUCCEEDED)
            self->refusal_logged = false;
        connection_changed (self, code == ZMQ_EVENT_HANDSHAKE_SUCCEEDED);
    }
}

/* ---- receiving ---- */

/* Reads the id of a reply: an unsigned msgpack integer of any width. 0 when it is none. */
static uint64_t id_decode (slice_t raw)
{
    if (!raw.ptr || raw.len == 0)
        return 0;
    const uint8_t *bytes = (const uint8_t *)raw.ptr;
    if (bytes[0] < 0x80)
        return bytes[0];
    if (bytes[0] < 0xcc || bytes[0] > 0xcf || raw.len != 1 + ((size_t)1 << (bytes[0] - 0xcc)))
        return 0;
    uint64_t id = 0;
    for (size_t at = 1; at < raw.len; at++)
        id = id << 8 | bytes[at];
    return id;
}

static void take_reply (link_t *self, slice_t frame)
{
    message_t reply;
    fault_t fault;
    err_t err = message_decode (self->decoder, frame, REPLY_MAX, &reply, &fault);
    call_t *call = calls_find (&self->calls, id_decode (reply.id));
    if (err)
        log_event (LEVEL_WARN, "bad-reply", "the broker's answer cannot be read: %s", fault.text);
    if (!call)
        return; /* it was too late, or nobody's */
    if (err)
        message_error (&reply, ERR_INTERNAL, NULL);
    self->late_logged = false;
    call_end (self, call, LINK_REPLY, &reply);
}

/* One message, of an empty frame and a body. False when there is none. */
static bool receive (link_t *self)
{
    zmq_msg_t part;
    zmq_msg_init (&part);
    int at = 0;
    bool more = true;
    for (; more; at++) {
        if (zmq_msg_recv (&part, self->socket, ZMQ_DONTWAIT) < 0)
            break;
        more = zmq_msg_more (&part);
        if (at == 1 && !more)
            take_reply (self, slice_from (zmq_msg_data (&part), zmq_msg_size (&part)));
    }
    zmq_msg_close (&part);
    return at > 0;
}

static void end_late (link_t *self)
{
    int64_t now_ms = clock_mono_ms ();
    for (call_t *call; (call = calls_earliest (&self->calls)) && call->deadline_ms <= now_ms;) {
        if (!self->late_logged)
            log_event (LEVEL_WARN, "broker-late", "the broker %s", call->sent ? "does not answer" : "is away");
        self->late_logged = true;
        call_fail (self, call, LINK_LATE);
    }
}

bool link_turn (link_t *self)
{
    if (events_of (self->monitor) & ZMQ_POLLIN)
        monitor_turn (self);
    retry (self);
    int taken = 0;
    while (taken < TURN_MAX && receive (self))
        taken++;
    end_late (self);
    /* Reading the events makes the socket look at its mailbox: a broken connection's pipe is gone before we send. */
    int events = events_of (self->socket);
    if (events & ZMQ_POLLOUT)
        flush (self);
    return events_of (self->socket) & ZMQ_POLLIN || events_of (self->monitor) & ZMQ_POLLIN;
}

int64_t link_deadline (const link_t *self)
{
    const call_t *call = calls_earliest (&self->calls);
    int64_t call_ms = call ? call->deadline_ms : INT64_MAX;
    return call_ms < self->retry_ms ? call_ms : self->retry_ms;
}
