#include "gateway/routes.h"

#include <stdio.h>
#include <string.h>

#include "gateway/handlers.h"
#include "gateway/login.h"
#include "gateway/translate.h"

static const route_t routes[] = {
    { METHOD_GET, "/api/jobs/status", translate_handle, MSG_JOB_STATUS, ROUTE_REPEAT, NULL },
    { METHOD_POST, "/api/jobs/create", translate_handle, MSG_JOB_CREATE, ROUTE_SUCCESS | ROUTE_KEY, "Job created" },
    { METHOD_GET, "/api/jobs", translate_handle, MSG_JOB_LIST, ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/jobs/create", translate_handle, MSG_JOB_LIST, ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/jobs/get-job", poll_handle, MSG_JOB_POLL, ROUTE_PEER | ROUTE_WORKER | ROUTE_NO_HEAD, NULL },
    { METHOD_POST, "/api/jobs/renew", renew_handle, MSG_JOB_RENEW, ROUTE_SUCCESS | ROUTE_WORKER, NULL },
    { METHOD_POST, "/api/jobs/return", translate_handle, MSG_JOB_RETURN, ROUTE_SUCCESS | ROUTE_WORKER, "Job returned" },
    { METHOD_POST, "/api/jobs/submit-result", result_handle, MSG_JOB_RESULT,
      ROUTE_SUCCESS | ROUTE_REPAIR | ROUTE_LARGE | ROUTE_WORKER | ROUTE_SLOW, "Result recorded" },
    { METHOD_PUT, "/api/jobs/submit-result", translate_handle, MSG_JOB_FAIL,
      ROUTE_SUCCESS | ROUTE_REPAIR | ROUTE_WORKER | ROUTE_SLOW, "Failure recorded" },
    { METHOD_POST, "/api/jobs/stream-output", output_stream_handle, MSG_JOB_OUTPUT,
      ROUTE_SUCCESS | ROUTE_REPAIR | ROUTE_LARGE | ROUTE_WORKER, "Output received" },
    { METHOD_POST, "/api/jobs/output", translate_handle, MSG_JOB_OUTPUT,
      ROUTE_SUCCESS | ROUTE_CHUNK | ROUTE_WORKER | ROUTE_SLOW, NULL },
    { METHOD_GET, "/api/jobs/output", output_read_handle, MSG_JOB_FOLLOW, 0, NULL },
    { METHOD_GET, "/api/jobs/artifacts", artifacts_handle, MSG_JOB_STATUS, ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/jobs/events", events_handle, MSG_EVENTS_READ, ROUTE_NO_HEAD, NULL },
    { METHOD_GET, "/api/events", events_handle, MSG_EVENTS_READ, ROUTE_NO_HEAD, NULL },
    { METHOD_POST, "/api/blobs/put", translate_handle, MSG_BLOB_PUT, ROUTE_SUCCESS | ROUTE_CHUNK | ROUTE_SLOW, NULL },
    { METHOD_POST, "/api/blobs/commit", translate_handle, MSG_BLOB_COMMIT, ROUTE_SUCCESS | ROUTE_SLOW, NULL },
    { METHOD_GET, "/api/blobs/check", translate_handle, MSG_BLOB_CHECK, ROUTE_SUCCESS | ROUTE_REPEAT | ROUTE_SLOW,
      NULL },
    { METHOD_GET, "/api/jobs/check-cancel", translate_handle, MSG_JOB_CHECK_CANCEL, ROUTE_SUCCESS | ROUTE_REPEAT,
      NULL },
    { METHOD_POST, "/api/jobs/cancel", cancel_handle, MSG_JOB_CANCEL, ROUTE_SUCCESS | ROUTE_REPEAT, "The job is over" },
    { METHOD_POST, "/api/workers/heartbeat", translate_handle, MSG_WORKER_HEARTBEAT,
      ROUTE_SUCCESS | ROUTE_REPEAT | ROUTE_PEER | ROUTE_WORKER, NULL },
    { METHOD_POST, "/api/workers/register", translate_handle, MSG_WORKER_REGISTER, ROUTE_SUCCESS | ROUTE_PEER,
      "Worker registered" },
    { METHOD_GET, "/api/workers/register", translate_handle, MSG_WORKER_LIST, ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/workers/list", translate_handle, MSG_WORKER_LIST, ROUTE_SUCCESS | ROUTE_REPEAT, NULL },
    { METHOD_POST, "/api/workers/goodbye", translate_handle, MSG_WORKER_GOODBYE, ROUTE_SUCCESS | ROUTE_WORKER,
      "Worker is offline" },
    { METHOD_POST, "/api/workers/sleep", translate_handle, MSG_WORKER_SLEEP, ROUTE_SUCCESS | ROUTE_WORKER, NULL },
    { METHOD_POST, "/api/workers/drain", translate_handle, MSG_WORKER_DRAIN, ROUTE_SUCCESS | ROUTE_REPEAT,
      "Worker gets no new job" },
    { METHOD_POST, "/api/workers/resume", translate_handle, MSG_WORKER_RESUME, ROUTE_SUCCESS | ROUTE_REPEAT,
      "Worker gets jobs again" },
    { METHOD_POST, "/api/join", translate_handle, MSG_JOIN_TOKEN, ROUTE_SUCCESS | ROUTE_REPEAT | ROUTE_SLOW,
      "Worker joined" },
    { METHOD_GET, "/api/tokens", translate_handle, MSG_TOKEN_LIST, ROUTE_SUCCESS | ROUTE_REPEAT, NULL },
    { METHOD_POST, "/api/tokens/create", translate_handle, MSG_TOKEN_CREATE, ROUTE_SUCCESS | ROUTE_REPEAT | ROUTE_SLOW,
      "Token created" },
    { METHOD_POST, "/api/tokens/revoke", translate_handle, MSG_TOKEN_REVOKE, ROUTE_SUCCESS | ROUTE_SLOW,
      "Token revoked" },
    { METHOD_POST, "/api/execute", execute_handle, MSG_JOB_CREATE, ROUTE_FORM, NULL },
    { METHOD_DELETE, "/api/execute", execute_stop_handle, MSG_JOB_CANCEL, 0, NULL },
    { METHOD_GET, "/api/info", info_handle, MSG_BROKER_INFO, ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/openapi.json", apidoc_handle, MSG_COUNT, 0, NULL },
    { METHOD_GET, "/api/audit", translate_handle, MSG_AUDIT_READ, ROUTE_SUCCESS | ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/stats", translate_handle, MSG_STATS_READ, ROUTE_SUCCESS | ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/usage", usage_handle, MSG_USAGE_READ, ROUTE_SUCCESS | ROUTE_REPEAT | ROUTE_SLOW, NULL },
    { METHOD_GET, "/api/workers/activity", translate_handle, MSG_WORKER_ACTIVITY, ROUTE_SUCCESS | ROUTE_REPEAT, NULL },
    { METHOD_GET, "/api/session", session_show_handle, MSG_AUTH_CHECK, 0, NULL },
    { METHOD_POST, "/api/session", session_open_handle, MSG_AUTH_CHECK, ROUTE_LOGIN, NULL },
    { METHOD_DELETE, "/api/session", session_end_handle, MSG_COUNT, 0, NULL },
    { METHOD_GET, "/metrics", metrics_handle, MSG_METRICS_READ, ROUTE_REPEAT, NULL },
    { METHOD_GET, "/healthz", alive_handle, MSG_COUNT, 0, NULL },
    { METHOD_GET, "/readyz", ready_handle, MSG_COUNT, 0, NULL },
};

/* Below these, any name: the handler says 404. */
static const route_t uploads = { METHOD_GET, "/uploads/", download_handle, MSG_BLOB_GET, 0, NULL };
static const route_t pages = { METHOD_GET, "/", page_handle, MSG_COUNT, 0, NULL };

static const struct {
    const char *name;
    unsigned method;
} methods[] = {
    { "GET", METHOD_GET }, { "HEAD", METHOD_HEAD },     { "POST", METHOD_POST },
    { "PUT", METHOD_PUT }, { "DELETE", METHOD_DELETE }, { "OPTIONS", METHOD_OPTIONS },
};

unsigned method_find (const char *method)
{
    for (size_t at = 0; at < sizeof methods / sizeof methods[0]; at++)
        if (strcmp (method, methods[at].name) == 0)
            return methods[at].method;
    return 0;
}

static unsigned methods_of (const route_t *route)
{
    bool head = route->method == METHOD_GET && !(route->flags & ROUTE_NO_HEAD);
    return route->method | (head ? METHOD_HEAD : 0);
}

static const route_t *find_below (const char *path)
{
    if (strncmp (path, "/uploads/", 9) == 0)
        return &uploads;
    return strncmp (path, "/api/", 5) != 0 && path[0] == '/' && !strchr (path + 1, '/') ? &pages : NULL;
}

const route_t *route_find (const char *path, unsigned method, unsigned *allowed)
{
    *allowed = 0;
    for (size_t at = 0; at < sizeof routes / sizeof routes[0]; at++) {
        if (strcmp (path, routes[at].path) != 0)
            continue;
        if (methods_of (&routes[at]) & method)
            return &routes[at];
        *allowed |= methods_of (&routes[at]) | METHOD_OPTIONS;
    }
    if (*allowed)
        return NULL;
    const route_t *below = find_below (path);
    if (below && methods_of (below) & method)
        return below;
    *allowed = below ? methods_of (below) | METHOD_OPTIONS : 0;
    return NULL;
}

const char *method_name (unsigned method)
{
    for (size_t at = 0; at < sizeof methods / sizeof methods[0]; at++)
        if (methods[at].method == method)
            return methods[at].name;
    return "";
}

enum { ROWS = sizeof routes / sizeof routes[0] };

size_t routes_count (void)
{
    return ROWS + 2;
}

size_t route_number (const route_t *route)
{
    return route == &pages ? ROWS + 1 : route == &uploads ? ROWS : (size_t)(route - routes);
}

const route_t *route_at (size_t number)
{
    return number < ROWS ? &routes[number] : number == ROWS ? &uploads : &pages;
}

const char *route_pattern (const route_t *route)
{
    return route == &pages ? "/NAME" : route == &uploads ? "/uploads/NAME" : route->path;
}

route_kind_t route_kind (const route_t *route)
{
    if (route == &pages || route == &uploads || route->flags & ROUTE_FORM || route->handle == artifacts_handle)
        return ROUTE_FILE;
    bool waits = route->handle == poll_handle || route->handle == renew_handle || route->handle == events_handle ||
                 route->handle == output_read_handle;
    return waits ? ROUTE_WAIT : ROUTE_CALL;
}

void routes_allowed (role_t role, buf_t *json)
{
    const char *between = "[";
    for (size_t at = 0; at < sizeof routes / sizeof routes[0]; at++) {
        if (routes[at].type == MSG_COUNT || !role_may (role, routes[at].type))
            continue;
        buf_printf (json, "%s\"%s %s\"", between, method_name (routes[at].method), routes[at].path);
        between = ",";
    }
    buf_append_str (json, "]");
}

void methods_format (unsigned allowed, char *out, size_t size)
{
    size_t len = 0;
    out[0] = '\0';
    for (size_t at = 0; at < sizeof methods / sizeof methods[0]; at++)
        if (allowed & methods[at].method && len < size)
            len += (size_t)snprintf (out + len, size - len, "%s%s", len ? ", " : "", methods[at].name);
}
