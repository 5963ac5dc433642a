/* auth_join.c - a join code becomes a known key, once; what it can still do stands in its own line. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/auth_internal.h"
#include "proto/id.h"
#include "proto/log.h"

enum { PROBLEM_SIZE = 1200 };

/* The uses that a join code has left; 0 when it is none, or is over. */
static long uses_of (const identity_t *identity, int64_t wall_ms)
{
    if (strcmp (identity->kind, IDENTITY_JOIN) != 0 || !identity_counts (identity, wall_ms))
        return 0;
    const char *colon = strchr (identity->key, ':');
    return colon ? strtol (colon + 1, NULL, 10) : 0;
}

bool auth_admits_key (const auth_t *self, slice_t key, int64_t wall_ms)
{
    if (identities_by_key (self->identities, key, wall_ms))
        return true;
    for (size_t i = 0; i < identities_count (self->identities); i++)
        if (uses_of (identities_at (self->identities, i), wall_ms) > 0)
            return true;
    return false;
}

typedef struct {
    slice_t code;
    const char *kind; /* of what becomes known: a key, or a token */
    slice_t key;      /* its line's */
    slice_t worker_id;
    int64_t wall_ms;
    role_t role;
    char id[IDENTITY_ID_MAX + 1];
    bool refused;
} use_t;

/* Where the open code with that secret stands; the count of identities: nowhere. What is compared is compared in
 * constant time. */
static size_t find_code (const identities_t *identities, const use_t *use)
{
    slice_t id;
    unsigned char hash[32];
    unsigned char kept[32];
    size_t len = 0;
    size_t count = identities_count (identities);
    if (!token_read (use->code, &id, hash))
        return count;
    for (size_t at = 0; at < count; at++) {
        const identity_t *identity = identities_at (identities, at);
        if (!slice_eq_str (id, identity->id) || uses_of (identity, use->wall_ms) <= 0)
            continue;
        bool same = sodium_hex2bin (kept, sizeof kept, identity->key, SHA256_HEX, NULL, &len, NULL) == 0 &&
                    len == sizeof kept && sodium_memcmp (kept, hash, sizeof kept) == 0;
        return same ? at : count;
    }
    return count;
}

/* The line that the code becomes. */
static void make_known (const identity_t *code, use_t *use, identity_t *known)
{
    *known = (identity_t){ 0 };
    identity_make_id (known);
    known->role = code->role;
    known->created_ms = use->wall_ms;
    snprintf (known->kind, sizeof known->kind, "%s", use->kind);
    snprintf (known->name, sizeof known->name, "%s", code->name);
    slice_copy (use->key, known->key, sizeof known->key);
    slice_copy (use->worker_id, known->worker_id, sizeof known->worker_id);
    use->role = known->role;
    snprintf (use->id, sizeof use->id, "%s", known->id);
}

static bool use_code (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    use_t *use = ctx;
    size_t at = find_code (fresh, use);
    identity_t *code = at < identities_count (fresh) ? identities_edit (fresh, at) : NULL;
    use->refused = !code || (code->role == ROLE_WORKER) != (use->worker_id.ptr != NULL) ||
                   (use->worker_id.ptr && identities_by_worker (fresh, use->worker_id, use->wall_ms));
    if (use->refused) {
        snprintf (problem, size, "the code is wrong, used up or too old, or of another role; or the worker is known.");
        return false;
    }
    long left = uses_of (code, use->wall_ms) - 1;
    char hash[SHA256_HEX + 1];
    snprintf (hash, sizeof hash, "%.*s", SHA256_HEX, code->key);
    snprintf (code->key, sizeof code->key, "%s:%ld", hash, left);
    if (!left)
        code->revoked_ms = use->wall_ms;
    identity_t known;
    make_known (code, use, &known);
    if (identities_add (fresh, &known))
        return true;
    snprintf (problem, size, "there are %d identities already: no more fit.", IDENTITIES_MAX);
    return false;
}

/* A code that is none costs no look at the file. */
static err_t join (auth_t *self, use_t *use)
{
    char problem[PROBLEM_SIZE] = "";
    auth_refresh (self, use->wall_ms);
    if (find_code (self->identities, use) == identities_count (self->identities))
        return ERR_JOIN_REFUSED;
    bool good = identities_change (self->folder, use_code, use, problem, sizeof problem);
    if (!good && !use->refused)
        log_event (LEVEL_ERROR, "join-failed", "%s", problem);
    auth_refresh (self, use->wall_ms);
    return good ? ERR_NONE : use->refused ? ERR_JOIN_REFUSED : ERR_INTERNAL;
}

err_t auth_join (auth_t *self, slice_t code, slice_t key, slice_t worker_id, int64_t wall_ms, role_t *role)
{
    const identity_t *known = identities_by_key (self->identities, key, wall_ms);
    if (known) { /* the answer was lost */
        *role = known->role;
        return !worker_id.ptr || slice_eq_str (worker_id, known->worker_id) ? ERR_NONE : ERR_JOIN_REFUSED;
    }
    use_t use = { .code = code, .kind = IDENTITY_KEY, .key = key, .worker_id = worker_id, .wall_ms = wall_ms };
    err_t err = join (self, &use);
    *role = use.role;
    return err;
}

err_t auth_join_token (auth_t *self, slice_t code, slice_t secret_hash, slice_t worker_id, int64_t wall_ms,
                       char id[IDENTITY_ID_MAX + 1])
{
    use_t use = {
        .code = code, .kind = IDENTITY_JOINED, .key = secret_hash, .worker_id = worker_id, .wall_ms = wall_ms
    };
    if (!hex_valid (secret_hash, SHA256_HEX))
        return ERR_SCHEMA;
    const identity_t *known = identities_by_worker (self->identities, worker_id, wall_ms);
    bool again = known && strcmp (known->kind, IDENTITY_JOINED) == 0 &&
                 sodium_memcmp (known->key, secret_hash.ptr, SHA256_HEX) == 0;
    err_t err = again ? ERR_NONE : join (self, &use); /* the answer was lost */
    snprintf (id, sizeof use.id, "%s", again ? known->id : use.id);
    return err;
}
