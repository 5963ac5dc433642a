/* The table of metrics, histograms, and both forms that Prometheus reads. */
#include <regex.h>
#include <string.h>

#include "proto/metrics.h"
#include "unit.h"

static void test_names_are_in_order (void **state)
{
    (void)state;
    regex_t name;
    assert_int_equal (regcomp (&name, "^(gleaner|process)(_[a-z]+)+$", REG_EXTENDED | REG_NOSUB), 0);
    for (int at = 0; at < METRIC_COUNT; at++) {
        const metric_row_t *row = metric_row ((metric_t)at);
        assert_int_equal (regexec (&name, row->name, 0, NULL, 0), 0);
        assert_int_equal (metric_find (slice_of (row->name)), at);
        assert_null (strstr (row->name, "_total"));
        assert_null (strpbrk (row->help, "\\\n"));
        assert_true (row->divisor == 1 || strstr (row->name, "_seconds"));
        assert_int_equal (row->help[strlen (row->help) - 1], '.');
    }
    assert_int_equal (metric_find (SLICE ("gleaner_nothing")), METRIC_COUNT);
    regfree (&name);
}

static void test_a_tally_counts_up_to_its_bounds (void **state)
{
    (void)state;
    tally_t tally = { .bounds = &tally_batch };
    tally_add (&tally, -5, 1);
    tally_add (&tally, 1, 2);
    tally_add (&tally, 2, 1);
    tally_add (&tally, 3, 1);
    tally_add (&tally, 1024, 1);
    tally_add (&tally, 1025, 3);
    assert_int_equal (tally.cells[0], 3);
    assert_int_equal (tally.cells[1], 1);
    assert_int_equal (tally.cells[2], 1);
    assert_int_equal (tally.cells[10], 1);
    assert_int_equal (tally.cells[11], 3);
    assert_int_equal (tally.sum, 2 + 2 + 3 + 1024 + 3 * 1025);
}

static void test_bounds_grow (void **state)
{
    (void)state;
    const tally_bounds_t *all[] = { &tally_long_ms, &tally_short_us, &tally_request_us, &tally_batch };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_true (all[i]->count <= TALLY_BOUNDS_MAX);
        for (size_t at = 0; at < all[i]->count; at++)
            assert_true (all[i]->at[at] > (at ? all[i]->at[at - 1] : 0));
    }
}

static void test_what_a_client_takes (void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool open;
    } cases[] = {
        { NULL, false },
        { "", false },
        { "*/*", false },
        { "text/plain", false },
        { "application/openmetrics-text", true },
        { "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", true },
        { "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1", true },
        { "application/openmetrics-text;q=0.3, text/plain;q=0.5", false },
        { "application/openmetrics-text; q=0", false },
        { "application/openmetrics-textual", false },
        { ",;,;q=,application/openmetrics-text;q=0.01,", true },
        { "text/plain;q=0.2;x=y, application/openmetrics-text;q=0.20", true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (metrics_accepts_open (slice_of (cases[i].accept)) != cases[i].open)
            fail_msg ("'%s'", cases[i].accept);
}

static void check_text (buf_t *text, const char *expected)
{
    buf_append (text, "", 1);
    assert_string_equal (text->ptr, expected);
    buf_fini (text);
}

static void test_a_counter_in_both_forms (void **state)
{
    (void)state;
    for (int open = 0; open < 2; open++) {
        buf_t text = { 0 };
        metrics_writer_t writer = { &text, open };
        metrics_family (&writer, METRIC_BROKER_CPU);
        metrics_sample (&writer, METRIC_BROKER_CPU, NULL, 12030040);
        metrics_sample (&writer, METRIC_BROKER_CPU, "a=\"b\"", 7000000);
        metrics_end (&writer);
#define NAME "gleaner_broker_process_cpu_seconds"
        check_text (&text, open ? "# HELP " NAME " Processor time of the broker's process.\n# TYPE " NAME " counter\n"
                                  "# UNIT " NAME " seconds\n" NAME "_total 12.03004\n" NAME "_total{a=\"b\"} 7\n# EOF\n"
                                : "# HELP " NAME "_total Processor time of the broker's process.\n# TYPE " NAME
                                  "_total counter\n" NAME "_total 12.03004\n" NAME "_total{a=\"b\"} 7\n");
#undef NAME
    }
}

static void test_a_histogram_as_counted_and_as_received (void **state)
{
    (void)state;
    buf_t text = { 0 };
    metrics_writer_t writer = { &text, false };
    tally_t tally = { .bounds = &tally_batch };
    tally_add (&tally, 700, 2);
    tally_add (&tally, 5000, 1);
    metrics_tally (&writer, METRIC_COMMIT_REQUESTS, "", &tally);
    buf_append (&text, "", 1);
    assert_non_null (strstr (text.ptr, "gleaner_commit_requests_bucket{le=\"512.0\"} 0\n"
                                       "gleaner_commit_requests_bucket{le=\"1024.0\"} 2\n"
                                       "gleaner_commit_requests_bucket{le=\"+Inf\"} 3\n"
                                       "gleaner_commit_requests_sum 6400\ngleaner_commit_requests_count 3\n"));
    buf_fini (&text);
    message_t sample;
    message_init (&sample, MSG_METRIC_SAMPLE);
    sample.metric_sample.label = SLICE ("lo\"g\\\n");
    sample.metric_sample.part = SLICE ("bucket");
    sample.metric_sample.bound = 2500;
    sample.metric_sample.value = 4;
    metrics_received (&writer, METRIC_SYNC, &sample.metric_sample);
    sample.metric_sample.part = SLICE ("sum");
    metrics_received (&writer, METRIC_SYNC, &sample.metric_sample);
    sample.metric_sample.part = SLICE ("newer");
    metrics_received (&writer, METRIC_SYNC, &sample.metric_sample);
    check_text (&text, "gleaner_sync_seconds_bucket{of=\"lo\\\"g\\\\\\n\",le=\"0.0025\"} 4\n"
                       "gleaner_sync_seconds_sum{of=\"lo\\\"g\\\\\\n\"} 0.000004\n");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_names_are_in_order),
        cmocka_unit_test (test_a_tally_counts_up_to_its_bounds),
        cmocka_unit_test (test_bounds_grow),
        cmocka_unit_test (test_what_a_client_takes),
        cmocka_unit_test (test_a_counter_in_both_forms),
        cmocka_unit_test (test_a_histogram_as_counted_and_as_received),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
