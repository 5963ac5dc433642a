#include "curve_keys.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "id.h"
#include "lines.h"
#include "secret.h"

bool curve_key_parse (slice_t hex, unsigned char out[CURVE_KEY])
{
    size_t len = 0;
    return hex_valid (hex, CURVE_KEY_HEX) && sodium_hex2bin (out, CURVE_KEY, hex.ptr, hex.len, NULL, &len, NULL) == 0;
}

void curve_keys_make (curve_keys_t *out)
{
    *out = (curve_keys_t){ 0 };
    crypto_box_keypair (out->public_key, out->secret_key);
}

bool curve_keys_read (const char *path, curve_keys_t *out, char *problem, size_t problem_size)
{
    buf_t text = { 0 };
    *out = (curve_keys_t){ 0 };
    if (!secret_read (path, &text, problem, problem_size))
        return false;
    slice_t lines = buf_slice (&text);
    unsigned char derived[CURVE_KEY];
    bool good = curve_key_parse (lines_get (lines, SLICE ("public")), out->public_key) &&
                curve_key_parse (lines_get (lines, SLICE ("secret")), out->secret_key) &&
                crypto_scalarmult_base (derived, out->secret_key) == 0 &&
                memcmp (derived, out->public_key, sizeof derived) == 0;
    slice_t broker = lines_get (lines, SLICE ("broker"));
    slice_t endpoint = lines_get (lines, SLICE ("endpoint"));
    out->has_broker = broker.ptr;
    good = good && (!broker.ptr || curve_key_parse (broker, out->broker_key)) &&
           (!endpoint.ptr || slice_copy (endpoint, out->endpoint, sizeof out->endpoint));
    secret_fini (&text);
    if (!good)
        snprintf (problem, problem_size, "'%.300s' is no file of CURVE keys.", path);
    return good;
}

bool curve_keys_write (const char *path, const curve_keys_t *keys, char *problem, size_t problem_size)
{
    char public_key[CURVE_KEY_HEX + 1];
    char secret_key[CURVE_KEY_HEX + 1];
    char broker_key[CURVE_KEY_HEX + 1];
    buf_t text = { 0 };
    hex_format (keys->public_key, CURVE_KEY, public_key);
    hex_format (keys->secret_key, CURVE_KEY, secret_key);
    hex_format (keys->broker_key, CURVE_KEY, broker_key);
    buf_printf (&text, "public=%s\nsecret=%s\n", public_key, secret_key);
    if (keys->has_broker)
        buf_printf (&text, "broker=%s\n", broker_key);
    if (keys->endpoint[0])
        buf_printf (&text, "endpoint=%s\n", keys->endpoint);
    int error = secret_write (path, buf_slice (&text));
    secret_fini (&text);
    sodium_memzero (secret_key, sizeof secret_key);
    if (error)
        snprintf (problem, problem_size, "cannot write '%.300s': %s.", path, strerror (error));
    return !error;
}
