#include "lines.h"

#include <string.h>

bool lines_next (slice_t *rest, slice_t *line)
{
    if (!rest->len)
        return false;
    const char *end = memchr (rest->ptr, '\n', rest->len);
    size_t len = end ? (size_t)(end - rest->ptr) : rest->len;
    *line = slice_from (rest->ptr, len);
    size_t used = end ? len + 1 : len;
    *rest = slice_from (rest->ptr + used, rest->len - used);
    return true;
}

void line_split (slice_t line, slice_t *key, slice_t *value)
{
    const char *equals = line.len ? memchr (line.ptr, '=', line.len) : NULL;
    size_t len = equals ? (size_t)(equals - line.ptr) : line.len;
    *key = slice_from (line.ptr, len);
    *value = equals ? slice_from (equals + 1, line.len - len - 1) : SLICE_ABSENT;
}

slice_t lines_get (slice_t lines, slice_t key)
{
    slice_t found = SLICE_ABSENT;
    slice_t line, at, value;
    while (lines_next (&lines, &line)) {
        line_split (line, &at, &value);
        if (value.ptr && slice_eq (at, key))
            found = value;
    }
    return found;
}

size_t lines_count (slice_t lines)
{
    size_t count = 0;
    slice_t line;
    while (lines_next (&lines, &line))
        count++;
    return count;
}

bool lines_plain (slice_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool lines_add (buf_t *lines, slice_t key, slice_t value)
{
    if (!key.len || !lines_plain (key) || !lines_plain (value) || (value.ptr && memchr (key.ptr, '=', key.len)))
        return false;
    buf_append (lines, key.ptr, key.len);
    if (value.ptr) {
        buf_append (lines, "=", 1);
        buf_append (lines, value.ptr, value.len);
    }
    buf_append (lines, "\n", 1);
    return true;
}

bool rows_next (slice_t *rest, slice_t *row)
{
    const char *end = rest->len ? memchr (rest->ptr, '\0', rest->len) : NULL;
    if (!end)
        return false;
    size_t len = (size_t)(end - rest->ptr);
    *row = slice_from (rest->ptr, len);
    *rest = slice_from (rest->ptr + len + 1, rest->len - len - 1);
    return true;
}

size_t rows_count (slice_t rows)
{
    size_t count = 0;
    slice_t row;
    while (rows_next (&rows, &row))
        count++;
    return count;
}

bool rows_add (buf_t *rows, slice_t key, slice_t value)
{
    if (!key.len || !lines_plain (key) || memchr (key.ptr, '=', key.len) ||
        (value.len && memchr (value.ptr, '\0', value.len)))
        return false;
    buf_append (rows, key.ptr, key.len);
    buf_append (rows, "=", 1);
    buf_append (rows, value.ptr, value.len);
    buf_append (rows, "", 1);
    return true;
}
