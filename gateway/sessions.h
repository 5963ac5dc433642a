/* sessions.h - who has logged in by the page: random ids, each for the token that was shown once.
 *
 * They are in this gateway's memory alone, so its restart asks everybody again. Kept are keyed hashes of the ids, not
 * the ids. The table is of one size: when one token has SESSIONS_OF_ONE, or all have SESSIONS_MAX, the one that was
 * used least lately gives way.
 */
#ifndef GATEWAY_SESSIONS_H
#define GATEWAY_SESSIONS_H

#include "proto/buf.h"

typedef struct sessions sessions_t;

enum {
    SESSIONS_MAX = 1024,
    SESSIONS_OF_ONE = 16,
    SESSION_ID = 64,  /* hex digits of 256 random bits */
    SESSION_KEY = 32, /* and of 128 */
};

typedef struct {
    uint64_t number;           /* from 1 on; never two of one number */
    const char *token;         /* what was shown: it is shown to the broker again with every request */
    char key[SESSION_KEY + 1]; /* what a page must say beside the cookie to change something */
    int64_t ends_ms;           /* monotonic; it ends sooner when it is not used */
} session_t;

/* A session ends; it is still whole. */
typedef void sessions_end_fn (void *ctx, const session_t *session);

/* A session ends `max_ms` after it began, and `idle_ms` after it was used last. The caller destroys it. */
sessions_t *sessions_new (int64_t idle_ms, int64_t max_ms, sessions_end_fn *ended, void *ctx);
/* Tells nobody of the ends. */
void sessions_destroy (sessions_t **self_p);

/* Begins one. The id is told this once. Borrowed until it ends. */
const session_t *sessions_open (sessions_t *self, slice_t token, int64_t now_ms, char id[SESSION_ID + 1]);
/* The session of an id, which is used by that; NULL when it is none, or no more. Borrowed likewise. */
const session_t *sessions_find (sessions_t *self, slice_t id, int64_t now_ms);
/* Likewise by its number, and that is no use. */
const session_t *sessions_get (const sessions_t *self, uint64_t number);
/* Ends one, if it is still there. */
void sessions_end (sessions_t *self, uint64_t number);
/* How many there are. Looks at all places. */
size_t sessions_count (const sessions_t *self);
/* Ends those whose time is over. */
void sessions_sweep (sessions_t *self, int64_t now_ms);

#endif
