#include "pem.h"

#include <sodium.h>
#include <string.h>

#define BEGIN "-----BEGIN CERTIFICATE-----"
#define END   "-----END CERTIFICATE-----"

enum { DER_MAX = 64 * 1024 };

/* The whole of it, found from the front; NULL: there is none. */
static const char *find (slice_t text, const char *what)
{
    return text.len ? memmem (text.ptr, text.len, what, strlen (what)) : NULL;
}

static bool hash (slice_t base64, unsigned char fingerprint[FINGERPRINT])
{
    unsigned char der[DER_MAX];
    size_t len = 0;
    bool good = sodium_base642bin (der, sizeof der, base64.ptr, base64.len, " \t\r\n", &len, NULL,
                                   sodium_base64_VARIANT_ORIGINAL) == 0 &&
                len > 0;
    if (good)
        crypto_hash_sha256 (fingerprint, der, len);
    return good;
}

bool pem_next (slice_t *text, slice_t *certificate, unsigned char fingerprint[FINGERPRINT])
{
    for (const char *begin = find (*text, BEGIN); begin; begin = find (*text, BEGIN)) {
        size_t before = (size_t)(begin - text->ptr) + strlen (BEGIN);
        slice_t rest = slice_from (text->ptr + before, text->len - before);
        const char *end = find (rest, END);
        if (!end)
            return false;
        size_t inner = (size_t)(end - rest.ptr);
        size_t whole = inner + strlen (END);
        *text = slice_from (rest.ptr + whole, rest.len - whole);
        *certificate = slice_from (begin, strlen (BEGIN) + whole);
        if (hash (slice_from (rest.ptr, inner), fingerprint))
            return true;
    }
    return false;
}
