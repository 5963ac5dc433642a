#include <stdio.h>
#include <string.h>

#include "message.h"

/* Length of the valid sequence at `s` (RFC 3629, table 3-7 of Unicode); 0 when there is none. */
static size_t sequence_len (const unsigned char *s, size_t left)
{
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : 0;
    if (!len || left < len)
        return 0;
    unsigned char low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
    unsigned char high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

size_t utf8_sequence (slice_t s)
{
    return sequence_len ((const unsigned char *)s.ptr, s.len);
}

bool utf8_valid (slice_t s)
{
    const unsigned char *at = (const unsigned char *)s.ptr;
    for (size_t left = s.len; left;) {
        size_t len = sequence_len (at, left);
        if (!len || !*at)
            return false;
        at += len;
        left -= len;
    }
    return true;
}

const char *text_escape (slice_t s, char *out, size_t size)
{
    enum { ESCAPE_LEN = 4, DOTS_LEN = 3 };
    size_t len = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (len + ESCAPE_LEN + DOTS_LEN >= size) {
            snprintf (out + len, size - len, "...");
            return out;
        }
        bool plain = c >= ' ' && c < 0x7f;
        len += (size_t)snprintf (out + len, size - len, plain ? "%c" : "\\x%02x", c);
    }
    out[len] = '\0';
    return out;
}

void utf8_repair (slice_t s, buf_t *out)
{
    const unsigned char *at = (const unsigned char *)s.ptr;
    buf_reserve (out, s.len);
    for (size_t left = s.len; left;) {
        size_t len = sequence_len (at, left);
        if (len)
            buf_append (out, at, len);
        else
            buf_append (out, "\xef\xbf\xbd", 3);
        size_t used = len ? len : 1;
        at += used;
        left -= used;
    }
}

size_t utf8_cut (slice_t s, size_t limit)
{
    if (s.len <= limit)
        return s.len;
    while (limit && ((unsigned char)s.ptr[limit] & 0xc0) == 0x80)
        limit--;
    return limit;
}
