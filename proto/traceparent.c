#include "traceparent.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "id.h"

enum { TRACE_AT = 3, PARENT_AT = TRACE_AT + TRACE_ID_LEN + 1, FLAGS_AT = PARENT_AT + SPAN_ID_LEN + 1 };

static bool all_zero (const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (text[i] != '0')
            return false;
    return true;
}

static unsigned digit (char c)
{
    return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

bool traceparent_parse (slice_t text, traceparent_t *out)
{
    const char *at = text.ptr;
    if (text.len < TRACEPARENT_LEN || at[TRACE_AT - 1] != '-' || at[PARENT_AT - 1] != '-' || at[FLAGS_AT - 1] != '-')
        return false;
    if (!hex_valid (slice_from (at, 2), 2) || !hex_valid (slice_from (at + TRACE_AT, TRACE_ID_LEN), TRACE_ID_LEN) ||
        !hex_valid (slice_from (at + PARENT_AT, SPAN_ID_LEN), SPAN_ID_LEN) ||
        !hex_valid (slice_from (at + FLAGS_AT, 2), 2))
        return false;
    bool first = at[0] == '0' && at[1] == '0';
    if ((at[0] == 'f' && at[1] == 'f') || all_zero (at + TRACE_AT, TRACE_ID_LEN) ||
        all_zero (at + PARENT_AT, SPAN_ID_LEN))
        return false;
    if (text.len > TRACEPARENT_LEN && (first || at[TRACEPARENT_LEN] != '-'))
        return false;
    slice_copy (slice_from (at + TRACE_AT, TRACE_ID_LEN), out->trace_id, sizeof out->trace_id);
    slice_copy (slice_from (at + PARENT_AT, SPAN_ID_LEN), out->parent_id, sizeof out->parent_id);
    out->flags = digit (at[FLAGS_AT + 1]) & (TRACE_SAMPLED | TRACE_RANDOM);
    return true;
}

void traceparent_format (const traceparent_t *self, char out[TRACEPARENT_LEN + 1])
{
    snprintf (out, TRACEPARENT_LEN + 1, "00-%.32s-%.16s-%02x", self->trace_id, self->parent_id, self->flags & 0xff);
}

void traceparent_span (const char *trace_id, slice_t job_id, span_kind_t kind, int64_t attempt,
                       char out[SPAN_ID_LEN + 1])
{
    char text[TRACE_ID_LEN + JOB_ID_LEN + 32];
    unsigned char hash[crypto_generichash_BYTES_MIN];
    int len = snprintf (text, sizeof text, "%.32s " SLICE_FMT " %c%lld", trace_id, SLICE_ARG (job_id), (char)kind,
                        (long long)attempt);
    crypto_generichash (hash, sizeof hash, (const unsigned char *)text, (size_t)len, NULL, 0);
    hash[0] |= 1; /* an id of zeros is none */
    hex_format (hash, SPAN_ID_LEN / 2, out);
}
