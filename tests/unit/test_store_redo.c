/* The redo log: what a crash at any moment leaves is the last turn that was committed, whole, or the start is refused.
 */
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store_sqlite.h"
#include "store_fixture.h"

enum { DIGEST = 16, SECTOR = 512, HEADER = 64 };

/* ---- what is in a database ---- */

static void digest_table (sqlite3 *db, const char *query, crypto_generichash_state *state)
{
    sqlite3_stmt *sql = NULL;
    assert_int_equal (sqlite3_prepare_v2 (db, query, -1, &sql, NULL), SQLITE_OK);
    while (sqlite3_step (sql) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count (sql); i++) {
            int type = sqlite3_column_type (sql, i);
            const void *bytes = sqlite3_column_blob (sql, i);
            int length = sqlite3_column_bytes (sql, i);
            crypto_generichash_update (state, (const unsigned char *)&type, sizeof type);
            crypto_generichash_update (state, (const unsigned char *)&length, sizeof length);
            if (length)
                crypto_generichash_update (state, bytes, (size_t)length);
        }
    sqlite3_finalize (sql);
}

static void digest_slice (crypto_generichash_state *state, slice_t bytes)
{
    int64_t length = bytes.ptr ? (int64_t)bytes.len : -1;
    crypto_generichash_update (state, (const unsigned char *)&length, sizeof length);
    if (bytes.len)
        crypto_generichash_update (state, (const unsigned char *)bytes.ptr, bytes.len);
}

static void digest_job (crypto_generichash_state *state, const job_record_t *job)
{
    const slice_t slices[] = { slice_of (job->id.salt),
                               job->command,
                               job->file_url,
                               job->filename,
                               job->pinned,
                               job->options,
                               job->idempotency_key,
                               job->request_hash,
                               job->worker_id,
                               job->group,
                               job->token,
                               job->reason,
                               job->error_message,
                               job->data[STREAM_STDOUT],
                               job->receipt,
                               job->data[STREAM_STDERR],
                               job->artifacts,
                               job->data[STREAM_JOURNAL] };
    const int64_t numbers[] = { job->id.seq,
                                job->timeout_ms,
                                job->max_attempts,
                                job->created_ms,
                                job->state,
                                job->attempt,
                                job->slot,
                                job->started_ms,
                                job->completed_ms,
                                job->not_before_ms,
                                job->exit_code,
                                job->signal,
                                job->bytes[STREAM_STDOUT],
                                job->bytes[STREAM_STDERR],
                                job->bytes[STREAM_JOURNAL],
                                job->purged };
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        digest_slice (state, slices[i]);
    crypto_generichash_update (state, (const unsigned char *)numbers, sizeof numbers);
}

/* By the id, which does not bring rows up to date. Jobs are numbered from 1 here, and none is deleted. */
static void digest_jobs (store_t *store, crypto_generichash_state *state)
{
    for (int64_t seq = 1; seq <= store->ops->job_count (store); seq++) {
        job_id_t id = { .seq = seq, .salt = "abc123" };
        job_record_t job;
        assert_int_equal (store->ops->job_get (store, &id, &job), 0);
        digest_job (state, &job);
    }
}

static void digest_of (store_t *store, unsigned char out[DIGEST])
{
    static const char *const queries[] = {
        "SELECT * FROM attempt ORDER BY seq, attempt", "SELECT * FROM worker ORDER BY worker_id",
        "SELECT * FROM job_label ORDER BY label, seq", "SELECT * FROM blob ORDER BY sha256",
        "SELECT * FROM stat ORDER BY kind, time",      "SELECT * FROM total WHERE name = 'blobs'",
        "SELECT * FROM hook ORDER BY seq, url",
    };
    crypto_generichash_state state;
    crypto_generichash_init (&state, NULL, 0, DIGEST);
    digest_jobs (store, &state);
    for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
        digest_table (sqlite_of (store)->db, queries[i], &state);
    crypto_generichash_final (&state, out, DIGEST);
}

/* ---- crashes ---- */

static void assert_copy_is (fixture_t *self, const unsigned char expected[DIGEST])
{
    unsigned char got[DIGEST];
    store_t *store = fixture_open_copy (self);
    if (!store)
        fail_msg ("%s", self->problem);
    assert_int_equal (store->ops->job_count (store), sqlite_ask (sqlite_of (store)->db, "SELECT count (*) FROM job"));
    digest_of (store, got);
    store->ops->close (&store);
    assert_memory_equal (got, expected, DIGEST);
}

/* Changes bytes of the copy's log. */
static void spoil (fixture_t *self, off_t at, const char *bytes, size_t length)
{
    char path[256];
    snprintf (path, sizeof path, "%s/copy/gleaner.db-redo", self->folder);
    int fd = open (path, O_WRONLY);
    assert_true (fd >= 0);
    assert_int_equal (pwrite (fd, bytes, length, at), length);
    close (fd);
}

/* ---- turns ---- */

static unsigned roll (fixture_t *self, unsigned sides)
{
    self->dice = self->dice * 1103515245U + 12345U;
    return (self->dice >> 16) % sides;
}

static job_record_t sample (int64_t seq)
{
    job_record_t job = fixture_job (seq);
    job.labels = SLICE ("team=blue\nkind=x\n");
    job.options = SLICE ("whole");
    job.brief_options = SLICE ("brief");
    return job;
}

static void insert (fixture_t *self)
{
    job_record_t job = sample (++self->last_seq);
    assert_int_equal (self->store->ops->job_insert (self->store, &job), 0);
}

static void update (fixture_t *self, int64_t seq, size_t output)
{
    static char bytes[600000];
    memset (bytes, 'o', sizeof bytes);
    job_record_t job = sample (seq);
    job.state = (job_state_t)roll (self, 4);
    job.attempt = 1 + roll (self, 5);
    job.worker_id = roll (self, 2) ? SLICE ("w1") : SLICE_ABSENT;
    job.token = SLICE ("token");
    job.completed_ms = job.state >= JOB_COMPLETED ? 100 + roll (self, 1000) : 0;
    job.exit_code = roll (self, 3) ? roll (self, 255) : INT_ABSENT;
    job.data[STREAM_STDOUT] = output ? slice_from (bytes, output) : SLICE_ABSENT;
    assert_int_equal (self->store->ops->job_update (self->store, &job), 0);
}

static bool is_whole (void *ctx, const job_record_t *job)
{
    (void)ctx;
    assert_true (slice_eq (job->command, SLICE ("make test")) && slice_eq (job->options, SLICE ("brief")));
    return true;
}

/* A list needs every row. */
static void look (fixture_t *self)
{
    job_filter_t filter = { .before_seq = INT64_MAX, .state = -1, .brief = true };
    int64_t next_seq = 0;
    assert_int_equal (self->store->ops->job_list (self->store, &filter, 1000, is_whole, NULL, &next_seq), 0);
}

static void put_attempt (fixture_t *self, int64_t seq)
{
    attempt_record_t attempt = { .seq = seq,
                                 .attempt = 1 + roll (self, 5),
                                 .worker_id = SLICE ("w2"),
                                 .token = SLICE ("t"),
                                 .exit_code = INT_ABSENT,
                                 .signal = 9,
                                 .started_ms = roll (self, 1000),
                                 .late_exit_code = INT_ABSENT };
    assert_int_equal (self->store->ops->attempt_put (self->store, &attempt), 0);
}

static void put_worker (fixture_t *self)
{
    char name[16];
    snprintf (name, sizeof name, "w%u", roll (self, 9));
    worker_record_t worker = { .worker_id = slice_of (name),
                               .hostname = SLICE ("h"),
                               .cpu_count = INT_ABSENT,
                               .slots = 1 + roll (self, 4),
                               .registered_ms = 7,
                               .last_seen_ms = roll (self, 1000),
                               .online = 1 };
    assert_int_equal (self->store->ops->worker_put (self->store, &worker), 0);
}

static void put_blob (fixture_t *self)
{
    char hash[SHA256_HEX + 1];
    snprintf (hash, sizeof hash, "%064u", roll (self, 20));
    assert_int_equal (self->store->ops->blob_put (self->store, slice_of (hash), roll (self, 100000), roll (self, 500)),
                      0);
}

static void put_hook (fixture_t *self, int64_t seq)
{
    hook_record_t hook = { { seq, "abc123" },
                           roll (self, 2) ? SLICE ("http://a/") : SLICE ("http://b/"),
                           roll (self, 999) };
    if (roll (self, 3))
        assert_int_equal (self->store->ops->hook_put (self->store, &hook), 0);
    else
        assert_int_equal (self->store->ops->hook_delete (self->store, seq, hook.url), 0);
}

static void job_gone (void *ctx, const job_record_t *job)
{
    (void)job;
    ++*(int *)ctx;
}

static void blob_gone (void *ctx, slice_t sha256, int64_t bytes)
{
    (void)sha256;
    (void)bytes;
    ++*(int *)ctx;
}

/* What has no place in the log. */
static void keep_house (fixture_t *self)
{
    const store_ops_t *ops = self->store->ops;
    int gone = 0;
    ended_place_t after = { 0 };
    bool more;
    unsigned what = roll (self, 4);
    if (what == 0)
        assert_int_equal (ops->job_purge (self->store, &after, 600, PURGED_OUTPUT, 5, job_gone, &gone, &more), 0);
    else if (what == 1)
        assert_int_equal (ops->blob_expire (self->store, 250, 2, blob_gone, &gone), 0);
    else
        assert_int_equal (ops->stat_put (self->store, 1, roll (self, 50), SLICE ("figures")), 0);
}

/* Which jobs there are is known to the store alone: expired ones are never changed again here. */
static void change_something (fixture_t *self)
{
    int64_t seq = 1 + roll (self, (unsigned)self->last_seq);
    unsigned what = roll (self, 100);
    if (what < 30)
        insert (self);
    else if (what < 65)
        update (self, seq, roll (self, 10) ? roll (self, 300) : roll (self, 30000));
    else if (what < 66 && !roll (self, 8))
        update (self, seq, 600000); /* two of them have no place in the log */
    else if (what < 78)
        put_attempt (self, seq);
    else if (what < 88)
        put_worker (self);
    else if (what < 90)
        assert_int_equal (self->store->ops->worker_delete (self->store, SLICE ("w3")), 0);
    else if (what < 94)
        put_blob (self);
    else if (what < 98)
        put_hook (self, seq);
    else if (what < 99)
        keep_house (self);
    else if (!roll (self, 5))
        look (self);
}

static void turn (fixture_t *self)
{
    for (unsigned i = 0, count = 1 + roll (self, 30); i < count; i++)
        change_something (self);
}

/* ---- tests ---- */

static void test_a_crash_leaves_the_last_turn (void **state)
{
    fixture_t *self = *state;
    unsigned char now[DIGEST];
    unsigned char committed[DIGEST];
    self->dice = 20261126;
    insert (self);
    for (int i = 0; i < 120; i++) {
        int64_t last_seq = self->last_seq;
        digest_of (self->store, committed);
        turn (self);
        if (roll (self, 12) == 0) { /* killed within a turn */
            fixture_copy (self);
            if (i)
                assert_copy_is (self, committed);
        }
        if (i && roll (self, 10) == 0) { /* no room for the turn */
            self->store->ops->rollback (self->store);
            self->last_seq = last_seq;
            digest_of (self->store, now);
            assert_memory_equal (now, committed, DIGEST);
            continue;
        }
        assert_int_equal (self->store->ops->commit (self->store), 0);
        digest_of (self->store, committed);
        if (roll (self, 20) == 0) {
            self->store->ops->compact (self->store);
        } else if (roll (self, 12) == 0) { /* killed after the commit */
            fixture_copy (self);
            assert_copy_is (self, committed);
            assert_copy_is (self, committed); /* and once more after the start that followed */
        }
    }
    assert_int_equal (self->store->ops->job_count (self->store), self->last_seq);
}

static void test_a_copy_is_of_whole_turns (void **state)
{
    fixture_t *self = *state;
    unsigned char expected[DIGEST];
    unsigned char got[DIGEST];
    char path[256];
    for (int i = 0; i < 3000; i++)
        insert (self);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    snprintf (path, sizeof path, "%s/snapshot", self->folder);
    int done = 0;
    for (int steps = 0; !done; steps++) {
        assert_true (steps < 1000);
        digest_of (self->store, expected);
        done = self->store->ops->snapshot_step (self->store, path);
        if (!done) {
            insert (self);
            assert_int_equal (self->store->ops->commit (self->store), 0);
        }
    }
    assert_int_equal (done, 1);
    store_t *copy = store_sqlite_open (path, self->problem, sizeof self->problem);
    assert_non_null (copy);
    digest_of (copy, got);
    copy->ops->close (&copy);
    assert_memory_equal (got, expected, DIGEST);
}

/* Three turns; the digest after each. */
static void three_turns (fixture_t *self, unsigned char digests[3][DIGEST])
{
    for (int i = 0; i < 3; i++) {
        insert (self);
        assert_int_equal (self->store->ops->commit (self->store), 0);
        digest_of (self->store, digests[i]);
    }
    assert_int_equal (sqlite_of (self->store)->redo.number, 3);
    assert_int_equal (sqlite_of (self->store)->redo.at, 3 * SECTOR);
    fixture_copy (self);
}

static void test_a_torn_last_write_was_never_acknowledged (void **state)
{
    fixture_t *self = *state;
    unsigned char digests[3][DIGEST];
    three_turns (self, digests);
    spoil (self, 2 * SECTOR + HEADER + 5, "??", 2);
    assert_copy_is (self, digests[1]);
}

static void test_a_damaged_log_is_refused (void **state)
{
    fixture_t *self = *state;
    unsigned char digests[3][DIGEST];
    static const off_t places[] = { 0, 9, 17, 25, HEADER - 1, HEADER + 1, SECTOR + 3, SECTOR + HEADER + 20 };
    three_turns (self, digests);
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        fixture_copy (self);
        spoil (self, places[i], "?", 1);
        for (int again = 0; again < 2; again++) { /* a start that was refused has changed nothing */
            assert_null (fixture_open_copy (self));
            assert_non_null (strstr (self->problem, "gleaner.db-redo"));
        }
    }
}

/* All that was written of it is gone, as after a repair of the file system; at once after a start, too. */
static void test_an_emptied_log_is_refused (void **state)
{
    fixture_t *self = *state;
    unsigned char digests[3][DIGEST];
    static const char zeros[4 * SECTOR];
    for (int turns = 0; turns < 2; turns++) {
        if (turns)
            three_turns (self, digests);
        fixture_copy (self);
        spoil (self, 0, zeros, sizeof zeros);
        for (int again = 0; again < 2; again++) {
            assert_null (fixture_open_copy (self));
            assert_non_null (strstr (self->problem, "what stood at its front is gone"));
        }
    }
}

/* An earlier broker's, that was killed before its first turn: it wrote nothing at the front. */
static void test_an_empty_log_of_before_is_taken (void **state)
{
    fixture_t *self = *state;
    static const char zeros[SECTOR];
    char path[256];
    fixture_copy (self);
    spoil (self, 0, zeros, sizeof zeros);
    snprintf (path, sizeof path, "%s/copy/gleaner.db", self->folder);
    sqlite3 *db = NULL;
    assert_int_equal (sqlite3_open (path, &db), SQLITE_OK);
    assert_int_equal (sqlite3_exec (db, "DELETE FROM total WHERE name = 'redo-front'", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal (sqlite3_changes (db), 1);
    sqlite3_close (db);
    store_t *store = fixture_open_copy (self);
    assert_non_null (store);
    assert_true (sqlite_of (store)->redo.front);
    store->ops->close (&store);
}

static void test_a_log_of_another_database_is_refused (void **state)
{
    fixture_t *self = *state;
    unsigned char digests[3][DIGEST];
    char path[256];
    three_turns (self, digests);
    snprintf (path, sizeof path, "%s/copy/gleaner.db", self->folder);
    assert_int_equal (unlink (path), 0);
    snprintf (path, sizeof path, "%s/copy/gleaner.db-wal", self->folder);
    unlink (path);
    assert_null (fixture_open_copy (self));
    assert_non_null (strstr (self->problem, "belongs to another"));
}

static void test_a_database_that_lost_a_commit_is_refused (void **state)
{
    fixture_t *self = *state;
    unsigned char digests[3][DIGEST];
    char command[512];
    three_turns (self, digests);
    self->store->ops->compact (self->store); /* the database commits; the log begins anew */
    insert (self);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    snprintf (command, sizeof command, "cp '%s/gleaner.db-redo' '%s/copy/gleaner.db-redo'", self->folder, self->folder);
    assert_int_equal (system (command), 0);
    assert_null (fixture_open_copy (self));
    assert_non_null (strstr (self->problem, "lost a commit"));
}

static void test_what_is_left_of_an_old_log_is_not_run (void **state)
{
    fixture_t *self = *state;
    unsigned char digests[3][DIGEST];
    unsigned char now[DIGEST];
    three_turns (self, digests);
    self->store->ops->compact (self->store);
    fixture_copy (self);
    assert_copy_is (self, digests[2]);
    insert (self); /* takes the first one's place; the old second and third stand behind it */
    assert_int_equal (self->store->ops->commit (self->store), 0);
    digest_of (self->store, now);
    fixture_copy (self);
    assert_copy_is (self, now);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_a_crash_leaves_the_last_turn, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_copy_is_of_whole_turns, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_torn_last_write_was_never_acknowledged, fixture_setup,
                                         fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_damaged_log_is_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_an_emptied_log_is_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_an_empty_log_of_before_is_taken, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_log_of_another_database_is_refused, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown (test_a_database_that_lost_a_commit_is_refused, fixture_setup,
                                         fixture_teardown),
        cmocka_unit_test_setup_teardown (test_what_is_left_of_an_old_log_is_not_run, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
