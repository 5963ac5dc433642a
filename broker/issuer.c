#include "broker/issuer.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/abstract.h>
#include <jansson.h>
#include <jwt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/json.h"
#include "proto/secret.h"

enum {
    KEY_FILE_MAX = 64 * 1024,
    RSA_BITS_MIN = 2048,
    EC_BITS = 256,
    SLOTS = 1024, /* tokens that are remembered; one of the same slot gives way */
    HASH = 32,
};

typedef struct {
    unsigned char hash[HASH];
    grant_t grant; /* expires_ms 0: empty */
} known_t;

static const struct algorithm {
    const char *name;
    jwt_alg_t jwt;
    gnutls_pk_algorithm_t kind; /* GNUTLS_PK_UNKNOWN: a secret that both sides have */
    unsigned bits_min, bits_max;
    const char *wants;
} algorithms[] = {
    { "RS256", JWT_ALG_RS256, GNUTLS_PK_RSA, RSA_BITS_MIN, 16384, "an RSA public key of 2048 bits or more" },
    { "ES256", JWT_ALG_ES256, GNUTLS_PK_ECDSA, EC_BITS, EC_BITS, "a public key on the curve P-256" },
    { "HS256", JWT_ALG_HS256, GNUTLS_PK_UNKNOWN, 0, 0, "a secret of 32 bytes or more" },
};

struct issuer {
    issuer_config_t config;
    const struct algorithm *algorithm;
    buf_t key; /* as libjwt wants it */
    unsigned char secret[crypto_generichash_KEYBYTES];
    known_t known[SLOTS];
};

/* ---- the key ---- */

static bool read_public (const char *path, buf_t *out, char *problem, size_t size)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    buf_reserve (out, KEY_FILE_MAX + 1);
    ssize_t got = fd < 0 ? -1 : read (fd, out->ptr, KEY_FILE_MAX + 1);
    int error = errno;
    if (fd >= 0)
        close (fd);
    if (got >= 0 && got <= KEY_FILE_MAX) {
        out->len = (size_t)got;
        return true;
    }
    snprintf (problem, size, "--jwt-key: cannot read '%.300s': %s.", path,
              got < 0 ? strerror (error) : "it is too large");
    return false;
}

/* The key as GnuTLS writes it, if it is of the algorithm's kind: one form of PEM, whatever stood in the file. */
static bool take_public (const struct algorithm *algorithm, buf_t *key)
{
    gnutls_pubkey_t parsed = NULL;
    gnutls_datum_t text = { (unsigned char *)key->ptr, (unsigned)key->len };
    gnutls_datum_t pem = { 0 };
    unsigned bits = 0;
    bool good = gnutls_pubkey_init (&parsed) == 0 && gnutls_pubkey_import (parsed, &text, GNUTLS_X509_FMT_PEM) == 0 &&
                gnutls_pubkey_get_pk_algorithm (parsed, &bits) == (int)algorithm->kind && bits >= algorithm->bits_min &&
                bits <= algorithm->bits_max && gnutls_pubkey_export2 (parsed, GNUTLS_X509_FMT_PEM, &pem) == 0;
    if (good) {
        buf_clear (key);
        buf_append (key, pem.data, pem.size);
        gnutls_free (pem.data);
    }
    if (parsed)
        gnutls_pubkey_deinit (parsed);
    return good;
}

/* Its bytes, without a line end. What is written in PEM is no secret, but a key that may be known to everybody. */
static bool take_secret (buf_t *key)
{
    while (key->len && (key->ptr[key->len - 1] == '\n' || key->ptr[key->len - 1] == '\r'))
        key->len--;
    return key->len >= ISSUER_SECRET_MIN && !memmem (key->ptr, key->len, "-----BEGIN", 10);
}

static bool read_key (issuer_t *self, char *problem, size_t size)
{
    const char *path = self->config.key;
    bool shared = self->algorithm->kind == GNUTLS_PK_UNKNOWN;
    if (!(shared ? secret_read (path, &self->key, problem, size) : read_public (path, &self->key, problem, size)))
        return false;
    if (shared ? take_secret (&self->key) : take_public (self->algorithm, &self->key))
        return true;
    snprintf (problem, size, "--jwt-key: '%.300s' does not hold what %s needs: %s.", path, self->algorithm->name,
              self->algorithm->wants);
    return false;
}

/* ---- life ---- */

issuer_t *issuer_new (const issuer_config_t *config, char *problem, size_t problem_size)
{
    issuer_t *self = xcalloc (1, sizeof *self);
    self->config = *config;
    randombytes_buf (self->secret, sizeof self->secret);
    for (size_t at = 0; at < sizeof algorithms / sizeof *algorithms; at++)
        if (strcmp (config->algorithm, algorithms[at].name) == 0)
            self->algorithm = &algorithms[at];
    if (!self->algorithm)
        snprintf (problem, problem_size, "--jwt-algorithm must be RS256, ES256 or HS256, not '%.40s'.",
                  config->algorithm);
    if (self->algorithm && read_key (self, problem, problem_size))
        return self;
    issuer_destroy (&self);
    return NULL;
}

void issuer_destroy (issuer_t **self_p)
{
    issuer_t *self = *self_p;
    if (!self)
        return;
    secret_fini (&self->key);
    free (self);
    *self_p = NULL;
}

/* ---- reading a token ---- */

/* A part of it: base64url without padding, of a JSON object. The caller frees it; NULL: it is none. */
static json_t *read_part (slice_t part)
{
    char raw[AUTH_MAX];
    size_t len = 0;
    json_t *object = NULL;
    fault_t fault;
    if (sodium_base642bin ((unsigned char *)raw, sizeof raw, part.ptr, part.len, NULL, &len, NULL,
                           sodium_base64_VARIANT_URLSAFE_NO_PADDING) == 0)
        json_parse (slice_from (raw, len), JSON_STRICT, &object, &fault);
    return object;
}

/* Cuts the next part off, up to a dot or the end. */
static slice_t next_part (slice_t *rest)
{
    const char *dot = rest->len ? memchr (rest->ptr, '.', rest->len) : NULL;
    slice_t part = slice_from (rest->ptr, dot ? (size_t)(dot - rest->ptr) : rest->len);
    size_t cut = part.len + (dot != NULL);
    *rest = slice_from (rest->ptr + cut, rest->len - cut);
    return part;
}

/* The header names the one algorithm, and nothing that would have to be understood (RFC 7515, 4.1.11). */
static bool header_good (const issuer_t *self, slice_t part)
{
    json_t *header = read_part (part);
    const char *named = json_string_value (json_object_get (header, "alg"));
    bool good = named && strcmp (named, self->algorithm->name) == 0 && !json_object_get (header, "crit");
    json_decref (header);
    return good;
}

static bool signature_good (const issuer_t *self, slice_t token)
{
    char text[AUTH_MAX + 1];
    jwt_t *jwt = NULL;
    slice_copy (token, text, sizeof text);
    bool good = jwt_decode (&jwt, text, (const unsigned char *)self->key.ptr, (int)self->key.len) == 0 &&
                jwt_get_alg (jwt) == self->algorithm->jwt;
    jwt_free (jwt);
    return good;
}

/* ---- what it says ---- */

/* A NumericDate (RFC 7519, 2) as ms. False: there is none. */
static bool date_read (const json_t *claims, const char *name, int64_t *out)
{
    const json_t *date = json_object_get (claims, name);
    double ms = json_number_value (date) * 1000;
    bool good = json_is_number (date) && ms > 0 && ms <= (double)TIME_MAX;
    if (good)
        *out = (int64_t)ms;
    return good;
}

static bool text_is (const json_t *value, const char *wanted)
{
    const char *text = json_string_value (value);
    return text && strcmp (text, wanted) == 0;
}

static bool audience_good (const json_t *aud, const char *wanted)
{
    for (size_t at = 0; at < json_array_size (aud); at++)
        if (text_is (json_array_get (aud, at), wanted))
            return true;
    return text_is (aud, wanted);
}

static bool role_read (const json_t *value, role_t *out)
{
    const char *name = json_string_value (value);
    return name && role_find (slice_of (name), out) && *out != ROLE_GATEWAY; /* gateways have keys */
}

static err_t claims_read (const issuer_t *self, const json_t *claims, int64_t wall_ms, grant_t *out, const char **why)
{
    const char *subject = json_string_value (json_object_get (claims, "sub"));
    const json_t *nbf = json_object_get (claims, "nbf");
    *why = NULL;
    if (!date_read (claims, "exp", &out->expires_ms))
        *why = "the JWT has no `exp`";
    else if (wall_ms >= out->expires_ms)
        *why = "the JWT has expired";
    else if (nbf && !date_read (claims, "nbf", &out->from_ms))
        *why = "the JWT's `nbf` is no time";
    else if (wall_ms + ISSUER_EARLY_MS < out->from_ms)
        *why = "the JWT is not valid yet";
    else if (!text_is (json_object_get (claims, "iss"), self->config.issuer))
        *why = "the JWT is of another issuer than --jwt-issuer";
    else if (!audience_good (json_object_get (claims, "aud"), self->config.audience))
        *why = "the JWT is for another audience than --jwt-audience";
    else if (!subject || !worker_id_safe (slice_of (subject)))
        *why = "the JWT has no `sub` that can be a name";
    if (*why)
        return ERR_UNAUTHORIZED;
    snprintf (out->name, sizeof out->name, ISSUER_PREFIX "%s", subject);
    if (role_read (json_object_get (claims, self->config.role_claim), &out->role))
        return ERR_NONE;
    *why = "the JWT names no role in --jwt-role-claim";
    return ERR_NO_ROLE;
}

static err_t token_read_all (const issuer_t *self, slice_t token, int64_t wall_ms, grant_t *out, const char **why)
{
    slice_t rest = token;
    slice_t header = next_part (&rest);
    slice_t payload = next_part (&rest);
    *out = (grant_t){ 0 };
    *why = NULL;
    if (token.len > AUTH_MAX || !payload.len || !rest.len || memchr (rest.ptr, '.', rest.len))
        *why = "it is neither a token nor a JWT";
    else if (!header_good (self, header))
        *why = "the JWT's header names another algorithm than --jwt-algorithm";
    else if (!signature_good (self, token))
        *why = "the JWT's signature is not that of --jwt-key";
    if (*why)
        return ERR_UNAUTHORIZED;
    json_t *claims = read_part (payload);
    err_t err = claims_read (self, claims, wall_ms, out, why);
    json_decref (claims);
    return err;
}

err_t issuer_check (issuer_t *self, slice_t token, int64_t wall_ms, const grant_t **out, const char **why)
{
    known_t now;
    uint32_t at;
    *why = NULL;
    crypto_generichash (now.hash, HASH, (const unsigned char *)token.ptr, token.len, self->secret, sizeof self->secret);
    memcpy (&at, now.hash, sizeof at);
    known_t *known = &self->known[at % SLOTS];
    *out = &known->grant;
    bool counts = wall_ms < known->grant.expires_ms && wall_ms + ISSUER_EARLY_MS >= known->grant.from_ms;
    if (counts && sodium_memcmp (known->hash, now.hash, HASH) == 0)
        return ERR_NONE;
    err_t err = token_read_all (self, token, wall_ms, &now.grant, why);
    if (!err)
        *known = now;
    return err;
}
