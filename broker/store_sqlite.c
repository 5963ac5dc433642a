/* store_sqlite.c - the store in one SQLite file and a redo log: one connection, exclusive, WAL, every commit synced.
 *
 * Many turns share one of its transactions: see store_sqlite_redo.c.
 *
 * Exclusive locking before WAL makes no shared-memory file and shuts a second connection out: SQLite up to 3.51.2 can
 * corrupt a database that two connections write in WAL mode.
 */
#include "broker/store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/clock.h"
#include "proto/log.h"

enum {
    VALUE_MAX = 16 * 1024 * 1024, /* bytes of one column */
    PIECE_MAX = 2048,             /* bytes of a piece of the database's pool, */
    PIECES = 512,                 /* which has so many; beyond them, and for larger ones, there is malloc */
    CACHE_MAX = 32 * 1024 * 1024, /* bytes of pages that may be held in memory before the database commits */
};

err_t sqlite_failed (store_sqlite_t *self, const char *what)
{
    int code = sqlite3_extended_errcode (self->db);
    err_t err = (code & 0xff) == SQLITE_FULL ? ERR_DISK_FULL : ERR_INTERNAL;
    log_event (LEVEL_ERROR, "store-failed", "%s: %s (sqlite %d)", what, sqlite3_errmsg (self->db), code);
    return err;
}

/* ---- binding and reading columns ---- */

bound_t sqlite_text (slice_t text)
{
    return (bound_t){ text.ptr ? VALUE_TEXT : VALUE_NULL, 0, text };
}

bound_t sqlite_blob (slice_t bytes)
{
    return (bound_t){ bytes.ptr ? VALUE_BLOB : VALUE_NULL, 0, bytes };
}

bound_t sqlite_number (int64_t number)
{
    return (bound_t){ number == INT_ABSENT ? VALUE_NULL : VALUE_INT, number, SLICE_ABSENT };
}

void sqlite_bind (sqlite3_stmt *sql, int at, const bound_t *value)
{
    if (value->kind == VALUE_TEXT)
        sqlite3_bind_text64 (sql, at, value->bytes.ptr, value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    else if (value->kind == VALUE_BLOB)
        sqlite3_bind_blob64 (sql, at, value->bytes.ptr, value->bytes.len, SQLITE_STATIC);
    else if (value->kind == VALUE_INT)
        sqlite3_bind_int64 (sql, at, value->number);
    else
        sqlite3_bind_null (sql, at);
}

static void set (store_sqlite_t *self, sql_t which, int at, bound_t value)
{
    self->bound[which][at - 1] = value;
    sqlite_bind (self->sql[which], at, &value);
}

void sqlite_set_text (store_sqlite_t *self, sql_t which, int at, slice_t text)
{
    set (self, which, at, sqlite_text (text));
}

void sqlite_set_blob (store_sqlite_t *self, sql_t which, int at, slice_t bytes)
{
    set (self, which, at, sqlite_blob (bytes));
}

void sqlite_set_int (store_sqlite_t *self, sql_t which, int at, int64_t number)
{
    set (self, which, at, sqlite_number (number));
}

void sqlite_bind_text (sqlite3_stmt *sql, int at, slice_t text)
{
    bound_t value = sqlite_text (text);
    sqlite_bind (sql, at, &value);
}

void sqlite_bind_int (sqlite3_stmt *sql, int at, int64_t number)
{
    bound_t value = sqlite_number (number);
    sqlite_bind (sql, at, &value);
}

slice_t sqlite_slice (sqlite3_stmt *sql, int at)
{
    if (sqlite3_column_type (sql, at) == SQLITE_NULL)
        return SLICE_ABSENT;
    const void *ptr = sqlite3_column_blob (sql, at);
    return slice_from (ptr, (size_t)sqlite3_column_bytes (sql, at));
}

int64_t sqlite_int (sqlite3_stmt *sql, int at)
{
    return sqlite3_column_type (sql, at) == SQLITE_NULL ? INT_ABSENT : sqlite3_column_int64 (sql, at);
}

/* ---- transactions ---- */

void sqlite_end_reads (store_sqlite_t *self)
{
    if (self->reading)
        sqlite3_reset (self->reading);
    if (self->reading_attempt)
        sqlite3_reset (self->reading_attempt);
    self->reading = self->reading_attempt = NULL;
}

err_t sqlite_run_silent (store_sqlite_t *self, sql_t which)
{
    int code = sqlite3_step (self->sql[which]);
    err_t err = code == SQLITE_DONE || code == SQLITE_ROW ? ERR_NONE : sqlite_failed (self, sqlite_statements[which]);
    sqlite3_reset (self->sql[which]);
    return err;
}

err_t sqlite_run (store_sqlite_t *self, sql_t which)
{
    err_t err = sqlite_run_silent (self, which);
    if (!err)
        sqlite_redo_note (self, which);
    return err;
}

/* After some errors, of reads too, SQLite rolls back by itself: then many turns are gone from it that were
 * acknowledged, and are in the log alone. */
bool sqlite_is_lost (const store_sqlite_t *self)
{
    return self->broken || (self->open && sqlite3_get_autocommit (self->db));
}

err_t sqlite_begin (store_sqlite_t *self)
{
    sqlite_end_reads (self);
    if (sqlite_is_lost (self))
        return ERR_INTERNAL;
    self->dirty = true;
    if (self->open)
        return ERR_NONE;
    err_t err = sqlite_run_silent (self, SQL_BEGIN);
    self->open = !err;
    return err;
}

/* Back to the end of the last turn that was committed. */
static err_t rollback (store_t *store)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite_end_reads (self);
    if (!sqlite3_get_autocommit (self->db))
        sqlite_run_silent (self, SQL_ROLLBACK);
    self->open = self->dirty = false;
    sqlite_behind_forget (&self->behind);
    sqlite_redo_forget (self);
    self->broken = self->broken || sqlite_redo_run (self);
    self->jobs = self->jobs_committed;
    self->blob_bytes = self->blob_bytes_committed;
    return self->broken ? ERR_INTERNAL : ERR_NONE;
}

err_t sqlite_put_total (store_sqlite_t *self, const char *name, int64_t number)
{
    sqlite_bind_text (self->sql[SQL_TOTAL_PUT], 1, slice_of (name));
    sqlite_bind_int (self->sql[SQL_TOTAL_PUT], 2, number);
    return sqlite_run_silent (self, SQL_TOTAL_PUT);
}

void sqlite_synced (store_sqlite_t *self, store_sync_t of, int64_t begun_us)
{
    if (self->base.synced)
        self->base.synced (self->base.synced_ctx, of, clock_mono_us () - begun_us);
}

err_t sqlite_settle (store_sqlite_t *self)
{
    sqlite_end_reads (self);
    if (sqlite_is_lost (self))
        return ERR_INTERNAL; /* outside of a transaction each of these statements would commit by itself */
    if (!self->open)
        return ERR_NONE;
    err_t err = sqlite_behind_write (self);
    if (!err)
        err = sqlite_put_total (self, "jobs", self->jobs);
    if (!err)
        err = sqlite_put_total (self, "redo", (int64_t)(self->redo.name + 1));
    int64_t begun_us = clock_mono_us ();
    if (!err)
        err = sqlite_run_silent (self, SQL_COMMIT);
    /* A commit that failed for another reason than room may be on the disk or not. */
    self->broken = self->broken || err == ERR_INTERNAL;
    if (err)
        return err;
    sqlite_synced (self, STORE_SYNC_DATABASE, begun_us);
    self->open = false;
    sqlite_redo_begin (self);
    return ERR_NONE;
}

/* Of a turn that is durable already. If there is no room, all stays as it was. */
static void settle_or_stay (store_sqlite_t *self)
{
    if (sqlite_settle (self) == ERR_DISK_FULL)
        rollback (&self->base);
}

/* SQLite's own log of writes goes into the file itself. */
static void compact (store_t *store)
{
    store_sqlite_t *self = sqlite_of (store);
    if (self->dirty)
        return;
    settle_or_stay (self);
    if (!self->open && !self->broken)
        sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

/* What is not committed is in memory. */
static bool holds_much (store_sqlite_t *self)
{
    int bytes = 0;
    int highest = 0;
    sqlite3_db_status (self->db, SQLITE_DBSTATUS_CACHE_USED, &bytes, &highest, 0);
    return bytes > CACHE_MAX;
}

static err_t commit (store_t *store)
{
    store_sqlite_t *self = sqlite_of (store);
    if (sqlite_is_lost (self))
        return ERR_INTERNAL; /* even if this turn has changed nothing: its answers may be of what is no longer there */
    if (!self->dirty)
        return ERR_NONE;
    sqlite_end_reads (self);
    if (self->blob_bytes != self->blob_bytes_committed) {
        sqlite_set_text (self, SQL_TOTAL_PUT, 1, SLICE ("blobs"));
        sqlite_set_int (self, SQL_TOTAL_PUT, 2, self->blob_bytes);
        err_t err = sqlite_run (self, SQL_TOTAL_PUT);
        if (err)
            return err;
    }
    /* A copy under way is of what the database has committed. */
    bool log = sqlite_redo_fits (self) && !self->copy;
    err_t err = !log ? sqlite_settle (self) : self->redo.batch.len ? sqlite_redo_write (self) : ERR_NONE;
    if (err)
        return err;
    sqlite_redo_forget (self);
    self->dirty = false;
    self->jobs_committed = self->jobs;
    self->blob_bytes_committed = self->blob_bytes;
    if (self->open && holds_much (self))
        settle_or_stay (self);
    return self->broken ? ERR_INTERNAL : ERR_NONE;
}

/* ---- opening ---- */

int64_t sqlite_ask (sqlite3 *db, const char *text)
{
    sqlite3_stmt *sql = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2 (db, text, -1, &sql, NULL) == SQLITE_OK && sqlite3_step (sql) == SQLITE_ROW)
        number = sqlite3_column_int64 (sql, 0);
    sqlite3_finalize (sql);
    return number;
}

int64_t sqlite_total (sqlite3 *db, const char *name)
{
    char text[64];
    snprintf (text, sizeof text, "SELECT bytes FROM total WHERE name = '%s'", name);
    return sqlite_ask (db, text);
}

static int64_t job_count (store_t *store)
{
    return sqlite_of (store)->jobs;
}

static int64_t job_last_seq (store_t *store)
{
    store_sqlite_t *self = sqlite_of (store);
    int64_t seq = sqlite_behind_write (self) ? 0 : sqlite_ask (self->db, "SELECT coalesce (max (seq), 0) FROM job");
    return seq > 0 ? seq : 0;
}

static int64_t blob_bytes (store_t *store)
{
    int64_t bytes = sqlite_of (store)->blob_bytes;
    return bytes > 0 ? bytes : 0;
}

static void store_close (store_t **self_p)
{
    if (!*self_p)
        return;
    store_sqlite_t *self = sqlite_of (*self_p);
    sqlite_snapshot_step (*self_p, NULL);
    if (!self->dirty && !self->broken && !sqlite_begin (self) && !sqlite_redo_mark (self, true))
        sqlite_settle (self); /* if that fails, the log still has it */
    sqlite_redo_close (self);
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize (self->sql[i]);
    for (int i = 0; i < LIST_WAYS * LIST_PARTS; i++)
        sqlite3_finalize (self->lists[i / LIST_PARTS][i % LIST_PARTS]);
    decoder_destroy (&self->options);
    sqlite_behind_fini (&self->behind);
    sqlite3_close (self->db);
    free (self);
    *self_p = NULL;
}

const store_ops_t sqlite_ops = {
    .name = "sqlite",
    .job_insert = sqlite_job_insert,
    .job_update = sqlite_job_update,
    .attempt_put = sqlite_attempt_put,
    .worker_put = sqlite_worker_put,
    .worker_delete = sqlite_worker_delete,
    .blob_put = sqlite_blob_put,
    .commit = commit,
    .compact = compact,
    .rollback = rollback,
    .job_get = sqlite_job_get,
    .job_by_key = sqlite_job_by_key,
    .job_list = sqlite_job_list,
    .job_live = sqlite_job_live,
    .attempt_get = sqlite_attempt_get,
    .attempt_each = sqlite_attempt_each,
    .worker_each = sqlite_worker_each,
    .job_count = job_count,
    .job_last_seq = job_last_seq,
    .job_expire = sqlite_job_expire,
    .blob_expire = sqlite_blob_expire,
    .job_purge = sqlite_job_purge,
    .blob_known = sqlite_blob_known,
    .blob_bytes = blob_bytes,
    .blob_live_bytes = sqlite_blob_live_bytes,
    .stat_put = sqlite_stat_put,
    .stat_drop_before = sqlite_stat_drop_before,
    .stat_each = sqlite_stat_each,
    .hook_put = sqlite_hook_put,
    .hook_delete = sqlite_hook_delete,
    .hook_each = sqlite_hook_each,
    .ended_each = sqlite_ended_each,
    .snapshot_step = sqlite_snapshot_step,
    .close = store_close,
};

static const char pragmas[] = "PRAGMA locking_mode = EXCLUSIVE;"
                              "PRAGMA journal_mode = WAL;"
                              "PRAGMA synchronous = FULL;"
                              "PRAGMA foreign_keys = ON;"
                              "PRAGMA trusted_schema = OFF;"
                              "PRAGMA cell_size_check = ON;"
                              "PRAGMA mmap_size = 0;"
                              "PRAGMA cache_size = -16384;"
                              "PRAGMA cache_spill = OFF;" /* nothing is written but by a commit */
                              "PRAGMA wal_autocheckpoint = 4000;";

/* Its small pieces of memory come from a pool of its own, and nobody counts them: 8 % fewer instructions in the guard's
 * run of the store. Within a process this can be said once, before all else; to say it again is refused, and does no
 * harm. */
static void configure_memory (void)
{
    sqlite3_config (SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config (SQLITE_CONFIG_LOOKASIDE, PIECE_MAX, PIECES);
}

static bool configure (sqlite3 *db, const char *path, char *problem, size_t size)
{
    sqlite3_extended_result_codes (db, 1);
    sqlite3_busy_timeout (db, 0);
    sqlite3_limit (db, SQLITE_LIMIT_LENGTH, VALUE_MAX);
    sqlite3_db_config (db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config (db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL); /* a start that is refused changes nothing */
    if (sqlite3_exec (db, pragmas, NULL, NULL, NULL) != SQLITE_OK || sqlite_ask (db, "PRAGMA user_version") < 0) {
        int code = sqlite3_errcode (db);
        if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
            snprintf (problem, size, "another broker uses '%s': stop it, or give this one another --data.", path);
        else if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB)
            snprintf (problem, size, "'%s' is damaged: %s. Examine it with --check, or restore a backup.", path,
                      sqlite3_errmsg (db));
        else
            snprintf (problem, size, "cannot open '%s': %s.", path, sqlite3_errmsg (db));
        return false;
    }
    int64_t application = sqlite_ask (db, "PRAGMA application_id");
    if (application != APPLICATION_ID && application != 0) {
        snprintf (problem, size, "'%s' is another program's database.", path);
        return false;
    }
    if (sqlite_ask (db, "PRAGMA synchronous") != 2) {
        snprintf (problem, size, "'%s': the database does not take synchronous = FULL.", path);
        return false;
    }
    return sqlite_version_known (db, path, problem, size);
}

store_t *store_sqlite_open (const char *path, char *problem, size_t problem_size)
{
    store_sqlite_t *self = xcalloc (1, sizeof *self);
    store_t *store = &self->base;
    self->base.ops = &sqlite_ops;
    self->redo.fd = -1;
    self->options = decoder_new ();
    sqlite_behind_init (&self->behind);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    configure_memory ();
    if (sqlite3_open_v2 (path, &self->db, flags, NULL) != SQLITE_OK) {
        snprintf (problem, problem_size, "cannot open '%s': %s.", path, sqlite3_errmsg (self->db));
        goto fail;
    }
    if (!configure (self->db, path, problem, problem_size) || !sqlite_redo_open (self, path, problem, problem_size) ||
        !sqlite_migrate (self->db, path, problem, problem_size))
        goto fail;
    for (int i = 0; i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v3 (self->db, sqlite_statements[i], -1, SQLITE_PREPARE_PERSISTENT, &self->sql[i], NULL) ==
            SQLITE_OK)
            continue;
        snprintf (problem, problem_size, "'%s' has another schema than its version says: %s.", path,
                  sqlite3_errmsg (self->db));
        goto fail;
    }
    /* Counting a million takes a second; the database keeps the number as of its last commit. */
    self->jobs = sqlite_total (self->db, "jobs");
    if (self->jobs < 0)
        self->jobs = sqlite_ask (self->db, "SELECT count (*) FROM job");
    if (!sqlite_redo_start (self, path, problem, problem_size))
        goto fail;
    self->jobs_committed = self->jobs;
    int64_t blobs = sqlite_total (self->db, "blobs");
    self->blob_bytes = self->blob_bytes_committed = blobs > 0 ? blobs : 0;
    /* What WAL frames say is in the file itself before the log is written over on their word. */
    if (!self->open)
        sqlite3_wal_checkpoint_v2 (self->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_db_config (self->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
    return store;
fail:
    self->broken = true; /* what the log has stays in the log */
    store_close (&store);
    return NULL;
}
