/* JSON bodies of the HTTP API, to a message, to JSON, and back. */
#include "proto/json.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static decoder_t *decoder;

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    decoder = decoder_new ();
    return 0;
}

/* The message that a body makes, encoded. False: it is refused. */
static bool frame_of (slice_t body, int flags, msg_type_t type, buf_t *out)
{
    json_t *object = NULL;
    buf_t raw = { 0 };
    message_t message;
    fault_t fault = { .text = "" };
    err_t err = json_parse (body, flags, &object, &fault);
    if (!err)
        err = json_to_message (object, type, &message, &raw, &fault);
    if (!err)
        err = message_check (&message, &fault);
    if (!err)
        message_encode (&message, out);
    else
        CHECK (fault.err == err && utf8_valid (slice_of (fault.text)));
    json_decref (object);
    buf_fini (&raw);
    return !err;
}

/* A frame as JSON text. The caller frees. */
static char *text_of (slice_t frame)
{
    message_t message;
    fault_t fault;
    CHECK (message_decode (decoder, frame, REPLY_MAX, &message, &fault) == ERR_NONE);
    json_t *object = message_to_json (&message);
    char *text = json_dumps (object, JSON_COMPACT);
    CHECK (text);
    json_decref (object);
    return text;
}

/* The text stays the same; not the frame: a list that is not there and one that is empty are both [] in JSON. */
static void check_back (slice_t frame, int flags, msg_type_t type)
{
    buf_t again = { 0 };
    char *text = text_of (frame);
    CHECK (frame_of (slice_of (text), flags, type, &again));
    char *second = text_of (buf_slice (&again));
    CHECK (strcmp (text, second) == 0);
    free (text);
    free (second);
    buf_fini (&again);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    uint8_t type = fuzz_byte (&in) % MSG_COUNT;
    int flags = fuzz_byte (&in) & 1 ? JSON_REPAIR_TEXT : 0;
    buf_t frame = { 0 };
    if (in.len <= FRAME_MAX && frame_of (in, flags, type, &frame) && frame.len <= REPLY_MAX)
        check_back (buf_slice (&frame), flags, type);
    buf_fini (&frame);
    return 0;
}
