#include "proto/token_text.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

static const char prefix[] = "gleaner_";
enum { PREFIX = sizeof prefix - 1, VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

bool identity_id_good (const char *text)
{
    size_t len = text ? strspn (text, "abcdefghijklmnopqrstuvwxyz0123456789") : 0;
    return len > 0 && len <= IDENTITY_ID_MAX && !text[len];
}

void token_text_format (const char *identity, const unsigned char secret[TOKEN_SECRET], char text[TOKEN_TEXT_MAX])
{
    char encoded[sodium_base64_ENCODED_LEN (TOKEN_SECRET, VARIANT)];
    sodium_bin2base64 (encoded, sizeof encoded, secret, TOKEN_SECRET, VARIANT);
    snprintf (text, TOKEN_TEXT_MAX, "%s%s_%s", prefix, identity, encoded);
    sodium_memzero (encoded, sizeof encoded);
}

bool token_text_read (slice_t text, slice_t *id, unsigned char secret[TOKEN_SECRET])
{
    size_t len = 0;
    if (text.len < PREFIX || memcmp (text.ptr, prefix, PREFIX) != 0)
        return false;
    slice_t rest = slice_from (text.ptr + PREFIX, text.len - PREFIX);
    const char *end = memchr (rest.ptr, '_', rest.len);
    if (!end || end == rest.ptr || end - rest.ptr > IDENTITY_ID_MAX)
        return false;
    *id = slice_from (rest.ptr, (size_t)(end - rest.ptr));
    return sodium_base642bin (secret, TOKEN_SECRET, end + 1, rest.len - id->len - 1, NULL, &len, NULL, VARIANT) == 0 &&
           len == TOKEN_SECRET;
}
