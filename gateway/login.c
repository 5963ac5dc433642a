#include "gateway/login.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/door.h"
#include "gateway/gateway.h"
#include "gateway/jsonout.h"
#include "gateway/rate.h"
#include "gateway/routes.h"
#include "gateway/sessions.h"
#include "gateway/translate.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/roles.h"

enum {
    WRONG_PER_S = 1, /* tokens that do not count, from one address */
    WRONG_BURST = 10,
    SWEEP_MS = 1000,
};

/* By the first name a browser takes it over HTTPS alone, for this host alone, and from no page but ours. */
#define COOKIE_SECURE "__Host-gleaner"
#define COOKIE_PLAIN  "gleaner"
#define KEY_HEADER    "X-Gleaner-Key"

struct login {
    sessions_t *sessions;
    rate_t *wrong;
    int64_t swept_ms;
};

/* ---- life ---- */

/* What is under way by a session that has ended goes on in nobody's name: the broker refuses its next message. */
static void forget (void *ctx, const session_t *session)
{
    gateway_t *gateway = ctx;
    for (request_t *request = gateway->requests; request; request = request->next)
        if (request->session == session->number)
            request->auth = SLICE_ABSENT;
}

login_t *login_new (gateway_t *gateway, int64_t idle_ms, int64_t max_ms)
{
    login_t *self = xcalloc (1, sizeof *self);
    self->sessions = sessions_new (idle_ms, max_ms, forget, gateway);
    self->wrong = rate_new (WRONG_PER_S, WRONG_BURST);
    return self;
}

void login_destroy (login_t **self_p)
{
    login_t *self = *self_p;
    if (!self)
        return;
    sessions_destroy (&self->sessions);
    rate_destroy (&self->wrong);
    free (self);
    *self_p = NULL;
}

size_t login_count (const gateway_t *gateway)
{
    return sessions_count (gateway->login->sessions);
}

void login_turn (gateway_t *gateway)
{
    login_t *self = gateway->login;
    int64_t now_ms = clock_mono_ms ();
    if (now_ms - self->swept_ms < SWEEP_MS)
        return;
    self->swept_ms = now_ms;
    sessions_sweep (self->sessions, now_ms);
}

/* ---- where a request comes from ---- */

/* A poll is a GET that takes a job. */
static bool changes (const request_t *request)
{
    return request->route->method != METHOD_GET || request->route->flags & ROUTE_WORKER;
}

static slice_t after_scheme (slice_t origin)
{
    const char *colon = memchr (origin.ptr, ':', origin.len);
    size_t skip = colon ? (size_t)(colon - origin.ptr) + 3 : origin.len;
    return skip < origin.len ? slice_from (origin.ptr + skip, origin.len - skip) : SLICE ("");
}

/* Browsers say whose page sent a request, in headers that no page can set: newer ones over HTTPS and on loopback by one
 * word, and all of them by the page's address. */
typedef enum { FROM_NOWHERE, FROM_HERE, FROM_ELSEWHERE } from_t;

static from_t sent_from (request_t *request)
{
    slice_t site = request_header (request, "Sec-Fetch-Site");
    if (slice_eq_str (site, "none")) /* somebody has typed the address */
        return FROM_NOWHERE;
    if (site.ptr)
        return slice_eq_str (site, "same-origin") ? FROM_HERE : FROM_ELSEWHERE;
    slice_t origin = request_header (request, "Origin");
    if (!origin.ptr)
        return FROM_NOWHERE;
    slice_t place = after_scheme (origin);
    slice_t host = request_header (request, "Host");
    bool same = place.len > 0 && place.len == host.len && strncasecmp (place.ptr, host.ptr, host.len) == 0;
    return same ? FROM_HERE : FROM_ELSEWHERE;
}

/* That no page of another site can say. What browsers add by themselves, a name and a password that somebody once typed
 * at this address, is another scheme. */
static bool says_bearer (request_t *request)
{
    static const char scheme[] = "Bearer ";
    slice_t value = request_header (request, "Authorization");
    return value.len >= sizeof scheme - 1 && strncasecmp (value.ptr, scheme, sizeof scheme - 1) == 0;
}

err_t login_site (request_t *request)
{
    if (!changes (request) || says_bearer (request))
        return 0;
    return sent_from (request) == FROM_ELSEWHERE ? ERR_CROSS_SITE : 0;
}

/* ---- the cookie ---- */

static const session_t *session_of (request_t *request)
{
    slice_t id = request_cookie (request, COOKIE_SECURE);
    if (!id.ptr && !request->gateway->tls)
        id = request_cookie (request, COOKIE_PLAIN);
    return id.ptr ? sessions_find (request->gateway->login->sessions, id, clock_mono_ms ()) : NULL;
}

/* The page came over HTTPS: from here, or through a proxy, which the browser's word on the page tells. */
static bool secure (request_t *request)
{
    slice_t origin = request_header (request, "Origin");
    return request->gateway->tls || (origin.len > 8 && strncasecmp (origin.ptr, "https://", 8) == 0);
}

static void set_cookie (request_t *request, const char *id, const char *more)
{
    snprintf (request->cookie, sizeof request->cookie, "%s=%s; Path=/; %sHttpOnly; SameSite=Strict%s",
              secure (request) ? COOKIE_SECURE : COOKIE_PLAIN, id, secure (request) ? "Secure; " : "", more);
}

static bool has_key (request_t *request, const session_t *session)
{
    slice_t key = request_header (request, KEY_HEADER);
    return key.len == SESSION_KEY && sodium_memcmp (key.ptr, session->key, SESSION_KEY) == 0;
}

static void take_token (request_t *request, slice_t token)
{
    free (request->token);
    request->token = slice_dup (token);
    request->auth = slice_of (request->token);
}

err_t login_enter (request_t *request)
{
    if (request->route->flags & ROUTE_LOGIN)
        return 0;
    const session_t *session = session_of (request);
    if (!session)
        return 0;
    if (changes (request) && (!has_key (request, session) || sent_from (request) != FROM_HERE))
        return ERR_NO_PAGE_KEY;
    request->session = session->number;
    take_token (request, slice_of (session->token));
    return 0;
}

void login_void (request_t *request)
{
    sessions_end (request->gateway->login->sessions, request->session);
}

/* ---- who one is ---- */

static void add_number (buf_t *json, const char *name, int64_t value)
{
    if (value == INT_ABSENT)
        buf_printf (json, ",\"%s\":null", name);
    else
        buf_printf (json, ",\"%s\":%lld", name, (long long)value);
}

static void add_text (buf_t *json, const char *name, slice_t text)
{
    buf_printf (json, ",\"%s\":", name);
    if (text.ptr)
        jsonout_text (json, text);
    else
        buf_append_str (json, "null");
}

/* When the login is over by itself, ms since the epoch: with the token, or with the session. */
static int64_t expires (int64_t token_ms, const session_t *session)
{
    if (!session)
        return token_ms;
    int64_t session_ms = clock_wall_ms () + session->ends_ms - clock_mono_ms ();
    return token_ms != INT_ABSENT && token_ms < session_ms ? token_ms : session_ms;
}

static void answer_who (request_t *request, const msg_auth_check_ok_t *who, const session_t *session)
{
    buf_t json = { 0 };
    role_t role = ROLE_NONE;
    role_find (who->role, &role);
    buf_printf (&json, "{\"success\":true,\"required\":%s,\"role\":\"%s\"", who->required == 1 ? "true" : "false",
                role_name (role));
    add_text (&json, "name", who->name);
    add_number (&json, "expiresAt", expires (who->expires_at, session));
    add_text (&json, "key", session ? slice_of (session->key) : SLICE_ABSENT);
    buf_append_str (&json, ",\"calls\":");
    routes_allowed (role, &json);
    buf_append_str (&json, "}");
    request_answer_json (request, MHD_HTTP_OK, &json);
}

static const msg_auth_check_ok_t everybody = { .required = 0, .role = { "admin", 5 }, .expires_at = INT_ABSENT };
static const msg_auth_check_ok_t nobody = { .required = 1, .role = { "none", 4 }, .expires_at = INT_ABSENT };

static bool refused (const message_t *reply, err_t err)
{
    return reply->type == MSG_ERROR && error_find (reply->error.code) == err;
}

static void show_done (void *ctx, link_end_t end, const message_t *reply)
{
    (void)end;
    request_t *request = ctx;
    if (refused (reply, ERR_UNSUPPORTED)) { /* a broker that knows no identities asks for none */
        answer_who (request, &everybody, NULL);
    } else if (refused (reply, ERR_UNAUTHORIZED) && request->session) {
        login_void (request);
        answer_who (request, &nobody, NULL);
    } else if (reply->type == MSG_ERROR) {
        request_fail_message (request, reply);
    } else {
        if (reply->auth_check_ok.required == 1)
            door_doubt (request->gateway);
        answer_who (request, &reply->auth_check_ok, sessions_get (request->gateway->login->sessions, request->session));
    }
}

static void ask_who (request_t *request, link_done_fn *done)
{
    message_t message;
    message_init (&message, MSG_AUTH_CHECK);
    request_sign (request, &message);
    link_order_t order = { .done = done, .ctx = request, .repeatable = true };
    err_t err = link_call (request->gateway->link, &message, &order);
    if (err)
        request_fail (request, err, NULL, NULL);
    else
        request_park (request);
}

void session_show_handle (request_t *request)
{
    ask_who (request, show_done);
}

/* ---- logging in ---- */

static void refuse_wrong (request_t *request)
{
    rate_take (request->gateway->login->wrong, slice_of (request->peer), clock_mono_ms ());
    log_event (LEVEL_WARN, "login-refused", "%s has shown a token that does not count", request->peer);
    request_fail (request, ERR_UNAUTHORIZED, "token",
                  "This token does not count: it is mistyped, has expired, or was taken back.");
}

static void open_session (request_t *request, const msg_auth_check_ok_t *who)
{
    char id[SESSION_ID + 1];
    login_t *login = request->gateway->login;
    const session_t *before = session_of (request);
    if (before)
        sessions_end (login->sessions, before->number);
    const session_t *session = sessions_open (login->sessions, slice_of (request->token), clock_mono_ms (), id);
    set_cookie (request, id, "");
    log_event (LEVEL_INFO, "login", SLICE_FMT " (" SLICE_FMT ") from %s", SLICE_ARG (who->name), SLICE_ARG (who->role),
               request->peer);
    answer_who (request, who, session);
}

static void open_done (void *ctx, link_end_t end, const message_t *reply)
{
    (void)end;
    request_t *request = ctx;
    const msg_auth_check_ok_t *who = &reply->auth_check_ok;
    role_t role = ROLE_NONE;
    if (refused (reply, ERR_UNSUPPORTED)) {
        answer_who (request, &everybody, NULL);
    } else if (refused (reply, ERR_UNAUTHORIZED)) {
        refuse_wrong (request);
    } else if (reply->type == MSG_ERROR) {
        request_fail_message (request, reply);
    } else if (who->required != 1) {
        answer_who (request, who, NULL);
    } else if (!role_find (who->role, &role) || !role_may (role, MSG_JOB_LIST)) {
        request_fail (
            request, ERR_FORBIDDEN, "token",
            "This token is a worker's, which has nothing to see here: log in with one of a viewer, a submitter "
            "or an admin.");
    } else {
        open_session (request, who);
    }
}

static err_t read_token (request_t *request, fault_t *fault)
{
    source_t source = { 0 };
    err_t err = source_parse (&source, request, fault);
    json_t *value = json_object_get (source.object, "token");
    bool text = json_is_string (value);
    slice_t token = text ? slice_trim (slice_from (json_string_value (value), json_string_length (value))) : SLICE ("");
    if (err) /* in other words: those show a piece of the body */
        fault_set (fault, err, "", "The body must be a JSON object with `token`.");
    else if (value && !text)
        err = fault_set (fault, ERR_SCHEMA, "token", "`token` must be a text.");
    else if (!token.len)
        err = fault_set (fault, ERR_MISSING_FIELD, "token", "`token` is missing: paste the one that you were given.");
    else if (token.len > AUTH_MAX)
        err = fault_set (fault, ERR_SCHEMA, "token", "`token` is no token: it is too long.");
    else
        take_token (request, token);
    source_fini (&source);
    return err;
}

void session_open_handle (request_t *request)
{
    fault_t fault;
    request_peer (request, request->peer);
    if (!rate_left (request->gateway->login->wrong, slice_of (request->peer), clock_mono_ms ())) {
        request_fail (request, ERR_RATE_LIMITED, NULL,
                      "Too many tokens that do not count came from this address: try again in some seconds.");
        return;
    }
    err_t err = read_token (request, &fault);
    if (err)
        request_fail_fault (request, &fault);
    else
        ask_who (request, open_done);
}

/* ---- signing out ---- */

/* Asks the broker nothing: who wants to leave can do so while it is away. */
void session_end_handle (request_t *request)
{
    err_t err = login_enter (request);
    if (err) {
        request_fail (request, err, NULL, NULL);
        return;
    }
    if (request->session)
        log_event (LEVEL_INFO, "logout", "from a page");
    login_void (request);
    set_cookie (request, "", "; Max-Age=0");
    buf_t json = { 0 };
    buf_append_str (&json, "{\"success\":true}");
    request_answer_json (request, MHD_HTTP_OK, &json);
}
