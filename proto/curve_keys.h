/* curve_keys.h - a program's CURVE keys in a file: lines `name=value`, keys in hex. A secret (secret.h).
 *
 *   public=...    its own pair
 *   secret=...
 *   broker=...    the broker's public key; not in the broker's own file
 *   endpoint=...  where that broker is; likewise
 */
#ifndef GLEANER_CURVE_KEYS_H
#define GLEANER_CURVE_KEYS_H

#include <stdbool.h>

#include "buf.h"
#include "limits.h"

enum { CURVE_KEY = 32, CURVE_KEY_HEX = 2 * CURVE_KEY };

typedef struct {
    unsigned char public_key[CURVE_KEY], secret_key[CURVE_KEY];
    bool has_broker;
    unsigned char broker_key[CURVE_KEY];
    char endpoint[URL_MAX + 1]; /* "": none */
} curve_keys_t;

/* Fills a fresh pair; no broker. */
void curve_keys_make (curve_keys_t *out);
/* False with one sentence when the file cannot be read or is none of keys. */
bool curve_keys_read (const char *path, curve_keys_t *out, char *problem, size_t problem_size);
/* Likewise; mode 0600, on the disk when it returns. */
bool curve_keys_write (const char *path, const curve_keys_t *keys, char *problem, size_t problem_size);

/* 64 hex digits as a key. */
bool curve_key_parse (slice_t hex, unsigned char out[CURVE_KEY]);

#endif
