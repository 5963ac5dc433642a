/* Statistics: rings, times, rows; the activity of workers; the list of gateways. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/activity.h"
#include "broker/gateways.h"
#include "broker/stats.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };
static const int64_t START = 1700000000000LL / HOUR * HOUR; /* a whole hour */

typedef struct {
    stats_point_t points[STATS_POINTS_MAX];
    size_t count;
    stats_total_t total;
} read_t;

static void add_point (void *ctx, const stats_point_t *point)
{
    read_t *read = ctx;
    assert_true (read->count < STATS_POINTS_MAX);
    assert_true (!read->count || point->time_ms > read->points[read->count - 1].time_ms);
    read->points[read->count++] = *point;
}

static const read_t *read_ring (const stats_t *stats, stats_ring_t ring, int64_t wall_ms)
{
    static read_t read;
    read.count = 0;
    stats_read (stats, ring, wall_ms, add_point, &read, &read.total);
    return &read;
}

static int setup (void **state)
{
    *state = stats_new ();
    return 0;
}

static int teardown (void **state)
{
    stats_t *stats = *state;
    stats_destroy (&stats);
    assert_null (stats);
    return 0;
}

/* ---- times ---- */

static void assert_near (int64_t actual, int64_t expected)
{
    int64_t off = actual > expected ? actual - expected : expected - actual;
    if (off * 100 > expected * 7)
        fail_msg ("%lld is more than 7 %% off %lld", (long long)actual, (long long)expected);
}

static void test_every_time_is_read_back_nearly (void **state)
{
    (void)state;
    for (int64_t ms = 0; ms < 30LL * 24 * HOUR; ms += 1 + ms / 37) {
        histogram_t one = { 0 };
        histogram_t many = { 0 };
        histogram_add (&one, ms);
        for (int i = 0; i < 20; i++)
            histogram_add (&many, ms);
        percentiles_t low = histogram_read (&one);
        percentiles_t high = histogram_read (&many);
        assert_near (low.p50, ms);
        assert_near (low.p99, ms);
        assert_near (high.p50, ms);
        assert_near (high.p99, ms);
        if (ms < 32)
            assert_int_equal (high.p99, ms);
    }
}

static void test_percentiles_of_a_spread (void **state)
{
    (void)state;
    histogram_t histogram = { 0 };
    assert_int_equal (histogram_read (&histogram).p50, INT_ABSENT);
    for (int64_t ms = 1; ms < 16384; ms++) /* whole cells */
        histogram_add (&histogram, ms);
    percentiles_t read = histogram_read (&histogram);
    assert_in_range (read.p50, 8190, 8194); /* interpolated: much nearer than a cell is wide */
    assert_in_range (read.p95, 15560, 15568);
    assert_in_range (read.p99, 16217, 16223);
}

static void test_times_out_of_bounds (void **state)
{
    (void)state;
    histogram_t histogram = { 0 };
    histogram_add (&histogram, -5);
    assert_int_equal (histogram_read (&histogram).p99, 0);
    histogram = (histogram_t){ 0 };
    histogram_add (&histogram, INT64_MAX);
    assert_near (histogram_read (&histogram).p99, 30LL * 24 * HOUR);
}

/* ---- rings ---- */

static void test_counts_stand_in_all_rings (void **state)
{
    stats_t *stats = *state;
    stats_created (stats, START);
    stats_created (stats, START + 1);
    stats_started (stats, START + 2, 500);
    stats_started (stats, START + 2, INT_ABSENT);
    stats_ended (stats, START + 3, false, 1000, SLICE_ABSENT);
    stats_ended (stats, START + 4, true, INT_ABSENT, SLICE ("cancelled"));
    for (int ring = 0; ring < STATS_RINGS; ring++) {
        const read_t *read = read_ring (stats, (stats_ring_t)ring, START + 5);
        assert_int_equal (read->count, 1);
        assert_int_equal (read->points[0].time_ms, START);
        stats_counts_t counts = read->points[0].counts;
        assert_int_equal (counts.created, 2);
        assert_int_equal (counts.started, 2);
        assert_int_equal (counts.completed, 1);
        assert_int_equal (counts.failed, 1);
        assert_near (counts.wait.p50, 500);
        assert_near (counts.run.p95, 1000);
        assert_memory_equal (&counts, &read->total.counts, sizeof counts);
        assert_int_equal (read->total.reason_count, 1);
        assert_string_equal (read->total.reasons[0].name, "cancelled");
    }
}

static void test_old_buckets_make_room_and_gaps_stay (void **state)
{
    stats_t *stats = *state;
    for (int minute = 0; minute < 200; minute++)
        if (minute < 150 || minute >= 170) /* the broker was down */
            stats_created (stats, START + minute * (int64_t)MINUTE);
    int64_t now = START + 199 * (int64_t)MINUTE + 59999;
    const read_t *minutes = read_ring (stats, STATS_MINUTES, now);
    assert_int_equal (minutes->count, 40);
    assert_int_equal (minutes->points[0].time_ms, START + 140 * MINUTE);
    assert_int_equal (minutes->points[10].time_ms, START + 170 * MINUTE);
    assert_int_equal (minutes->total.counts.created, 40);
    const read_t *fives = read_ring (stats, STATS_FIVES, now);
    assert_int_equal (fives->count, 36);
    assert_int_equal (fives->points[35].counts.created, 5);
    assert_int_equal (read_ring (stats, STATS_HOURS, now)->total.counts.created, 180);
    assert_int_equal (read_ring (stats, STATS_MINUTES, now + HOUR)->count, 0);
    assert_int_equal (read_ring (stats, STATS_HOURS, now + 167 * (int64_t)HOUR)->count,
                      1); /* the last hour of the four */
    assert_int_equal (read_ring (stats, STATS_HOURS, now + 168 * (int64_t)HOUR)->count, 0);
}

static void test_a_clock_that_is_set_back (void **state)
{
    stats_t *stats = *state;
    stats_created (stats, START + 30 * MINUTE);
    stats_created (stats, START + 10 * MINUTE);
    const read_t *before = read_ring (stats, STATS_MINUTES, START + 10 * MINUTE);
    assert_int_equal (before->count, 1); /* what is to come is not shown */
    assert_int_equal (before->points[0].time_ms, START + 10 * MINUTE);
    assert_int_equal (read_ring (stats, STATS_MINUTES, START + 30 * MINUTE)->count, 2);
    stats_created (stats, START - 20 * MINUTE); /* of the same place in the ring as minute 40 */
    stats_created (stats, START + 40 * MINUTE);
    assert_int_equal (read_ring (stats, STATS_MINUTES, START + 40 * MINUTE)->count, 3);
    stats_created (stats, -1);
    assert_int_equal (read_ring (stats, STATS_MINUTES, 5)->count, 1);
}

static void test_levels_are_means (void **state)
{
    stats_t *stats = *state;
    stats_sample (stats, START, &(stats_level_t){ 10, 4, 3, 4, 8 });
    stats_sample (stats, START + 5000, &(stats_level_t){ 21, 4, 3, 2, 8 });
    stats_created (stats, START + MINUTE); /* a minute without a sample yet shows the last one */
    const read_t *read = read_ring (stats, STATS_MINUTES, START + MINUTE);
    assert_int_equal (read->points[0].level.pending, 16);
    assert_int_equal (read->points[0].level.busy_slots, 3);
    assert_int_equal (read->points[0].level.slots, 8);
    assert_int_equal (read->points[1].level.pending, 21);
}

static void test_too_many_reasons_are_other (void **state)
{
    stats_t *stats = *state;
    char name[64];
    for (int i = 0; i < 20; i++) {
        snprintf (name, sizeof name, "reason-%02d", i);
        for (int count = 0; count <= i; count++)
            stats_ended (stats, START, true, 1, slice_of (name));
    }
    memset (name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    stats_ended (stats, START, true, 1, slice_of (name));
    stats_ended (stats, START, true, 1, SLICE_ABSENT);
    stats_ended (stats, START, true, 1, SLICE ("other"));
    const read_t *read = read_ring (stats, STATS_MINUTES, START);
    assert_int_equal (read->total.reason_count, 17);
    assert_string_equal (read->total.reasons[0].name, "other");
    assert_int_equal (read->total.reasons[0].count, 17 + 18 + 19 + 20 + 3);
    assert_string_equal (read->total.reasons[1].name, "reason-15");
    assert_int_equal (read->total.reasons[1].count, 16);
    for (int i = 0; i < 100; i++) { /* and over many buckets */
        snprintf (name, sizeof name, "more-%02d", i);
        stats_ended (stats, START + i / 10 * MINUTE, true, 1, slice_of (name));
    }
    read = read_ring (stats, STATS_MINUTES, START + 9 * MINUTE);
    assert_int_equal (read->total.reason_count, STATS_REASONS_MAX - 1); /* one place is kept for `other` */
    int64_t sum = 0;
    for (size_t i = 0; i < read->total.reason_count; i++)
        sum += read->total.reasons[i].count;
    assert_int_equal (sum, read->total.counts.failed);
}

/* ---- rows ---- */

typedef struct {
    stats_t *into;
    int64_t wall_ms;
    size_t rows;
    size_t most;
} copy_t;

static err_t copy_row (void *ctx, stats_ring_t ring, int64_t time_ms, slice_t bytes)
{
    copy_t *copy = ctx;
    copy->rows++;
    copy->most = bytes.len > copy->most ? bytes.len : copy->most;
    if (copy->into)
        assert_true (stats_load (copy->into, ring, time_ms, bytes, copy->wall_ms));
    return ERR_NONE;
}

static size_t changed (const stats_t *stats)
{
    buf_t room = { 0 };
    copy_t copy = { 0 };
    assert_int_equal (stats_each_changed (stats, &room, copy_row, &copy), 0);
    buf_fini (&room);
    return copy.rows;
}

static void some_life (stats_t *stats)
{
    char name[32];
    for (int i = 0; i < 300; i++) {
        int64_t at = START + i * (int64_t)MINUTE;
        snprintf (name, sizeof name, "reason-%d", i % 18);
        stats_created (stats, at);
        stats_started (stats, at, i * i);
        stats_ended (stats, at, i % 3 == 0, i * 100, i % 3 == 0 ? slice_of (name) : SLICE_ABSENT);
        stats_sample (stats, at, &(stats_level_t){ i, 1, 2, 3, 4 });
    }
}

static void test_rows_come_back_as_they_were (void **state)
{
    stats_t *stats = *state;
    stats_t *other = stats_new ();
    buf_t room = { 0 };
    some_life (stats);
    int64_t now = START + 299 * (int64_t)MINUTE;
    copy_t copy = { .into = other, .wall_ms = now };
    assert_int_equal (stats_each_changed (stats, &room, copy_row, &copy), 0);
    assert_int_equal (copy.rows, 60 + 60 + 5);
    for (int ring = 0; ring < STATS_RINGS; ring++) {
        read_t first = *read_ring (stats, (stats_ring_t)ring, now);
        const read_t *second = read_ring (other, (stats_ring_t)ring, now);
        assert_int_equal (first.count, second->count);
        assert_memory_equal (first.points, second->points, first.count * sizeof *first.points);
        assert_memory_equal (&first.total, &second->total, sizeof first.total);
    }
    stats_created (other, now); /* it goes on where it was */
    assert_int_equal (read_ring (other, STATS_HOURS, now)->points[4].counts.created, 61);
    buf_fini (&room);
    stats_destroy (&other);
}

static void test_only_what_has_changed_is_given_out (void **state)
{
    stats_t *stats = *state;
    some_life (stats);
    assert_int_equal (changed (stats), 125);
    assert_int_equal (changed (stats), 125); /* not stored yet */
    stats_stored (stats);
    assert_int_equal (changed (stats), 0);
    stats_created (stats, START + 300 * (int64_t)MINUTE);
    assert_int_equal (changed (stats), 3);
}

static err_t refuse_row (void *ctx, stats_ring_t ring, int64_t time_ms, slice_t bytes)
{
    (void)ring, (void)time_ms, (void)bytes;
    ++*(int *)ctx;
    return ERR_DISK_FULL;
}

static void test_the_first_error_ends_the_rows (void **state)
{
    stats_t *stats = *state;
    buf_t room = { 0 };
    int rows = 0;
    some_life (stats);
    assert_int_equal (stats_each_changed (stats, &room, refuse_row, &rows), ERR_DISK_FULL);
    assert_int_equal (rows, 1);
    buf_fini (&room);
}

static void test_rows_beyond_the_ring_are_passed_over (void **state)
{
    stats_t *stats = *state;
    stats_t *other = stats_new ();
    buf_t room = { 0 };
    stats_created (stats, START);
    copy_t late = { .into = other, .wall_ms = START + 10 * 24 * (int64_t)HOUR };
    copy_t early = { .into = other, .wall_ms = START - HOUR };
    assert_int_equal (stats_each_changed (stats, &room, copy_row, &late), 0);
    assert_int_equal (stats_each_changed (stats, &room, copy_row, &early), 0);
    for (int ring = 0; ring < STATS_RINGS; ring++) {
        assert_int_equal (read_ring (other, (stats_ring_t)ring, START)->count, 0);
    }
    buf_fini (&room);
    stats_destroy (&other);
}

typedef struct {
    buf_t bytes;
    int64_t time_ms;
} kept_t;

static err_t keep_hour (void *ctx, stats_ring_t ring, int64_t time_ms, slice_t bytes)
{
    kept_t *kept = ctx;
    if (ring != STATS_HOURS)
        return ERR_NONE;
    buf_clear (&kept->bytes);
    buf_append (&kept->bytes, bytes.ptr, bytes.len);
    kept->time_ms = time_ms;
    return ERR_NONE;
}

/* Shorter ones, longer ones, and ones with any byte changed: refused or taken, but never trusted. */
static void test_a_damaged_row_is_refused (void **state)
{
    stats_t *stats = *state;
    stats_t *other = stats_new ();
    buf_t room = { 0 };
    kept_t kept = { 0 };
    some_life (stats);
    assert_int_equal (stats_each_changed (stats, &room, keep_hour, &kept), 0);
    slice_t row = buf_slice (&kept.bytes);
    int64_t now = kept.time_ms + 1;
    assert_true (stats_load (other, STATS_HOURS, kept.time_ms, row, now));
    assert_false (stats_load (other, STATS_HOURS, kept.time_ms + 1, row, now));
    assert_false (stats_load (other, STATS_HOURS, -HOUR, row, now));
    for (size_t len = 0; len < row.len; len++) {
        char *copy = slice_dup (slice_from (row.ptr, len)); /* of its own, so that a sanitizer sees its end */
        assert_false (stats_load (other, STATS_HOURS, kept.time_ms, slice_from (copy, len), now));
        free (copy);
    }
    for (size_t at = 0; at < row.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            kept.bytes.ptr[at] ^= (char)(1 << bit);
            bool taken = stats_load (other, STATS_HOURS, kept.time_ms, row, now);
            assert_false (taken && at == 0);
            const read_t *read = read_ring (other, STATS_HOURS, now);
            for (size_t i = 0; i < read->count; i++)
                assert_in_range (read->points[i].level.pending, 0, COUNT_MAX);
            kept.bytes.ptr[at] ^= (char)(1 << bit);
        }
    buf_append (&kept.bytes, "x", 1);
    assert_false (stats_load (other, STATS_HOURS, kept.time_ms, buf_slice (&kept.bytes), now));
    buf_fini (&kept.bytes);
    buf_fini (&room);
    stats_destroy (&other);
}

/* ---- activity ---- */

static const uint8_t secret[16] = { 1 };
#define QUARTER ((int64_t)ACTIVITY_STEP_MS)

static void assert_activity (const activity_t *activity, const char *worker, const char *end)
{
    char expected[ACTIVITY_CELLS];
    char actual[ACTIVITY_CELLS];
    size_t len = strlen (end);
    memset (expected, '-', sizeof expected);
    memcpy (expected + sizeof expected - len, end, len);
    activity_text (activity, slice_of (worker), actual);
    if (memcmp (expected, actual, sizeof actual) != 0)
        fail_msg ("%s: %.96s", worker, actual);
}

static void test_activity_is_the_share_of_busy_slots (void **state)
{
    (void)state;
    activity_t *activity = activity_new (secret);
    assert_true (activity_round (activity, START));
    activity_sample (activity, SLICE ("full"), 4, 4);
    activity_sample (activity, SLICE ("more"), 2, 1);
    activity_sample (activity, SLICE ("some"), 1, 4);
    activity_sample (activity, SLICE ("idle"), 0, 4);
    activity_sample (activity, SLICE ("gone"), 0, 0);
    assert_false (activity_round (activity, START + 5000));
    activity_sample (activity, SLICE ("full"), 4, 4);
    activity_sample (activity, SLICE ("more"), 0, 1);
    activity_sample (activity, SLICE ("some"), 0, 0); /* offline: what was known before stays */
    assert_activity (activity, "full", "9");
    assert_activity (activity, "more", "5");
    assert_activity (activity, "some", "2");
    assert_activity (activity, "idle", "0");
    assert_activity (activity, "gone", "");
    assert_activity (activity, "nobody", "");
    assert_int_equal (activity_until_ms (activity), START + QUARTER);
    activity_destroy (&activity);
    assert_null (activity);
}

static void test_activity_moves_on (void **state)
{
    (void)state;
    activity_t *activity = activity_new (secret);
    activity_round (activity, START);
    activity_sample (activity, SLICE ("w"), 1, 1);
    assert_true (activity_round (activity, START + QUARTER));
    activity_sample (activity, SLICE ("w"), 0, 1);
    assert_true (activity_round (activity, START + 4 * QUARTER)); /* asleep for two quarters */
    activity_sample (activity, SLICE ("w"), 1, 2);
    assert_activity (activity, "w", "90--5");
    activity_round (activity, START + 2 * QUARTER); /* the clock is set back: what is to come is not known */
    activity_sample (activity, SLICE ("w"), 3, 10);
    assert_activity (activity, "w", "903");
    activity_round (activity, START + 97 * QUARTER);
    activity_sample (activity, SLICE ("w"), 1, 1);
    char text[ACTIVITY_CELLS];
    activity_text (activity, SLICE ("w"), text);
    assert_int_equal (text[0], '3');
    assert_int_equal (text[1], '-');
    activity_round (activity, START + 1000 * QUARTER);
    activity_sample (activity, SLICE ("w"), 1, 1);
    assert_activity (activity, "w", "9");
    activity_destroy (&activity);
}

static void test_workers_that_the_registry_forgot_go (void **state)
{
    (void)state;
    activity_t *activity = activity_new (secret);
    activity_round (activity, START);
    activity_sample (activity, SLICE ("stays"), 1, 1);
    activity_sample (activity, SLICE ("offline"), 1, 1);
    activity_sample (activity, SLICE ("forgotten"), 1, 1);
    activity_round (activity, START + 1000);
    activity_sample (activity, SLICE ("stays"), 1, 1);
    activity_sample (activity, SLICE ("offline"), 0, 0);
    activity_round (activity, START + QUARTER);
    assert_activity (activity, "stays", "9-");
    assert_activity (activity, "offline", "9-");
    assert_activity (activity, "forgotten", "");
    char name[32];
    for (int i = 0; i < ACTIVITY_WORKERS_MAX + 10; i++) {
        snprintf (name, sizeof name, "w%d", i);
        activity_sample (activity, slice_of (name), 1, 1);
    }
    assert_int_equal (activity_rows (activity),
                      (ACTIVITY_WORKERS_MAX + ACTIVITY_ROW_WORKERS - 1) / ACTIVITY_ROW_WORKERS);
    assert_activity (activity, "w0", "9");
    assert_activity (activity, "w20005", "");
    activity_destroy (&activity);
}

static void copy_activity (const activity_t *from, activity_t *to, int64_t wall_ms)
{
    buf_t row = { 0 };
    for (size_t i = 0; i < activity_rows (from); i++) {
        buf_clear (&row);
        activity_row (from, i, &row);
        assert_true (activity_load (to, buf_slice (&row), wall_ms));
    }
    buf_fini (&row);
}

static activity_t *some_activity (int workers)
{
    activity_t *activity = activity_new (secret);
    char name[32];
    for (int round = 0; round < 3; round++) {
        activity_round (activity, START + round * QUARTER);
        for (int i = 0; i < workers; i++) {
            snprintf (name, sizeof name, "w%d", i);
            activity_sample (activity, slice_of (name), i % 10, 10);
        }
    }
    return activity;
}

static void test_activity_comes_back (void **state)
{
    (void)state;
    activity_t *first = some_activity (600);
    assert_int_equal (activity_rows (first), 3);
    activity_t *soon = activity_new (secret);
    copy_activity (first, soon, START + 2 * QUARTER + 5);
    assert_activity (soon, "w555", "555");
    activity_round (soon, START + 2 * QUARTER + 10);
    activity_sample (soon, SLICE ("w555"), 9, 10); /* one sample was there before */
    assert_activity (soon, "w555", "557");
    activity_destroy (&soon);
    activity_t *later = activity_new (secret);
    copy_activity (first, later, START + 4 * QUARTER);
    assert_activity (later, "w599", "999--");
    activity_round (later, START + 4 * QUARTER);
    activity_sample (later, SLICE ("w599"), 0, 10);
    assert_activity (later, "w599", "999-0");
    activity_destroy (&later);
    activity_t *back = activity_new (secret); /* the clock was set back meanwhile */
    copy_activity (first, back, START + QUARTER);
    assert_activity (back, "w4", "44");
    activity_destroy (&back);
    activity_t *never = activity_new (secret);
    copy_activity (first, never, START + 1000 * QUARTER);
    assert_activity (never, "w4", "");
    activity_destroy (&never);
    activity_destroy (&first);
}

static void test_damaged_activity_is_refused (void **state)
{
    (void)state;
    activity_t *first = some_activity (2);
    buf_t row = { 0 };
    activity_row (first, 0, &row);
    size_t head = 9;
    size_t one = (row.len - head) / 2;
    for (size_t len = 0; len < row.len; len++) {
        activity_t *other = activity_new (secret);
        char *copy = slice_dup (slice_from (row.ptr, len));
        bool whole = len == head || len == head + one;
        assert_int_equal (activity_load (other, slice_from (copy, len), START + 2 * QUARTER), whole);
        free (copy);
        activity_destroy (&other);
    }
    for (size_t at = 0; at < row.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            activity_t *other = activity_new (secret);
            char text[ACTIVITY_CELLS];
            row.ptr[at] ^= (char)(1 << bit);
            bool taken = activity_load (other, buf_slice (&row), START + 2 * QUARTER);
            assert_false (taken && at == 0);
            activity_text (other, SLICE ("w0"), text);
            for (size_t i = 0; i < sizeof text; i++)
                assert_true (text[i] == '-' || (text[i] >= '0' && text[i] <= '9'));
            activity_round (other, START + 3 * QUARTER);
            row.ptr[at] ^= (char)(1 << bit);
            activity_destroy (&other);
        }
    buf_fini (&row);
    activity_destroy (&first);
}

/* ---- gateways ---- */

static bool hello (gateways_t *gateways, const char *id, int64_t now_ms)
{
    msg_gateway_hello_t in = {
        .gateway_id = slice_of (id), .listen = SLICE ("127.0.0.1:3000"), .version = SLICE ("1"), .uptime_ms = now_ms
    };
    return gateways_heard (gateways, &in, now_ms, now_ms + 1000);
}

static void test_gateways_are_listed_until_they_are_silent (void **state)
{
    (void)state;
    gateways_t gateways = { 0 };
    assert_true (hello (&gateways, "a", 1));
    assert_true (hello (&gateways, "b", 2));
    assert_true (hello (&gateways, "a", 10000));
    assert_int_equal (gateways.count, 2);
    assert_string_equal (gateways.items[0].id, "a");
    assert_int_equal (gateways.items[0].seen_wall_ms, 11000);
    assert_string_equal (gateways.items[0].listen, "127.0.0.1:3000");
    gateways_forget (&gateways, GATEWAY_FORGET_MS + 1);
    assert_int_equal (gateways.count, 2);
    gateways_forget (&gateways, GATEWAY_FORGET_MS + 2);
    assert_int_equal (gateways.count, 1);
    assert_string_equal (gateways.items[0].id, "a");
}

static void test_there_are_not_too_many_gateways (void **state)
{
    (void)state;
    gateways_t gateways = { 0 };
    char id[16];
    for (int i = 0; i < GATEWAYS_MAX; i++) {
        snprintf (id, sizeof id, "g%d", i);
        assert_true (hello (&gateways, id, 5));
    }
    assert_false (hello (&gateways, "one more", 6));
    assert_true (hello (&gateways, "g7", 7));
    assert_true (hello (&gateways, "one more", 5 + GATEWAY_FORGET_MS));
    assert_int_equal (gateways.count, 2);
}

int main (void)
{
#define STATS(test) cmocka_unit_test_setup_teardown (test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_time_is_read_back_nearly),
        cmocka_unit_test (test_percentiles_of_a_spread),
        cmocka_unit_test (test_times_out_of_bounds),
        STATS (test_counts_stand_in_all_rings),
        STATS (test_old_buckets_make_room_and_gaps_stay),
        STATS (test_a_clock_that_is_set_back),
        STATS (test_levels_are_means),
        STATS (test_too_many_reasons_are_other),
        STATS (test_rows_come_back_as_they_were),
        STATS (test_only_what_has_changed_is_given_out),
        STATS (test_the_first_error_ends_the_rows),
        STATS (test_rows_beyond_the_ring_are_passed_over),
        STATS (test_a_damaged_row_is_refused),
        cmocka_unit_test (test_activity_is_the_share_of_busy_slots),
        cmocka_unit_test (test_activity_moves_on),
        cmocka_unit_test (test_workers_that_the_registry_forgot_go),
        cmocka_unit_test (test_activity_comes_back),
        cmocka_unit_test (test_damaged_activity_is_refused),
        cmocka_unit_test (test_gateways_are_listed_until_they_are_silent),
        cmocka_unit_test (test_there_are_not_too_many_gateways),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
