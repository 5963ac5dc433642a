/* Both stores by one set of stories: what was committed stays, what was not is gone, cost does not grow. */
#include "unit.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/store.h"

typedef struct {
    store_t *store;
    char folder[64];
    char path[96];
    bool ram;
} fixture_t;

static char problem[512];

static int setup_sqlite (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    snprintf (self->folder, sizeof self->folder, "/tmp/gleaner-store-XXXXXX");
    assert_non_null (mkdtemp (self->folder));
    snprintf (self->path, sizeof self->path, "%s/gleaner.db", self->folder);
    self->store = store_sqlite_open (self->path, problem, sizeof problem);
    assert_non_null (self->store);
    *state = self;
    return 0;
}

static int setup_ram (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    self->store = store_ram_new ();
    self->ram = true;
    *state = self;
    return 0;
}

static int teardown (void **state)
{
    fixture_t *self = *state;
    if (self->store)
        self->store->ops->close (&self->store);
    if (!self->ram) {
        char command[128];
        snprintf (command, sizeof command, "rm -rf '%s'", self->folder);
        assert_int_equal (system (command), 0);
    }
    free (self);
    return 0;
}

/* As after the end of the process: what was not committed is lost. */
static void crash (fixture_t *self)
{
    if (self->ram) {
        store_ram_crash (self->store);
        return;
    }
    self->store->ops->close (&self->store); /* closing rolls the open transaction back */
    self->store = store_sqlite_open (self->path, problem, sizeof problem);
    if (!self->store)
        fail_msg ("%s", problem);
}

static job_record_t sample (int64_t seq)
{
    return (job_record_t){
        .id = { .seq = seq, .salt = "abc123" },
        .command = SLICE ("make test"),
        .file_url = SLICE ("/uploads/x.zip"),
        .filename = SLICE ("x.zip"),
        .timeout_ms = 1000,
        .max_attempts = 3,
        .created_ms = 42,
        .slot = SLOT_NONE,
        .exit_code = INT_ABSENT,
        .bytes = BYTES_UNKNOWN,
    };
}

static void test_a_job_comes_back_as_it_was (void **state)
{
    fixture_t *self = *state;
    const store_ops_t *ops = self->store->ops;
    job_record_t job = sample (7);
    assert_int_equal (ops->job_insert (self->store, &job), 0);
    job.state = JOB_FAILED;
    job.attempt = 2;
    job.worker_id = SLICE ("w1");
    job.token = SLICE ("token");
    job.slot = 3;
    job.started_ms = 50;
    job.completed_ms = 60;
    job.exit_code = -1;
    job.reason = SLICE ("exit-nonzero");
    job.error_message = SLICE ("why");
    job.data[STREAM_STDOUT] = slice_from ("a\0b\xff", 4);
    job.data[STREAM_STDERR] = SLICE ("");
    job.data[STREAM_JOURNAL] = SLICE ("0 phase run\n");
    job.bytes[STREAM_JOURNAL] = 12;
    job.bytes[STREAM_STDOUT] = 4;
    job.bytes[STREAM_STDERR] = 0;
    assert_int_equal (ops->job_update (self->store, &job), 0);
    assert_int_equal (ops->commit (self->store), 0);
    crash (self);
    ops = self->store->ops;
    job_record_t got;
    assert_int_equal (ops->job_get (self->store, &job.id, &got), 0);
    assert_slice (got.command, "make test");
    assert_int_equal (got.state, JOB_FAILED);
    assert_int_equal (got.attempt, 2);
    assert_slice (got.worker_id, "w1");
    assert_null (got.group.ptr);
    assert_int_equal (got.slot, 3);
    assert_int_equal (got.exit_code, -1);
    assert_int_equal (got.data[STREAM_STDOUT].len, 4);
    assert_memory_equal (got.data[STREAM_STDOUT].ptr, "a\0b\xff", 4);
    assert_non_null (got.data[STREAM_STDERR].ptr); /* empty is not absent */
    assert_int_equal (got.data[STREAM_STDERR].len, 0);
    assert_slice (got.data[STREAM_JOURNAL], "0 phase run\n");
    assert_int_equal (got.bytes[STREAM_JOURNAL], 12);
    assert_null (got.pinned.ptr);
    job_id_t other = { .seq = 7, .salt = "zzz999" };
    assert_int_equal (ops->job_get (self->store, &other, &got), ERR_NO_SUCH_JOB);
}

static void test_what_was_not_committed_is_gone (void **state)
{
    fixture_t *self = *state;
    job_record_t first = sample (1);
    job_record_t second = sample (2);
    job_record_t got;
    assert_int_equal (self->store->ops->job_insert (self->store, &first), 0);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    first.state = JOB_RUNNING;
    assert_int_equal (self->store->ops->job_update (self->store, &first), 0);
    assert_int_equal (self->store->ops->job_insert (self->store, &second), 0);
    assert_int_equal (self->store->ops->job_get (self->store, &second.id, &got), 0); /* seen before the commit */
    crash (self);
    assert_int_equal (self->store->ops->job_get (self->store, &second.id, &got), ERR_NO_SUCH_JOB);
    assert_int_equal (self->store->ops->job_get (self->store, &first.id, &got), 0);
    assert_int_equal (got.state, JOB_PENDING);
    assert_int_equal (self->store->ops->job_count (self->store), 1);
    assert_int_equal (self->store->ops->job_last_seq (self->store), 1);
}

static void see_attempt (void *ctx, const attempt_record_t *attempt)
{
    assert_non_null (attempt->data[STREAM_JOURNAL].ptr); /* in its row, if not told here */
    ++*(int *)ctx;
}

static void test_an_attempt_comes_back_as_it_was (void **state)
{
    fixture_t *self = *state;
    attempt_record_t attempt = {
        .seq = 7, .attempt = 1, .exit_code = INT_ABSENT, .signal = INT_ABSENT, .late_exit_code = INT_ABSENT
    };
    attempt.data[STREAM_STDERR] = SLICE ("why");
    attempt.data[STREAM_JOURNAL] = SLICE ("0 phase run\n");
    attempt.usage = SLICE ("used");
    job_record_t job = sample (7);
    assert_int_equal (self->store->ops->job_insert (self->store, &job), 0);
    assert_int_equal (self->store->ops->attempt_put (self->store, &attempt), 0);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    crash (self);
    attempt_record_t got;
    assert_int_equal (self->store->ops->attempt_get (self->store, 7, 1, &got), 0);
    assert_null (got.data[STREAM_STDOUT].ptr);
    assert_slice (got.data[STREAM_STDERR], "why");
    assert_slice (got.data[STREAM_JOURNAL], "0 phase run\n");
    assert_slice (got.usage, "used");
    int seen = 0;
    assert_int_equal (self->store->ops->attempt_each (self->store, 7, see_attempt, &seen), 0);
    assert_int_equal (seen, 1);
}

static void keep_hint (void *ctx, const job_record_t *job)
{
    bool *in_row = ctx;
    in_row[job->id.seq] = job->data[STREAM_JOURNAL].ptr != NULL;
    assert_int_equal (job->data[STREAM_JOURNAL].len, 0);
}

static bool pick_hint (void *ctx, const job_record_t *job)
{
    keep_hint (ctx, job);
    return true;
}

static void test_lists_leave_journals_in_their_rows (void **state)
{
    fixture_t *self = *state;
    bool in_row[3] = { false };
    for (int64_t seq = 1; seq <= 2; seq++) {
        job_record_t job = sample (seq);
        assert_int_equal (self->store->ops->job_insert (self->store, &job), 0);
        job.state = JOB_COMPLETED;
        job.completed_ms = 60;
        job.data[STREAM_JOURNAL] = seq == 1 ? SLICE ("0 phase run\n") : SLICE_ABSENT;
        assert_int_equal (self->store->ops->job_update (self->store, &job), 0);
    }
    job_filter_t filter = { .before_seq = 5, .state = -1 };
    int64_t next = 0;
    assert_int_equal (self->store->ops->job_list (self->store, &filter, 1000, pick_hint, in_row, &next), 0);
    assert_true (in_row[1] && !in_row[2]); /* and one in a file is told from one in the row */
    ended_place_t after = { 0 };
    bool more = true;
    in_row[1] = false;
    assert_int_equal (
        self->store->ops->job_purge (self->store, &after, 100, PURGED_OUTPUT, 10, keep_hint, in_row, &more), 0);
    assert_true (in_row[1] && !more);
    job_record_t got;
    job_id_t id = { .seq = 1, .salt = "abc123" };
    assert_int_equal (self->store->ops->job_get (self->store, &id, &got), 0);
    assert_slice (got.data[STREAM_JOURNAL], "");
}

typedef struct {
    int64_t seqs[16];
    size_t count;
} seen_t;

static bool take_three (void *ctx, const job_record_t *job)
{
    seen_t *seen = ctx;
    if (seen->count == 3)
        return false;
    seen->seqs[seen->count++] = job->id.seq;
    return true;
}

static void see_job (void *ctx, const job_record_t *job)
{
    seen_t *seen = ctx;
    assert_in_range (seen->count, 0, 15);
    seen->seqs[seen->count++] = job->id.seq;
}

static void test_lists (void **state)
{
    fixture_t *self = *state;
    const store_ops_t *ops = self->store->ops;
    for (int64_t seq = 1; seq <= 6; seq++) {
        job_record_t job = sample (seq);
        assert_int_equal (ops->job_insert (self->store, &job), 0);
        job.state = seq % 2 ? JOB_COMPLETED : seq == 4 ? JOB_RUNNING : JOB_PENDING;
        assert_int_equal (ops->job_update (self->store, &job), 0);
    }
    assert_int_equal (ops->commit (self->store), 0);
    seen_t newest = { 0 };
    int64_t next = -1;
    job_filter_t filter = { .before_seq = 5, .state = -1 };
    assert_int_equal (ops->job_list (self->store, &filter, 1000, take_three, &newest, &next), 0);
    assert_int_equal (newest.count, 3);
    assert_int_equal (newest.seqs[0], 4);
    assert_int_equal (newest.seqs[2], 2);
    assert_int_equal (next, 2); /* below it, 1 is left */
    filter.before_seq = 4;
    newest.count = 0;
    assert_int_equal (ops->job_list (self->store, &filter, 1000, take_three, &newest, &next), 0);
    assert_int_equal (newest.count, 3);
    assert_int_equal (next, 0); /* just three: there is no more */
    seen_t live = { 0 };
    assert_int_equal (ops->job_live (self->store, see_job, &live), 0);
    assert_int_equal (live.count, 3);
    assert_int_equal (live.seqs[0], 2);
    assert_int_equal (live.seqs[2], 6);
    assert_int_equal (ops->job_count (self->store), 6);
}

static int workers_seen;

static void see_worker (void *ctx, const worker_record_t *worker)
{
    (void)ctx;
    workers_seen++;
    assert_slice (worker->worker_id, "w1");
    assert_slice (worker->hostname, "other");
    assert_null (worker->os.ptr);
    assert_int_equal (worker->slots, INT_ABSENT);
    assert_int_equal (worker->online, 1);
}

static void test_workers (void **state)
{
    fixture_t *self = *state;
    worker_record_t worker = { .worker_id = SLICE ("w1"),
                               .hostname = SLICE ("host"),
                               .cpu_count = 4,
                               .slots = INT_ABSENT,
                               .registered_ms = 1,
                               .online = 1 };
    worker_record_t gone = worker;
    gone.worker_id = SLICE ("w2");
    assert_int_equal (self->store->ops->worker_put (self->store, &worker), 0);
    assert_int_equal (self->store->ops->worker_put (self->store, &gone), 0);
    worker.hostname = SLICE ("other");
    assert_int_equal (self->store->ops->worker_put (self->store, &worker), 0);
    assert_int_equal (self->store->ops->worker_delete (self->store, SLICE ("w2")), 0);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    crash (self);
    workers_seen = 0;
    assert_int_equal (self->store->ops->worker_each (self->store, see_worker, NULL), 0);
    assert_int_equal (workers_seen, 1);
}

typedef struct {
    int kinds[8];
    int64_t times[8];
    char bytes[8][16];
    size_t count;
} stats_seen_t;

static void see_stat (void *ctx, int kind, int64_t time, slice_t bytes)
{
    stats_seen_t *seen = ctx;
    assert_in_range (seen->count, 0, 7);
    seen->kinds[seen->count] = kind;
    seen->times[seen->count] = time;
    assert_true (slice_copy (bytes, seen->bytes[seen->count++], sizeof seen->bytes[0]));
}

static void test_statistics (void **state)
{
    fixture_t *self = *state;
    const store_ops_t *ops = self->store->ops;
    assert_int_equal (ops->stat_put (self->store, 1, 100, SLICE ("old")), 0);
    assert_int_equal (ops->stat_put (self->store, 1, 200, SLICE ("first")), 0);
    assert_int_equal (ops->stat_put (self->store, 2, 100, SLICE ("another kind")), 0);
    assert_int_equal (ops->commit (self->store), 0);
    assert_int_equal (ops->stat_put (self->store, 1, 200, SLICE ("second")), 0);
    assert_int_equal (ops->stat_drop_before (self->store, 1, 200), 0);
    assert_int_equal (ops->commit (self->store), 0);
    assert_int_equal (ops->stat_put (self->store, 1, 300, SLICE ("lost")), 0);
    assert_int_equal (ops->stat_drop_before (self->store, 2, 1000), 0);
    crash (self);
    stats_seen_t seen = { 0 };
    assert_int_equal (self->store->ops->stat_each (self->store, see_stat, &seen), 0);
    assert_int_equal (seen.count, 2);
    size_t one = seen.kinds[0] == 1 ? 0 : 1;
    assert_int_equal (seen.times[one], 200);
    assert_string_equal (seen.bytes[one], "second");
    assert_int_equal (seen.kinds[1 - one], 2);
    assert_string_equal (seen.bytes[1 - one], "another kind");
}

typedef struct {
    char text[8][64];
    size_t count;
} hooks_seen_t;

static void see_hook (void *ctx, const hook_record_t *hook)
{
    hooks_seen_t *seen = ctx;
    assert_in_range (seen->count, 0, 7);
    snprintf (seen->text[seen->count++], sizeof seen->text[0], "%lld %s " SLICE_FMT " %lld", (long long)hook->id.seq,
              hook->id.salt, SLICE_ARG (hook->url), (long long)hook->ended_ms);
}

static void test_hooks (void **state)
{
    fixture_t *self = *state;
    const store_ops_t *ops = self->store->ops;
    hook_record_t hook = { .id = { 7, "abcdef" }, .url = SLICE ("http://a/"), .ended_ms = 70 };
    assert_int_equal (ops->hook_put (self->store, &hook), 0);
    hook.url = SLICE ("http://b/");
    assert_int_equal (ops->hook_put (self->store, &hook), 0);
    hook.id.seq = 5;
    assert_int_equal (ops->hook_put (self->store, &hook), 0);
    hook.id.seq = 6;
    assert_int_equal (ops->hook_put (self->store, &hook), 0);
    assert_int_equal (ops->commit (self->store), 0);
    assert_int_equal (ops->hook_delete (self->store, 7, SLICE ("http://a/")), 0);
    assert_int_equal (ops->hook_delete (self->store, 6, SLICE ("http://a/")), 0); /* there is none */
    hook.id.seq = 5;
    hook.ended_ms = 71;
    assert_int_equal (ops->hook_put (self->store, &hook), 0);
    assert_int_equal (ops->commit (self->store), 0);
    hook.id.seq = 8;
    assert_int_equal (ops->hook_put (self->store, &hook), 0);
    assert_int_equal (ops->hook_delete (self->store, 6, SLICE ("http://b/")), 0);
    crash (self);
    hooks_seen_t seen = { 0 };
    assert_int_equal (self->store->ops->hook_each (self->store, see_hook, &seen), 0);
    assert_int_equal (seen.count, 3);
    assert_string_equal (seen.text[0], "5 abcdef http://b/ 71");
    assert_string_equal (seen.text[1], "6 abcdef http://b/ 70");
    assert_string_equal (seen.text[2], "7 abcdef http://b/ 70");
}

static void test_a_second_broker_is_shut_out (void **state)
{
    fixture_t *self = *state;
    assert_null (store_sqlite_open (self->path, problem, sizeof problem));
    assert_non_null (strstr (problem, "another broker"));
}

static void run_sql (const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal (sqlite3_open (path, &db), SQLITE_OK);
    assert_int_equal (sqlite3_exec (db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close (db);
}

static void test_a_newer_schema_is_left_alone (void **state)
{
    fixture_t *self = *state;
    self->store->ops->close (&self->store);
    run_sql (self->path, "PRAGMA user_version = 99");
    assert_null (store_sqlite_open (self->path, problem, sizeof problem));
    assert_non_null (strstr (problem, "newer"));
}

static void test_what_is_no_store (void **state)
{
    fixture_t *self = *state;
    char path[128];
    snprintf (path, sizeof path, "%s/garbage.db", self->folder);
    FILE *file = fopen (path, "w");
    for (int i = 0; i < 1000; i++)
        fputs ("this is no database at all ", file);
    fclose (file);
    assert_null (store_sqlite_open (path, problem, sizeof problem));
    assert_null (store_sqlite_open ("/nowhere/at/all.db", problem, sizeof problem));
    snprintf (path, sizeof path, "%s/other.db", self->folder);
    run_sql (path, "PRAGMA application_id = 4711");
    assert_null (store_sqlite_open (path, problem, sizeof problem));
    assert_non_null (strstr (problem, "another program"));
}

int main (void)
{
#define BOTH(test)                                                                                                     \
    cmocka_unit_test_setup_teardown (test, setup_sqlite, teardown),                                                    \
        cmocka_unit_test_setup_teardown (test, setup_ram, teardown)
    const struct CMUnitTest tests[] = {
        BOTH (test_a_job_comes_back_as_it_was),
        BOTH (test_what_was_not_committed_is_gone),
        BOTH (test_an_attempt_comes_back_as_it_was),
        BOTH (test_lists),
        cmocka_unit_test_setup_teardown (test_lists_leave_journals_in_their_rows, setup_sqlite, teardown),
        BOTH (test_workers),
        BOTH (test_hooks),
        BOTH (test_statistics),
        cmocka_unit_test_setup_teardown (test_a_second_broker_is_shut_out, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown (test_a_newer_schema_is_left_alone, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown (test_what_is_no_store, setup_sqlite, teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
