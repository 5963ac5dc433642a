/* auth_tokens.c - tokens that an admin makes and takes back from afar: what that does to the file (rules 55 and 56). */
#include <stdio.h>
#include <string.h>

#include "broker/auth_internal.h"
#include "proto/id.h"
#include "proto/log.h"

enum { PROBLEM_SIZE = 1200 };

typedef struct {
    const token_order_t *order; /* of one that is made */
    slice_t which;              /* of one that is taken back */
    int64_t wall_ms;
    token_change_t *out;
    err_t err; /* why it is refused */
} change_t;

/* The answer is true only when it is on disk and in our memory, whichever of both was first. */
static err_t carry_out (auth_t *self, change_t *change, identities_edit_fn *edit)
{
    char problem[PROBLEM_SIZE] = "";
    bool good = identities_change (self->folder, edit, change, problem, sizeof problem);
    if (!good && !change->err)
        log_event (LEVEL_ERROR, "token-unchanged", "%s", problem);
    auth_refresh (self, change->wall_ms);
    if (!good)
        return change->err ? change->err : ERR_INTERNAL;
    const identity_t *now = identities_by_id (self->identities, slice_of (change->out->identity.id));
    return now && now->revoked_ms == change->out->identity.revoked_ms ? ERR_NONE : ERR_INTERNAL;
}

static bool refuse (change_t *change, err_t err, char *problem, size_t size)
{
    change->err = err;
    snprintf (problem, size, "%s", error_row (err)->text);
    return false;
}

/* ---- made ---- */

static const identity_t *with_secret (const identities_t *set, slice_t secret_hash)
{
    for (size_t i = 0; i < identities_count (set); i++) {
        const identity_t *identity = identities_at (set, i);
        if (identity_is_token (identity) && slice_eq_str (secret_hash, identity->key))
            return identity;
    }
    return NULL;
}

static bool is_as_ordered (const identity_t *identity, const token_order_t *order)
{
    slice_t name = order->name.ptr ? order->name : slice_of (identity->id);
    int64_t life_ms = identity->expires_ms ? identity->expires_ms - identity->created_ms : 0;
    return strcmp (identity->kind, IDENTITY_TOKEN) == 0 && identity->role == order->role && life_ms == order->life_ms &&
           slice_eq_str (name, identity->name);
}

static void fill (identity_t *identity, const change_t *change)
{
    const token_order_t *order = change->order;
    *identity = (identity_t){ .role = order->role, .created_ms = change->wall_ms };
    identity_make_id (identity);
    snprintf (identity->kind, sizeof identity->kind, "%s", IDENTITY_TOKEN);
    slice_copy (order->secret_hash, identity->key, sizeof identity->key);
    slice_copy (order->name.ptr ? order->name : slice_of (identity->id), identity->name, sizeof identity->name);
    identity->expires_ms = order->life_ms ? change->wall_ms + order->life_ms : 0;
}

/* A repeated one writes the file once more: whoever wrote it before may have been killed before it was on disk. */
static bool make (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    change_t *change = ctx;
    identity_t *out = &change->out->identity;
    const identity_t *there = with_secret (fresh, change->order->secret_hash);
    if (there && !(is_as_ordered (there, change->order) && identity_counts (there, change->wall_ms)))
        return refuse (change, ERR_IDEMPOTENCY_MISMATCH, problem, size);
    change->out->before = there;
    if (there) {
        *out = *there;
        return true;
    }
    fill (out, change);
    return (identities_count (fresh) < IDENTITIES_AFAR && identities_add (fresh, out)) ||
           refuse (change, ERR_TOKENS_FULL, problem, size);
}

err_t auth_token_create (auth_t *self, const token_order_t *order, int64_t wall_ms, token_change_t *out)
{
    change_t change = { .order = order, .wall_ms = wall_ms, .out = out };
    return carry_out (self, &change, make);
}

/* ---- taken back ---- */

/* It counts, and no other admin's token does. */
static bool last_admin (const identities_t *set, const identity_t *identity, int64_t wall_ms)
{
    int others = 0;
    for (size_t i = 0; i < identities_count (set); i++) {
        const identity_t *other = identities_at (set, i);
        others += other != identity && other->role == ROLE_ADMIN && identity_is_token (other) &&
                  identity_counts (other, wall_ms);
    }
    return !others && identity->role == ROLE_ADMIN && identity_is_token (identity) &&
           identity_counts (identity, wall_ms);
}

static bool take_back (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    change_t *change = ctx;
    int same = 0;
    identity_t *identity = identities_find (fresh, change->which, &same);
    if (!identity)
        return refuse (change, same > 1 ? ERR_AMBIGUOUS_TOKEN : ERR_NO_SUCH_TOKEN, problem, size);
    if (last_admin (fresh, identity, change->wall_ms))
        return refuse (change, ERR_LAST_ADMIN, problem, size);
    change->out->before = identity->revoked_ms;
    if (!identity->revoked_ms)
        identity->revoked_ms = change->wall_ms;
    change->out->identity = *identity;
    return true;
}

err_t auth_token_revoke (auth_t *self, slice_t which, int64_t wall_ms, token_change_t *out)
{
    change_t change = { .which = which, .wall_ms = wall_ms, .out = out };
    return carry_out (self, &change, take_back);
}

/* ---- shown ---- */

bool auth_knows (const auth_t *self, slice_t which)
{
    for (size_t i = 0; i < identities_count (self->identities); i++) {
        const identity_t *identity = identities_at (self->identities, i);
        if (slice_eq_str (which, identity->id) || slice_eq_str (which, identity->name))
            return true;
    }
    return false;
}

/* Where the line of that id stands; the count: nowhere. */
static size_t place_of (const identities_t *set, slice_t id)
{
    size_t at = 0;
    while (at < identities_count (set) && !slice_eq_str (id, identities_at (set, at)->id))
        at++;
    return at;
}

static void add_entry (const identity_t *identity, int64_t wall_ms, buf_t *raw)
{
    message_t item;
    message_init (&item, MSG_TOKEN_ENTRY);
    msg_token_entry_t *out = &item.token_entry;
    out->identity = slice_of (identity->id);
    out->kind = slice_of (identity->kind);
    out->role = slice_of (role_name (identity->role));
    out->name = slice_of (identity->name);
    out->state = slice_of (identity_state (identity, wall_ms));
    out->created_at = identity->created_ms;
    if (identity->expires_ms)
        out->expires_at = identity->expires_ms;
    if (identity->revoked_ms)
        out->revoked_at = identity->revoked_ms;
    if (identity->worker_id[0])
        out->worker_id = slice_of (identity->worker_id);
    message_encode_item (&item, raw);
}

err_t auth_token_list (const auth_t *self, slice_t cursor, int64_t limit, int64_t wall_ms, buf_t *raw, list_t *out,
                       slice_t *next)
{
    const identities_t *set = self->identities;
    size_t count = identities_count (set);
    size_t at = cursor.len ? place_of (set, cursor) : count;
    *out = (list_t){ .raw = SLICE ("") };
    *next = SLICE_ABSENT;
    if (cursor.len && at == count)
        return ERR_NO_SUCH_TOKEN;
    while (at > 0 && out->count < limit) {
        add_entry (identities_at (set, --at), wall_ms, raw);
        out->count++;
    }
    if (out->count)
        out->raw = buf_slice (raw);
    if (at > 0)
        *next = slice_of (identities_at (set, at)->id);
    return ERR_NONE;
}
