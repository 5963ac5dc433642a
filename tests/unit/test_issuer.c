/* Whose word counts: tokens that are signed here with HS256, at times that the test says. */
#include "unit.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/issuer.h"
#include "jwt.h"

#define SECRET "thirty-two bytes and a few more of them"
#define NOW    1700000000000LL

enum { ROUNDS = 100 * 1000 };

typedef struct {
    char path[64];
    char problem[1024];
    issuer_t *issuer;
} place_t;

static int begin (void **state)
{
    place_t *self = xcalloc (1, sizeof *self);
    snprintf (self->path, sizeof self->path, "/tmp/gleaner-issuer-XXXXXX");
    int fd = mkstemp (self->path);
    assert_true (fd >= 0 && write (fd, SECRET "\n", sizeof SECRET) == sizeof SECRET);
    close (fd);
    assert_true (sodium_init () >= 0);
    const issuer_config_t config = { self->path, "HS256", "them", "us", "role" };
    self->issuer = issuer_new (&config, self->problem, sizeof self->problem);
    assert_non_null (self->issuer);
    *state = self;
    return 0;
}

static int end (void **state)
{
    place_t *self = *state;
    issuer_destroy (&self->issuer);
    unlink (self->path);
    free (self);
    return 0;
}

/* Signs `claims` into `out`. */
static slice_t sign (buf_t *out, const char *header, const char *claims)
{
    return jwt_sign (out, SECRET, slice_of (header), slice_of (claims));
}

#define GOOD "\"iss\":\"them\",\"aud\":\"us\",\"sub\":\"alice\",\"role\":\"viewer\""

static err_t check (place_t *self, buf_t *text, const char *claims, int64_t wall_ms, const grant_t **out)
{
    const char *why = NULL;
    err_t err = issuer_check (self->issuer, sign (text, "{\"alg\":\"HS256\"}", claims), wall_ms, out, &why);
    assert_true (!err == !why);
    return err;
}

static void test_a_token_counts_between_its_times (void **state)
{
    static const char claims[] = "{" GOOD ",\"nbf\":1700000000,\"exp\":1700000060.5}";
    place_t *self = *state;
    buf_t text = { 0 };
    const grant_t *grant;
    assert_int_equal (check (self, &text, claims, NOW - ISSUER_EARLY_MS - 1, &grant), ERR_UNAUTHORIZED);
    for (int again = 0; again < 2; again++) { /* the second time it is remembered */
        assert_int_equal (check (self, &text, claims, NOW, &grant), ERR_NONE);
        assert_string_equal (grant->name, "jwt:alice");
        assert_int_equal (grant->role, ROLE_VIEWER);
        assert_int_equal (grant->expires_ms, NOW + 60500);
        assert_int_equal (check (self, &text, claims, NOW - ISSUER_EARLY_MS, &grant), ERR_NONE);
        assert_int_equal (check (self, &text, claims, NOW + 60499, &grant), ERR_NONE);
        assert_int_equal (check (self, &text, claims, NOW + 60500, &grant), ERR_UNAUTHORIZED);
        assert_int_equal (check (self, &text, claims, NOW - ISSUER_EARLY_MS - 1, &grant), ERR_UNAUTHORIZED);
    }
    buf_fini (&text);
}

static void test_what_a_claim_must_be (void **state)
{
    static const struct {
        const char *claims;
        err_t err;
    } cases[] = {
        { "{" GOOD ",\"exp\":1700000001}", ERR_NONE },
        { "{" GOOD "}", ERR_UNAUTHORIZED },
        { "{" GOOD ",\"exp\":\"1700000001\"}", ERR_UNAUTHORIZED },
        { "{" GOOD ",\"exp\":true}", ERR_UNAUTHORIZED },
        { "{" GOOD ",\"exp\":-1700000001}", ERR_UNAUTHORIZED },
        { "{" GOOD ",\"exp\":1e99}", ERR_UNAUTHORIZED },
        { "{" GOOD ",\"exp\":1700000001,\"nbf\":null}", ERR_UNAUTHORIZED },
        { "{" GOOD ",\"exp\":1700000001,\"exp\":1800000000}", ERR_UNAUTHORIZED }, /* twice: no JSON of ours */
        { "{\"iss\":\"them\",\"aud\":[1,\"us\"],\"sub\":\"a\",\"role\":\"admin\",\"exp\":1700000001}", ERR_NONE },
        { "{\"iss\":\"them\",\"aud\":[[\"us\"]],\"sub\":\"a\",\"role\":\"admin\",\"exp\":1700000001}",
          ERR_UNAUTHORIZED },
        { "{\"iss\":[\"them\"],\"aud\":\"us\",\"sub\":\"a\",\"role\":\"admin\",\"exp\":1700000001}", ERR_UNAUTHORIZED },
        { "{\"iss\":\"them\",\"aud\":\"us\",\"sub\":\"a\",\"exp\":1700000001}", ERR_NO_ROLE },
        { "{\"iss\":\"them\",\"aud\":\"us\",\"sub\":\"a\",\"role\":\"gateway\",\"exp\":1700000001}", ERR_NO_ROLE },
        { "{\"iss\":\"them\",\"aud\":\"us\",\"sub\":\"a\",\"role\":\"gateway\",\"exp\":1600000000}", ERR_UNAUTHORIZED },
        { "[]", ERR_UNAUTHORIZED },
        { "{", ERR_UNAUTHORIZED },
    };
    place_t *self = *state;
    buf_t text = { 0 };
    const grant_t *grant;
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++)
        assert_int_equal (check (self, &text, cases[at].claims, NOW, &grant), cases[at].err);
    buf_fini (&text);
}

static void test_the_header_names_the_one_algorithm (void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"hs256\"}",
        "{\"alg\":\"RS256\"}",
        "{\"alg\":256}",
        "{\"typ\":\"JWT\"}",
        "{\"alg\":\"HS256\",\"alg\":\"none\"}",
        "[\"HS256\"]",
        "{\"alg\":\"HS256 \"}",
        "{\"alg\":\"HS256\",\"crit\":[]}",
        "",
        "{\"alg\":\"HS256\"} none",
    };
    place_t *self = *state;
    buf_t text = { 0 };
    const grant_t *grant;
    const char *why;
    for (size_t at = 0; at < sizeof headers / sizeof *headers; at++) {
        slice_t token = sign (&text, headers[at], "{" GOOD ",\"exp\":1700000001}");
        assert_int_equal (issuer_check (self->issuer, token, NOW, &grant, &why), ERR_UNAUTHORIZED);
    }
    buf_fini (&text);
}

/* Each byte of a token counts, and so does its end. */
static void test_what_was_changed_on_the_way (void **state)
{
    place_t *self = *state;
    buf_t text = { 0 };
    const grant_t *grant;
    const char *why;
    assert_int_equal (check (self, &text, "{" GOOD ",\"exp\":1700000001}", NOW, &grant), ERR_NONE);
    for (size_t at = 0; at + 1 < text.len; at++) { /* of the last letter two bits mean nothing */
        text.ptr[at] ^= 1;
        assert_int_equal (issuer_check (self->issuer, buf_slice (&text), NOW, &grant, &why), ERR_UNAUTHORIZED);
        text.ptr[at] ^= 1;
        assert_int_equal (issuer_check (self->issuer, slice_from (text.ptr, at), NOW, &grant, &why), ERR_UNAUTHORIZED);
    }
    buf_append_str (&text, "A");
    assert_int_equal (issuer_check (self->issuer, buf_slice (&text), NOW, &grant, &why), ERR_UNAUTHORIZED);
    buf_fini (&text);
}

static void test_one_that_is_known_costs_little (void **state)
{
    place_t *self = *state;
    buf_t text = { 0 };
    const grant_t *grant;
    const char *why;
    struct timespec begun, ended;
    assert_int_equal (check (self, &text, "{" GOOD ",\"exp\":1700000001}", NOW, &grant), ERR_NONE);
    clock_gettime (CLOCK_MONOTONIC, &begun);
    for (int i = 0; i < ROUNDS; i++)
        assert_int_equal (issuer_check (self->issuer, buf_slice (&text), NOW, &grant, &why), ERR_NONE);
    clock_gettime (CLOCK_MONOTONIC, &ended);
    double us = ((double)(ended.tv_sec - begun.tv_sec) * 1e9 + (double)(ended.tv_nsec - begun.tv_nsec)) / 1e3 / ROUNDS;
    print_message ("a JWT that is known: %.2f us\n", us);
    assert_true (us < 50); /* sanitizers and a busy machine included; a release build takes about 1 */
    buf_fini (&text);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_a_token_counts_between_its_times, begin, end),
        cmocka_unit_test_setup_teardown (test_what_a_claim_must_be, begin, end),
        cmocka_unit_test_setup_teardown (test_the_header_names_the_one_algorithm, begin, end),
        cmocka_unit_test_setup_teardown (test_what_was_changed_on_the_way, begin, end),
        cmocka_unit_test_setup_teardown (test_one_that_is_known_costs_little, begin, end),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
