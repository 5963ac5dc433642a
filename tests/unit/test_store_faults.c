/* The store on a disk that fails: what was acknowledged is never missing after a start that is not refused. */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/store_sqlite.h"
#include "store_fixture.h"

static int failing_syncs;     /* so many syncs of the WAL fail */
static bool log_fails;        /* the redo log cannot be synced */
static bool wal_full;         /* the WAL cannot be written */
static bool database_damaged; /* the database cannot be read */

static bool ends_with (int fd, const char *end)
{
    char link[64];
    char path[512];
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink (link, path, sizeof path - 1);
    return len > (ssize_t)strlen (end) && memcmp (path + len - strlen (end), end, strlen (end)) == 0;
}

/* In place of libc's, for libsqlite3 as well. */
ssize_t pwrite64 (int fd, const void *bytes, size_t count, off64_t at);
ssize_t pwrite64 (int fd, const void *bytes, size_t count, off64_t at)
{
    ssize_t (*real) (int, const void *, size_t, off64_t) = NULL;
    *(void **)&real = dlsym (RTLD_NEXT, "pwrite64");
    if (wal_full && ends_with (fd, "gleaner.db-wal")) {
        errno = ENOSPC;
        return -1;
    }
    return real (fd, bytes, count, at);
}

ssize_t pread64 (int fd, void *bytes, size_t count, off64_t at);
ssize_t pread64 (int fd, void *bytes, size_t count, off64_t at)
{
    ssize_t (*real) (int, void *, size_t, off64_t) = NULL;
    *(void **)&real = dlsym (RTLD_NEXT, "pread64");
    if (database_damaged && ends_with (fd, "gleaner.db")) {
        errno = EBADF; /* EIO is taken for a damaged file system, and harms no transaction */
        return -1;
    }
    return real (fd, bytes, count, at);
}

int fdatasync (int fd)
{
    int (*real) (int) = NULL;
    *(void **)&real = dlsym (RTLD_NEXT, "fdatasync");
    bool is_log = ends_with (fd, "gleaner.db-redo");
    if (is_log ? log_fails : failing_syncs && ends_with (fd, "gleaner.db-wal")) {
        failing_syncs -= !is_log;
        errno = EIO;
        return -1;
    }
    return real (fd);
}

static int teardown (void **state)
{
    failing_syncs = 0;
    wal_full = database_damaged = log_fails = false;
    return fixture_teardown (state);
}

static void insert (fixture_t *self)
{
    job_record_t job = fixture_job (++self->last_seq);
    assert_int_equal (self->store->ops->job_insert (self->store, &job), 0);
}

static void acknowledge (fixture_t *self, int count)
{
    for (int i = 0; i < count; i++) {
        insert (self);
        assert_int_equal (self->store->ops->commit (self->store), 0);
    }
}

/* kill -9 and a start on a disk that is well again; `extra` was not acknowledged, and may be there. */
static void assert_all_there (fixture_t *self, int extra)
{
    failing_syncs = 0;
    wal_full = database_damaged = log_fails = false;
    fixture_copy (self);
    store_t *copy = fixture_open_copy (self);
    if (!copy)
        fail_msg ("%s", self->problem);
    int64_t rows = sqlite_ask (sqlite_of (copy)->db, "SELECT count (*) FROM job");
    assert_int_equal (copy->ops->job_count (copy), rows);
    assert_in_range (rows, self->last_seq - extra, self->last_seq);
    copy->ops->close (&copy);
}

/* ---- a commit whose outcome is not known ---- */

static void test_nothing_is_acknowledged_after_a_failed_settle (void **state)
{
    fixture_t *self = *state;
    acknowledge (self, 5);
    failing_syncs = 1;
    self->store->ops->compact (self->store);
    assert_int_equal (failing_syncs, 0);
    assert_int_equal (self->store->ops->commit (self->store), ERR_INTERNAL); /* of a turn that only reads, too */
    job_record_t job = fixture_job (self->last_seq + 1);
    assert_int_equal (self->store->ops->job_insert (self->store, &job), ERR_INTERNAL);
    assert_all_there (self, 0);
}

static void test_a_start_whose_settle_fails_is_refused (void **state)
{
    fixture_t *self = *state;
    acknowledge (self, 5);
    fixture_copy (self);
    failing_syncs = 1;
    assert_null (fixture_open_copy (self));
    assert_int_equal (failing_syncs, 0);
    store_t *store = fixture_open_copy (self);
    assert_non_null (store);
    assert_int_equal (store->ops->job_count (store), 5);
    store->ops->close (&store);
}

static void test_nothing_is_acknowledged_after_a_failed_snapshot (void **state)
{
    fixture_t *self = *state;
    char path[256];
    acknowledge (self, 5);
    snprintf (path, sizeof path, "%s/snapshot", self->folder);
    failing_syncs = 1;
    assert_int_equal (self->store->ops->snapshot_step (self->store, path), -1);
    assert_int_equal (self->store->ops->commit (self->store), ERR_INTERNAL);
    assert_all_there (self, 0);
}

static void test_nothing_is_acknowledged_after_a_failed_sync_of_the_log (void **state)
{
    fixture_t *self = *state;
    acknowledge (self, 5);
    log_fails = true;
    insert (self);
    assert_int_equal (self->store->ops->commit (self->store), ERR_INTERNAL);
    log_fails = false; /* it may succeed the next time, without the pages that were lost */
    assert_int_equal (self->store->ops->commit (self->store), ERR_INTERNAL);
    assert_all_there (self, 1);
}

static void test_a_key_is_used_once (void **state)
{
    fixture_t *self = *state;
    for (int kept = 1; kept >= 0; kept--) {
        job_record_t job = fixture_job (++self->last_seq);
        job.idempotency_key = kept ? SLICE ("k1") : SLICE ("k2");
        assert_int_equal (self->store->ops->job_insert (self->store, &job), 0);
        assert_int_equal (self->store->ops->commit (self->store), 0);
        if (!kept)
            self->store->ops->compact (self->store);
        job.id.seq++;
        assert_int_equal (self->store->ops->job_insert (self->store, &job), ERR_INTERNAL);
        assert_all_there (self, 0);
    }
}

/* ---- no room ---- */

static void test_without_room_for_the_database_the_log_goes_on (void **state)
{
    fixture_t *self = *state;
    acknowledge (self, 5);
    wal_full = true;
    self->store->ops->compact (self->store);
    acknowledge (self, 5);
    assert_all_there (self, 0);
    self->store->ops->compact (self->store); /* there is room again */
    acknowledge (self, 5);
    assert_all_there (self, 0);
}

static void test_a_turn_without_room_is_forgotten_and_no_other (void **state)
{
    fixture_t *self = *state;
    job_record_t got;
    acknowledge (self, 5);
    wal_full = true;
    insert (self);
    assert_int_equal (self->store->ops->stat_put (self->store, 1, 7, SLICE ("figures")), 0); /* not for the log */
    assert_int_equal (self->store->ops->commit (self->store), ERR_DISK_FULL);
    assert_int_equal (self->store->ops->rollback (self->store), 0);
    job_id_t id = { .seq = self->last_seq--, .salt = "abc123" };
    assert_int_equal (self->store->ops->job_get (self->store, &id, &got), ERR_NO_SUCH_JOB);
    assert_int_equal (self->store->ops->job_count (self->store), self->last_seq);
    acknowledge (self, 5);
    assert_all_there (self, 0);
}

/* ---- a read that fails ---- */

static void test_a_failed_read_ends_it_before_the_next_answer (void **state)
{
    fixture_t *self = *state;
    job_record_t got;
    acknowledge (self, 3000);
    self->store->ops->close (&self->store);
    self->store = store_sqlite_open (self->path, self->problem, sizeof self->problem);
    assert_non_null (self->store);
    acknowledge (self, 5);
    database_damaged = true;
    job_id_t id = { .seq = 1500, .salt = "abc123" };
    assert_int_equal (self->store->ops->job_get (self->store, &id, &got), ERR_INTERNAL);
    assert_int_equal (self->store->ops->commit (self->store), ERR_INTERNAL); /* though nothing was written */
    assert_all_there (self, 0);
}

static bool see_nothing (void *ctx, const job_record_t *job)
{
    (void)ctx;
    (void)job;
    return true;
}

/* A list brings rows up to date, of turns that were acknowledged. */
static void test_a_row_that_cannot_be_written_ends_it_too (void **state)
{
    fixture_t *self = *state;
    job_filter_t filter = { .before_seq = INT64_MAX, .state = -1 };
    int64_t next_seq = 0;
    acknowledge (self, 3000);
    self->store->ops->close (&self->store);
    self->store = store_sqlite_open (self->path, self->problem, sizeof self->problem);
    assert_non_null (self->store);
    job_record_t job = fixture_job (1500);
    job.state = JOB_RUNNING;
    job.token = SLICE ("t");
    assert_int_equal (self->store->ops->job_update (self->store, &job), 0);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    database_damaged = true;
    assert_int_equal (self->store->ops->job_list (self->store, &filter, 1000, see_nothing, NULL, &next_seq),
                      ERR_INTERNAL);
    assert_int_equal (self->store->ops->commit (self->store), ERR_INTERNAL);
    assert_all_there (self, 0);
    store_t *copy = fixture_open_copy (self);
    assert_non_null (copy);
    job_record_t got;
    assert_int_equal (copy->ops->job_get (copy, &job.id, &got), 0);
    assert_int_equal (got.state, JOB_RUNNING);
    copy->ops->close (&copy);
}

/* ---- what belongs together ---- */

static void test_a_start_without_the_log_is_refused (void **state)
{
    fixture_t *self = *state;
    char text[512];
    acknowledge (self, 5);
    for (int cut = 0; cut < 2; cut++) {
        fixture_copy (self);
        snprintf (text, sizeof text, "%s '%s/copy/gleaner.db-redo'", cut ? "truncate -s 512" : "rm", self->folder);
        assert_int_equal (system (text), 0);
        for (int again = 0; again < 2; again++) {
            assert_null (fixture_open_copy (self));
            assert_non_null (strstr (self->problem, "is missing or was cut"));
        }
    }
    self->store->ops->close (&self->store); /* after a clean end all is in the database */
    snprintf (text, sizeof text, "%s-redo", self->path);
    assert_int_equal (unlink (text), 0);
    self->store = store_sqlite_open (self->path, self->problem, sizeof self->problem);
    assert_non_null (self->store);
    assert_int_equal (self->store->ops->job_count (self->store), 5);
}

static void test_a_snapshot_waits_for_the_end_of_a_turn (void **state)
{
    fixture_t *self = *state;
    char path[256];
    acknowledge (self, 1);
    job_record_t job = fixture_job (1);
    job.artifacts = SLICE ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    snprintf (path, sizeof path, "%s/snapshot", self->folder);
    assert_int_equal (self->store->ops->job_update (self->store, &job), 0);
    assert_int_equal (self->store->ops->snapshot_step (self->store, path), 0);
    assert_int_equal (access (path, F_OK), -1);
    assert_int_equal (self->store->ops->commit (self->store), 0);
    while (self->store->ops->snapshot_step (self->store, path) == 0)
        ;
    store_t *copy = store_sqlite_open (path, self->problem, sizeof self->problem);
    assert_non_null (copy);
    assert_int_equal (sqlite_ask (sqlite_of (copy)->db, "SELECT refs FROM blob"), 1);
    copy->ops->close (&copy);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_nothing_is_acknowledged_after_a_failed_settle, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_start_whose_settle_fails_is_refused, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_nothing_is_acknowledged_after_a_failed_snapshot, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_nothing_is_acknowledged_after_a_failed_sync_of_the_log, fixture_setup,
                                         teardown),
        cmocka_unit_test_setup_teardown (test_a_key_is_used_once, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_without_room_for_the_database_the_log_goes_on, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_turn_without_room_is_forgotten_and_no_other, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_failed_read_ends_it_before_the_next_answer, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_row_that_cannot_be_written_ends_it_too, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_start_without_the_log_is_refused, fixture_setup, teardown),
        cmocka_unit_test_setup_teardown (test_a_snapshot_waits_for_the_end_of_a_turn, fixture_setup, teardown),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
