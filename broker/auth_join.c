/* auth_join.c - a join code becomes a known key, once; what it can still do stands in its own line. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/auth_internal.h"
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
    slice_t code, key, worker_id;
    int64_t wall_ms;
    role_t role;
    bool refused;
} use_t;

/* The open code with that secret; NULL: none. What is compared is compared in constant time. */
static identity_t *find_code (identities_t *fresh, const use_t *use)
{
    slice_t id;
    unsigned char hash[32];
    unsigned char kept[32];
    size_t len = 0;
    if (!token_read (use->code, &id, hash))
        return NULL;
    for (size_t i = 0; i < identities_count (fresh); i++) {
        identity_t *identity = identities_edit (fresh, i);
        if (!slice_eq_str (id, identity->id) || uses_of (identity, use->wall_ms) <= 0)
            continue;
        bool same = sodium_hex2bin (kept, sizeof kept, identity->key, SHA256_HEX, NULL, &len, NULL) == 0 &&
                    len == sizeof kept && sodium_memcmp (kept, hash, sizeof kept) == 0;
        return same ? identity : NULL;
    }
    return NULL;
}

static bool use_code (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    use_t *use = ctx;
    identity_t *code = find_code (fresh, use);
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
    identity_t known = { .role = code->role, .created_ms = use->wall_ms };
    char unused[TOKEN_TEXT_MAX];
    token_make (&known, unused); /* for its id */
    sodium_memzero (unused, sizeof unused);
    snprintf (known.kind, sizeof known.kind, IDENTITY_KEY);
    snprintf (known.name, sizeof known.name, "%s", code->name);
    slice_copy (use->key, known.key, sizeof known.key);
    slice_copy (use->worker_id, known.worker_id, sizeof known.worker_id);
    use->role = known.role;
    if (identities_add (fresh, &known))
        return true;
    snprintf (problem, size, "there are %d identities already: no more fit.", IDENTITIES_MAX);
    return false;
}

err_t auth_join (auth_t *self, slice_t code, slice_t key, slice_t worker_id, int64_t wall_ms, role_t *role)
{
    char problem[PROBLEM_SIZE] = "";
    const identity_t *known = identities_by_key (self->identities, key, wall_ms);
    if (known) { /* the answer was lost */
        *role = known->role;
        return !worker_id.ptr || slice_eq_str (worker_id, known->worker_id) ? ERR_NONE : ERR_JOIN_REFUSED;
    }
    use_t use = { .code = code, .key = key, .worker_id = worker_id, .wall_ms = wall_ms };
    bool good = identities_change (self->folder, use_code, &use, problem, sizeof problem);
    if (!good && !use.refused)
        log_event (LEVEL_ERROR, "join-failed", "%s", problem);
    auth_refresh (self, wall_ms);
    *role = use.role;
    return good ? ERR_NONE : use.refused ? ERR_JOIN_REFUSED : ERR_INTERNAL;
}
