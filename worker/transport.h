/* transport.h - how the worker talks to its server: one ops table, implemented over HTTP and over ZeroMQ.
 *
 * Both carry the same messages (proto/messages.def). Everything is asynchronous and runs on the worker's loop; a
 * callback is never called from inside the function that started its call. Any number of calls may be in flight.
 */
#ifndef GLEANER_WORKER_TRANSPORT_H
#define GLEANER_WORKER_TRANSPORT_H

#include "proto/curve_keys.h"
#include "proto/message.h"
#include "worker/loop.h"

typedef struct transport transport_t;
typedef uint64_t call_id_t; /* 0: none */

typedef enum {
    CALL_OK,      /* `reply` is the request's answer */
    CALL_REFUSED, /* the server said no, and will say so again; `err` says why, `reply` is the ERROR message */
    CALL_AWAY,    /* no connection, no answer in time, or the server is busy: try again later */
} call_outcome_t;

typedef struct {
    call_outcome_t outcome;
    err_t err;              /* 0 with CALL_OK */
    const message_t *reply; /* NULL with CALL_AWAY; valid during the callback */
    const char *text;       /* one sentence for the log, never NULL */
} call_answer_t;

typedef void call_fn (void *ctx, const call_answer_t *answer);

/* Takes the next bytes of a download, in order. Returns 0, or an errno that ends it. */
typedef int fetch_sink_fn (void *ctx, const void *bytes, size_t len);
/* The download ended: CALL_OK, CALL_REFUSED (it will not get better) or CALL_AWAY. `cause` is one sentence. */
typedef void fetch_done_fn (void *ctx, call_outcome_t outcome, const char *cause);

typedef struct {
    fetch_sink_fn *sink;
    fetch_done_fn *done;
    void *ctx;
} fetch_to_t;

typedef struct {
    /* Largest stream that fits into a result itself, bytes; 0: output is always appended first. */
    size_t inline_bytes_max;
    /* Sends `request` (encoded or copied before this returns) and calls `fn` once, within `patience_ms`. */
    call_id_t (*call) (transport_t *self, const message_t *request, int64_t patience_ms, call_fn *fn, void *ctx);
    /* Downloads `url`, a path under /uploads/ or an absolute http(s) URL. */
    call_id_t (*fetch) (transport_t *self, const char *url, const fetch_to_t *to);
    /* Forgets a call or a download: nothing of it is called any more. 0 and ended ones are ignored. */
    void (*cancel) (transport_t *self, call_id_t id);
    /* Consumes and nulls; calls nothing back. */
    void (*destroy) (transport_t **self_p);
} transport_ops_t;

/* First member of each implementation. */
struct transport {
    const transport_ops_t *ops;
    const char *auth; /* what it shows to say who it is; borrowed; NULL: nothing */
};

/* Opens a transport to `server`: "http://HOST:PORT" or "https://...", whose certificate must lead to one in
 * the file `ca` (NULL: to one of the system's). The caller owns it. Connects when first used. */
transport_t *transport_http_new (loop_t *loop, const char *server, const char *ca);
/* Opens a transport to a broker: "tcp://HOST:PORT". by CURVE with `keys` unless they are NULL. NULL when the
 * address cannot be read. */
transport_t *transport_zmq_new (loop_t *loop, const char *broker, const curve_keys_t *keys);

/* The answer that an ERROR message stands for: AWAY when its code is one of load or outage, else REFUSED. Borrows. */
call_answer_t transport_error_answer (const message_t *error, char *text, size_t text_size);

#endif
