/* What strangers send: bounds at and one beyond, each fault's words, and bytes that are no message at all. */
#include "unit.h"

#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>

#include "filled.h"
#include "proto/json.h"
#include "proto/options.h"
#include "proto/wire.h"

#define HEAD "\xa1v\x01\xa4type"

static decoder_t *decoder;
static message_t message;
static fault_t fault;
static char text[REPLY_MAX + 1];

/* A row of bytes that may hold NUL. */
#define ROW(literal)                                                                                                   \
    {                                                                                                                  \
        .bytes = literal, .len = sizeof (literal) - 1                                                                  \
    }

static err_t decode (slice_t frame)
{
    return message_decode (decoder, frame, FRAME_MAX, &message, &fault);
}

#define DECODE(literal) decode (slice_from (literal, sizeof (literal) - 1))

/* ---- shape ---- */

static void test_nesting_stops_at_its_bound (void **state)
{
    (void)state;
    char nested[DEPTH_MAX + 1];
    memset (nested, '\x91', sizeof nested);
    nested[DEPTH_MAX - 1] = '\x90';
    assert_int_equal (wire_check (slice_from (nested, DEPTH_MAX)), 0);
    nested[DEPTH_MAX - 1] = '\x91';
    nested[DEPTH_MAX] = '\x90';
    assert_int_equal (wire_check (slice_from (nested, DEPTH_MAX + 1)), ERR_TOO_DEEP);
    nested[DEPTH_MAX] = '\x80';
    assert_int_equal (wire_check (slice_from (nested, DEPTH_MAX + 1)), ERR_TOO_DEEP);
}

/* Each row is one object of its format, whole; every shorter one is refused, and so is a byte more. */
static void test_each_format_is_known (void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        ROW ("\x7f"),
        ROW ("\xe0"),
        ROW ("\xc0"),
        ROW ("\xc2"),
        ROW ("\xc3"),
        ROW ("\xa2xy"),
        ROW ("\xd9\x02xy"),
        ROW ("\xda\x00\x02xy"),
        ROW ("\xdb\x00\x00\x00\x02xy"),
        ROW ("\xc4\x02xy"),
        ROW ("\xc5\x00\x02xy"),
        ROW ("\xc6\x00\x00\x00\x02xy"),
        ROW ("\xca...."),
        ROW ("\xcb........"),
        ROW ("\xcc."),
        ROW ("\xcd.."),
        ROW ("\xce...."),
        ROW ("\xcf........"),
        ROW ("\xd0."),
        ROW ("\xd1.."),
        ROW ("\xd2...."),
        ROW ("\xd3........"),
        ROW ("\x92\x01\x02"),
        ROW ("\xdc\x00\x02\x01\x02"),
        ROW ("\xdd\x00\x00\x00\x02\x01\x02"),
        ROW ("\x81\x01\x02"),
        ROW ("\xde\x00\x01\x01\x02"),
        ROW ("\xdf\x00\x00\x00\x01\x01\x02"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char *more = xcalloc (rows[i].len + 1, 1);
        memcpy (more, rows[i].bytes, rows[i].len);
        assert_int_equal (wire_check (slice_from (more, rows[i].len)), 0);
        assert_int_equal (wire_object_len (slice_from (more, rows[i].len + 1)), rows[i].len);
        assert_int_equal (wire_check (slice_from (more, rows[i].len + 1)), ERR_TRAILING_BYTES);
        for (size_t len = 0; len < rows[i].len; len++) {
            char *less = xcalloc (len, 1); /* of its own, so that a read beyond it is seen */
            memcpy (less, rows[i].bytes, len);
            assert_int_equal (wire_check (slice_from (less, len)), ERR_BAD_MSGPACK);
            free (less);
        }
        free (more);
    }
}

static void test_types_that_mean_nothing_here (void **state)
{
    (void)state;
    static const unsigned char types[] = { 0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8 };
    for (size_t i = 0; i < sizeof types; i++) {
        char frame[32] = { (char)types[i] };
        assert_int_equal (wire_check (slice_from (frame, sizeof frame)), ERR_BAD_MSGPACK);
    }
}

static void test_counts_beyond_the_bytes (void **state)
{
    (void)state;
    assert_int_equal (DECODE ("\xdd\xff\xff\xff\xff"), ERR_BAD_MSGPACK);
    assert_int_equal (DECODE ("\xdf\xff\xff\xff\xff\x01\x02"), ERR_BAD_MSGPACK);
    assert_int_equal (DECODE ("\xdb\xff\xff\xff\xffx"), ERR_BAD_MSGPACK);
    assert_int_equal (DECODE ("\xc6\xff\xff\xff\xffx"), ERR_BAD_MSGPACK);
    assert_int_equal (DECODE ("\x8f\x01\x02"), ERR_BAD_MSGPACK);
}

static err_t decode_padded (uint32_t unknown)
{
    buf_t frame = { 0 };
    buf_append (&frame, "\xde", 1);
    char count[2] = { 0, (char)(unknown + 2) };
    buf_append (&frame, count, sizeof count);
    buf_append_str (&frame, HEAD "\xabworker-list");
    for (uint32_t i = 0; i < unknown; i++)
        buf_append (&frame, "\xa1z\x01", 3);
    err_t err = decode (buf_slice (&frame));
    buf_fini (&frame);
    return err;
}

static void test_unknown_fields_are_bounded (void **state)
{
    (void)state;
    assert_int_equal (decode_padded (126), 0);
    assert_int_equal (decode_padded (127), ERR_SCHEMA);
}

static void test_a_frame_may_be_as_long_as_its_bound (void **state)
{
    (void)state;
    message_t sent;
    buf_t frame = { 0 };
    message_init (&sent, MSG_WORKER_LIST);
    message_encode (&sent, &frame);
    assert_int_equal (message_decode (decoder, buf_slice (&frame), frame.len, &message, &fault), 0);
    assert_int_equal (message_decode (decoder, buf_slice (&frame), frame.len - 1, &message, &fault), ERR_TOO_LARGE);
    buf_fini (&frame);
}

/* ---- fields at their bound and one beyond ---- */

/* One entry of `size` bytes as lines.h has it. */
static slice_t one_line (size_t size, buf_t *out)
{
    buf_append_str (out, "k=");
    while (out->len < size - 1)
        buf_append (out, "v", 1);
    buf_append (out, "\n", 1);
    return buf_slice (out);
}

static err_t send_field (msg_type_t type, const field_spec_t *field, int64_t amount)
{
    message_t sent;
    buf_t raw = { 0 };
    buf_t frame = { 0 };
    buf_t line = { 0 };
    filled (&sent, type, text, 0, &raw);
    void *at = (char *)message_body (&sent) + field->at;
    if (field->type == FIELD_STR || field->type == FIELD_BYTES)
        *(slice_t *)at = slice_from (text, (size_t)amount);
    else if (field->type == FIELD_INT || field->type == FIELD_UINT || field->type == FIELD_DECIMAL)
        *(int64_t *)at = amount;
    else if (field->type == FIELD_MAP || field->type == FIELD_TEXTS)
        *(slice_t *)at = one_line ((size_t)amount, &line);
    else if (field->type == FIELD_ROWS) {
        *(slice_t *)at = one_line ((size_t)amount, &line);
        line.ptr[line.len - 1] = '\0';
    } else if (field->type == FIELD_LIST)
        for (int64_t i = 0; i < amount; i++) {
            message_t item;
            filled (&item, field->item, text, 0, NULL);
            list_writer_add (at, &raw, &item);
        }
    message_encode (&sent, &frame);
    err_t err = message_decode (decoder, buf_slice (&frame), 64 * 1024 * 1024, &message, &fault);
    buf_fini (&line);
    buf_fini (&raw);
    buf_fini (&frame);
    return err;
}

static void test_each_bound_of_each_field (void **state)
{
    (void)state;
    for (int type = 0; type < MSG_COUNT; type++) {
        const message_spec_t *spec = message_spec ((msg_type_t)type);
        for (size_t i = 0; i < spec->field_count; i++) {
            const field_spec_t *field = &spec->fields[i];
            if (field->type == FIELD_BOOL)
                continue;
            assert_int_equal (send_field ((msg_type_t)type, field, field->limit), 0);
            assert_int_equal (send_field ((msg_type_t)type, field, field->limit + 1), ERR_SCHEMA);
            assert_string_equal (fault.field, field->name);
            if (field->type == FIELD_INT)
                assert_int_equal (send_field ((msg_type_t)type, field, -field->limit), 0);
            if (field->type == FIELD_INT)
                assert_int_equal (send_field ((msg_type_t)type, field, -field->limit - 1), ERR_SCHEMA);
            if (field->type == FIELD_UINT || field->type == FIELD_DECIMAL)
                assert_int_equal (send_field ((msg_type_t)type, field, -1), ERR_SCHEMA);
        }
    }
}

static void test_each_required_field_is_missed (void **state)
{
    (void)state;
    for (int type = 0; type < MSG_COUNT; type++) {
        const message_spec_t *spec = message_spec ((msg_type_t)type);
        buf_t frame = { 0 };
        buf_append_str (&frame, "\x82" HEAD);
        char head = (char)(0xa0 + spec->wire_len);
        buf_append (&frame, &head, 1);
        buf_append_str (&frame, spec->wire);
        const field_spec_t *missed = NULL;
        for (size_t i = 0; i < spec->field_count && !missed; i++)
            missed = spec->fields[i].need == REQUIRED ? &spec->fields[i] : NULL;
        assert_int_equal (decode (buf_slice (&frame)), missed ? ERR_SCHEMA : ERR_NONE);
        if (missed)
            assert_string_equal (fault.field, missed->name);
        buf_fini (&frame);
    }
}

/* ---- the words ---- */

#define REGISTER HEAD "\xafworker-register\xa8workerId\xa1w\xa8hostname\xa1h"

static void test_a_refusal_says_what_is_wrong (void **state)
{
    (void)state;
    assert_int_equal (DECODE ("\x85" REGISTER "\xa8"
                              "cpuCount\xce\x00\x01\x11\x70"),
                      ERR_SCHEMA);
    assert_string_equal (fault.text, "`cpuCount` must be from 0 to 65536, not 70000.");
    assert_int_equal (DECODE ("\x85" REGISTER "\xa8"
                              "cpuCount\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
                      ERR_SCHEMA);
    assert_string_equal (fault.text, "`cpuCount` must be from 0 to 65536.");
    assert_int_equal (DECODE ("\x82" HEAD "\xa5no\x1b\xffp"), ERR_UNSUPPORTED);
    assert_string_equal (fault.text, "The message type 'no\\x1b\\xffp' is not known here, in " GLEANER_VERSION
                                     ": if it is not misspelt, upgrade this side.");
    assert_int_equal (DECODE ("\x82" HEAD "\x05"), ERR_UNSUPPORTED);
    assert_string_equal (fault.text, "`type` must be text: the message's type.");
    assert_int_equal (DECODE ("\x82\xa1v\xa1"
                              "1\xa4type\xabworker-list"),
                      ERR_UNSUPPORTED);
    assert_string_equal (fault.field, "v");
}

/* An item that is passed over in silence would be a lease given away. */
static void test_a_faulty_item_refuses_its_message (void **state)
{
    (void)state;
    assert_int_equal (DECODE ("\x85" REGISTER "\xa4keep\x91\x05"), ERR_SCHEMA);
    assert_string_equal (fault.field, "keep");
    assert_int_equal (DECODE ("\x85" REGISTER "\xa4keep\x91\x82\xa5jobId\xa1j\xa5token\xa1t"), ERR_SCHEMA);
    assert_string_equal (fault.field, "attempt");
    assert_int_equal (DECODE ("\x85" REGISTER "\xa4keep\x91\x83\xa5jobId\xa1j\xa7"
                              "attempt\x01\xa5token\xa1\xff"),
                      ERR_BAD_UTF8);
    assert_int_equal (DECODE ("\x85" REGISTER "\xa4keep\x91\x83\xa5jobId\xa1j\xa7"
                              "attempt\x01\xa5token\xa1t"),
                      0);
}

static void test_ids_that_come_back (void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
        err_t err;
    } rows[] = {
        ROW ("\x07"),
        ROW ("\xff"),
        ROW ("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
        ROW ("\xd9\x02xy"),
        ROW ("\xa0"),
        { "\xc3", 1, ERR_SCHEMA },
        { "\x90", 1, ERR_SCHEMA },
        { "\xcb........", 9, ERR_SCHEMA },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_t frame = { 0 };
        buf_append_str (&frame, "\x83" HEAD "\xabworker-list\xa2id");
        buf_append (&frame, rows[i].bytes, rows[i].len);
        assert_int_equal (decode (buf_slice (&frame)), rows[i].err);
        if (rows[i].err)
            assert_null (message.id.ptr);
        else
            assert_true (slice_eq (message.id, slice_from (rows[i].bytes, rows[i].len)));
        buf_fini (&frame);
    }
}

/* ---- JSON by the same tables ---- */

static void test_every_message_through_json (void **state)
{
    (void)state;
    for (int type = 0; type < MSG_COUNT; type++) {
        message_t sent;
        message_t back;
        buf_t raw = { 0 };
        buf_t frame = { 0 };
        buf_t again_raw = { 0 };
        buf_t again = { 0 };
        filled (&sent, (msg_type_t)type, text, 2, &raw);
        message_encode (&sent, &frame);
        assert_int_equal (message_decode (decoder, buf_slice (&frame), REPLY_MAX, &message, &fault), 0);
        json_t *made = message_to_json (&message);
        char *dumped = json_dumps (made, 0);
        json_t *read = NULL;
        assert_int_equal (json_parse (slice_of (dumped), 0, &read, &fault), 0);
        assert_int_equal (json_to_message (read, (msg_type_t)type, &back, &again_raw, &fault), 0);
        assert_int_equal (message_check (&back, &fault), 0);
        message_encode (&back, &again);
        assert_true (slice_eq (buf_slice (&frame), buf_slice (&again)));
        json_decref (read);
        json_decref (made);
        free (dumped);
        buf_fini (&raw);
        buf_fini (&frame);
        buf_fini (&again_raw);
        buf_fini (&again);
    }
}

static void test_json_nesting_stops_at_its_bound (void **state)
{
    (void)state;
    for (int levels = 32; levels <= 33; levels++) { /* json.h: 32 at most */
        buf_t body = { 0 };
        json_t *object = NULL;
        buf_append_str (&body, "{\"]\\\"[[[[\":");
        for (int i = 1; i < levels; i++)
            buf_append_str (&body, "[");
        for (int i = 1; i < levels; i++)
            buf_append_str (&body, "]");
        buf_append_str (&body, "}");
        assert_int_equal (json_parse (buf_slice (&body), 0, &object, &fault), levels == 32 ? ERR_NONE : ERR_TOO_DEEP);
        json_decref (object);
        buf_fini (&body);
    }
}

static void test_a_nul_may_be_in_bytes_only (void **state)
{
    (void)state;
    json_t *object = NULL;
    message_t got;
    slice_t body = SLICE ("{\"jobId\":\"j\",\"workerId\":\"w\",\"exitCode\":0,\"stdout\":\"a\\u0000b\"}");
    assert_int_equal (json_parse (body, JSON_REPAIR_TEXT, &object, &fault), 0);
    assert_int_equal (json_to_message (object, MSG_JOB_RESULT, &got, NULL, &fault), 0);
    assert_int_equal (message_check (&got, &fault), 0);
    assert_int_equal (got.job_result.stdout_data.len, 3);
    json_decref (object);
    body = SLICE ("{\"jobId\":\"j\\u0000\",\"workerId\":\"w\",\"exitCode\":0}");
    assert_int_equal (json_parse (body, JSON_REPAIR_TEXT, &object, &fault), 0);
    assert_int_equal (json_to_message (object, MSG_JOB_RESULT, &got, NULL, &fault), 0);
    assert_int_equal (message_check (&got, &fault), ERR_SCHEMA);
    assert_string_equal (fault.field, "jobId");
    json_decref (object);
}

/* ---- any bytes at all ---- */

static size_t read_all (const message_t *got)
{
    size_t sum = 0;
    const message_spec_t *spec = message_spec (got->type);
    for (size_t i = 0; i < spec->field_count; i++) {
        const void *at = (const char *)message_body_const (got) + spec->fields[i].at;
        if (spec->fields[i].type != FIELD_INT && spec->fields[i].type != FIELD_UINT &&
            spec->fields[i].type != FIELD_DECIMAL && spec->fields[i].type != FIELD_BOOL &&
            spec->fields[i].type != FIELD_LIST) {
            slice_t bytes = *(const slice_t *)at;
            for (size_t j = 0; j < bytes.len; j++)
                sum += (unsigned char)bytes.ptr[j];
        } else if (spec->fields[i].type == FIELD_LIST) {
            message_t item;
            const list_t *list = at;
            for (uint32_t j = 0; j < list->count; j++) {
                assert_int_equal (message_list_item (list, spec->fields[i].item, j, &item, &fault), 0);
                sum += read_all (&item);
            }
        }
    }
    return sum;
}

static void assert_answerable (void)
{
    message_t answer;
    message_t heard;
    fault_t none;
    buf_t frame = { 0 };
    assert_int_not_equal (fault.err, 0);
    message_fault (&answer, &fault);
    answer.id = message.id;
    message_encode (&answer, &frame);
    assert_int_equal (message_decode (decoder, buf_slice (&frame), REPLY_MAX, &heard, &none), 0);
    buf_fini (&frame);
}

static void assert_library_agrees (slice_t frame)
{
    msgpack_zone zone;
    msgpack_object object;
    size_t used = 0;
    assert_true (msgpack_zone_init (&zone, 1024));
    if (frame.len && !wire_check (frame))
        assert_int_equal (msgpack_unpack (frame.ptr, frame.len, &used, &zone, &object), MSGPACK_UNPACK_SUCCESS);
    msgpack_zone_destroy (&zone);
}

/* Seeded, so that a failure repeats; ASan and UBSan are what make it a test. */
static void test_no_bytes_hurt (void **state)
{
    (void)state;
    enum { ROUNDS = 200000, FLIPS_MAX = 4 };
    unsigned seed = 20261124;
    size_t accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        message_t sent;
        buf_t raw = { 0 };
        buf_t frame = { 0 };
        filled (&sent, (msg_type_t)(round % MSG_COUNT), text, (uint32_t)rand_r (&seed) % 3, &raw);
        message_encode (&sent, &frame);
        size_t len = rand_r (&seed) % 3 ? frame.len : (size_t)rand_r (&seed) % frame.len;
        char *copy = xcalloc (len, 1); /* of its own, so that a read beyond it is seen */
        memcpy (copy, frame.ptr, len);
        for (int flip = rand_r (&seed) % FLIPS_MAX; flip > 0 && len; flip--)
            copy[(size_t)rand_r (&seed) % len] ^= (char)(1 << rand_r (&seed) % 8);
        assert_library_agrees (slice_from (copy, len));
        if (decode (slice_from (copy, len)))
            assert_answerable ();
        else
            accepted += read_all (&message) || true;
        free (copy);
        buf_fini (&raw);
        buf_fini (&frame);
    }
    assert_in_range (accepted, ROUNDS / 10, ROUNDS / 2);
}

static int set_up (void **state)
{
    (void)state;
    memset (text, 'x', sizeof text);
    decoder = decoder_new ();
    return 0;
}

static int tear_down (void **state)
{
    (void)state;
    decoder_destroy (&decoder);
    return 0;
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_nesting_stops_at_its_bound),
        cmocka_unit_test (test_each_format_is_known),
        cmocka_unit_test (test_types_that_mean_nothing_here),
        cmocka_unit_test (test_counts_beyond_the_bytes),
        cmocka_unit_test (test_unknown_fields_are_bounded),
        cmocka_unit_test (test_a_frame_may_be_as_long_as_its_bound),
        cmocka_unit_test (test_each_bound_of_each_field),
        cmocka_unit_test (test_each_required_field_is_missed),
        cmocka_unit_test (test_a_refusal_says_what_is_wrong),
        cmocka_unit_test (test_a_faulty_item_refuses_its_message),
        cmocka_unit_test (test_ids_that_come_back),
        cmocka_unit_test (test_every_message_through_json),
        cmocka_unit_test (test_json_nesting_stops_at_its_bound),
        cmocka_unit_test (test_a_nul_may_be_in_bytes_only),
        cmocka_unit_test (test_no_bytes_hurt),
    };
    return cmocka_run_group_tests (tests, set_up, tear_down);
}
