/* transport_zmq.c - messages as they are, over a DEALER socket to the broker. */
#include <czmq.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "proto/curve_client.h"
#include "proto/id.h"
#include "proto/log.h"
#include "worker/download.h"
#include "worker/http.h"
#include "worker/transport.h"

enum {
    ID_LEN = 9,                    /* msgpack uint 64 */
    FETCH_PATIENCE_MS = 15 * 1000, /* for one piece of a blob */
    INLINE_BYTES = 64 * 1024,
    RETRY_MS = 3000, /* and a third, at random: not all workers at once */
    REFUSALS = ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
};

typedef struct zmq_transport zmq_transport_t;

/* A call, or a download, which is one call after the other. */
typedef struct entry {
    struct entry *next;
    zmq_transport_t *owner;
    call_id_t id;
    loop_timer_t deadline;
    call_fn *fn;
    void *ctx;
    bool sent; /* an answer may come */

    fetch_to_t to; /* of a download */
    char sha256[SHA256_HEX + 1];
    int64_t offset;
    http_call_t *http; /* of a download from elsewhere */
} entry_t;

struct zmq_transport {
    transport_t base;
    loop_t *loop;
    zsock_t *socket;
    void *raw;
    void *monitor;
    char *broker;
    loop_timer_t retry; /* after a refusal */
    bool refusal_logged;
    decoder_t *decoder;
    http_t *http;
    call_id_t last_id;
    entry_t *entries; /* in flight: a few a slot, so a list will do */
    buf_t frame;
};

static zmq_transport_t *zmq_of (transport_t *base)
{
    return (zmq_transport_t *)(void *)base;
}

static entry_t *entry_new (zmq_transport_t *self)
{
    entry_t *entry = xcalloc (1, sizeof *entry);
    entry->owner = self;
    entry->id = ++self->last_id;
    entry->next = self->entries;
    self->entries = entry;
    return entry;
}

static entry_t *entry_find (zmq_transport_t *self, call_id_t id)
{
    entry_t *entry = self->entries;
    while (entry && entry->id != id)
        entry = entry->next;
    return entry;
}

static void entry_unlink (entry_t *entry)
{
    entry_t **at = &entry->owner->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    loop_timer_stop (&entry->deadline);
}

/* Ends the entry: its owner hears the answer once. */
static void entry_answer (entry_t *entry, const call_answer_t *answer)
{
    entry_unlink (entry);
    entry->fn (entry->ctx, answer);
    free (entry);
}

static void answer_away (entry_t *entry, const char *text)
{
    call_answer_t answer = { CALL_AWAY, ERR_BROKER_UNAVAILABLE, NULL, text };
    entry_answer (entry, &answer);
}

static void on_deadline (void *ctx)
{
    entry_t *entry = ctx;
    answer_away (entry, entry->sent ? "The broker did not answer in time." : "There is no connection to the broker.");
}

/* ---- sending ---- */

static void id_format (call_id_t id, char out[ID_LEN])
{
    out[0] = (char)0xcf;
    for (int i = ID_LEN - 1; i > 0; i--, id >>= 8)
        out[i] = (char)(id & 0xff);
}

static call_id_t id_parse (slice_t id)
{
    call_id_t number = 0;
    if (id.len != ID_LEN || id.ptr[0] != (char)0xcf)
        return 0;
    for (int i = 1; i < ID_LEN; i++)
        number = number << 8 | (unsigned char)id.ptr[i];
    return number;
}

static void send_call (entry_t *entry, const message_t *request, int64_t patience_ms)
{
    zmq_transport_t *self = entry->owner;
    char id[ID_LEN];
    id_format (entry->id, id);
    message_t message = *request;
    message.id = slice_from (id, sizeof id);
    message.auth = slice_of (self->base.auth);
    buf_clear (&self->frame);
    message_encode (&message, &self->frame);
    entry->sent = zmq_send (self->raw, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) == 0 &&
                  zmq_send (self->raw, self->frame.ptr, self->frame.len, ZMQ_DONTWAIT) >= 0;
    /* Without a connection the caller hears of it at once, but not from inside its own call. */
    loop_timer_set (self->loop, &entry->deadline, entry->sent ? patience_ms : 0, on_deadline, entry);
}

static call_id_t zmq_call (transport_t *base, const message_t *request, int64_t patience_ms, call_fn *fn, void *ctx)
{
    entry_t *entry = entry_new (zmq_of (base));
    entry->fn = fn;
    entry->ctx = ctx;
    send_call (entry, request, patience_ms);
    return entry->id;
}

/* ---- receiving ---- */

static void deliver (zmq_transport_t *self, slice_t frame)
{
    message_t reply;
    fault_t fault;
    if (message_decode (self->decoder, frame, REPLY_MAX, &reply, &fault)) {
        log_event (LEVEL_WARN, "bad-answer", "%s", fault.text);
        return;
    }
    entry_t *entry = entry_find (self, id_parse (reply.id));
    if (!entry)
        return; /* cancelled, or given up */
    char text[512];
    call_answer_t answer = { CALL_OK, ERR_NONE, &reply, "" };
    if (reply.type == MSG_ERROR)
        answer = transport_error_answer (&reply, text, sizeof text);
    entry_answer (entry, &answer);
}

static bool take_one (zmq_transport_t *self)
{
    zmq_msg_t part;
    zmq_msg_init (&part);
    bool more = true;
    bool any = false;
    for (int at = 0; more; at++) {
        if (zmq_msg_recv (&part, self->raw, ZMQ_DONTWAIT) < 0)
            break;
        any = true;
        more = zmq_msg_more (&part);
        if (at == 1 && !more)
            deliver (self, slice_from (zmq_msg_data (&part), zmq_msg_size (&part)));
    }
    zmq_msg_close (&part);
    return any;
}

/* The connection is gone, and with it every answer that was on its way. */
static void fail_all (zmq_transport_t *self)
{
    for (entry_t *entry = self->entries; entry; entry = entry->next)
        if (entry->sent)
            loop_timer_set (self->loop, &entry->deadline, 0, on_deadline, entry);
}

static void on_retry (void *ctx)
{
    zmq_transport_t *self = ctx;
    zmq_disconnect (self->raw, self->broker);
    zmq_connect (self->raw, self->broker);
}

/* libzmq gives a connection up for good whose handshake was refused (rule 42 of proto/README.md). */
static void refused (zmq_transport_t *self)
{
    if (!self->refusal_logged)
        log_event (LEVEL_ERROR, "broker-refused",
                   "%s refuses this worker: let it join by a code (gleaner-broker enroll). Trying again.",
                   self->broker);
    self->refusal_logged = true;
    loop_timer_set (self->loop, &self->retry, RETRY_MS + randombytes_uniform (RETRY_MS / 3), on_retry, self);
}

static void take_monitor (zmq_transport_t *self)
{
    zmq_msg_t part;
    zmq_msg_init (&part);
    while (zmq_msg_recv (&part, self->monitor, ZMQ_DONTWAIT) >= 0) {
        uint16_t event = 0;
        if (zmq_msg_size (&part) >= sizeof event)
            memcpy (&event, zmq_msg_data (&part), sizeof event);
        if (zmq_msg_more (&part))
            zmq_msg_recv (&part, self->monitor, ZMQ_DONTWAIT);
        if (event == ZMQ_EVENT_DISCONNECTED)
            fail_all (self);
        else if (event & REFUSALS)
            refused (self);
        else
            self->refusal_logged = false;
    }
    zmq_msg_close (&part);
}

/* ZMQ_FD only tells that something changed: take all there is before each sleep. */
static void before_wait (void *ctx)
{
    zmq_transport_t *self = ctx;
    take_monitor (self);
    while (take_one (self))
        ;
}

static void on_readable (void *ctx, uint32_t events)
{
    (void)ctx;
    (void)events;
}

/* ---- downloads ---- */

static void fetch_next (entry_t *entry);

static void fetch_end (entry_t *entry, call_outcome_t outcome, const char *cause)
{
    fetch_to_t to = entry->to;
    entry_unlink (entry);
    free (entry);
    to.done (to.ctx, outcome, cause);
}

static void on_piece (void *ctx, const call_answer_t *answer)
{
    zmq_transport_t *self = ((entry_t *)ctx)->owner;
    /* entry_answer frees what it answers: the download goes on under a copy, with its id. */
    entry_t *entry = xcalloc (1, sizeof *entry);
    *entry = *(entry_t *)ctx;
    entry->deadline = (loop_timer_t){ 0 };
    entry->next = self->entries;
    self->entries = entry;
    if (answer->outcome != CALL_OK) {
        fetch_end (entry, answer->outcome, answer->text);
        return;
    }
    const msg_blob_get_ok_t *piece = &answer->reply->blob_get_ok;
    if (piece->offset != entry->offset || piece->bytes > DOWNLOAD_BYTES_MAX) {
        fetch_end (entry, CALL_REFUSED, "The broker sent another piece than was asked for, or too large a file.");
        return;
    }
    int error = entry->to.sink (entry->to.ctx, piece->data.ptr, piece->data.len);
    entry->offset += (int64_t)piece->data.len;
    if (error)
        fetch_end (entry, CALL_REFUSED, strerror (error));
    else if (entry->offset >= piece->bytes || !piece->data.len)
        fetch_end (entry, CALL_OK, "");
    else
        fetch_next (entry);
}

static void fetch_next (entry_t *entry)
{
    message_t request;
    message_init (&request, MSG_BLOB_GET);
    request.blob_get.sha256 = slice_of (entry->sha256);
    request.blob_get.offset = entry->offset;
    entry->fn = on_piece;
    entry->ctx = entry;
    send_call (entry, &request, FETCH_PATIENCE_MS);
}

static int on_http_bytes (void *ctx, const void *bytes, size_t len)
{
    entry_t *entry = ctx;
    return entry->to.sink (entry->to.ctx, bytes, len);
}

static void on_http_done (void *ctx, call_outcome_t outcome, const char *cause)
{
    fetch_end (ctx, outcome, cause);
}

static void on_no_such_file (void *ctx)
{
    fetch_end (ctx, CALL_REFUSED, "There is no such file.");
}

static call_id_t zmq_fetch (transport_t *base, const char *url, const fetch_to_t *to)
{
    zmq_transport_t *self = zmq_of (base);
    entry_t *entry = entry_new (self);
    entry->to = *to;
    slice_t sha256 = blob_url_sha256 (slice_of (url));
    if (sha256.ptr) {
        slice_copy (sha256, entry->sha256, sizeof entry->sha256);
        fetch_next (entry);
    } else if (url[0] == '/') {
        loop_timer_set (self->loop, &entry->deadline, 0, on_no_such_file, entry);
    } else {
        fetch_to_t through = { on_http_bytes, on_http_done, entry };
        entry->http = http_download (self->http, url, NULL, DOWNLOAD_BYTES_MAX, &through);
    }
    return entry->id;
}

/* ---- life ---- */

static void zmq_cancel (transport_t *base, call_id_t id)
{
    zmq_transport_t *self = zmq_of (base);
    entry_t *entry = id ? entry_find (self, id) : NULL;
    if (!entry)
        return;
    entry_unlink (entry);
    if (entry->http)
        http_cancel (self->http, &entry->http);
    free (entry);
}

static void zmq_destroy (transport_t **base_p)
{
    zmq_transport_t *self = zmq_of (*base_p);
    *base_p = NULL;
    while (self->entries) {
        entry_t *entry = self->entries;
        self->entries = entry->next;
        loop_timer_stop (&entry->deadline);
        free (entry);
    }
    http_destroy (&self->http);
    if (self->monitor)
        zmq_close (self->monitor);
    zsock_destroy (&self->socket);
    decoder_destroy (&self->decoder);
    loop_timer_stop (&self->retry);
    buf_fini (&self->frame);
    free (self->broker);
    free (self);
}

static const transport_ops_t zmq_ops = { INLINE_BYTES, zmq_call, zmq_fetch, zmq_cancel, zmq_destroy };

static void *monitor_new (zsock_t *socket)
{
    char address[64];
    snprintf (address, sizeof address, "inproc://monitor-%p", (void *)socket);
    void *raw = zsock_resolve (socket);
    if (zmq_socket_monitor (raw, address, ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | REFUSALS) != 0)
        return NULL;
    void *monitor = zmq_socket (zsys_init (), ZMQ_PAIR);
    int linger = 0;
    if (monitor)
        zmq_setsockopt (monitor, ZMQ_LINGER, &linger, sizeof linger);
    if (monitor && zmq_connect (monitor, address) != 0) {
        zmq_close (monitor);
        return NULL;
    }
    return monitor;
}

static int fd_of (void *raw)
{
    int fd = -1;
    size_t size = sizeof fd;
    zmq_getsockopt (raw, ZMQ_FD, &fd, &size);
    return fd;
}

transport_t *transport_zmq_new (loop_t *loop, const char *broker, const curve_keys_t *keys)
{
    zmq_transport_t *self = xcalloc (1, sizeof *self);
    transport_t *base = &self->base;
    self->base.ops = &zmq_ops;
    self->loop = loop;
    self->decoder = decoder_new ();
    self->http = http_new (loop);
    self->socket = zsock_new (ZMQ_DEALER);
    zsock_set_immediate (self->socket, 1);
    zsock_set_reconnect_ivl (self->socket, 200);
    zsock_set_reconnect_ivl_max (self->socket, 5000);
    zsock_set_tcp_keepalive (self->socket, 1); /* a broker that is gone without a word is found by the kernel */
    zsock_set_tcp_keepalive_idle (self->socket, 5);
    zsock_set_tcp_keepalive_intvl (self->socket, 5);
    zsock_set_tcp_keepalive_cnt (self->socket, 2);
    zsock_set_tcp_maxrt (self->socket, 15000);
    zsock_set_maxmsgsize (self->socket, REPLY_MAX);
    zsock_set_linger (self->socket, 0);
    self->raw = zsock_resolve (self->socket);
    self->monitor = monitor_new (self->socket);
    self->broker = xstrdup (broker);
    if (!self->monitor || (keys && curve_client (self->raw, keys) != 0) || zmq_connect (self->raw, broker) != 0) {
        zmq_destroy (&base);
        return NULL;
    }
    loop_watch (loop, fd_of (self->raw), EPOLLIN, on_readable, self);
    loop_watch (loop, fd_of (self->monitor), EPOLLIN, on_readable, self);
    loop_before_wait (loop, before_wait, self);
    return base;
}
