/* What a job may use: the lower one of what it asks for and what its worker gives. */
#include "unit.h"

#include "worker/limits.h"
#include "worker/options.h"

static void test_the_lower_one_holds (void **state)
{
    (void)state;
    const limits_t job = { .memory_bytes = 5, .pids = 10, .cpus = 150 };
    const limits_t worker = { .memory_bytes = 7, .disk_bytes = 9, .pids = 3 };
    limits_t both = limits_lower (&job, &worker);
    assert_int_equal (both.memory_bytes, 5);
    assert_int_equal (both.disk_bytes, 9);
    assert_int_equal (both.pids, 3);
    assert_int_equal (both.cpus, 150);
    limits_t turned = limits_lower (&worker, &job);
    assert_memory_equal (&both, &turned, sizeof both);
}

static void test_they_are_told (void **state)
{
    (void)state;
    char text[LIMITS_TEXT_MAX];
    limits_t limits = { 0 };
    limits_text (&limits, text);
    assert_string_equal (text, "none");
    limits = (limits_t){ .memory_bytes = 1, .disk_bytes = 2, .pids = 3, .cpus = 150 };
    limits_text (&limits, text);
    assert_string_equal (text, "memory=1 cpus=1.50 disk=2 pids=3");
    limits = (limits_t){ .cpus = 5 };
    limits_text (&limits, text);
    assert_string_equal (text, "cpus=0.05");
    limits = (limits_t){ 1LL << 44, 1LL << 44, 1 << 22, 102399 };
    limits_text (&limits, text);
    assert_string_equal (text, "memory=17592186044416 cpus=1023.99 disk=17592186044416 pids=4194304");
}

static void test_processors_of_a_worker (void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t cpus; /* 0: refused */
    } rows[] = { { "1", 100 },  { "1.5", 150 }, { "0.25", 25 }, { "1024", 102400 }, { "0", 0 },
                 { "1025", 0 }, { "", 0 },      { ".5", 0 },    { "-1", 0 },        { "two", 0 } };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        worker_options_t options = { .max_cpus = rows[i].text, .max_pids = 9 };
        limits_t limits;
        char problem[256] = "";
        assert_int_equal (worker_options_limits (&options, &limits, problem, sizeof problem), rows[i].cpus > 0);
        assert_int_equal (limits.cpus, rows[i].cpus);
        assert_int_equal (limits.pids, 9);
        assert_int_equal (problem[0] == '\0', rows[i].cpus > 0);
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_the_lower_one_holds),
        cmocka_unit_test (test_they_are_told),
        cmocka_unit_test (test_processors_of_a_worker),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
