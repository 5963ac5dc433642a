/* Multipart: the body of POST /api/execute, cut at borders that the input says. A body may end too early, or go on. */
#include <stdio.h>

#include "fuzz.h"
#include "gateway.h"

enum { PIECES_MAX = 16 };

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    fuzz_gateway_start ();
    return 0;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    fuzz_client_t client;
    uint16_t borders[PIECES_MAX];
    char head[256];
    uint8_t how = fuzz_byte (&in);
    int count = how % PIECES_MAX;
    for (int i = 0; i < count; i++)
        borders[i] = fuzz_16 (&in);
    long lie = how & 0x80 ? (long)fuzz_byte (&in) - 128 : 0;
    long length = (long)in.len + lie;
    int head_len = snprintf (head, sizeof head,
                             "POST /api/execute HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; "
                             "boundary=b\r\nContent-Length: %ld\r\n\r\n",
                             length < 0 ? 0 : length);
    fuzz_gateway_open (&client);
    fuzz_gateway_send (&client, slice_from (head, (size_t)head_len));
    for (int i = 0; i < count && in.len; i++)
        fuzz_gateway_send (&client, fuzz_take (&in, borders[i]));
    fuzz_gateway_send (&client, in);
    fuzz_gateway_close (&client);
    return 0;
}
