#include "proto/token_text.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

bool identity_id_good (const char *text)
{
    size_t len = text ? strspn (text, "abcdefghijklmnopqrstuvwxyz0123456789") : 0;
    return len > 0 && len <= IDENTITY_ID_MAX && !text[len];
}

void token_text_format (const char *identity, const unsigned char secret[TOKEN_SECRET], char text[TOKEN_TEXT_MAX])
{
    enum { VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };
    char encoded[sodium_base64_ENCODED_LEN (TOKEN_SECRET, VARIANT)];
    sodium_bin2base64 (encoded, sizeof encoded, secret, TOKEN_SECRET, VARIANT);
    snprintf (text, TOKEN_TEXT_MAX, "gleaner_%s_%s", identity, encoded);
    sodium_memzero (encoded, sizeof encoded);
}
