/* tokens.c - token-create, token-list, token-revoke: an admin's from afar (rules 55 to 57 of proto/README.md). */
#include <string.h>

#include "broker/broker.h"
#include "proto/id.h"

static err_t check_name (slice_t name, fault_t *fault)
{
    static const slice_t taken = SLICE (ISSUER_PREFIX);
    if (!name.ptr)
        return ERR_NONE;
    if (!identity_name_good (name))
        return fault_set (fault, ERR_SCHEMA, "name", "`name` must be 1 to %d bytes without control characters.",
                          IDENTITY_NAME_MAX);
    if (name.len >= taken.len && memcmp (name.ptr, taken.ptr, taken.len) == 0)
        return fault_set (fault, ERR_SCHEMA, "name", "`name` must not begin with '%s': whom a JWT names is called so.",
                          ISSUER_PREFIX);
    return ERR_NONE;
}

static err_t read_order (const msg_token_create_t *in, token_order_t *out, fault_t *fault)
{
    *out = (token_order_t){ .name = in->name,
                            .secret_hash = in->secret_hash,
                            .life_ms = in->for_ms == INT_ABSENT ? 0 : in->for_ms };
    if (!role_find (in->role, &out->role) || out->role == ROLE_GATEWAY)
        return fault_set (fault, ERR_SCHEMA, "role", "`role` must be viewer, submitter, worker or admin.");
    if (in->for_ms != INT_ABSENT && in->for_ms < TOKEN_LIFE_MIN)
        return fault_set (fault, ERR_SCHEMA, "forMs",
                          "`forMs` must be at least %d: such a token would be over at once.", TOKEN_LIFE_MIN);
    if (!hex_valid (in->secret_hash, SHA256_HEX))
        return fault_set (fault, ERR_SCHEMA, "secretHash",
                          "`secretHash` must be a SHA-256, 64 hex digits 0-9 and a-f.");
    return check_name (in->name, fault);
}

static void create_answer (const token_change_t *made, message_t *answer)
{
    const identity_t *identity = &made->identity;
    message_init (answer, MSG_TOKEN_CREATE_OK);
    msg_token_create_ok_t *out = &answer->token_create_ok;
    out->identity = slice_of (identity->id);
    out->role = slice_of (role_name (identity->role));
    out->name = slice_of (identity->name);
    out->created_at = identity->created_ms;
    if (identity->expires_ms)
        out->expires_at = identity->expires_ms;
    out->repeated = made->before;
}

static err_t create (broker_t *self, const msg_token_create_t *in, token_change_t *made, message_t *answer,
                     fault_t *fault)
{
    token_order_t order;
    err_t err = read_order (in, &order, fault);
    if (err)
        return err;
    err = auth_token_create (self->auth, &order, self->wall_ms, made);
    if (err == ERR_IDEMPOTENCY_MISMATCH)
        return fault_set (fault, err, "secretHash",
                          "There is a token of this `secretHash` with another role, name or end, or it was taken back: "
                          "make a fresh one.");
    if (!err)
        create_answer (made, answer);
    return err ? fault_set (fault, err, NULL, NULL) : ERR_NONE;
}

static err_t revoke (broker_t *self, const msg_token_revoke_t *in, token_change_t *gone, message_t *answer,
                     fault_t *fault)
{
    err_t err = auth_token_revoke (self->auth, in->which, self->wall_ms, gone);
    if (err)
        return fault_set (fault, err, err == ERR_INTERNAL ? NULL : "which", NULL);
    message_init (answer, MSG_TOKEN_REVOKE_OK);
    msg_token_revoke_ok_t *out = &answer->token_revoke_ok;
    out->identity = slice_of (gone->identity.id);
    out->role = slice_of (role_name (gone->identity.role));
    out->name = slice_of (gone->identity.name);
    out->revoked_at = gone->identity.revoked_ms;
    out->already_revoked = gone->before;
    return ERR_NONE;
}

static err_t list (broker_t *self, const msg_token_list_t *in, message_t *answer, fault_t *fault)
{
    int64_t limit = in->limit == INT_ABSENT || in->limit == 0 ? LIST_DEFAULT : in->limit;
    message_init (answer, MSG_TOKEN_LIST_OK);
    msg_token_list_ok_t *out = &answer->token_list_ok;
    buf_clear (&self->list);
    err_t err = auth_token_list (self->auth, in->cursor, limit, self->wall_ms, &self->list, &out->tokens, &out->cursor);
    out->count = out->tokens.count;
    return err ? fault_set (fault, err, "cursor", NULL) : ERR_NONE;
}

static err_t carry_out (broker_t *self, const message_t *message, token_change_t *changed, message_t *answer,
                        fault_t *fault)
{
    return message->type == MSG_TOKEN_CREATE ? create (self, &message->token_create, changed, answer, fault)
                                             : revoke (self, &message->token_revoke, changed, answer, fault);
}

/* Who speaks is asked for nothing from here on: what it is read from may be read anew. A token is taken back even where
 * its holder has filled the disk. */
static err_t change (broker_t *self, const message_t *message, token_change_t *changed, message_t *answer,
                     fault_t *fault)
{
    bool given = false;
    if (!auth_asks (self->auth))
        return fault_set (fault, ERR_OPEN_BROKER, NULL, NULL);
    self->who = NULL;
    self->changing = changed->identity.id; /* its audit entry is the answer's, which says who did it */
    err_t err = carry_out (self, message, changed, answer, fault);
    bool full = err == ERR_INTERNAL && disk_is_full (self, message->type == MSG_TOKEN_REVOKE, &given);
    if (given)
        err = carry_out (self, message, changed, answer, fault);
    self->changing = NULL;
    return err == ERR_INTERNAL && full ? fault_set (fault, ERR_DISK_FULL, NULL, NULL) : err;
}

void tokens_request (broker_t *self, uint64_t request, const message_t *message)
{
    token_change_t changed = { 0 };
    message_t answer;
    fault_t fault;
    err_t err = message->type == MSG_TOKEN_LIST ? list (self, &message->token_list, &answer, &fault)
                                                : change (self, message, &changed, &answer, &fault);
    if (err)
        message_fault (&answer, &fault);
    broker_reply (self, request, &answer, NULL);
}
