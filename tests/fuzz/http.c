/* HTTP: the bytes of one connection, in as many pieces as the first byte says, and what reads parts of a request. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "gateway.h"
#include "gateway/hygiene.h"
#include "gateway/range.h"

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fuzz_gateway_start ();
    return 0;
}

/* A clean path, decoded once, holds no way out and no control characters. */
static void check_target (slice_t text)
{
    char *uri = slice_dup (text);
    size_t path = strcspn (uri, "?");
    if (target_clean (uri)) {
        for (size_t i = 0; i < path; i++) {
            char hex[3] = { 0 };
            CHECK ((unsigned char)uri[i] >= 0x20 && uri[i] != '\\' && uri[i] != 0x7f);
            if (uri[i] != '%')
                continue;
            memcpy (hex, uri + i + 1, strnlen (uri + i + 1, 2));
            long value = strtol (hex, NULL, 16);
            CHECK (value >= 0x20 && value != '/' && value != '.' && value != '\\' && value != 0x7f);
        }
    }
    free (uri);
}

static void check_range (slice_t in)
{
    range_t range;
    int64_t length = (int64_t)(fuzz_64 (&in) >> 8);
    int64_t from = 0;
    int64_t count = 0;
    char text[96];
    if (!range_parse (in, &range) || !range_resolve (&range, length, &from, &count))
        return;
    CHECK (from >= 0 && count > 0 && from <= length - count);
    range_format (from, count, length, text, sizeof text);
    CHECK (strlen (text) < sizeof text - 1);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    fuzz_client_t client;
    uint8_t pieces = fuzz_byte (&in) % 8 + 1;
    if (pieces == 8)
        check_range (in);
    check_target (in);
    size_t step = in.len / pieces + 1;
    fuzz_gateway_open (&client);
    while (in.len)
        fuzz_gateway_send (&client, fuzz_take (&in, step));
    fuzz_gateway_close (&client);
    return 0;
}
