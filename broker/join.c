/* join.c - join, join-token: a stranger with a join code becomes somebody known (rules 41 and 43 of proto/README.md).
 */
#include <sodium.h>
#include <string.h>

#include "broker/broker.h"
#include "proto/id.h"
#include "proto/log.h"

/* Codes cannot be guessed; this bounds what guessing costs. */
enum { WINDOW_MS = 10 * 1000, REFUSED_MAX = 20 };

/* What came of a join. */
typedef struct {
    err_t err;
    role_t role;
    slice_t worker_id;            /* absent: a gateway */
    char id[IDENTITY_ID_MAX + 1]; /* of a token */
} outcome_t;

static uint8_t *counter_of (broker_t *self, slice_t from)
{
    joins_t *joins = &self->joins;
    unsigned char hash[crypto_shorthash_BYTES];
    if (!joins->since_ms || self->now_ms - joins->since_ms >= WINDOW_MS) {
        *joins = (joins_t){ .since_ms = self->now_ms };
        randombytes_buf (joins->secret, sizeof joins->secret);
    }
    crypto_shorthash (hash, (const unsigned char *)from.ptr, from.len, joins->secret);
    return &joins->refused[hash[0] % JOIN_SLOTS];
}

static void join_key (broker_t *self, const msg_join_t *in, zmq_msg_t *frame, outcome_t *out)
{
    slice_t key = self->curve ? curve_sender (frame) : SLICE_ABSENT;
    out->worker_id = in->worker_id;
    out->err = key.ptr && (!in->worker_id.ptr || worker_id_safe (in->worker_id)) ? ERR_NONE : ERR_JOIN_REFUSED;
    if (!out->err)
        out->err = auth_join (self->auth, in->code, key, in->worker_id, self->wall_ms, &out->role);
}

static void join_token (broker_t *self, const msg_join_token_t *in, outcome_t *out)
{
    out->worker_id = in->worker_id;
    out->role = ROLE_WORKER;
    out->err = worker_id_safe (in->worker_id) ? ERR_NONE : ERR_JOIN_REFUSED;
    if (!out->err)
        out->err = auth_join_token (self->auth, in->code, in->secret_hash, in->worker_id, self->wall_ms, out->id);
}

/* Into the log and the audit log, but for what would only fill them. */
static void tell (broker_t *self, const message_t *message, slice_t from, const outcome_t *outcome)
{
    const char *word = outcome->err ? error_row (outcome->err)->code : "ok";
    if (outcome->err && (outcome->err == ERR_TOO_MANY || !admit_tells (self)))
        return;
    if (outcome->err)
        log_event (LEVEL_WARN, "join-refused", "%s from " SLICE_FMT, word, SLICE_ARG (from));
    else
        log_event (LEVEL_INFO, "joined", "%s " SLICE_FMT, role_name (outcome->role), SLICE_ARG (outcome->worker_id));
    audit_add (self->audit, &(audit_entry_t){ .time_ms = self->wall_ms,
                                              .id = outcome->id[0] ? slice_of (outcome->id) : SLICE_ABSENT,
                                              .role = outcome->err ? ROLE_NONE : outcome->role,
                                              .from = from.len ? from : SLICE_ABSENT,
                                              .what = slice_of (message_spec (message->type)->wire),
                                              .subject = outcome->worker_id,
                                              .outcome = slice_of (word) });
}

void join_request (broker_t *self, uint64_t request, const message_t *message, zmq_msg_t *frame)
{
    char room[PEER_SIZE];
    slice_t from = admit_from (message, frame, room);
    uint8_t *refused = counter_of (self, from);
    outcome_t outcome = { .err = ERR_TOO_MANY };
    bool token = message->type == MSG_JOIN_TOKEN;
    if (*refused < REFUSED_MAX && token)
        join_token (self, &message->join_token, &outcome);
    else if (*refused < REFUSED_MAX)
        join_key (self, &message->join, frame, &outcome);
    *refused += outcome.err == ERR_JOIN_REFUSED;
    tell (self, message, from, &outcome);
    if (outcome.err) {
        broker_reply_error (self, request, outcome.err);
        return;
    }
    message_t answer;
    message_init (&answer, token ? MSG_JOIN_TOKEN_OK : MSG_JOIN_OK);
    if (token) {
        answer.join_token_ok.identity = slice_of (outcome.id);
        answer.join_token_ok.role = slice_of (role_name (outcome.role));
    } else {
        answer.join_ok.role = slice_of (role_name (outcome.role));
    }
    broker_reply (self, request, &answer, NULL);
}
