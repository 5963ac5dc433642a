#include "gateway/door.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/gateway.h"
#include "gateway/login.h"
#include "gateway/rate.h"
#include "gateway/routes.h"
#include "proto/clock.h"
#include "proto/roles.h"

enum {
    HASH = 16,
    SETS = 1024, /* tokens that are remembered: WAYS of each set, the oldest one gives way */
    WAYS = 4,
    GOOD_MS = 1000,
};

typedef struct {
    unsigned char hash[HASH];
    int64_t until_ms;            /* 0: empty */
    role_t role;                 /* ROLE_NONE: it does not count, */
    err_t err;                   /* and why; 0: there is no more to say */
    bool jwt;                    /* then its requests are also counted as those */
    unsigned char subject[HASH]; /* of its subject, which may have any number of them */
} known_t;

typedef enum { DOOR_OPEN, DOOR_ASKS } door_state_t;

struct door {
    door_state_t state; /* as of */
    uint64_t heard;     /* this connection to the broker; 0: not known */
    bool guarded;
    rate_t *rate;
    unsigned char secret[crypto_generichash_KEYBYTES];
    known_t known[SETS][WAYS];
};

door_t *door_new (bool guarded, int64_t rate, int64_t burst)
{
    door_t *self = xcalloc (1, sizeof *self);
    self->rate = rate_new (rate, burst);
    self->guarded = guarded;
    randombytes_buf (self->secret, sizeof self->secret);
    return self;
}

void door_set_rate (door_t *self, int64_t rate, int64_t burst)
{
    rate_set (self->rate, rate, burst);
}

void door_destroy (door_t **self_p)
{
    door_t *self = *self_p;
    if (!self)
        return;
    rate_destroy (&self->rate);
    free (self);
    *self_p = NULL;
}

void door_told (gateway_t *gateway, bool asks)
{
    gateway->door->state = asks ? DOOR_ASKS : DOOR_OPEN;
    gateway->door->heard = link_connections (gateway->link);
}

void door_doubt (gateway_t *gateway)
{
    if (gateway->door->state == DOOR_OPEN)
        gateway->door->heard = 0;
}

/* ---- tokens that are known ---- */

static known_t *set_of (door_t *self, slice_t token, unsigned char hash[HASH])
{
    uint32_t at;
    crypto_generichash (hash, HASH, (const unsigned char *)token.ptr, token.len, self->secret, sizeof self->secret);
    memcpy (&at, hash, sizeof at);
    return self->known[at % SETS];
}

static const known_t *recall (door_t *self, slice_t token)
{
    unsigned char hash[HASH];
    int64_t now_ms = clock_mono_ms ();
    const known_t *set = set_of (self, token, hash);
    for (int way = 0; way < WAYS; way++)
        if (set[way].until_ms > now_ms && sodium_memcmp (set[way].hash, hash, HASH) == 0)
            return &set[way];
    return NULL;
}

/* `known` says what the token is worth, until `expires_at`. */
static void remember (door_t *self, slice_t token, const known_t *known, int64_t expires_at)
{
    known_t now = *known;
    known_t *set = set_of (self, token, now.hash);
    known_t *oldest = set;
    now.until_ms = clock_mono_ms () + GOOD_MS;
    if (expires_at != INT_ABSENT && expires_at - clock_wall_ms () < GOOD_MS)
        now.until_ms += expires_at - clock_wall_ms () - GOOD_MS;
    for (int way = 0; way < WAYS; way++) {
        if (sodium_memcmp (set[way].hash, now.hash, HASH) == 0) {
            oldest = &set[way];
            break;
        }
        if (set[way].until_ms < oldest->until_ms)
            oldest = &set[way];
    }
    *oldest = now;
}

/* ---- coming in ---- */

static err_t judge (const request_t *request, const known_t *known)
{
    slice_t subject = slice_from (known->subject, HASH);
    if (known->jwt && !rate_take (request->gateway->door->rate, subject, clock_mono_ms ()))
        return ERR_RATE_LIMITED;
    if (role_may (known->role, request->route->type))
        return 0;
    return known->role != ROLE_NONE ? ERR_FORBIDDEN : known->err ? known->err : ERR_UNAUTHORIZED;
}

/* A token of ours has no dot. */
static bool is_jwt (slice_t token)
{
    return token.len && memchr (token.ptr, '.', token.len);
}

static void take_identity (const request_t *request, const msg_auth_check_ok_t *said, known_t *known)
{
    const door_t *self = request->gateway->door;
    role_find (said->role, &known->role);
    known->jwt = said->name.len && is_jwt (request->auth);
    if (known->jwt)
        crypto_generichash (known->subject, HASH, (const unsigned char *)said->name.ptr, said->name.len, self->secret,
                            sizeof self->secret);
}

static void asked (void *ctx, link_end_t end, const message_t *reply)
{
    request_t *request = ctx;
    gateway_t *gateway = request->gateway;
    bool answered = reply->type == MSG_AUTH_CHECK_OK;
    err_t err = reply->type == MSG_ERROR ? error_find (reply->error.code) : ERR_INTERNAL;
    bool refused = err == ERR_UNAUTHORIZED || err == ERR_NO_ROLE;
    known_t known = { .err = refused ? err : 0 };
    if (end == LINK_REPLY && (answered || refused || err == ERR_UNSUPPORTED))
        door_told (gateway, answered ? reply->auth_check_ok.required == 1 : refused);
    if (answered)
        take_identity (request, &reply->auth_check_ok, &known);
    if (err == ERR_UNSUPPORTED) /* a broker that asks nobody */
        known.role = ROLE_ADMIN;
    if ((answered || refused) && gateway->door->state == DOOR_ASKS && request->auth.ptr)
        remember (gateway->door, request->auth, &known, answered ? reply->auth_check_ok.expires_at : INT_ABSENT);
    if (err == ERR_UNAUTHORIZED)
        login_void (request);
    if (answered || refused || err == ERR_UNSUPPORTED)
        err = gateway->door->state == DOOR_OPEN && gateway->door->guarded ? ERR_FORBIDDEN : judge (request, &known);
    request->door_err = err;
    request_resume (request);
}

static enter_t ask (request_t *request)
{
    message_t message;
    message_init (&message, MSG_AUTH_CHECK);
    request_sign (request, &message);
    link_order_t order = { .done = asked, .ctx = request, .repeatable = true };
    request->door_err = link_call (request->gateway->link, &message, &order);
    if (request->door_err)
        return ENTER_NO;
    request_park (request);
    return ENTER_WAIT;
}

/* The token of `Authorization: Bearer TOKEN` (RFC 6750, 2.1); absent when there is no such header. False for what is
 * none. */
static bool read_token (request_t *request, slice_t *token)
{
    static const char scheme[] = "Bearer ";
    enum { SCHEME = sizeof scheme - 1 };
    *token = SLICE_ABSENT;
    int count = request_header_count (request, "Authorization");
    if (!count)
        return true;
    slice_t value = request_header (request, "Authorization");
    if (count > 1 || value.len <= SCHEME || value.len - SCHEME > AUTH_MAX ||
        strncasecmp (value.ptr, scheme, SCHEME) != 0)
        return false;
    *token = slice_from (value.ptr + SCHEME, value.len - SCHEME);
    for (size_t at = 0; at < token->len; at++)
        if (token->ptr[at] <= ' ' || token->ptr[at] > '~')
            return false;
    return true;
}

static bool slowly (door_t *self, const request_t *request)
{
    int64_t now_ms = clock_mono_ms ();
    return rate_take (self->rate, slice_of (request->peer), now_ms) &&
           (!request->auth.ptr || is_jwt (request->auth) || rate_take (self->rate, request->auth, now_ms));
}

static enter_t refuse (request_t *request, err_t err)
{
    request->door_err = err;
    return err ? ENTER_NO : ENTER_IN;
}

enter_t door_enter (request_t *request)
{
    door_t *self = request->gateway->door;
    bool heard = self->heard && self->heard == link_connections (request->gateway->link);
    err_t err = login_site (request);
    if (err)
        return refuse (request, err);
    if (request->route->type == MSG_COUNT) /* the page itself: it is where a token is asked for; and the way out */
        return ENTER_IN;
    if (heard && self->state == DOOR_OPEN) {
        if (read_token (request, &request->auth) && request->auth.ptr) /* the first one is some seconds old, perhaps */
            request_peer (request, request->peer);
        return refuse (request, self->guarded ? ERR_FORBIDDEN : 0);
    }
    request_peer (request, request->peer);
    bool token = read_token (request, &request->auth);
    if (token && !request->auth.ptr)
        err = login_enter (request);
    if (heard && !slowly (self, request))
        return refuse (request, ERR_RATE_LIMITED);
    if (!token || err)
        return refuse (request, err ? err : ERR_UNAUTHORIZED);
    if (!heard)
        return ask (request);
    static const known_t nobody;
    const known_t *known = request->auth.ptr ? recall (self, request->auth) : &nobody;
    return known ? refuse (request, judge (request, known)) : ask (request);
}

void request_sign (const request_t *self, message_t *message)
{
    message->auth = self->auth;
    message->peer = self->peer[0] ? slice_of (self->peer) : SLICE_ABSENT;
}
