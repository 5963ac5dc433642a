#include "join.h"

#include <sodium.h>
#include <string.h>

#include "curve_keys.h"
#include "pem.h"

#define PREFIX "gleaner-join-"

enum { CODE_MAX = 8192, VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

void join_code_format (const message_t *code, buf_t *out)
{
    buf_t raw = { 0 };
    message_encode_item (code, &raw);
    size_t size = sodium_base64_encoded_len (raw.len, VARIANT);
    buf_append_str (out, PREFIX);
    buf_reserve (out, size);
    sodium_bin2base64 (out->ptr + out->len, size, (const unsigned char *)raw.ptr, raw.len, VARIANT);
    out->len += size - 1; /* without the NUL */
    buf_fini (&raw);
}

bool join_code_read (slice_t text, buf_t *raw, message_t *out)
{
    size_t prefix = strlen (PREFIX);
    if (text.len <= prefix || text.len > CODE_MAX || memcmp (text.ptr, PREFIX, prefix) != 0)
        return false;
    size_t len = 0;
    buf_clear (raw);
    buf_reserve (raw, text.len);
    if (sodium_base642bin ((unsigned char *)raw->ptr, raw->cap, text.ptr + prefix, text.len - prefix, NULL, &len, NULL,
                           VARIANT) != 0)
        return false;
    raw->len = len;
    fault_t fault;
    decoder_t *decoder = decoder_new (); /* no field is a list: nothing points into it */
    err_t err = message_decode_item (decoder, buf_slice (raw), MSG_JOIN_CODE, out, &fault);
    decoder_destroy (&decoder);
    if (err)
        return false;
    const msg_join_code_t *code = &out->join_code;
    bool pinned = !code->fingerprint.ptr || code->fingerprint.len == FINGERPRINT;
    return code->server.ptr ? pinned : code->endpoint.ptr && code->broker_key.len == CURVE_KEY;
}
