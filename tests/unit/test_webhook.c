/* What is told by HTTP, and to whom: signatures, URLs, pauses, traceparent. */
#include "unit.h"

#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/courier.h"
#include "broker/webhook.h"
#include "proto/traceparent.h"

static char problem[1024];

/* The example of the specification's own libraries. */
static void test_a_signature_is_the_one_that_others_compute (void **state)
{
    (void)state;
    char path[] = "/tmp/gleaner-webhook-XXXXXX";
    int fd = mkstemp (path);
    static const char secret[] = "\n  whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw  \r\n";
    assert_int_equal (write (fd, secret, sizeof secret - 1), sizeof secret - 1);
    webhook_config_t config;
    webhook_options_t options = { .urls = "https://h/\n", .on = "all", .secret_file = path };
    assert_true (webhook_config_init (&config, &options, problem, sizeof problem));
    buf_t headers = { 0 };
    webhook_sign (&config, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330999LL, SLICE ("{\"test\": 2432232314}"), &headers);
    assert_true (slice_eq_str (buf_slice (&headers),
                               "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\nwebhook-timestamp: 1614265330\n"
                               "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\n"));
    buf_fini (&headers);
    webhook_config_fini (&config);
    options.secret_file = NULL;
    assert_false (webhook_config_init (&config, &options, problem, sizeof problem));
    close (fd);
    unlink (path);
}

static void test_urls (void **state)
{
    (void)state;
    static const struct {
        const char *url, *origin; /* NULL: it is no good one */
    } cases[] = {
        { "https://h/", "https://h" },
        { "http://h:81?x=../..", "http://h:81" },
        { "http://[::1]:81/a..b/..c/d", "http://[::1]:81" },
        { "https://h", "https://h" },
        { "https://", NULL },
        { "https:///x", NULL },
        { "https://:81/x", NULL },
        { "https://h:/x", NULL },
        { "https://h:0/x", NULL },
        { "https://h:65536/x", NULL },
        { "https://h:99999999999999999999/x", NULL },
        { "https://h:8a/x", NULL },
        { "https://h:81:82/x", NULL },
        { "https://h[::1]/x", NULL },
        { "https://[::1]h/x", NULL },
        { "https://[::1/x", NULL },
        { "https://[::1]:65535/x", "https://[::1]:65535" },
        { "ftp://h/", NULL },
        { "https://h/a/..", NULL },
        { "https://h/./a", NULL },
        { "https://h/%2E./a", NULL },
        { "https://h/a%2fb", NULL },
        { "https://h/%252e/", NULL },
        { "https://h@g/", NULL },
        { "https://h/a b", NULL },
        { "https://h/a\tb", NULL },
        { "https://h/\\", NULL },
        { "https://h/#a", NULL },
        { "https://h/\xc3\xbc", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        slice_t url = slice_of (cases[i].url);
        assert_int_equal (webhook_url_good (url), cases[i].origin != NULL);
        assert_true (!cases[i].origin || slice_eq_str (webhook_origin (url), cases[i].origin));
    }
}

static void test_pauses_grow_to_a_bound_and_are_jittered (void **state)
{
    (void)state;
    assert_int_equal (courier_pause (1, 1000, 60000, 0, 0), 1000);
    assert_int_equal (courier_pause (1, 1000, 60000, 0, 500), 500);
    assert_int_equal (courier_pause (4, 1000, 60000, 0, 0), 8000);
    assert_int_equal (courier_pause (1000000, 1000, 60000, 0, 0), 60000);
    assert_int_equal (courier_pause (1, 1000, 60000, 5000, 0), 5000);
    assert_int_equal (courier_pause (1, 1000, 60000, INT64_MAX, 0), 60 * 60 * 1000); /* nobody puts us off for ever */
    for (uint32_t random = 0; random < 5000; random++)
        assert_in_range (courier_pause (3, 1000, 60000, 0, random), 2000, 4000);
}

static void test_spans_have_lasting_ids (void **state)
{
    (void)state;
    static const char text[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    traceparent_t trace;
    char first[SPAN_ID_LEN + 1];
    char other[SPAN_ID_LEN + 1];
    char back[TRACEPARENT_LEN + 1];
    assert_true (traceparent_parse (slice_of (text), &trace));
    traceparent_format (&trace, back);
    assert_string_equal (back, text);
    traceparent_span (trace.trace_id, SLICE ("job-1"), SPAN_ATTEMPT, 1, first);
    traceparent_span (trace.trace_id, SLICE ("job-1"), SPAN_ATTEMPT, 1, other);
    assert_string_equal (first, other);
    assert_int_equal (strspn (first, "0123456789abcdef"), SPAN_ID_LEN);
    traceparent_span (trace.trace_id, SLICE ("job-1"), SPAN_ATTEMPT, 2, other);
    assert_string_not_equal (first, other);
    traceparent_span (trace.trace_id, SLICE ("job-1"), SPAN_QUEUED, 1, other);
    assert_string_not_equal (first, other);
    traceparent_span (trace.trace_id, SLICE ("job-2"), SPAN_ATTEMPT, 1, other);
    assert_string_not_equal (first, other);
}

static void test_no_part_of_a_traceparent_is_one (void **state)
{
    (void)state;
    static const char text[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    traceparent_t trace;
    for (size_t len = 0; len < TRACEPARENT_LEN; len++) {
        char *copy = slice_dup (slice_from (text, len)); /* so that a read beyond its end is found */
        assert_false (traceparent_parse (slice_from (copy, len), &trace));
        free (copy);
    }
    assert_false (traceparent_parse (SLICE_ABSENT, &trace));
}

/* What comes back while the last is taken is told like all else: a loop that sleeps until it is told must not miss it.
 */
static void test_what_comes_back_is_always_told (void **state)
{
    (void)state;
    enum { POSTS = 5000 };
    courier_t *courier = courier_new ("test", problem, sizeof problem);
    assert_non_null (courier);
    for (int i = 0; i < POSTS; i++) {
        post_t *post = post_new ("gopher://127.0.0.1/", NULL, 1000); /* refused at once */
        assert_true (courier_send (courier, &post));
        for (int look = 0; !post && look < i % 150; look++)
            post = courier_take (courier);
        while (!post) {
            struct pollfd fd = { .fd = courier_fd (courier), .events = POLLIN };
            assert_int_equal (poll (&fd, 1, 10 * 1000), 1);
            post = courier_take (courier);
        }
        assert_int_equal (post->status, 0);
        post_destroy (&post);
    }
    courier_destroy (&courier);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_signature_is_the_one_that_others_compute),
        cmocka_unit_test (test_urls),
        cmocka_unit_test (test_pauses_grow_to_a_bound_and_are_jittered),
        cmocka_unit_test (test_spans_have_lasting_ids),
        cmocka_unit_test (test_no_part_of_a_traceparent_is_one),
        cmocka_unit_test (test_what_comes_back_is_always_told),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
