/* issuer.h - a second way in: JSON Web Tokens (RFC 7519) of one issuer that was configured, without a line of ours.
 *
 * The algorithm is one, and fixed by who runs the broker: a token that names another one is refused before its
 * signature is looked at, so no token can choose how the key is used. Needed are `exp`, `iss`, `aud` and `sub`; `nbf`
 * is honoured. `sub` is who it is. Its name here is `jwt:` and that: no token of ours can be made with such a name, so
 * the jobs of the two are never taken for one another's.
 */
#ifndef GLEANER_ISSUER_H
#define GLEANER_ISSUER_H

#include <stdint.h>

#include "proto/error.h"
#include "proto/limits.h"
#include "proto/roles.h"

#define ISSUER_PREFIX "jwt:"

enum {
    ISSUER_EARLY_MS = 30 * 1000, /* `nbf` may lie so far ahead: the issuer's clock is another one */
    ISSUER_SECRET_MIN = 32,      /* bytes of HS256's */
};

typedef struct issuer issuer_t;

typedef struct {
    const char *key;        /* a file: RS256 and ES256 the public key in PEM, HS256 the secret */
    const char *algorithm;  /* RS256, ES256 or HS256 */
    const char *issuer;     /* what `iss` must be */
    const char *audience;   /* what must be, or stand in, `aud` */
    const char *role_claim; /* name of the claim that holds the role */
} issuer_config_t;

/* What a token says that counts. */
typedef struct {
    role_t role;
    int64_t from_ms, expires_ms; /* since the epoch */
    char name[sizeof ISSUER_PREFIX + ID_MAX];
} grant_t;

/* Texts of `config` are borrowed for as long as it lives. NULL with one sentence in `problem`. */
issuer_t *issuer_new (const issuer_config_t *config, char *problem, size_t problem_size);
void issuer_destroy (issuer_t **self_p);

/* ERR_NONE and what it says, borrowed until the next call; or UNAUTHORIZED, or NO_ROLE of one that is good but for its
 * role, and `why`, a static text for the log. Good ones are remembered, so that the signature is checked once. */
err_t issuer_check (issuer_t *self, slice_t token, int64_t wall_ms, const grant_t **out, const char **why);

#endif
