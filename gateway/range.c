#include "gateway/range.h"

#include <stdio.h>
#include <string.h>

/* A number of at most 16 digits at `*at`; -1 when there is none. */
static int64_t take_number (slice_t text, size_t *at)
{
    int64_t number = 0;
    size_t start = *at;
    for (; *at < text.len && text.ptr[*at] >= '0' && text.ptr[*at] <= '9'; ++*at)
        number = *at - start < 16 ? number * 10 + (text.ptr[*at] - '0') : number;
    return *at == start || *at - start > 16 ? -1 : number;
}

bool range_parse (slice_t header, range_t *out)
{
    size_t at = 6;
    if (!header.ptr || header.len < 8 || strncmp (header.ptr, "bytes=", 6) != 0)
        return false;
    int64_t from = take_number (header, &at);
    if (at >= header.len || header.ptr[at++] != '-')
        return false;
    int64_t to = take_number (header, &at);
    if (at != header.len || (from < 0 && to < 0) || (from >= 0 && to >= 0 && to < from))
        return false;
    *out = (range_t){ from, to < 0 ? INT64_MAX : to };
    return true;
}

bool range_resolve (const range_t *self, int64_t length, int64_t *from, int64_t *count)
{
    if (self->from < 0) {
        *count = self->to < length ? self->to : length;
        *from = length - *count;
        return *count > 0;
    }
    int64_t end = self->to < length - 1 ? self->to + 1 : length;
    *from = self->from;
    *count = end - self->from;
    return self->from < length;
}

void range_format (int64_t from, int64_t count, int64_t length, char *out, size_t size)
{
    snprintf (out, size, "bytes %lld-%lld/%lld", (long long)from, (long long)(from + count - 1), (long long)length);
}
