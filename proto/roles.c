#include "roles.h"

static const char *const names[ROLE_COUNT] = {
    [ROLE_NONE] = "none",     [ROLE_VIEWER] = "viewer",   [ROLE_SUBMITTER] = "submitter",
    [ROLE_WORKER] = "worker", [ROLE_GATEWAY] = "gateway", [ROLE_ADMIN] = "admin",
};

enum {
    ANYBODY = 1 << ROLE_NONE,
    V = 1 << ROLE_VIEWER,
    S = 1 << ROLE_SUBMITTER,
    W = 1 << ROLE_WORKER,
    AUDITED = 1 << ROLE_COUNT,
    ADMIN_ONLY = 0, /* an admin may do everything */
};

/* What has no row is no request, or an admin's. */
static const unsigned rows[MSG_COUNT] = {
    [MSG_AUTH_CHECK] = ANYBODY,
    [MSG_GATEWAY_HELLO] = ANYBODY, /* a gateway has no identity of its own: it passes on its clients' */

    [MSG_JOIN] = ANYBODY,       /* its code says whether */
    [MSG_JOIN_TOKEN] = ANYBODY, /* likewise */

    [MSG_WORKER_REGISTER] = W,
    [MSG_WORKER_HEARTBEAT] = W,
    [MSG_WORKER_GOODBYE] = W,
    [MSG_WORKER_SLEEP] = W,
    [MSG_JOB_POLL] = W,
    [MSG_JOB_RENEW] = W,
    [MSG_JOB_RETURN] = W,
    [MSG_JOB_OUTPUT] = W,
    [MSG_JOB_RESULT] = W,
    [MSG_JOB_FAIL] = W,

    [MSG_BLOB_PUT] = S | W, /* a job's archive, its artifacts */
    [MSG_BLOB_COMMIT] = S | W,
    [MSG_BLOB_ABORT] = S | W,
    [MSG_BLOB_CHECK] = S,
    [MSG_BLOB_GET] = V | S | W,
    [MSG_JOB_CHECK_CANCEL] = V | S | W,

    [MSG_JOB_CREATE] = S | AUDITED,
    [MSG_JOB_CANCEL] = S | AUDITED,
    [MSG_JOB_STATUS] = V | S,
    [MSG_JOB_LIST] = V | S,
    [MSG_JOB_FOLLOW] = V | S,
    [MSG_EVENTS_READ] = V | S,
    [MSG_WORKER_LIST] = V | S,
    [MSG_WORKER_ACTIVITY] = V | S,
    [MSG_STATS_READ] = V | S,
    [MSG_METRICS_READ] = V | S,
    [MSG_USAGE_READ] = V | S, /* a submitter sees its own */
    [MSG_BROKER_INFO] = V | S,

    [MSG_AUDIT_READ] = ADMIN_ONLY,
    [MSG_WORKER_DRAIN] = ADMIN_ONLY | AUDITED,
    [MSG_WORKER_RESUME] = ADMIN_ONLY | AUDITED,
    [MSG_TOKEN_LIST] = ADMIN_ONLY,
    [MSG_TOKEN_CREATE] = ADMIN_ONLY | AUDITED,
    [MSG_TOKEN_REVOKE] = ADMIN_ONLY | AUDITED,
    [MSG_BROKER_SNAPSHOT] = ADMIN_ONLY | AUDITED,
};

const char *role_name (role_t role)
{
    return role < ROLE_COUNT ? names[role] : names[ROLE_NONE];
}

bool role_find (slice_t name, role_t *out)
{
    for (role_t role = ROLE_VIEWER; role < ROLE_COUNT; role++) {
        if (!slice_eq_str (name, names[role]))
            continue;
        *out = role;
        return true;
    }
    return false;
}

bool role_may (role_t role, msg_type_t type)
{
    if (type >= MSG_COUNT || role >= ROLE_COUNT)
        return false;
    return role == ROLE_ADMIN || rows[type] & (1U << role | ANYBODY);
}

bool role_audits (msg_type_t type)
{
    return type < MSG_COUNT && rows[type] & AUDITED;
}
