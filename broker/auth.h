/* auth.h - whose a message is: what it says of itself in `auth`, against the identities that there are. */
#ifndef GLEANER_AUTH_H
#define GLEANER_AUTH_H

#include "broker/identities.h"
#include "broker/issuer.h"
#include "proto/message.h"

typedef struct auth auth_t;

/* Who speaks. Its texts live until the next auth_refresh or auth_identify. */
typedef struct {
    role_t role;
    const char *id;             /* "" when nothing has to be said; "jwt": an issuer's word */
    const char *name;           /* likewise */
    const char *worker_id;      /* the worker that it speaks for; "": none yet */
    int64_t expires_ms;         /* 0: never */
    const identity_t *identity; /* NULL: it has no line */
    const char *why;            /* it does not count, for the log; NULL: there is no more to say */
} who_t;

/* An identity is new; or (`gone`) it counts no longer, and whoever was admitted by it is to go. */
typedef void auth_change_fn (void *ctx, const identity_t *identity, bool gone);

/* `mode`: "on", "off", or "auto", which asks as soon as there is an identity. Reads the identities, and writes the file
 * `control-token`, an admin's token for those who can read the data directory. NULL with one sentence in `problem`. */
auth_t *auth_new (const char *folder, const char *mode, char *problem, size_t problem_size);
void auth_destroy (auth_t **self_p);
/* False: everybody may do everything. */
bool auth_asks (const auth_t *self);
/* From now on JWTs of that issuer count as well, and "auto" asks. Consumes `*issuer_p`. */
void auth_trust (auth_t *self, issuer_t **issuer_p);
/* Readable when there may be something for auth_refresh to do; -1: call it each second. */
int auth_fd (const auth_t *self);
/* From now on `fn` hears of identities that come and go. */
void auth_on_change (auth_t *self, auth_change_fn *fn, void *ctx);
/* Reads the identities again if they have changed. A file that cannot be read changes nothing (logged). */
void auth_refresh (auth_t *self, int64_t wall_ms);
/* ERR_NONE, and who it is; UNAUTHORIZED for what does not count, whatever the cause; NO_ROLE of a JWT that names none.
 * Absent: ROLE_NONE, or, where nobody is asked, an admin without a name. */
err_t auth_identify (auth_t *self, slice_t auth, int64_t wall_ms, who_t *out);
/* Likewise of a message that came by a connection with that CURVE key (hex): a worker is who its key is, whatever it
 * says; a gateway is whom it speaks for. UNAUTHORIZED: the key is not known. */
err_t auth_identify_key (auth_t *self, slice_t key, slice_t auth, int64_t wall_ms, who_t *out);
/* Who has that key may connect: it is known, or may become so by a join code that is open. */
bool auth_admits_key (const auth_t *self, slice_t key, int64_t wall_ms);
/* Uses a join code for that key: 0 when the key is known afterwards, on disk, and then `role` is its; JOIN_REFUSED,
 * or INTERNAL when that cannot be written (logged). `worker_id` is the worker that it speaks for, absent of a gateway.
 */
err_t auth_join (auth_t *self, slice_t code, slice_t key, slice_t worker_id, int64_t wall_ms, role_t *role);
/* Likewise, for a token of the worker's: `secret_hash` is the SHA-256 of its secret, in hex, and `id` becomes what it
 * is known by. Who asks again, with the same, gets the same. */
err_t auth_join_token (auth_t *self, slice_t code, slice_t secret_hash, slice_t worker_id, int64_t wall_ms,
                       char id[IDENTITY_ID_MAX + 1]);
/* What is to become a token whose secret is somebody else's. */
typedef struct {
    role_t role;
    slice_t name;        /* absent: its id */
    slice_t secret_hash; /* SHA-256 of the secret, in hex */
    int64_t life_ms;     /* 0: until it is revoked */
} token_order_t;

typedef struct {
    identity_t identity; /* as it is now; its id is there before auth_change_fn is told of it */
    bool before;         /* and was so before */
} token_change_t;

/* Makes a token, or finds the one that the same order has made: 0 when it is known and on disk. IDEMPOTENCY_MISMATCH:
 * its hash is another token's; TOKENS_FULL; INTERNAL when it cannot be written (logged). */
err_t auth_token_create (auth_t *self, const token_order_t *order, int64_t wall_ms, token_change_t *out);
/* Revokes one (identities_find): 0 when it counts no longer, here and on disk. NO_SUCH_TOKEN, AMBIGUOUS_TOKEN;
 * LAST_ADMIN: no other admin's token counts; INTERNAL likewise. */
err_t auth_token_revoke (auth_t *self, slice_t which, int64_t wall_ms, token_change_t *out);
/* Up to `limit` token-entries from behind the one whose id `cursor` is (absent or empty: from the newest), newest
 * first; `raw` keeps their bytes. `next` (borrowed until the next auth_refresh) goes on, absent at the end.
 * NO_SUCH_TOKEN for a cursor that is none. */
err_t auth_token_list (const auth_t *self, slice_t cursor, int64_t limit, int64_t wall_ms, buf_t *raw, list_t *out,
                       slice_t *next);
/* Somebody has that id, or that name, whatever it is worth. */
bool auth_knows (const auth_t *self, slice_t which);
/* Binds the identity to a worker, on disk when it returns true; `who->identity` is then the new one. False: it cannot
 * be written (logged). */
bool auth_bind (auth_t *self, who_t *who, slice_t worker_id, int64_t wall_ms);
/* Another identity that counts is bound to that worker. */
bool auth_taken (const auth_t *self, const who_t *who, slice_t worker_id, int64_t wall_ms);

/* What `control-token` holds, for a program on the same machine; empty when it cannot be read. */
void auth_control_read (const char *folder, char token[TOKEN_TEXT_MAX]);

#endif
