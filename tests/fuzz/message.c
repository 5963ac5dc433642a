/* The message decoder: a frame from a peer, or an item from the store. What it takes is encoded, decoded and encoded
 * once more, and stays the same. */
#include <string.h>

#include "fuzz.h"

static decoder_t *decoders[2];

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    decoders[0] = decoder_new ();
    decoders[1] = decoder_new ();
    return 0;
}

static void check_same (const message_t *message)
{
    buf_t once = { 0 };
    buf_t twice = { 0 };
    message_t again;
    fault_t fault;
    CHECK (message_check (message, &fault) == ERR_NONE);
    fuzz_encode (message, &once);
    CHECK (message_decode (decoders[1], buf_slice (&once), REPLY_MAX, &again, &fault) == ERR_NONE);
    CHECK (again.type == message->type && slice_eq (again.id, message->id));
    fuzz_encode (&again, &twice);
    CHECK (slice_eq (buf_slice (&once), buf_slice (&twice)));
    buf_fini (&once);
    buf_fini (&twice);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    message_t message;
    fault_t fault = { .text = "" };
    uint8_t how = fuzz_byte (&in);
    err_t err;
    if (how & 1)
        err = message_decode_item (decoders[0], in, (msg_type_t)(how / 2 % MSG_COUNT), &message, &fault);
    else
        err = message_decode (decoders[0], in, FRAME_MAX, &message, &fault);
    if (!err) {
        check_same (&message);
        return 0;
    }
    CHECK (fault.err == err && fault.field && memchr (fault.text, '\0', sizeof fault.text));
    CHECK (utf8_valid (slice_of (fault.text)));
    return 0;
}
