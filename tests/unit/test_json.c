/* JSON there and back, and what JSON from strangers may hold. */
#include "unit.h"

#include "proto/json.h"

static err_t parse (const char *text, size_t len, int flags, json_t **object)
{
    fault_t fault;
    return json_parse (slice_from (text, len), flags, object, &fault);
}

#define PARSE(literal, flags) parse (literal, sizeof (literal) - 1, flags, &object)

static void test_what_is_refused (void **state)
{
    (void)state;
    json_t *object = NULL;
    assert_int_equal (PARSE ("", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("[1]", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("{\"a\":", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("{\"a\":\"\\u0000\"}", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("{\"a\":\"\xff\"}", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("{\"a\":\"\\ud800\"}", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("{\"a\":9223372036854775808}", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("{\"a\":1e999}", 0), ERR_BAD_JSON);
    assert_int_equal (PARSE ("{\"a\":1,\"a\":2}", 0), ERR_DUPLICATE_KEY);
    assert_int_equal (PARSE ("{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", 0), ERR_TOO_DEEP);
    assert_null (object);
}

static void assert_repaired (const char *json, size_t len, const char *expected, size_t expected_len)
{
    json_t *object = NULL;
    assert_int_equal (parse (json, len, JSON_REPAIR_TEXT, &object), 0);
    const json_t *data = json_object_get (object, "data");
    assert_int_equal (json_string_length (data), expected_len);
    assert_memory_equal (json_string_value (data), expected, expected_len);
    json_decref (object);
}

#define REPAIRED(json, expected) assert_repaired (json, sizeof (json) - 1, expected, sizeof (expected) - 1)

static void test_old_agents_text_is_repaired (void **state)
{
    (void)state;
    REPAIRED ("{\"data\":\"a\\ud800b\"}", "a\xef\xbf\xbd"
                                          "b");
    REPAIRED ("{\"data\":\"\\udc00\\ud83d\\ude00\"}", "\xef\xbf\xbd\xf0\x9f\x98\x80");
    REPAIRED ("{\"data\":\"a\xff"
              "b\"}",
              "a\xef\xbf\xbd"
              "b");
    REPAIRED ("{\"data\":\"a\\u0000b\"}", "a\0b");
    REPAIRED ("{\"data\":\"\\\\ud800 \\\"q\\\"\"}", "\\ud800 \"q\"");
}

static void test_fields_have_types (void **state)
{
    (void)state;
    static const struct {
        const char *json;
        err_t err;
    } rows[] = {
        { "{\"jobId\":\"j\",\"workerId\":\"w\",\"exitCode\":0}", 0 },
        { "{\"jobId\":\"j\",\"workerId\":\"w\",\"exitCode\":0.0,\"extra\":[1]}", 0 },
        { "{\"jobId\":\"j\",\"workerId\":\"w\",\"exitCode\":0.5}", ERR_SCHEMA },
        { "{\"jobId\":\"j\",\"workerId\":\"w\",\"exitCode\":\"0\"}", ERR_SCHEMA },
        { "{\"jobId\":\"j\",\"workerId\":\"w\",\"exitCode\":null}", ERR_SCHEMA },
        { "{\"jobId\":1,\"workerId\":\"w\",\"exitCode\":0}", ERR_SCHEMA },
        { "{\"jobId\":\"j\",\"exitCode\":0}", ERR_SCHEMA },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *object = NULL;
        message_t message;
        fault_t fault;
        assert_int_equal (parse (rows[i].json, strlen (rows[i].json), 0, &object), 0);
        err_t err = json_to_message (object, MSG_JOB_RESULT, &message, NULL, &fault);
        if (!err)
            err = message_check (&message, &fault);
        assert_int_equal (err, rows[i].err);
        json_decref (object);
    }
}

static void test_lists_travel (void **state)
{
    (void)state;
    json_t *object = NULL;
    message_t message;
    message_t got;
    message_t item;
    fault_t fault;
    buf_t raw = { 0 };
    buf_t frame = { 0 };
    assert_int_equal (
        PARSE ("{\"workerId\":\"w\",\"hostname\":\"h\",\"keep\":[{\"jobId\":\"j\",\"attempt\":2,\"token\":\"t\"}]}", 0),
        0);
    assert_int_equal (json_to_message (object, MSG_WORKER_REGISTER, &message, &raw, &fault), 0);
    message_encode (&message, &frame);
    decoder_t *decoder = decoder_new ();
    assert_int_equal (message_decode (decoder, buf_slice (&frame), FRAME_MAX, &got, &fault), 0);
    assert_int_equal (message_list_item (&got.worker_register.keep, MSG_HELD_LEASE, 0, &item, &fault), 0);
    assert_int_equal (item.held_lease.attempt, 2);
    json_t *back = message_to_json (&got);
    assert_int_equal (json_array_size (json_object_get (back, "keep")), 1);
    assert_true (json_is_null (json_object_get (back, "os")));
    json_decref (back);
    json_decref (object);
    decoder_destroy (&decoder);
    buf_fini (&raw);
    buf_fini (&frame);
}

static void test_text_parameters (void **state)
{
    (void)state;
    message_t message;
    fault_t fault;
    message_init (&message, MSG_JOB_POLL);
    assert_int_equal (message_set_text (&message, SLICE ("wait"), SLICE ("1500"), &fault), 0);
    assert_int_equal (message.job_poll.wait, 1500);
    assert_int_equal (message_set_text (&message, SLICE ("unheard"), SLICE ("x"), &fault), 0);
    assert_int_equal (message_set_text (&message, SLICE ("wait"), SLICE ("soon"), &fault), ERR_SCHEMA);
    assert_int_equal (message_set_text (&message, SLICE ("wait"), SLICE ("99999999999999999999"), &fault), ERR_SCHEMA);
    assert_int_equal (message_set_text (&message, SLICE ("wait"), SLICE (""), &fault), ERR_SCHEMA);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_what_is_refused),   cmocka_unit_test (test_old_agents_text_is_repaired),
        cmocka_unit_test (test_fields_have_types), cmocka_unit_test (test_lists_travel),
        cmocka_unit_test (test_text_parameters),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
