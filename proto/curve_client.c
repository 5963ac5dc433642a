#include "curve_client.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "join.h"
#include "secret.h"

#define MONITOR "inproc://join-monitor"

enum { PATIENCE_MS = 10 * 1000 };

int curve_client (void *socket, const curve_keys_t *keys)
{
    bool good = zmq_setsockopt (socket, ZMQ_CURVE_SERVERKEY, keys->broker_key, CURVE_KEY) == 0 &&
                zmq_setsockopt (socket, ZMQ_CURVE_PUBLICKEY, keys->public_key, CURVE_KEY) == 0 &&
                zmq_setsockopt (socket, ZMQ_CURVE_SECRETKEY, keys->secret_key, CURVE_KEY) == 0;
    return good ? 0 : -1;
}

/* ---- joining ---- */

static bool fail (char *problem, size_t size, err_t err)
{
    snprintf (problem, size, "%s", error_row (err)->text);
    return false;
}

static bool ask (void *socket, const message_t *code, const char *worker_id)
{
    message_t message;
    buf_t frame = { 0 };
    message_init (&message, MSG_JOIN);
    message.join.code = code->join_code.code;
    message.join.worker_id = slice_of (worker_id);
    message_encode (&message, &frame);
    bool good = zmq_send (socket, frame.ptr, frame.len, 0) >= 0;
    secret_fini (&frame);
    return good;
}

static bool take_answer (void *socket, char *problem, size_t size)
{
    message_t message;
    fault_t fault;
    zmq_msg_t body;
    zmq_msg_init (&body);
    decoder_t *decoder = decoder_new ();
    bool good = zmq_msg_recv (&body, socket, 0) >= 0;
    slice_t frame = slice_from (zmq_msg_data (&body), zmq_msg_size (&body));
    if (!good || message_decode (decoder, frame, REPLY_MAX, &message, &fault)) {
        snprintf (problem, size, "the broker's answer cannot be read.");
        good = false;
    } else if (message.type != MSG_JOIN_OK) {
        snprintf (problem, size, SLICE_FMT, SLICE_ARG (message.error.text));
        good = false;
    }
    decoder_destroy (&decoder);
    zmq_msg_close (&body);
    return good;
}

/* A key that is not known is let in only while a join code is open: what else is refused is refused for the same
 * cause. */
static bool wait_for_answer (void *socket, void *monitor, const char *endpoint, char *problem, size_t size)
{
    zmq_pollitem_t items[] = { { .socket = socket, .events = ZMQ_POLLIN },
                               { .socket = monitor, .events = ZMQ_POLLIN } };
    if (zmq_poll (items, 2, PATIENCE_MS) > 0 && items[0].revents)
        return take_answer (socket, problem, size);
    if (items[1].revents)
        return fail (problem, size, ERR_JOIN_REFUSED);
    snprintf (problem, size, "no broker answers at %.300s.", endpoint);
    return false;
}

static bool join_by (void *context, const curve_keys_t *keys, const message_t *code, const char *worker_id,
                     char *problem, size_t size)
{
    void *socket = zmq_socket (context, ZMQ_REQ);
    void *monitor = zmq_socket (context, ZMQ_PAIR);
    int none = 0;
    bool good = socket && monitor && zmq_setsockopt (socket, ZMQ_LINGER, &none, sizeof none) == 0 &&
                zmq_setsockopt (monitor, ZMQ_LINGER, &none, sizeof none) == 0 && curve_client (socket, keys) == 0 &&
                zmq_socket_monitor (socket, MONITOR,
                                    ZMQ_EVENT_HANDSHAKE_FAILED_AUTH | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL) == 0 &&
                zmq_connect (monitor, MONITOR) == 0 && zmq_connect (socket, keys->endpoint) == 0 &&
                ask (socket, code, worker_id);
    if (!good)
        snprintf (problem, size, "'%.300s' cannot be used as the broker's endpoint: %s.", keys->endpoint,
                  zmq_strerror (errno));
    good = good && wait_for_answer (socket, monitor, keys->endpoint, problem, size);
    if (socket) {
        zmq_socket_monitor (socket, NULL, 0);
        zmq_close (socket);
    }
    if (monitor)
        zmq_close (monitor);
    return good;
}

/* The pair of a try that was cut off, or a fresh one, on disk before it is shown to anybody. */
static bool pair_for (const message_t *code, const char *part, curve_keys_t *keys, char *problem, size_t size)
{
    unsigned char broker_key[CURVE_KEY];
    memcpy (broker_key, code->join_code.broker_key.ptr, sizeof broker_key);
    if (access (part, F_OK) == 0 && curve_keys_read (part, keys, problem, size) && keys->has_broker &&
        memcmp (keys->broker_key, broker_key, sizeof broker_key) == 0)
        return true;
    curve_keys_make (keys);
    keys->has_broker = true;
    memcpy (keys->broker_key, broker_key, sizeof broker_key);
    slice_copy (code->join_code.endpoint, keys->endpoint, sizeof keys->endpoint);
    return curve_keys_write (part, keys, problem, size);
}

bool curve_join (const char *code, const char *path, const char *worker_id, char *problem, size_t problem_size)
{
    message_t message;
    curve_keys_t keys = { 0 };
    buf_t raw = { 0 };
    buf_t part = { 0 };
    buf_printf (&part, "%s.joining", path);
    void *context = zmq_ctx_new ();
    bool good = join_code_read (slice_of (code), &raw, &message);
    if (!good)
        snprintf (problem, problem_size, "--join: this is no join code: it begins with gleaner-join-.");
    else if (slice_eq_str (message.join_code.role, worker_id ? "gateway" : "worker") || message.join_code.server.ptr)
        good = fail (problem, problem_size, ERR_JOIN_REFUSED);
    good = good && pair_for (&message, part.ptr, &keys, problem, problem_size) &&
           join_by (context, &keys, &message, worker_id, problem, problem_size) &&
           curve_keys_write (path, &keys, problem, problem_size);
    if (good)
        unlink (part.ptr);
    zmq_ctx_term (context);
    sodium_memzero (&keys, sizeof keys);
    secret_fini (&raw);
    buf_fini (&part);
    return good;
}
