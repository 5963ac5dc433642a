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

#include "proto/log.h"

enum {
    SCHEMA_VERSION = 4,
    APPLICATION_ID = 0x676c6e72,  /* "glnr" */
    VALUE_MAX = 16 * 1024 * 1024, /* bytes of one column */
    CACHE_MAX = 32 * 1024 * 1024, /* bytes of pages that may be held in memory before the database commits */
};

/* The job's archive is a blob. */
#define ARCHIVED "length (file_url) = 77 AND substr (file_url, 1, 9) = '/uploads/' AND substr (file_url, 74) = '.zip'"

const char *const sqlite_statements[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_JOB_INSERT] =
        "INSERT INTO job (" JOB_CREATED ", " JOB_CHANGING ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
        "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, "
        "?29, ?30, ?31, ?32, ?33)",
    [SQL_JOB_UPDATE] = "UPDATE job SET state = ?13, attempt = ?14, worker_id = ?15, candidates = ?16, token = ?17, "
                       "slot = ?18, started_ms = ?19, completed_ms = ?20, exit_code = ?21, reason = ?22, "
                       "error_message = ?23, stdout = ?24, stderr = ?25, stdout_bytes = ?26, stderr_bytes = ?27, "
                       "not_before_ms = ?28, signal = ?29, receipt = ?30, artifacts = ?31, journal_bytes = ?32, "
                       "journal = ?33 WHERE seq = ?1",
    [SQL_JOB_GET] = "SELECT " JOB_WHOLE " FROM job WHERE seq = ?1 AND salt = ?2",
    [SQL_JOB_BY_KEY] = "SELECT " JOB_SHOWN " FROM job WHERE idempotency_key = ?1",
    [SQL_JOB_LIVE] = "SELECT " JOB_SHOWN " FROM job WHERE state < 2 ORDER BY seq",
    [SQL_JOB_AT] = "SELECT " JOB_SHOWN " FROM job WHERE seq = ?1",
    [SQL_JOB_BRIEF] = "SELECT " JOB_BRIEF " FROM job WHERE seq = ?1",
    [SQL_JOB_BRIEF_PUT] = "UPDATE job SET brief_options = ?2 WHERE seq = ?1",
    [SQL_LABEL_HAS] = "SELECT 1 FROM job_label WHERE label = ?1 AND seq = ?2",
    [SQL_LABEL_INSERT] = "INSERT OR IGNORE INTO job_label (label, seq) VALUES (?1, ?2)",
    [SQL_ATTEMPT_PUT] = "INSERT OR REPLACE INTO attempt (" ATTEMPT_FIRST ", journal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
                        "?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
    [SQL_ATTEMPT_GET] = "SELECT " ATTEMPT_FIRST ", journal FROM attempt WHERE seq = ?1 AND attempt = ?2",
    [SQL_ATTEMPT_EACH] = "SELECT " ATTEMPT_FIRST ", " JOURNAL_HINT " FROM attempt WHERE seq = ?1 ORDER BY attempt",
    [SQL_WORKER_PUT] =
        "INSERT OR REPLACE INTO worker (worker_id, hostname, os, version, machine, remote_addr, cpu_count, slots, "
        "registered_ms, last_seen_ms, online, labels, asleep_until_ms, draining) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    [SQL_WORKER_DELETE] = "DELETE FROM worker WHERE worker_id = ?1",
    [SQL_WORKER_EACH] = "SELECT worker_id, hostname, os, version, machine, remote_addr, cpu_count, slots, "
                        "registered_ms, last_seen_ms, online, labels, asleep_until_ms, draining FROM worker "
                        "ORDER BY worker_id",
    [SQL_BLOB_REFER] = "INSERT INTO blob (sha256, bytes, refs, used_ms) VALUES (?1, 0, 1, 0) "
                       "ON CONFLICT (sha256) DO UPDATE SET refs = refs + 1",
    [SQL_BLOB_LEAVE] = "UPDATE blob SET refs = refs - 1 WHERE sha256 = ?1 AND refs > 0",
    [SQL_BLOB_PUT] = "INSERT INTO blob (sha256, bytes, refs, used_ms) VALUES (?1, ?2, 0, ?3) "
                     "ON CONFLICT (sha256) DO UPDATE SET bytes = ?2, used_ms = ?3",
    [SQL_BLOB_EXPIRED] = "SELECT sha256, bytes FROM blob WHERE refs = 0 AND used_ms < ?1 ORDER BY used_ms LIMIT ?2",
    [SQL_BLOB_DELETE] = "DELETE FROM blob WHERE sha256 = ?1",
    [SQL_JOB_EXPIRED] = "SELECT " JOB_SHOWN " FROM job WHERE completed_ms > 0 "
                        "AND completed_ms < ?1 AND (?3 = 0 OR " ARCHIVED ") ORDER BY completed_ms LIMIT ?2",
    [SQL_BLOB_LIVE] = "SELECT coalesce (sum (bytes), 0) FROM blob WHERE sha256 IN "
                      "(SELECT substr (file_url, 10, 64) FROM job WHERE state < 2 AND " ARCHIVED ")",
    [SQL_JOB_DELETE] = "DELETE FROM job WHERE seq = ?1",
    [SQL_LABEL_DELETE] = "DELETE FROM job_label WHERE label = ?1 AND seq = ?2",
    [SQL_ATTEMPT_DELETE] = "DELETE FROM attempt WHERE seq = ?1",
    [SQL_JOB_PURGEABLE] = "SELECT " JOB_SHOWN " FROM job WHERE completed_ms > 0 "
                          "AND completed_ms >= ?1 AND completed_ms < ?2 AND (?4 = 0 OR artifacts IS NOT NULL OR "
                          "(purged & 1 = 0 AND (stdout IS NULL OR stderr IS NULL OR attempt > 1 "
                          "OR typeof (journal) = 'null'))) "
                          "ORDER BY completed_ms LIMIT ?3",
    [SQL_JOB_PURGE] = "UPDATE job SET purged = purged | ?2, "
                      "stdout = CASE WHEN ?2 & 1 THEN x'' ELSE stdout END, "
                      "stderr = CASE WHEN ?2 & 1 THEN x'' ELSE stderr END, "
                      "journal = CASE WHEN ?2 & 1 THEN x'' ELSE journal END, "
                      "artifacts = CASE WHEN ?2 & 2 THEN NULL ELSE artifacts END WHERE seq = ?1",
    [SQL_ATTEMPT_PURGE] = "UPDATE attempt SET stdout = x'', stderr = x'', journal = x'' WHERE seq = ?1",
    [SQL_TOTAL_PUT] = "INSERT OR REPLACE INTO total (name, bytes) VALUES (?1, ?2)",
    [SQL_STAT_PUT] = "INSERT OR REPLACE INTO stat (kind, time, bytes) VALUES (?1, ?2, ?3)",
    [SQL_STAT_DROP] = "DELETE FROM stat WHERE kind = ?1 AND time < ?2",
    [SQL_STAT_EACH] = "SELECT kind, time, bytes FROM stat ORDER BY kind, time",
};

/* Step N brings a database from version N to N + 1. */
static const char *const migrations[SCHEMA_VERSION] = {
    "CREATE TABLE job ("
    " seq INTEGER PRIMARY KEY, salt TEXT NOT NULL, command TEXT NOT NULL, file_url TEXT NOT NULL,"
    " filename TEXT NOT NULL, timeout_ms INTEGER NOT NULL, max_attempts INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
    " pinned TEXT, state INTEGER NOT NULL, attempt INTEGER NOT NULL, worker_id TEXT, candidates TEXT, token TEXT,"
    " slot INTEGER, started_ms INTEGER NOT NULL, completed_ms INTEGER NOT NULL, exit_code INTEGER, reason TEXT,"
    " error_message TEXT, stdout BLOB, stderr BLOB, stdout_bytes INTEGER, stderr_bytes INTEGER);"
    "CREATE INDEX job_live ON job (seq) WHERE state < 2;"
    "CREATE TABLE worker ("
    " worker_id TEXT PRIMARY KEY, hostname TEXT NOT NULL, os TEXT, version TEXT, machine TEXT, remote_addr TEXT,"
    " cpu_count INTEGER, slots INTEGER, registered_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL,"
    " online INTEGER NOT NULL) WITHOUT ROWID;",

    "ALTER TABLE job ADD COLUMN options BLOB;"
    "ALTER TABLE job ADD COLUMN idempotency_key TEXT;"
    "ALTER TABLE job ADD COLUMN request_hash BLOB;"
    "ALTER TABLE job ADD COLUMN not_before_ms INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE job ADD COLUMN signal INTEGER;"
    "ALTER TABLE job ADD COLUMN receipt BLOB;"
    "ALTER TABLE job ADD COLUMN artifacts TEXT;"
    "ALTER TABLE job ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;"
    "CREATE UNIQUE INDEX job_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL;"
    "CREATE INDEX job_over ON job (completed_ms) WHERE completed_ms > 0;"
    "CREATE INDEX job_failed ON job (seq) WHERE state = 3;"
    "CREATE INDEX job_worker ON job (worker_id, seq) WHERE worker_id IS NOT NULL;"
    "CREATE TABLE job_label (label TEXT, seq INTEGER, PRIMARY KEY (label, seq)) WITHOUT ROWID;"
    "CREATE TABLE attempt ("
    " seq INTEGER, attempt INTEGER, worker_id TEXT, token TEXT, accepted INTEGER NOT NULL, reason TEXT,"
    " error_message TEXT, exit_code INTEGER, signal INTEGER, started_ms INTEGER NOT NULL,"
    " completed_ms INTEGER NOT NULL, stdout BLOB, stderr BLOB, late_ms INTEGER NOT NULL, late_exit_code INTEGER,"
    " late_reason TEXT, PRIMARY KEY (seq, attempt)) WITHOUT ROWID;"
    "ALTER TABLE worker ADD COLUMN labels TEXT;"
    "ALTER TABLE worker ADD COLUMN asleep_until_ms INTEGER NOT NULL DEFAULT 0;"
    "CREATE TABLE blob (sha256 TEXT PRIMARY KEY, bytes INTEGER NOT NULL, refs INTEGER NOT NULL,"
    " used_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX blob_unused ON blob (used_ms) WHERE refs = 0;"
    "CREATE TABLE total (name TEXT PRIMARY KEY, bytes INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO blob (sha256, bytes, refs, used_ms)"
    " SELECT substr (file_url, 10, 64), 0, count (*), 0 FROM job"
    " WHERE " ARCHIVED " GROUP BY 1;",

    "CREATE TABLE stat (kind INTEGER, time INTEGER, bytes BLOB NOT NULL, PRIMARY KEY (kind, time)) WITHOUT ROWID;"
    "ALTER TABLE worker ADD COLUMN draining INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE job ADD COLUMN brief_options BLOB;"
    "CREATE INDEX job_running ON job (seq) WHERE state = 1;"
    "CREATE INDEX job_completed ON job (seq) WHERE state = 2;"
    "INSERT OR IGNORE INTO job_label (label, seq)"
    " SELECT substr (label, 1, instr (label, '=') - 1), seq FROM job_label WHERE instr (label, '=') > 1;"
    /* What is over has none. The journal comes last: whoever reads a row's other columns need not read past it. */
    "ALTER TABLE job ADD COLUMN journal_bytes INTEGER DEFAULT 0;"
    "ALTER TABLE job ADD COLUMN journal BLOB DEFAULT x'';"
    "UPDATE job SET journal_bytes = NULL, journal = NULL WHERE state < 2;"
    "ALTER TABLE attempt ADD COLUMN journal BLOB DEFAULT x'';",

    /* The same tables; but a program that knows no redo log must not open it. */
    "",
};

err_t sqlite_failed (store_sqlite_t *self, const char *what)
{
    int code = sqlite3_extended_errcode (self->db);
    err_t err = (code & 0xff) == SQLITE_FULL ? ERR_DISK_FULL : ERR_INTERNAL;
    log_event (LEVEL_ERROR, "store-failed", "%s: %s (sqlite %d)", what, sqlite3_errmsg (self->db), code);
    return err;
}

/* ---- binding and reading columns ---- */

void sqlite_bind_text (sqlite3_stmt *sql, int at, slice_t text)
{
    if (text.ptr)
        sqlite3_bind_text64 (sql, at, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null (sql, at);
}

void sqlite_bind_blob (sqlite3_stmt *sql, int at, slice_t bytes)
{
    if (bytes.ptr)
        sqlite3_bind_blob64 (sql, at, bytes.ptr, bytes.len, SQLITE_STATIC);
    else
        sqlite3_bind_null (sql, at);
}

void sqlite_bind_int (sqlite3_stmt *sql, int at, int64_t number)
{
    if (number == INT_ABSENT)
        sqlite3_bind_null (sql, at);
    else
        sqlite3_bind_int64 (sql, at, number);
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
static bool is_lost (const store_sqlite_t *self)
{
    return self->broken || (self->open && sqlite3_get_autocommit (self->db));
}

err_t sqlite_begin (store_sqlite_t *self)
{
    sqlite_end_reads (self);
    if (is_lost (self))
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

err_t sqlite_settle (store_sqlite_t *self)
{
    sqlite_end_reads (self);
    if (is_lost (self))
        return ERR_INTERNAL; /* outside of a transaction each of these statements would commit by itself */
    if (!self->open)
        return ERR_NONE;
    err_t err = sqlite_put_total (self, "jobs", self->jobs);
    if (!err)
        err = sqlite_put_total (self, "redo", (int64_t)(self->redo.name + 1));
    if (!err)
        err = sqlite_run_silent (self, SQL_COMMIT);
    /* A commit that failed for another reason than room may be on the disk or not. */
    self->broken = self->broken || err == ERR_INTERNAL;
    if (err)
        return err;
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
    if (is_lost (self))
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
    int64_t seq = sqlite_ask (sqlite_of (store)->db, "SELECT coalesce (max (seq), 0) FROM job");
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
    .blob_bytes = blob_bytes,
    .blob_live_bytes = sqlite_blob_live_bytes,
    .stat_put = sqlite_stat_put,
    .stat_drop_before = sqlite_stat_drop_before,
    .stat_each = sqlite_stat_each,
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

static bool version_known (sqlite3 *db, const char *path, char *problem, size_t size)
{
    int64_t version = sqlite_ask (db, "PRAGMA user_version");
    if (version > SCHEMA_VERSION)
        snprintf (problem, size,
                  "'%s' was written by a newer gleaner-broker (schema %lld, this one knows %d): upgrade it.", path,
                  (long long)version, SCHEMA_VERSION);
    return version <= SCHEMA_VERSION;
}

/* Brings the schema up to date, one transaction a step. False with `problem` filled. */
static bool migrate (sqlite3 *db, const char *path, char *problem, size_t size)
{
    int64_t version = sqlite_ask (db, "PRAGMA user_version");
    for (; version >= 0 && version < SCHEMA_VERSION; version++) {
        char *text =
            sqlite3_mprintf ("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
                             migrations[version], APPLICATION_ID, (int)version + 1);
        int code = sqlite3_exec (db, text, NULL, NULL, NULL);
        sqlite3_free (text);
        if (code != SQLITE_OK) {
            snprintf (problem, size, "cannot bring '%s' to schema %d: %s.", path, (int)version + 1,
                      sqlite3_errmsg (db));
            return false;
        }
    }
    return version == SCHEMA_VERSION;
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
    return version_known (db, path, problem, size);
}

store_t *store_sqlite_open (const char *path, char *problem, size_t problem_size)
{
    store_sqlite_t *self = xcalloc (1, sizeof *self);
    store_t *store = &self->base;
    self->base.ops = &sqlite_ops;
    self->redo.fd = -1;
    self->options = decoder_new ();
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2 (path, &self->db, flags, NULL) != SQLITE_OK) {
        snprintf (problem, problem_size, "cannot open '%s': %s.", path, sqlite3_errmsg (self->db));
        goto fail;
    }
    if (!configure (self->db, path, problem, problem_size) || !sqlite_redo_open (self, path, problem, problem_size) ||
        !migrate (self->db, path, problem, problem_size))
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
