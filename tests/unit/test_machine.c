/* What a worker tells of its machine, from the kernel's texts. */
#include "unit.h"

#include "proto/message.h"
#include "worker/machine.h"

static const char meminfo[] = "MemTotal:       16309640 kB\nMemFree:          100 kB\nMemAvailable:    8154820 kB\n";

static void test_load_is_a_share_of_all_processors (void **state)
{
    (void)state;
    machine_t machine;
    machine_parse ("2.50 1.00 0.50 1/234 5678\n", meminfo, 4, &machine);
    assert_int_equal (machine.load_percent, 62);
    machine_parse ("0.05 1.00 0.50 1/234 5678\n", meminfo, 1, &machine);
    assert_int_equal (machine.load_percent, 5);
    machine_parse ("99999.99 0 0 1/1 1\n", meminfo, 1, &machine);
    assert_int_equal (machine.load_percent, LOAD_MAX);
}

static void test_memory (void **state)
{
    (void)state;
    machine_t machine;
    machine_parse ("", meminfo, 1, &machine);
    assert_int_equal (machine.memory_bytes, 16309640LL * 1024);
    assert_int_equal (machine.memory_free_bytes, 8154820LL * 1024);
}

static void test_what_is_not_told_is_absent (void **state)
{
    (void)state;
    static const char *const odd[] = { "", "x", "-1.00", "1", "." };
    static const char *const memories[] = { "",
                                            "MemTotal",
                                            "MemTotal:",
                                            "MemTotal: x kB",
                                            "MemTotal: -5 kB",
                                            "XMemTotal: 1 kB",
                                            "MemTotal: 99999999999999999 kB\n" };
    machine_t machine;
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        machine_parse (odd[i], "", 1, &machine);
        assert_int_equal (machine.load_percent, INT_ABSENT);
    }
    machine_parse ("1.00", "", 0, &machine);
    assert_int_equal (machine.load_percent, INT_ABSENT);
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        machine_parse ("1.00", memories[i], 1, &machine);
        assert_int_equal (machine.memory_bytes, INT_ABSENT);
        assert_int_equal (machine.memory_free_bytes, INT_ABSENT);
    }
}

static void test_this_machine (void **state)
{
    (void)state;
    machine_t machine;
    machine_read (&machine);
    assert_true (machine.load_percent >= 0);
    assert_true (machine.memory_bytes > 0);
    assert_true (machine.memory_free_bytes >= 0 && machine.memory_free_bytes <= machine.memory_bytes);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_load_is_a_share_of_all_processors),
        cmocka_unit_test (test_memory),
        cmocka_unit_test (test_what_is_not_told_is_absent),
        cmocka_unit_test (test_this_machine),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
