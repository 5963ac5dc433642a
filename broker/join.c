/* join.c - join: a stranger with a join code becomes somebody known (rule 41 of proto/README.md). */
#include "broker/broker.h"
#include "proto/id.h"
#include "proto/log.h"

/* Codes cannot be guessed; this bounds what guessing costs, for each try reads a file. */
enum { WINDOW_MS = 10 * 1000, REFUSED_MAX = 20 };

static bool too_many (broker_t *self)
{
    if (self->now_ms - self->joins_since_ms >= WINDOW_MS) {
        self->joins_since_ms = self->now_ms;
        self->joins_refused = 0;
    }
    return self->joins_refused >= REFUSED_MAX;
}

void join_request (broker_t *self, uint64_t request, const msg_join_t *in, zmq_msg_t *frame)
{
    slice_t key = self->curve ? curve_sender (frame) : SLICE_ABSENT;
    role_t role = ROLE_NONE;
    err_t err = !key.ptr ? ERR_JOIN_REFUSED : too_many (self) ? ERR_TOO_MANY : ERR_NONE;
    if (!err && in->worker_id.ptr && !worker_id_safe (in->worker_id))
        err = ERR_JOIN_REFUSED;
    if (!err)
        err = auth_join (self->auth, in->code, key, in->worker_id, self->wall_ms, &role);
    if (err) {
        self->joins_refused += err == ERR_JOIN_REFUSED;
        log_event (LEVEL_WARN, "join-refused", "%s", error_row (err)->code);
        broker_reply_error (self, request, err);
        return;
    }
    log_event (LEVEL_INFO, "joined", "%s " SLICE_FMT, role_name (role), SLICE_ARG (in->worker_id));
    message_t answer;
    message_init (&answer, MSG_JOIN_OK);
    answer.join_ok.role = slice_of (role_name (role));
    broker_reply (self, request, &answer, 0);
}
