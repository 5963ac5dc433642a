/* Write-behind: a job reads as it is, whether its row is up to date or not, and its row is written once. */
#include <string.h>

#include "broker/store_sqlite.h"
#include "store_fixture.h"

enum { ROWS_MAX = 256, OLD = 40 };

static int64_t rows (const fixture_t *self)
{
    return sqlite_ask (sqlite_of (self->store)->db, "SELECT count (*) FROM job");
}

static void commit (fixture_t *self)
{
    assert_int_equal (self->store->ops->commit (self->store), 0);
}

static void insert (fixture_t *self, const char *key)
{
    job_record_t job = fixture_job (++self->last_seq);
    job.idempotency_key = slice_of (key);
    job.request_hash = key ? SLICE ("01234567890123456789012345678901") : SLICE_ABSENT;
    job.labels = SLICE ("team=blue\n");
    assert_int_equal (self->store->ops->job_insert (self->store, &job), 0);
}

static void finish (fixture_t *self, int64_t seq)
{
    job_record_t job = { .id = { .seq = seq, .salt = "abc123" },
                         .state = JOB_COMPLETED,
                         .attempt = 1,
                         .worker_id = SLICE ("w1"),
                         .token = SLICE ("t"),
                         .completed_ms = 77,
                         .exit_code = 3,
                         .signal = INT_ABSENT,
                         .data = { SLICE ("out"), SLICE (""), SLICE_ABSENT },
                         .bytes = { 3, 0, INT_ABSENT } };
    assert_int_equal (self->store->ops->job_update (self->store, &job), 0);
}

/* All jobs so far have rows that are up to date; none is kept. */
static void write_all (fixture_t *self)
{
    commit (self);
    self->store->ops->compact (self->store);
    assert_int_equal (rows (self), self->last_seq);
}

static job_record_t get (fixture_t *self, int64_t seq)
{
    job_id_t id = { .seq = seq, .salt = "abc123" };
    job_record_t job;
    assert_int_equal (self->store->ops->job_get (self->store, &id, &job), 0);
    return job;
}

static void assert_finished (const job_record_t *job)
{
    assert_int_equal (job->state, JOB_COMPLETED);
    assert_int_equal (job->exit_code, 3);
    assert_int_equal (job->completed_ms, 77);
    assert_true (slice_eq (job->command, SLICE ("make test")));
    assert_true (slice_eq (job->data[STREAM_STDOUT], SLICE ("out")));
    assert_true (job->data[STREAM_STDERR].ptr && !job->data[STREAM_STDERR].len);
    assert_null (job->data[STREAM_JOURNAL].ptr);
}

static void assert_no_such (fixture_t *self, int64_t seq, const char *salt)
{
    job_id_t id = { .seq = seq };
    job_record_t job;
    strcpy (id.salt, salt);
    assert_int_equal (self->store->ops->job_get (self->store, &id, &job), ERR_NO_SUCH_JOB);
}

static void test_a_job_without_a_row_is_read (void **state)
{
    fixture_t *self = *state;
    insert (self, NULL);
    finish (self, 1);
    commit (self);
    job_record_t job = get (self, 1);
    assert_finished (&job);
    assert_int_equal (rows (self), 0);
    assert_no_such (self, 1, "zzz999");
    assert_no_such (self, 2, "abc123");
}

static void test_a_row_that_is_behind_is_read_as_it_will_be (void **state)
{
    fixture_t *self = *state;
    insert (self, "k1");
    write_all (self);
    finish (self, 1);
    for (int times = 0; times < 2; times++) {
        job_record_t job = get (self, 1);
        assert_finished (&job);
        assert_no_such (self, 1, "zzz999");
        assert_int_equal (self->store->ops->job_by_key (self->store, SLICE_ABSENT, SLICE ("k1"), &job), 0);
        assert_finished (&job);
        write_all (self);
    }
}

static void test_a_key_is_found_in_both_places (void **state)
{
    fixture_t *self = *state;
    job_record_t job;
    insert (self, "k1");
    write_all (self);
    insert (self, "k2");
    assert_int_equal (self->store->ops->job_by_key (self->store, SLICE_ABSENT, SLICE ("k1"), &job), 0);
    assert_int_equal (job.id.seq, 1);
    assert_int_equal (self->store->ops->job_by_key (self->store, SLICE_ABSENT, SLICE ("k2"), &job), 0);
    assert_int_equal (job.id.seq, 2);
    assert_int_equal (job.request_hash.len, REQUEST_HASH);
    assert_int_equal (self->store->ops->job_by_key (self->store, SLICE_ABSENT, SLICE ("k3"), &job), ERR_NO_SUCH_JOB);
    assert_int_equal (self->store->ops->rollback (self->store), 0);
    assert_int_equal (self->store->ops->job_by_key (self->store, SLICE_ABSENT, SLICE ("k2"), &job), ERR_NO_SUCH_JOB);
}

static void count_job (void *ctx, const job_record_t *job)
{
    assert_int_equal (job->state, JOB_PENDING);
    ++*(int *)ctx;
}

static bool count_shown (void *ctx, const job_record_t *job)
{
    assert_finished (job);
    ++*(int *)ctx;
    return true;
}

static void test_lists_see_every_job_as_it_is (void **state)
{
    fixture_t *self = *state;
    job_filter_t filter = { .before_seq = INT64_MAX, .state = JOB_COMPLETED, .worker = SLICE ("w1") };
    int64_t next_seq = 0;
    int live = 0;
    int shown = 0;
    for (int i = 0; i < 10; i++)
        insert (self, NULL);
    write_all (self);
    for (int i = 0; i < 10; i++)
        insert (self, NULL);
    for (int64_t seq = 6; seq <= 15; seq++)
        finish (self, seq);
    assert_int_equal (self->store->ops->job_live (self->store, count_job, &live), 0);
    assert_int_equal (live, 10);
    finish (self, 20);
    filter.label = SLICE ("team");
    assert_int_equal (self->store->ops->job_list (self->store, &filter, 1000, count_shown, &shown, &next_seq), 0);
    assert_int_equal (shown, 11);
    assert_int_equal (self->store->ops->job_last_seq (self->store), 20);
}

static void job_gone (void *ctx, const job_record_t *job)
{
    *(int64_t *)ctx += job->id.seq;
}

static void test_housekeeping_takes_what_is_over_now (void **state)
{
    fixture_t *self = *state;
    int64_t gone = 0;
    for (int i = 0; i < 3; i++)
        insert (self, NULL);
    finish (self, 2);
    commit (self);
    assert_int_equal (self->store->ops->job_expire (self->store, 100, false, 10, job_gone, &gone), 0);
    assert_int_equal (gone, 2);
    commit (self);
    assert_no_such (self, 2, "abc123");
    assert_int_equal (self->store->ops->job_count (self->store), 2);
}

static void test_only_so_many_are_kept (void **state)
{
    fixture_t *self = *state;
    for (int i = 0; i < ROWS_MAX + OLD; i++)
        insert (self, NULL);
    assert_int_equal (rows (self), OLD); /* the oldest */
    for (int64_t seq = 1; seq <= OLD; seq++)
        finish (self, seq);
    assert_int_equal (rows (self), 2 * OLD); /* what changes is kept in the place of others */
    commit (self);
    for (int64_t seq = 1; seq <= OLD; seq++) {
        job_record_t job = get (self, seq);
        assert_finished (&job);
    }
    static char much[3 * 1024 * 1024];
    memset (much, 'm', sizeof much);
    for (int i = 0; i < 2; i++) {
        job_record_t job = fixture_job (++self->last_seq);
        job.command = slice_from (much, sizeof much);
        assert_int_equal (self->store->ops->job_insert (self->store, &job), 0);
    }
    assert_int_equal (rows (self), self->last_seq - 1);
}

static void ignore_job (void *ctx, const job_record_t *job)
{
    (void)ctx;
    (void)job;
}

static bool pick_job (void *ctx, const job_record_t *job)
{
    (void)ctx;
    (void)job;
    return true;
}

/* Its state is an index elsewhere. */
static void test_a_row_with_a_state_that_there_is_not_is_an_error (void **state)
{
    fixture_t *self = *state;
    static const char *const states[] = { "-1", "4", "1650525184", "9223372036854775807", "'text'" };
    const store_ops_t *ops = self->store->ops;
    const job_id_t id = { .seq = 1, .salt = "abc123" };
    const job_filter_t all = { .before_seq = INT64_MAX, .state = -1 };
    insert (self, NULL);
    assert_int_equal (sqlite_settle (sqlite_of (self->store)), 0);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        job_record_t job;
        int64_t next = 0;
        char text[96];
        bool is_text = states[i][0] == '\'';
        snprintf (text, sizeof text, "UPDATE job SET state = %s", states[i]);
        assert_int_equal (sqlite3_exec (sqlite_of (self->store)->db, text, NULL, NULL, NULL), SQLITE_OK);
        err_t want = is_text ? ERR_NONE : ERR_INTERNAL; /* reads as 0 */
        assert_int_equal (ops->job_get (self->store, &id, &job), want);
        assert_int_equal (ops->job_list (self->store, &all, 1000, pick_job, NULL, &next), want);
        if (states[i][0] == '-') /* what a start reads */
            assert_int_equal (ops->job_live (self->store, ignore_job, NULL), want);
        sqlite_end_reads (sqlite_of (self->store));
    }
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_a_job_without_a_row_is_read, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_row_that_is_behind_is_read_as_it_will_be, fixture_setup,
                                         fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_key_is_found_in_both_places, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_lists_see_every_job_as_it_is, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_housekeeping_takes_what_is_over_now, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_only_so_many_are_kept, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_row_with_a_state_that_there_is_not_is_an_error, fixture_setup,
                                         fixture_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
