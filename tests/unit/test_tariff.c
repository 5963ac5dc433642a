/* Prices as they are written, and what sums cost: to the millionth, whatever is summed. */
#include "broker/tariff.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "unit.h"

#define HOUR 3600000LL
#define GIB  (1LL << 30)

static void test_prices (void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t micros; /* -1: refused */
    } cases[] = {
        { NULL, 0 },
        { "0", 0 },
        { "0.000001", 1 },
        { "0.05", 50000 },
        { ".5", 500000 },
        { "12.", 12000000 },
        { "00012.340000", 12340000 },
        { "1000000", TARIFF_MAX },
        { "1000000.000001", -1 },
        { "1000001", -1 },
        { "0.0000001", -1 },
        { "", -1 },
        { ".", -1 },
        { "-1", -1 },
        { "+1", -1 },
        { "1e3", -1 },
        { "1,5", -1 },
        { " 1", -1 },
        { "1.2.3", -1 },
        { "0x10", -1 },
        { "99999999999999999999999999999999", -1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t micros = -7;
        bool good = tariff_parse (cases[i].text, &micros);
        if (good != (cases[i].micros >= 0) || (good && micros != cases[i].micros))
            fail_msg ("'%s': %d, %lld", cases[i].text ? cases[i].text : "(none)", good, (long long)micros);
    }
}

static void test_each_tariff_counts_its_own (void **state)
{
    (void)state;
    used_t used = { 0 };
    used_add (&used, 2 * HOUR, HOUR / 2, 3 * GIB, 4 * GIB, 5 * GIB);
    assert_int_equal (used.attempts, 1);
    assert_int_equal (used_mib_seconds (&used), 6LL * 1024 * 3600);
    const tariff_t only[] = {
        { .run_hour = 7 }, { .cpu_hour = 10 }, { .gib_hour = 11 }, { .gib_in = 13 }, { .gib_out = 17 }
    };
    const int64_t costs[] = { 14, 5, 66, 52, 85 };
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        assert_true (tariff_any (&only[i]));
        assert_int_equal (used_cost (&used, &only[i]), costs[i]);
    }
    assert_int_equal (used_cost (&used, &(tariff_t){ 7, 10, 11, 13, 17 }), 14 + 5 + 66 + 52 + 85);
    assert_false (tariff_any (&(tariff_t){ 0 }));
}

/* A million attempts of a millisecond cost just what a thousand seconds do. */
static void test_nothing_drifts (void **state)
{
    (void)state;
    used_t used = { 0 };
    used_t once = { 0 };
    for (int i = 0; i < 1000 * 1000; i++)
        used_add (&used, 1, 1, 1, 0, 0);
    used_add (&once, 1000 * 1000, 1000 * 1000, 1, 0, 0);
    const tariff_t tariff = { .run_hour = 333333, .cpu_hour = 1, .gib_hour = TARIFF_MAX };
    assert_int_equal (used_cost (&used, &tariff), used_cost (&once, &tariff));
    assert_int_equal (used_cost (&used, &(tariff_t){ .run_hour = 333333 }), 92593); /* 92592.5, half up */
}

static void test_no_word_of_a_worker_breaks_a_sum (void **state)
{
    (void)state;
    used_t used = { 0 };
    for (int i = 0; i < 5000; i++)
        used_add (&used, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX);
    used_add (&used, -5, INT_ABSENT, INT_ABSENT, INT_ABSENT, INT_ABSENT);
    used_t twice = used;
    used_merge (&twice, &used);
    assert_int_equal (twice.attempts, 10002);
    const tariff_t tariff = { TARIFF_MAX, TARIFF_MAX, TARIFF_MAX, TARIFF_MAX, TARIFF_MAX };
    assert_int_equal (used_cost (&twice, &tariff), COUNT_MAX);
    assert_true (twice.run_ms <= COUNT_MAX && twice.bytes_out == COUNT_MAX && used_mib_seconds (&twice) <= COUNT_MAX);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_prices),
        cmocka_unit_test (test_each_tariff_counts_its_own),
        cmocka_unit_test (test_nothing_drifts),
        cmocka_unit_test (test_no_word_of_a_worker_breaks_a_sum),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
