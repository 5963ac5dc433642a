/* token_text.h - a token as its holder has it: gleaner_IDENTITY_SECRET (rule 55 of proto/README.md). */
#ifndef GLEANER_TOKEN_TEXT_H
#define GLEANER_TOKEN_TEXT_H

#include <stdbool.h>

#include "proto/buf.h"

enum {
    IDENTITY_ID_MAX = 32, /* a-z and 0-9 */
    TOKEN_SECRET = 32,    /* bytes of random */
    TOKEN_TEXT_MAX = 128, /* of a token's text, with the NUL */
};

/* Whether that is an identity's id; NULL is none. */
bool identity_id_good (const char *text);
/* The token of an identity and its secret; `text` is to be blotted out by the caller. */
void token_text_format (const char *identity, const unsigned char secret[TOKEN_SECRET], char text[TOKEN_TEXT_MAX]);
/* Whether that is a token's text; `id` is its part of it, `secret` to be blotted out by the caller. */
bool token_text_read (slice_t text, slice_t *id, unsigned char secret[TOKEN_SECRET]);

#endif
