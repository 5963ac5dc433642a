/* The codec: every message there and back, every fault of a frame by its code, and no byte sequence that hurts it. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/message.h"
#include "proto/wire.h"

static char filler[2 * 1024 * 1024];

/* Fills every field to its limit (texts to a few bytes), lists with one item. */
static void fill (message_t *message, msg_type_t type, buf_t *raw)
{
    message_init (message, type);
    const message_spec_t *spec = message_spec (type);
    for (size_t i = 0; i < spec->field_count; i++) {
        const field_spec_t *field = &spec->fields[i];
        char *at = (char *)message_body (message) + field->at;
        size_t len = field->limit < 20 ? (size_t)field->limit : 20;
        if (field->type == FIELD_STR || field->type == FIELD_BYTES) {
            *(slice_t *)(void *)at = slice_from (filler, len);
        } else if (field->type == FIELD_INT || field->type == FIELD_UINT || field->type == FIELD_DECIMAL) {
            *(int64_t *)(void *)at = field->limit;
        } else if (field->type == FIELD_BOOL) {
            *(int *)(void *)at = 1;
        } else if (field->type == FIELD_MAP || field->type == FIELD_TEXTS) {
            *(slice_t *)(void *)at = SLICE ("key=value\nother=\n");
        } else if (field->type == FIELD_ROWS) {
            *(slice_t *)(void *)at = SLICE ("key=va\nlue\0other=\0");
        } else {
            message_t item;
            list_t *list = (list_t *)(void *)at;
            *list = (list_t){ .raw = SLICE ("") };
            if (!raw)
                continue; /* a list within a list stays empty */
            fill (&item, field->item, NULL);
            list_writer_add (list, raw, &item);
        }
    }
    if (raw)
        list_writer_split (message, raw, 0);
}

static bool has_list (msg_type_t type)
{
    const message_spec_t *spec = message_spec (type);
    for (size_t i = 0; i < spec->field_count; i++)
        if (spec->fields[i].type == FIELD_LIST)
            return true;
    return false;
}

static void assert_field_equal (const field_spec_t *field, const message_t *a, const message_t *b)
{
    const char *left = (const char *)message_body_const (a) + field->at;
    const char *right = (const char *)message_body_const (b) + field->at;
    if (field->type == FIELD_STR || field->type == FIELD_BYTES || field->type == FIELD_MAP ||
        field->type == FIELD_TEXTS || field->type == FIELD_ROWS)
        assert_true (slice_eq (*(const slice_t *)(const void *)left, *(const slice_t *)(const void *)right));
    else if (field->type == FIELD_INT || field->type == FIELD_UINT || field->type == FIELD_DECIMAL)
        assert_int_equal (*(const int64_t *)(const void *)left, *(const int64_t *)(const void *)right);
    else if (field->type == FIELD_BOOL)
        assert_int_equal (*(const int *)(const void *)left, *(const int *)(const void *)right);
    else
        assert_int_equal (((const list_t *)(const void *)left)->count, ((const list_t *)(const void *)right)->count);
}

static void test_every_message_there_and_back (void **state)
{
    (void)state;
    decoder_t *decoder = decoder_new ();
    for (int type = 0; type < MSG_COUNT; type++) {
        buf_t raw = { 0 };
        buf_t frame = { 0 };
        message_t sent;
        message_t got;
        fault_t fault;
        fill (&sent, (msg_type_t)type, &raw);
        sent.id = slice_from ("\x07", 1);
        message_encode (&sent, &frame);
        assert_int_equal (message_decode (decoder, buf_slice (&frame), REPLY_MAX, &got, &fault), 0);
        assert_int_equal (got.type, type);
        assert_true (slice_eq (got.id, sent.id));
        const message_spec_t *spec = message_spec ((msg_type_t)type);
        for (size_t i = 0; i < spec->field_count; i++)
            assert_field_equal (&spec->fields[i], &sent, &got);
        assert_int_equal (message_check (&got, &fault), 0);
        buf_fini (&raw);
        buf_fini (&frame);
    }
    decoder_destroy (&decoder);
}

static void test_a_list_is_read_item_by_item (void **state)
{
    (void)state;
    decoder_t *decoder = decoder_new ();
    buf_t raw = { 0 };
    buf_t frame = { 0 };
    message_t message;
    fault_t fault;
    fill (&message, MSG_WORKER_REGISTER, &raw);
    message_encode (&message, &frame);
    message_t got;
    message_t item;
    assert_int_equal (message_decode (decoder, buf_slice (&frame), FRAME_MAX, &got, &fault), 0);
    assert_int_equal (message_list_item (&got.worker_register.keep, MSG_HELD_LEASE, 0, &item, &fault), 0);
    assert_int_equal (item.held_lease.attempt, ATTEMPT_MAX);
    buf_fini (&raw);
    buf_fini (&frame);
    decoder_destroy (&decoder);
}

/* One entry of `size` bytes as lines.h has it. */
static slice_t long_line (size_t size)
{
    static char line[128 * 1024];
    memset (line, 'v', size);
    memcpy (line, "k=", 2);
    line[size - 1] = '\n';
    return slice_from (line, size);
}

static slice_t long_row (size_t size)
{
    slice_t row = long_line (size);
    ((char *)(uintptr_t)row.ptr)[size - 1] = '\0';
    return row;
}

static void test_each_limit_holds (void **state)
{
    (void)state;
    decoder_t *decoder = decoder_new ();
    for (int type = 0; type < MSG_COUNT; type++) {
        const message_spec_t *spec = message_spec ((msg_type_t)type);
        if (has_list ((msg_type_t)type))
            continue;
        for (size_t i = 0; i < spec->field_count; i++) {
            const field_spec_t *field = &spec->fields[i];
            message_t message;
            message_t got;
            fault_t fault;
            buf_t frame = { 0 };
            fill (&message, (msg_type_t)type, NULL);
            char *at = (char *)message_body (&message) + field->at;
            if (field->type == FIELD_BOOL)
                continue;
            if (field->type == FIELD_STR || field->type == FIELD_BYTES)
                *(slice_t *)(void *)at = slice_from (filler, (size_t)field->limit + 1);
            else if (field->type == FIELD_ROWS)
                *(slice_t *)(void *)at = long_row ((size_t)field->limit + 1);
            else if (field->type == FIELD_MAP || field->type == FIELD_TEXTS)
                *(slice_t *)(void *)at = long_line ((size_t)field->limit + 1);
            else
                *(int64_t *)(void *)at = field->limit + 1;
            message_encode (&message, &frame);
            assert_int_equal (message_decode (decoder, buf_slice (&frame), REPLY_MAX, &got, &fault), ERR_SCHEMA);
            assert_string_equal (fault.field, field->name);
            buf_fini (&frame);
        }
    }
    decoder_destroy (&decoder);
}

static err_t decode (const char *bytes, size_t len, message_t *out, fault_t *fault)
{
    decoder_t *decoder = decoder_new ();
    err_t err = message_decode (decoder, slice_from (bytes, len), FRAME_MAX, out, fault);
    decoder_destroy (&decoder);
    return err;
}

#define DECODE(literal) decode (literal, sizeof (literal) - 1, &message, &fault)
#define HEAD            "\xa1v\x01\xa4type"

static void test_each_fault_has_its_code (void **state)
{
    (void)state;
    message_t message;
    fault_t fault;
    assert_int_equal (DECODE (""), ERR_BAD_MSGPACK);
    assert_int_equal (DECODE ("\xc1"), ERR_BAD_MSGPACK);
    assert_int_equal (DECODE ("\x82\xa1v"), ERR_BAD_MSGPACK);             /* truncated */
    assert_int_equal (DECODE ("\x05"), ERR_BAD_MSGPACK);                  /* no map */
    assert_int_equal (DECODE ("\x81\x01\x01"), ERR_BAD_MSGPACK);          /* a key that is no text */
    assert_int_equal (DECODE ("\x81\xa1v\xd4\x01\x01"), ERR_BAD_MSGPACK); /* extension type */
    assert_int_equal (DECODE ("\xdd\x04\x00\x00\x00"), ERR_BAD_MSGPACK);  /* 2^26 items in no bytes */
    assert_int_equal (DECODE ("\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01"), ERR_TOO_DEEP);
    assert_int_equal (DECODE ("\x82" HEAD "\xabworker-list\x00"), ERR_TRAILING_BYTES);
    assert_int_equal (DECODE ("\x81\xa4type\xabworker-list"), ERR_UNSUPPORTED); /* no version */
    assert_int_equal (DECODE ("\x82\xa1v\x02\xa4type\xabworker-list"), ERR_UNSUPPORTED);
    assert_int_equal (DECODE ("\x82" HEAD "\xa4nope"), ERR_UNSUPPORTED);
    assert_int_equal (DECODE ("\x83" HEAD "\xabworker-list\xa1v\x01"), ERR_DUPLICATE_KEY);
    assert_int_equal (DECODE ("\x84" HEAD "\xaajob-status\xa5jobId\xa1x\xa5jobId\xa1x"), ERR_DUPLICATE_KEY);
    assert_int_equal (DECODE ("\x82" HEAD "\xaajob-status"), ERR_SCHEMA); /* jobId is missing */
    assert_string_equal (fault.field, "jobId");
    assert_int_equal (DECODE ("\x83" HEAD "\xaajob-status\xa5jobId\x05"), ERR_SCHEMA);
    assert_int_equal (DECODE ("\x83" HEAD "\xaajob-status\xa5jobId\xa1\x00"), ERR_SCHEMA); /* NUL */
    assert_int_equal (DECODE ("\x83" HEAD "\xaajob-status\xa5jobId\xa1\xff"), ERR_BAD_UTF8);
    assert_int_equal (DECODE ("\x83" HEAD "\xa8job-list\xa5limit\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
                      ERR_SCHEMA);                                                   /* NaN */
    assert_int_equal (DECODE ("\x83" HEAD "\xa8job-list\xa5limit\xff"), ERR_SCHEMA); /* -1 */
}

static void test_unknown_fields_are_ignored (void **state)
{
    (void)state;
    message_t message;
    fault_t fault;
    assert_int_equal (DECODE ("\x83" HEAD "\xabworker-list\xa7unheard\x91\x01"), 0);
    assert_int_equal (message.type, MSG_WORKER_LIST);
}

static void test_a_refusal_can_be_addressed (void **state)
{
    (void)state;
    message_t message;
    fault_t fault;
    assert_int_equal (DECODE ("\x83\xa2id\xa3"
                              "abc" HEAD "\xa4nope"),
                      ERR_UNSUPPORTED);
    assert_slice (message.id, "\xa3"
                              "abc");
}

static void test_frames_over_the_bound_are_refused (void **state)
{
    (void)state;
    message_t message;
    fault_t fault;
    assert_int_equal (decode (filler, FRAME_MAX + 1, &message, &fault), ERR_TOO_LARGE);
}

/* Seeded, so that a failure repeats; ASan and UBSan are what make it a test. */
static void test_no_bytes_hurt_the_decoder (void **state)
{
    (void)state;
    enum { ROUNDS = 100000 };
    decoder_t *decoder = decoder_new ();
    buf_t raw = { 0 };
    buf_t frame = { 0 };
    message_t message;
    fault_t fault;
    fill (&message, MSG_WORKER_REGISTER, &raw);
    message_encode (&message, &frame);
    unsigned seed = 20261124;
    size_t refused = 0;
    for (int round = 0; round < ROUNDS; round++) {
        char *copy = xcalloc (frame.len, 1);
        memcpy (copy, frame.ptr, frame.len);
        for (int flip = rand_r (&seed) % 4; flip >= 0; flip--)
            copy[(size_t)rand_r (&seed) % frame.len] = (char)rand_r (&seed);
        size_t len = rand_r (&seed) % 3 ? frame.len : (size_t)rand_r (&seed) % frame.len;
        refused += message_decode (decoder, slice_from (copy, len), FRAME_MAX, &message, &fault) != 0;
        free (copy);
    }
    assert_in_range (refused, ROUNDS / 4, ROUNDS - 1);
    buf_fini (&raw);
    buf_fini (&frame);
    decoder_destroy (&decoder);
}

static void test_utf8 (void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
        const char *repaired;
    } rows[] = {
        { "plain", true, "plain" },
        { "gr\xc3\xbc\xc3\x9f", true, "gr\xc3\xbc\xc3\x9f" },
        { "\xf0\x9f\x98\x80", true, "\xf0\x9f\x98\x80" },
        { "a\x80"
          "b",
          false,
          "a\xef\xbf\xbd"
          "b" },
        { "\xc0\xaf", false, "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
        { "\xed\xa0\x80", false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* surrogate */
        { "\xf4\x90\x80\x80", false, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "x\xe2\x82", false, "x\xef\xbf\xbd\xef\xbf\xbd" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        buf_t out = { 0 };
        assert_int_equal (utf8_valid (slice_of (rows[i].text)), rows[i].valid);
        utf8_repair (slice_of (rows[i].text), &out);
        assert_slice (buf_slice (&out), rows[i].repaired);
        buf_fini (&out);
    }
    assert_false (utf8_valid (slice_from ("a\0b", 3)));
}

int main (void)
{
    memset (filler, 'x', sizeof filler);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_message_there_and_back),
        cmocka_unit_test (test_a_list_is_read_item_by_item),
        cmocka_unit_test (test_each_limit_holds),
        cmocka_unit_test (test_each_fault_has_its_code),
        cmocka_unit_test (test_unknown_fields_are_ignored),
        cmocka_unit_test (test_a_refusal_can_be_addressed),
        cmocka_unit_test (test_frames_over_the_bound_are_refused),
        cmocka_unit_test (test_no_bytes_hurt_the_decoder),
        cmocka_unit_test (test_utf8),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
