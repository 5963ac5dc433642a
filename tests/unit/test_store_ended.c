/* What is over, by its end: both stores name the same, in pieces of any size, and nothing twice. */
#include <string.h>

#include "broker/store_sqlite.h"
#include "store_fixture.h"

enum { JOBS = 60, ROWS_MAX = 400 };

typedef struct {
    ended_place_t places[ROWS_MAX];
    char owners[ROWS_MAX][8], usages[ROWS_MAX][8], workers[ROWS_MAX][8];
    bool ran[ROWS_MAX];
    size_t count;
} seen_t;

static void see (void *ctx, const ended_t *ended)
{
    seen_t *seen = ctx;
    assert_true (seen->count < ROWS_MAX);
    assert_true (slice_copy (ended->owner, seen->owners[seen->count], 8));
    assert_true (slice_copy (ended->usage, seen->usages[seen->count], 8));
    assert_true (slice_copy (ended->worker_id, seen->workers[seen->count], 8));
    assert_true (slice_eq_str (ended->options, "brief") || slice_eq_str (ended->options, "whole") ||
                 !ended->options.ptr);
    seen->ran[seen->count] = ended->ran;
    seen->places[seen->count++] = ended->place;
}

/* A third of the jobs end with a result, a third without, a third goes on. Those of one ten end together. */
static void fill (store_t *store)
{
    char owner[8];
    for (int64_t seq = 1; seq <= JOBS; seq++) {
        snprintf (owner, sizeof owner, "o%d", (int)(seq % 4));
        job_record_t job = fixture_job (seq);
        job.owner = seq % 4 ? slice_of (owner) : SLICE_ABSENT;
        job.worker_id = SLICE ("last");
        job.options = seq % 5 ? SLICE ("whole") : SLICE_ABSENT;
        job.brief_options = seq % 5 == 1 ? SLICE ("brief") : SLICE_ABSENT;
        job.attempt = 2;
        assert_int_equal (store->ops->job_insert (store, &job), 0);
        attempt_record_t attempt = { .seq = seq,
                                     .attempt = 1,
                                     .worker_id = SLICE ("first"),
                                     .started_ms = 10 + seq / 10,
                                     .completed_ms = 500 + seq / 10,
                                     .usage = SLICE ("u1"),
                                     .exit_code = INT_ABSENT,
                                     .signal = INT_ABSENT,
                                     .late_exit_code = INT_ABSENT };
        assert_int_equal (store->ops->attempt_put (store, &attempt), 0);
        job.state = seq % 3 == 0 ? JOB_COMPLETED : seq % 3 == 1 ? JOB_FAILED : JOB_PENDING;
        job.started_ms = 700;
        job.completed_ms = seq % 3 == 2 ? 0 : 1000 - seq / 10;
        job.token = seq % 3 == 0 ? SLICE ("token") : SLICE_ABSENT;
        job.receipt = seq % 3 == 0 ? SLICE ("u2") : SLICE_ABSENT;
        assert_int_equal (store->ops->job_update (store, &job), 0);
    }
}

static void walk (store_t *store, bool jobs, int64_t since_ms, int64_t until_ms, int64_t limit, seen_t *seen)
{
    ended_place_t after = { since_ms, -1, -1 };
    int64_t got = limit;
    seen->count = 0;
    while (got == limit) {
        size_t before = seen->count;
        assert_int_equal (store->ops->ended_each (store, jobs, limit % 2, &after, until_ms, limit, see, seen, &got), 0);
        assert_int_equal (seen->count - before, got);
    }
}

static void check_same (const seen_t *a, const seen_t *b)
{
    assert_int_equal (a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        assert_memory_equal (&a->places[i], &b->places[i], sizeof a->places[i]);
        assert_string_equal (a->owners[i], b->owners[i]);
        assert_string_equal (a->usages[i], b->usages[i]);
        assert_string_equal (a->workers[i], b->workers[i]);
        assert_int_equal (a->ran[i], b->ran[i]);
    }
}

static void test_both_stores_name_the_same (void **state)
{
    fixture_t *self = *state;
    store_t *ram = store_ram_new ();
    static seen_t whole, pieces, other;
    fill (self->store);
    fill (ram);
    for (int jobs = 0; jobs < 2; jobs++) {
        for (int64_t since_ms = 0; since_ms <= 1000; since_ms += 125) {
            walk (self->store, jobs, since_ms, 998, ROWS_MAX, &whole);
            for (int64_t limit = 1; limit < 20; limit += 6) {
                walk (self->store, jobs, since_ms, 998, limit, &pieces);
                check_same (&whole, &pieces);
            }
            walk (ram, jobs, since_ms, 998, 7, &other);
            check_same (&whole, &other);
        }
        walk (self->store, jobs, 0, INT64_MAX, 11, &whole);
        assert_int_equal (whole.count, jobs ? JOBS * 2 / 3 : JOBS);
    }
    ram->ops->close (&ram);
}

static void test_a_range_has_its_beginning_and_not_its_end (void **state)
{
    fixture_t *self = *state;
    static seen_t seen;
    fill (self->store);
    walk (self->store, false, 502, 503, 100, &seen);
    assert_int_equal (seen.count, 10);
    assert_int_equal (seen.places[0].seq, 20);
    assert_int_equal (seen.places[9].seq, 29);
    assert_string_equal (seen.usages[0], "u1");
    assert_string_equal (seen.workers[0], "first");
    walk (self->store, true, 1000, 1001, 100, &seen);
    assert_int_equal (seen.count, 6);          /* of 1 to 9 those that are over */
    assert_true (seen.ran[1] && !seen.ran[0]); /* 3 has a result, 1 has none */
    walk (self->store, true, 1001, 5000, 100, &seen);
    assert_int_equal (seen.count, 0);
}

static void see_nothing (void *ctx, const job_record_t *job)
{
    (void)ctx, (void)job;
}

static void test_what_is_removed_is_not_named (void **state)
{
    fixture_t *self = *state;
    static seen_t seen;
    fill (self->store);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    assert_int_equal (self->store->ops->job_expire (self->store, 2000, false, ROWS_MAX, see_nothing, NULL), 0);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    walk (self->store, true, 0, 5000, 100, &seen);
    assert_int_equal (seen.count, 0);
    walk (self->store, false, 0, 5000, 100, &seen);
    assert_int_equal (seen.count, JOBS / 3); /* those of jobs that go on */
}

/* Jobs that are over, several within a millisecond; `first` is the number of the first. */
static void end_jobs (store_t *store, int64_t first, int64_t count)
{
    for (int64_t seq = first; seq < first + count; seq++) {
        job_record_t job = fixture_job (seq);
        assert_int_equal (store->ops->job_insert (store, &job), 0);
        job.state = JOB_COMPLETED;
        job.completed_ms = 1000 + seq / 500;
        assert_int_equal (store->ops->job_update (store, &job), 0);
    }
    assert_int_equal (store->ops->commit (store), 0);
}

static void count_one (void *ctx, const job_record_t *job)
{
    (void)job;
    ++*(int *)ctx;
}

/* How many lose their output until all have been looked at. */
static int purge_all (store_t *store, ended_place_t *after, int64_t limit, int *calls)
{
    int gone = 0;
    bool more = true;
    for (*calls = 0; more; ++*calls)
        assert_int_equal (store->ops->job_purge (store, after, 99999, PURGED_OUTPUT, limit, count_one, &gone, &more),
                          0);
    return gone;
}

static void test_a_purge_takes_each_once_and_gets_past_those_that_are_done (void **state)
{
    fixture_t *self = *state;
    ended_place_t after = { 0 };
    int calls;
    end_jobs (self->store, 1, 3000);
    assert_int_equal (purge_all (self->store, &after, 70, &calls), 3000);
    end_jobs (self->store, 3001, 1);
    assert_int_equal (purge_all (self->store, &after, 70, &calls), 1);
    end_jobs (self->store, 3002, 1);
    after = (ended_place_t){ 0 }; /* as after a restart */
    assert_int_equal (purge_all (self->store, &after, 70, &calls), 1);
    assert_in_range (calls, 1, 3002 / PURGE_LOOKS + 1);
}

/* Steps of SQLite's machine for a purge of ten behind a place. */
static int purge_steps (store_t *store, ended_place_t after)
{
    int gone = 0;
    bool more;
    sqlite3_stmt *sql = sqlite_of (store)->sql[SQL_JOB_PURGEABLE];
    sqlite3_stmt_status (sql, SQLITE_STMTSTATUS_VM_STEP, 1);
    assert_int_equal (store->ops->job_purge (store, &after, 99999, PURGED_OUTPUT, 10, count_one, &gone, &more), 0);
    assert_int_equal (gone, 10);
    return sqlite3_stmt_status (sql, SQLITE_STMTSTATUS_VM_STEP, 1);
}

static void test_a_purge_begins_at_its_place (void **state)
{
    fixture_t *self = *state;
    end_jobs (self->store, 1, 3000);
    int first = purge_steps (self->store, (ended_place_t){ 0 });
    int last = purge_steps (self->store, (ended_place_t){ .ended_ms = 1005, .seq = 2499 });
    assert_in_range (last, 1, first + first / 10);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_both_stores_name_the_same, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_range_has_its_beginning_and_not_its_end, fixture_setup,
                                         fixture_teardown),
        cmocka_unit_test_setup_teardown (test_what_is_removed_is_not_named, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_purge_takes_each_once_and_gets_past_those_that_are_done, fixture_setup,
                                         fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_purge_begins_at_its_place, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
