/* How often one may ask: buckets that fill again, and a table that stays as large as it is. */
#include "unit.h"

#include <sodium.h>
#include <stdio.h>

#include "gateway/rate.h"

static int taken (rate_t *rate, const char *key, int times, int64_t now_ms)
{
    int count = 0;
    for (int i = 0; i < times; i++)
        count += rate_take (rate, slice_of (key), now_ms);
    return count;
}

static void test_a_burst_then_the_rate (void **state)
{
    (void)state;
    rate_t *rate = rate_new (10, 5);
    assert_int_equal (taken (rate, "a", 20, 1000), 5);
    assert_int_equal (taken (rate, "b", 20, 1000), 5); /* another one's is another */
    assert_int_equal (taken (rate, "a", 20, 1099), 0);
    assert_int_equal (taken (rate, "a", 20, 1201), 2);
    assert_int_equal (taken (rate, "a", 20, 60 * 1000), 5); /* never more than a burst */
    rate_destroy (&rate);
}

static void test_to_look_takes_nothing (void **state)
{
    (void)state;
    rate_t *rate = rate_new (1, 2);
    for (int i = 0; i < 10; i++)
        assert_true (rate_left (rate, SLICE ("a"), 1000));
    assert_int_equal (taken (rate, "a", 3, 1000), 2);
    assert_false (rate_left (rate, SLICE ("a"), 1999));
    assert_true (rate_left (rate, SLICE ("a"), 2000));
    assert_true (rate_left (rate, SLICE ("b"), 1000));
    rate_destroy (&rate);
}

static void test_no_rate_is_no_limit (void **state)
{
    (void)state;
    rate_t *rate = rate_new (0, 1);
    assert_int_equal (taken (rate, "a", 1000, 1000), 1000);
    rate_destroy (&rate);
}

static void test_many_keys_push_out_those_that_were_quiet (void **state)
{
    (void)state;
    rate_t *rate = rate_new (1, 1);
    char key[32];
    assert_int_equal (taken (rate, "busy", 2, 1000), 1);
    for (int i = 0; i < 100 * 1000; i++) {
        snprintf (key, sizeof key, "k%d", i);
        assert_true (rate_take (rate, slice_of (key), 1001 + i / 1000));
        assert_false (i % 100 == 0 && rate_take (rate, SLICE ("busy"), 1001 + i / 1000));
    }
    rate_destroy (&rate);
}

int main (void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_burst_then_the_rate),
        cmocka_unit_test (test_to_look_takes_nothing),
        cmocka_unit_test (test_no_rate_is_no_limit),
        cmocka_unit_test (test_many_keys_push_out_those_that_were_quiet),
    };
    return sodium_init () < 0 || cmocka_run_group_tests (tests, NULL, NULL);
}
