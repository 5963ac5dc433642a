#include "gateway/asset.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/buf.h"

/* Vite's own hashes have this many characters, and a dash may be one of them. */
enum { HASH_MIN = 8 };

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

static const struct {
    const char *suffix;
    const char *type;
} types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".ico", "image/x-icon" },
    { ".json", "application/json" },
    { ".webmanifest", "application/manifest+json" },
    { ".map", "application/json" },
    { ".txt", "text/plain; charset=utf-8" },
    { ".woff2", "font/woff2" },
};

static const struct {
    const char *token;
    const char *suffix;
} codings[CODING_COUNT] = {
    [CODING_IDENTITY] = { NULL, "" },
    [CODING_GZIP] = { "gzip", ".gz" },
    [CODING_BROTLI] = { "br", ".br" },
};

const char *coding_token (coding_t coding)
{
    return codings[coding].token;
}

const char *coding_suffix (coding_t coding)
{
    return codings[coding].suffix;
}

const char *asset_type (const char *name)
{
    size_t len = strlen (name);
    if (len == 0 || len > ASSET_NAME_MAX || name[0] == '.' || strspn (name, LETTERS DIGITS "._-") != len)
        return NULL;
    for (size_t at = 0; at < sizeof types / sizeof types[0]; at++) {
        size_t suffix = strlen (types[at].suffix);
        if (len > suffix && strcmp (name + len - suffix, types[at].suffix) == 0)
            return types[at].type;
    }
    return NULL;
}

/* Taken for hashed by mistake, a file would stay old in browsers for a year; missed, it is only asked for each time. So
 * `apple-touch-icon.png` and `maskable-icon-512x512.png` must not pass: a hash has a digit or a capital, and a dash
 * within only when it is of Vite's own length. */
bool asset_hashed (const char *name)
{
    const char *dot = strchr (name, '.');
    if (!dot || !dot[1])
        return false;
    const char *hash = dot;
    while (hash > name && (dot - hash < HASH_MIN || hash[-1] != '-'))
        hash--;
    size_t len = (size_t)(dot - hash);
    if (hash == name || hash - name < 2 || strspn (hash, LETTERS DIGITS "_-") != len)
        return false;
    bool dash = memchr (hash, '-', len) != NULL;
    bool mixed = strcspn (hash, "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS) < len;
    return mixed && (!dash || len == HASH_MIN);
}

/* ---- lists in headers ---- */

static slice_t trim (slice_t text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = slice_from (text.ptr + 1, text.len - 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Takes what stands before the next separator off `rest`, which is absent after the last. */
static slice_t cut (slice_t *rest, char separator)
{
    const char *end = rest->len ? memchr (rest->ptr, separator, rest->len) : NULL;
    slice_t piece = slice_from (rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len);
    *rest = end ? slice_from (end + 1, rest->len - piece.len - 1) : SLICE_ABSENT;
    return trim (piece);
}

static bool same_token (slice_t text, const char *token)
{
    return text.len == strlen (token) && strncasecmp (text.ptr, token, text.len) == 0;
}

/* A qvalue in thousandths; 0, which is "not at all", for what is none. */
static int quality (slice_t text)
{
    if (text.len < 1 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.'))
        return 0;
    int value = (text.ptr[0] - '0') * 1000;
    int unit = 100;
    for (size_t at = 2; at < text.len; at++, unit /= 10) {
        if (text.ptr[at] < '0' || text.ptr[at] > '9')
            return 0;
        value += (text.ptr[at] - '0') * unit;
    }
    return value > 1000 ? 0 : value;
}

/* What the parameters behind a coding make it worth. */
static int quality_of (slice_t parameters)
{
    while (parameters.ptr) {
        slice_t one = cut (&parameters, ';');
        if (one.len > 2 && strncasecmp (one.ptr, "q=", 2) == 0)
            return quality (slice_from (one.ptr + 2, one.len - 2));
    }
    return 1000;
}

int asset_codings (slice_t accept, coding_t out[CODING_COUNT])
{
    enum { UNSAID = -1 };
    int worth[CODING_COUNT] = { UNSAID, UNSAID, UNSAID };
    int others = UNSAID;
    while (accept.ptr) {
        slice_t parameters = cut (&accept, ',');
        if (!parameters.len)
            continue;
        slice_t token = cut (&parameters, ';');
        int value = quality_of (parameters);
        if (same_token (token, "br"))
            worth[CODING_BROTLI] = value;
        else if (same_token (token, "gzip") || same_token (token, "x-gzip"))
            worth[CODING_GZIP] = value;
        else if (same_token (token, "identity"))
            worth[CODING_IDENTITY] = value;
        else if (same_token (token, "*"))
            others = value;
    }
    int count = 0;
    for (int coding = CODING_BROTLI; coding >= CODING_IDENTITY; coding--) { /* the smaller file wins a draw */
        int value = worth[coding] != UNSAID ? worth[coding] : others;
        worth[coding] = coding == CODING_IDENTITY && value < 0 ? 0 : value;
        if (worth[coding] <= 0 && coding != CODING_IDENTITY)
            continue;
        int at = count++;
        for (; at > 0 && worth[out[at - 1]] < worth[coding]; at--)
            out[at] = out[at - 1];
        out[at] = (coding_t)coding;
    }
    return count;
}

/* ---- entity tags ---- */

void asset_tag (slice_t bytes, char out[ASSET_TAG_SIZE])
{
    unsigned char hash[ASSET_TAG_BYTES];
    char hex[2 * ASSET_TAG_BYTES + 1];
    crypto_generichash (hash, sizeof hash, (const unsigned char *)bytes.ptr, bytes.len, NULL, 0);
    sodium_bin2hex (hex, sizeof hex, hash, sizeof hash);
    snprintf (out, ASSET_TAG_SIZE, "\"%s\"", hex);
}

bool asset_tag_listed (slice_t header, const char *tag)
{
    while (header.ptr) {
        slice_t one = cut (&header, ',');
        if (one.len > 2 && strncmp (one.ptr, "W/", 2) == 0) /* the comparison is the weak one (RFC 9110, 13.1.2) */
            one = slice_from (one.ptr + 2, one.len - 2);
        if (slice_eq_str (one, tag) || slice_eq_str (one, "*"))
            return true;
    }
    return false;
}
