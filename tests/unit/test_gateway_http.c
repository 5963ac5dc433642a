/* The gateway's pure parts: routes, request targets, JSON text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/hosts.h"
#include "gateway/hygiene.h"
#include "gateway/jsonout.h"
#include "gateway/parts.h"
#include "gateway/routes.h"

static void test_targets (void **state)
{
    (void)state;
    static const char *const clean[] = { "/", "/api/jobs/status?jobId=a%2e%00b", "/a%20b", "/uploads/x.zip",
                                         "/a?b=\\c" };
    static const char *const unclean[] = { "/%2e%2e/x", "/a%2Fb", "/a%5cb", "/a\\b",     "/a%00", "/a%1f", "/a%",
                                           "/a%2",      "/a%zz",  "/a\x01", "/a?b=\x7f", "/a b",  "/a?b= " };
    for (size_t at = 0; at < sizeof clean / sizeof clean[0]; at++)
        assert_true (target_clean (clean[at]));
    for (size_t at = 0; at < sizeof unclean / sizeof unclean[0]; at++)
        assert_false (target_clean (unclean[at]));
}

static void test_hosts (void **state)
{
    (void)state;
    hosts_t hosts;
    hosts_init (&hosts, "gw.example,Other.example");
    static const char *const known[] = { "127.0.0.1", "10.0.0.7:80", "[::1]:3000", "[fe80::1]",       "localhost.",
                                         "pc7",       "a.localhost", "GW.example", "other.example:1", "gw.example." };
    static const char *const unknown[] = { "",
                                           ":80",
                                           ".",
                                           "..",
                                           "[::1",
                                           "::1",
                                           "[::1]x",
                                           "[1.2.3.4]",
                                           "1.2.3",
                                           "evil.example",
                                           "gw.example.x",
                                           "w.example",
                                           "*",
                                           "a:b",
                                           "a b",
                                           "gw.example,",
                                           "localhost.evil.example",
                                           ".localhost" };
    for (size_t at = 0; at < sizeof known / sizeof known[0]; at++)
        assert_true (hosts_know (&hosts, slice_of (known[at])));
    for (size_t at = 0; at < sizeof unknown / sizeof unknown[0]; at++)
        assert_false (hosts_know (&hosts, slice_of (unknown[at])));
    assert_true (hosts_know (&hosts, slice_of (hosts.machine)));
    hosts_init (&hosts, "*");
    assert_true (hosts_know (&hosts, SLICE ("evil.example")));
    assert_false (hosts_know (&hosts, slice_from ("pc7\0x", 5)));
}

static void test_boundaries (void **state)
{
    (void)state;
    static const char *const kinds[] = { "multipart/form-data",
                                         "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"" };
    char text[256] = "multipart/form-data; Boundary=";
    for (size_t at = 0; at < sizeof kinds / sizeof kinds[0]; at++)
        assert_false (boundary_good (slice_of (kinds[at])));
    memset (text + strlen (text), 'b', BOUNDARY_MAX);
    assert_true (boundary_good (slice_of (text)));
    text[strlen (text)] = 'b';
    assert_false (boundary_good (slice_of (text)));
    assert_true (boundary_good (SLICE ("multipart/form-data; boundary=\"a b\"; charset=utf-8")));
}

static void test_a_row_is_found_by_path_and_method (void **state)
{
    (void)state;
    unsigned allowed = 0;
    assert_int_equal (route_find ("/api/jobs/create", METHOD_POST, &allowed)->type, MSG_JOB_CREATE);
    assert_int_equal (route_find ("/api/jobs/create", METHOD_GET, &allowed)->type, MSG_JOB_LIST);
    assert_int_equal (route_find ("/api/jobs/create", METHOD_HEAD, &allowed)->type, MSG_JOB_LIST);
    assert_int_equal (route_find ("/uploads/x.zip", METHOD_GET, &allowed)->type, MSG_BLOB_GET);
    assert_non_null (route_find ("/", METHOD_GET, &allowed));
    assert_non_null (route_find ("/app.js", METHOD_HEAD, &allowed));
}

static void test_wrong_method_and_wrong_path_differ (void **state)
{
    (void)state;
    unsigned allowed = 0;
    char text[64];
    assert_null (route_find ("/api/jobs/create", METHOD_DELETE, &allowed));
    methods_format (allowed, text, sizeof text);
    assert_string_equal (text, "GET, HEAD, POST, OPTIONS");
    assert_null (route_find ("/api/jobs/create", 0, &allowed));
    assert_int_not_equal (allowed, 0);
    assert_null (route_find ("/api/nope", METHOD_GET, &allowed));
    assert_int_equal (allowed, 0);
    assert_null (route_find ("/a/b", METHOD_GET, &allowed));
    assert_int_equal (allowed, 0);
}

/* HEAD must not take a job off the queue. */
static void test_head_does_not_poll (void **state)
{
    (void)state;
    unsigned allowed = 0;
    assert_null (route_find ("/api/jobs/get-job", METHOD_HEAD, &allowed));
    assert_non_null (route_find ("/api/jobs/get-job", METHOD_GET, &allowed));
}

static void assert_json (slice_t bytes, const char *wanted)
{
    buf_t out = { 0 };
    jsonout_bytes (&out, bytes);
    assert_string_equal (out.ptr, wanted);
    buf_fini (&out);
}

static void test_bytes_become_valid_json (void **state)
{
    (void)state;
    assert_json (SLICE (""), "\"\"");
    assert_json (SLICE ("a\"b\\c\n\r\t\x01\x7f"), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\"");
    assert_json (SLICE ("h\xc3\xa4"), "\"h\xc3\xa4\"");
    assert_json (SLICE ("a\xff"), "\"a\xef\xbf\xbd\"");
    assert_json (SLICE ("a\0b"), "\"a\\u0000b\"");
}

static void test_every_declared_field_is_there (void **state)
{
    (void)state;
    message_t message;
    message_init (&message, MSG_JOB_OUTPUT_OK);
    message.job_output_ok.offset = 7;
    message.job_output_ok.cancel_requested = false;
    buf_t out = { 0 };
    jsonout_fields (&out, &message);
    assert_string_equal (out.ptr, "\"offset\":7,\"cancelRequested\":false");
    buf_clear (&out);
    message_init (&message, MSG_JOB_RENEW_OK);
    jsonout_fields (&out, &message);
    assert_string_equal (out.ptr, "\"cancelRequested\":null,\"leaseMs\":null");
    buf_fini (&out);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_targets),
        cmocka_unit_test (test_hosts),
        cmocka_unit_test (test_boundaries),
        cmocka_unit_test (test_a_row_is_found_by_path_and_method),
        cmocka_unit_test (test_wrong_method_and_wrong_path_differ),
        cmocka_unit_test (test_head_does_not_poll),
        cmocka_unit_test (test_bytes_become_valid_json),
        cmocka_unit_test (test_every_declared_field_is_there),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
