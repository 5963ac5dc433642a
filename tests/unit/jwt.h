/* jwt.h - signs a JWT with HS256 (RFC 7515, compact form), as an issuer would. Used by the fuzz target, too. */
#ifndef GLEANER_TESTS_JWT_H
#define GLEANER_TESTS_JWT_H

#include <sodium.h>
#include <string.h>

#include "proto/buf.h"

static inline void jwt_part (buf_t *out, const void *bytes, size_t len)
{
    enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };
    size_t size = sodium_base64_encoded_len (len, VARIANT);
    buf_reserve (out, size);
    sodium_bin2base64 (out->ptr + out->len, size, bytes, len, VARIANT);
    out->len += size - 1;
}

/* Writes the token into `out`, whatever header and claims are. */
static inline slice_t jwt_sign (buf_t *out, const char *secret, slice_t header, slice_t claims)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_state hmac;
    buf_clear (out);
    jwt_part (out, header.ptr, header.len);
    buf_append_str (out, ".");
    jwt_part (out, claims.ptr, claims.len);
    crypto_auth_hmacsha256_init (&hmac, (const unsigned char *)secret, strlen (secret));
    crypto_auth_hmacsha256_update (&hmac, (const unsigned char *)out->ptr, out->len);
    crypto_auth_hmacsha256_final (&hmac, mac);
    buf_append_str (out, ".");
    jwt_part (out, mac, sizeof mac);
    return buf_slice (out);
}

#endif
