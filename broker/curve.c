#include "broker/curve.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/log.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_VERSION  "1.0"
#define ZAP_DOMAIN   "gleaner"

enum {
    TURN_MAX_HANDSHAKES = 256,
    LOG_EVERY_MS = 1000, /* refusals are told of once in so long, with their number */
    FIELDS = 7,          /* of a request, as rfc 27 numbers them */
    FIELD_MAX = 256,
    ZAP_ENFORCE_DOMAIN = 93, /* libzmq 4.3 has it; its header shows it to those alone who build with drafts */
};

enum { VERSION, REQUEST_ID, DOMAIN, ADDRESS, ROUTING_ID, MECHANISM, CREDENTIALS };

struct curve {
    void *handler;
    int64_t refused;
    int64_t refused_told; /* of these the log has told */
    int64_t told_ms;
};

typedef struct {
    size_t len[FIELDS];
    char field[FIELDS][FIELD_MAX];
} question_t;

/* ---- the broker's key ---- */

bool curve_keys_ensure (const char *folder, curve_keys_t *out, char *problem, size_t problem_size)
{
    buf_t path = { 0 };
    buf_printf (&path, "%s/broker.key", folder);
    bool good;
    if (access (path.ptr, F_OK) == 0) {
        good = curve_keys_read (path.ptr, out, problem, problem_size);
    } else {
        curve_keys_make (out);
        good = curve_keys_write (path.ptr, out, problem, problem_size);
    }
    buf_fini (&path);
    return good;
}

/* ---- life ---- */

static bool set_secure (void *router, const curve_keys_t *keys)
{
    int yes = 1;
    return zmq_setsockopt (router, ZMQ_CURVE_SERVER, &yes, sizeof yes) == 0 &&
           zmq_setsockopt (router, ZMQ_CURVE_SECRETKEY, keys->secret_key, CURVE_KEY) == 0 &&
           zmq_setsockopt (router, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN, strlen (ZAP_DOMAIN)) == 0 &&
           zmq_setsockopt (router, ZAP_ENFORCE_DOMAIN, &yes, sizeof yes) == 0;
}

curve_t *curve_new (void *router, const curve_keys_t *keys, char *problem, size_t problem_size)
{
    curve_t *self = xcalloc (1, sizeof *self);
    int none = 0;
    self->handler = zmq_socket (zsys_init (), ZMQ_REP);
    if (self->handler && zmq_setsockopt (self->handler, ZMQ_LINGER, &none, sizeof none) == 0 &&
        zmq_bind (self->handler, ZAP_ENDPOINT) == 0 && set_secure (router, keys))
        return self;
    snprintf (problem, problem_size, "cannot use CURVE: %s.", zmq_strerror (errno));
    curve_destroy (&self);
    return NULL;
}

void curve_destroy (curve_t **self_p)
{
    curve_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    if (self->handler)
        zmq_close (self->handler);
    free (self);
}

int curve_fd (const curve_t *self)
{
    int fd = -1;
    size_t size = sizeof fd;
    zmq_getsockopt (self->handler, ZMQ_FD, &fd, &size);
    return fd;
}

int64_t curve_refused (const curve_t *self)
{
    return self->refused;
}

/* ---- handshakes ---- */

/* Reads one whole request; what is longer than any field of ours is cut, and more fields are read away. False: there is
 * none. */
static bool take_question (curve_t *self, question_t *out)
{
    int more = 1;
    size_t size = sizeof more;
    for (int at = 0; more; at++) {
        char extra[FIELD_MAX];
        char *into = at < FIELDS ? out->field[at] : extra;
        int len = zmq_recv (self->handler, into, FIELD_MAX, ZMQ_DONTWAIT);
        if (len < 0)
            return false;
        if (at < FIELDS)
            out->len[at] = (size_t)len < FIELD_MAX ? (size_t)len : FIELD_MAX;
        if (zmq_getsockopt (self->handler, ZMQ_RCVMORE, &more, &size) != 0)
            return false;
    }
    return true;
}

static slice_t field (const question_t *question, int at)
{
    return slice_from (question->field[at], question->len[at]);
}

static void answer (curve_t *self, const question_t *question, bool admitted, slice_t key)
{
    const slice_t fields[] = {
        SLICE (ZAP_VERSION),
        field (question, REQUEST_ID),
        admitted ? SLICE ("200") : SLICE ("400"),
        admitted ? SLICE ("OK") : SLICE ("unknown key"),
        admitted ? key : SLICE (""),
        SLICE (""),
    };
    enum { COUNT = sizeof fields / sizeof *fields };
    for (size_t at = 0; at < COUNT; at++)
        zmq_send (self->handler, fields[at].ptr, fields[at].len, ZMQ_DONTWAIT | (at + 1 < COUNT ? ZMQ_SNDMORE : 0));
}

static void tell_refusals (curve_t *self, int64_t now_ms, slice_t address)
{
    if (self->told_ms && now_ms - self->told_ms < LOG_EVERY_MS)
        return;
    log_event (LEVEL_WARN, "key-refused",
               "%lld connection(s) with a key that is not known, the last one from " SLICE_FMT,
               (long long)(self->refused - self->refused_told), SLICE_ARG (address));
    self->refused_told = self->refused;
    self->told_ms = now_ms;
}

bool curve_turn (curve_t *self, int64_t now_ms, curve_admit_fn *admit, void *ctx)
{
    for (int taken = 0; taken < TURN_MAX_HANDSHAKES; taken++) {
        question_t question = { 0 };
        if (!take_question (self, &question))
            return false;
        char hex[CURVE_KEY_HEX + 1] = "";
        bool good = slice_eq_str (field (&question, VERSION), ZAP_VERSION) &&
                    slice_eq_str (field (&question, DOMAIN), ZAP_DOMAIN) &&
                    slice_eq_str (field (&question, MECHANISM), "CURVE") && question.len[CREDENTIALS] == CURVE_KEY;
        if (good)
            hex_format (question.field[CREDENTIALS], CURVE_KEY, hex);
        good = good && admit (ctx, slice_of (hex));
        answer (self, &question, good, slice_of (hex));
        if (good)
            continue;
        self->refused++;
        tell_refusals (self, now_ms, field (&question, ADDRESS));
    }
    return true;
}

slice_t curve_sender (zmq_msg_t *body)
{
    return slice_of (zmq_msg_gets (body, "User-Id"));
}
