/* store_sqlite.c - the store in one SQLite file: one connection, exclusive, WAL, every commit synced.
 *
 * Exclusive locking before WAL makes no shared-memory file and shuts a second connection out: SQLite up to 3.51.2 can
 * corrupt a database that two connections write in WAL mode.
 */
#include <assert.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store.h"
#include "proto/log.h"

enum {
    SCHEMA_VERSION = 1,
    APPLICATION_ID = 0x676c6e72,  /* "glnr" */
    VALUE_MAX = 16 * 1024 * 1024, /* bytes of one column */
};

typedef enum {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_JOB_INSERT,
    SQL_JOB_UPDATE,
    SQL_JOB_GET,
    SQL_JOB_LIST,
    SQL_JOB_LIVE,
    SQL_WORKER_PUT,
    SQL_WORKER_DELETE,
    SQL_WORKER_EACH,
    SQL_COUNT
} sql_t;

#define JOB_CREATED "seq, salt, command, file_url, filename, timeout_ms, max_attempts, created_ms, pinned"
#define JOB_CHANGING                                                                                                   \
    "state, attempt, worker_id, candidates, token, slot, started_ms, completed_ms, exit_code, reason, error_message, " \
    "stdout, stderr, stdout_bytes, stderr_bytes"

static const char *const statements[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_JOB_INSERT] =
        "INSERT INTO job (" JOB_CREATED ", " JOB_CHANGING ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
        "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
    [SQL_JOB_UPDATE] = "UPDATE job SET state = ?10, attempt = ?11, worker_id = ?12, candidates = ?13, token = ?14, "
                       "slot = ?15, started_ms = ?16, completed_ms = ?17, exit_code = ?18, reason = ?19, "
                       "error_message = ?20, stdout = ?21, stderr = ?22, stdout_bytes = ?23, stderr_bytes = ?24 "
                       "WHERE seq = ?1",
    [SQL_JOB_GET] = "SELECT " JOB_CREATED ", " JOB_CHANGING " FROM job WHERE seq = ?1 AND salt = ?2",
    [SQL_JOB_LIST] = "SELECT " JOB_CREATED ", " JOB_CHANGING " FROM job WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2",
    [SQL_JOB_LIVE] = "SELECT " JOB_CREATED ", " JOB_CHANGING " FROM job WHERE state < 2 ORDER BY seq",
    [SQL_WORKER_PUT] =
        "INSERT OR REPLACE INTO worker (worker_id, hostname, os, version, machine, remote_addr, cpu_count, "
        "slots, registered_ms, last_seen_ms, online) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    [SQL_WORKER_DELETE] = "DELETE FROM worker WHERE worker_id = ?1",
    [SQL_WORKER_EACH] =
        "SELECT worker_id, hostname, os, version, machine, remote_addr, cpu_count, slots, registered_ms, "
        "last_seen_ms, online FROM worker ORDER BY worker_id",
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
};

typedef struct {
    store_t base;
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_COUNT];
    sqlite3_stmt *reading; /* its row is what the last read's slices point into */
    bool open;             /* a transaction */
    int64_t jobs;
} store_sqlite_t;

static store_sqlite_t *sqlite_of (store_t *store)
{
    return (store_sqlite_t *)(void *)store;
}

static err_t failed (store_sqlite_t *self, const char *what)
{
    int code = sqlite3_extended_errcode (self->db);
    log_event (LEVEL_ERROR, "store-failed", "%s: %s (sqlite %d)", what, sqlite3_errmsg (self->db), code);
    return (code & 0xff) == SQLITE_FULL ? ERR_DISK_FULL : ERR_INTERNAL;
}

/* ---- binding and reading columns ---- */

static void bind_text (sqlite3_stmt *sql, int at, slice_t text)
{
    /* Static: the caller's slice outlives the step. */
    if (text.ptr)
        sqlite3_bind_text64 (sql, at, text.ptr, text.len, SQLITE_STATIC, SQLITE_UTF8);
    else
        sqlite3_bind_null (sql, at);
}

static void bind_blob (sqlite3_stmt *sql, int at, slice_t bytes)
{
    if (bytes.ptr)
        sqlite3_bind_blob64 (sql, at, bytes.ptr, bytes.len, SQLITE_STATIC);
    else
        sqlite3_bind_null (sql, at);
}

static void bind_int (sqlite3_stmt *sql, int at, int64_t number)
{
    if (number == INT_ABSENT)
        sqlite3_bind_null (sql, at);
    else
        sqlite3_bind_int64 (sql, at, number);
}

static slice_t column_slice (sqlite3_stmt *sql, int at)
{
    if (sqlite3_column_type (sql, at) == SQLITE_NULL)
        return SLICE_ABSENT;
    const void *ptr = sqlite3_column_blob (sql, at);
    return slice_from (ptr, (size_t)sqlite3_column_bytes (sql, at));
}

static int64_t column_int (sqlite3_stmt *sql, int at)
{
    return sqlite3_column_type (sql, at) == SQLITE_NULL ? INT_ABSENT : sqlite3_column_int64 (sql, at);
}

static void bind_created (sqlite3_stmt *sql, const job_record_t *job)
{
    bind_text (sql, 2, slice_of (job->id.salt));
    bind_text (sql, 3, job->command);
    bind_text (sql, 4, job->file_url);
    bind_text (sql, 5, job->filename);
    bind_int (sql, 6, job->timeout_ms);
    bind_int (sql, 7, job->max_attempts);
    bind_int (sql, 8, job->created_ms);
    bind_text (sql, 9, job->pinned);
}

static void bind_changing (sqlite3_stmt *sql, const job_record_t *job)
{
    bind_int (sql, 1, job->id.seq);
    bind_int (sql, 10, job->state);
    bind_int (sql, 11, job->attempt);
    bind_text (sql, 12, job->worker_id);
    bind_text (sql, 13, job->group);
    bind_text (sql, 14, job->token);
    bind_int (sql, 15, job->slot);
    bind_int (sql, 16, job->started_ms);
    bind_int (sql, 17, job->completed_ms);
    bind_int (sql, 18, job->exit_code);
    bind_text (sql, 19, job->reason);
    bind_text (sql, 20, job->error_message);
    bind_blob (sql, 21, job->stdout_data);
    bind_blob (sql, 22, job->stderr_data);
    bind_int (sql, 23, job->stdout_bytes);
    bind_int (sql, 24, job->stderr_bytes);
}

static void read_job (sqlite3_stmt *sql, job_record_t *job)
{
    *job = (job_record_t){
        .id.seq = sqlite3_column_int64 (sql, 0),
        .command = column_slice (sql, 2),
        .file_url = column_slice (sql, 3),
        .filename = column_slice (sql, 4),
        .timeout_ms = sqlite3_column_int64 (sql, 5),
        .max_attempts = sqlite3_column_int64 (sql, 6),
        .created_ms = sqlite3_column_int64 (sql, 7),
        .pinned = column_slice (sql, 8),
        .state = (job_state_t)sqlite3_column_int64 (sql, 9),
        .attempt = sqlite3_column_int64 (sql, 10),
        .worker_id = column_slice (sql, 11),
        .group = column_slice (sql, 12),
        .token = column_slice (sql, 13),
        .slot = sqlite3_column_int64 (sql, 14),
        .started_ms = sqlite3_column_int64 (sql, 15),
        .completed_ms = sqlite3_column_int64 (sql, 16),
        .exit_code = column_int (sql, 17),
        .reason = column_slice (sql, 18),
        .error_message = column_slice (sql, 19),
        .stdout_data = column_slice (sql, 20),
        .stderr_data = column_slice (sql, 21),
        .stdout_bytes = column_int (sql, 22),
        .stderr_bytes = column_int (sql, 23),
    };
    slice_copy (column_slice (sql, 1), job->id.salt, sizeof job->id.salt);
}

/* ---- running statements ---- */

/* Ends the read whose row the last record pointed into. */
static void end_read (store_sqlite_t *self)
{
    if (self->reading)
        sqlite3_reset (self->reading);
    self->reading = NULL;
}

static err_t run (store_sqlite_t *self, sql_t which)
{
    int code = sqlite3_step (self->sql[which]);
    err_t err = code == SQLITE_DONE ? ERR_NONE : failed (self, statements[which]);
    sqlite3_reset (self->sql[which]);
    return err;
}

static err_t begin (store_sqlite_t *self)
{
    end_read (self);
    if (self->open)
        return ERR_NONE;
    err_t err = run (self, SQL_BEGIN);
    self->open = !err;
    return err;
}

static err_t job_insert (store_t *store, const job_record_t *job)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = begin (self);
    if (err)
        return err;
    bind_created (self->sql[SQL_JOB_INSERT], job);
    bind_changing (self->sql[SQL_JOB_INSERT], job);
    err = run (self, SQL_JOB_INSERT);
    self->jobs += !err;
    return err;
}

static err_t job_update (store_t *store, const job_record_t *job)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = begin (self);
    if (err)
        return err;
    bind_changing (self->sql[SQL_JOB_UPDATE], job);
    err = run (self, SQL_JOB_UPDATE);
    assert (err || sqlite3_changes (self->db) == 1);
    return err;
}

static err_t worker_put (store_t *store, const worker_record_t *worker)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = self->sql[SQL_WORKER_PUT];
    err_t err = begin (self);
    if (err)
        return err;
    bind_text (sql, 1, worker->worker_id);
    bind_text (sql, 2, worker->hostname);
    bind_text (sql, 3, worker->os);
    bind_text (sql, 4, worker->version);
    bind_text (sql, 5, worker->machine);
    bind_text (sql, 6, worker->remote_addr);
    bind_int (sql, 7, worker->cpu_count);
    bind_int (sql, 8, worker->slots);
    bind_int (sql, 9, worker->registered_ms);
    bind_int (sql, 10, worker->last_seen_ms);
    bind_int (sql, 11, worker->online);
    return run (self, SQL_WORKER_PUT);
}

static err_t worker_delete (store_t *store, slice_t worker_id)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = begin (self);
    if (err)
        return err;
    bind_text (self->sql[SQL_WORKER_DELETE], 1, worker_id);
    return run (self, SQL_WORKER_DELETE);
}

static err_t commit (store_t *store)
{
    store_sqlite_t *self = sqlite_of (store);
    if (!self->open)
        return ERR_NONE;
    end_read (self);
    self->open = false;
    return run (self, SQL_COMMIT);
}

static err_t job_get (store_t *store, const job_id_t *id, job_record_t *job)
{
    store_sqlite_t *self = sqlite_of (store);
    end_read (self);
    sqlite3_stmt *sql = self->sql[SQL_JOB_GET];
    bind_int (sql, 1, id->seq);
    bind_text (sql, 2, slice_of (id->salt));
    int code = sqlite3_step (sql);
    if (code == SQLITE_ROW) {
        self->reading = sql;
        read_job (sql, job);
        return ERR_NONE;
    }
    err_t err = code == SQLITE_DONE ? ERR_NO_SUCH_JOB : failed (self, "job_get");
    sqlite3_reset (sql);
    return err;
}

static err_t each_job (store_sqlite_t *self, sql_t which, store_job_fn *fn, void *ctx)
{
    sqlite3_stmt *sql = self->sql[which];
    int code = sqlite3_step (sql);
    for (; code == SQLITE_ROW; code = sqlite3_step (sql)) {
        job_record_t job;
        read_job (sql, &job);
        fn (ctx, &job);
    }
    err_t err = code == SQLITE_DONE ? ERR_NONE : failed (self, statements[which]);
    sqlite3_reset (sql);
    return err;
}

static err_t job_list (store_t *store, int64_t before_seq, int64_t limit, store_job_fn *fn, void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    end_read (self);
    sqlite3_bind_int64 (self->sql[SQL_JOB_LIST], 1, before_seq);
    sqlite3_bind_int64 (self->sql[SQL_JOB_LIST], 2, limit);
    return each_job (self, SQL_JOB_LIST, fn, ctx);
}

static err_t job_live (store_t *store, store_job_fn *fn, void *ctx)
{
    end_read (sqlite_of (store));
    return each_job (sqlite_of (store), SQL_JOB_LIVE, fn, ctx);
}

static err_t worker_each (store_t *store, store_worker_fn *fn, void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    end_read (self);
    sqlite3_stmt *sql = self->sql[SQL_WORKER_EACH];
    int code = sqlite3_step (sql);
    for (; code == SQLITE_ROW; code = sqlite3_step (sql)) {
        worker_record_t worker = {
            .worker_id = column_slice (sql, 0),
            .hostname = column_slice (sql, 1),
            .os = column_slice (sql, 2),
            .version = column_slice (sql, 3),
            .machine = column_slice (sql, 4),
            .remote_addr = column_slice (sql, 5),
            .cpu_count = column_int (sql, 6),
            .slots = column_int (sql, 7),
            .registered_ms = sqlite3_column_int64 (sql, 8),
            .last_seen_ms = sqlite3_column_int64 (sql, 9),
            .online = sqlite3_column_int (sql, 10),
        };
        fn (ctx, &worker);
    }
    err_t err = code == SQLITE_DONE ? ERR_NONE : failed (self, "worker_each");
    sqlite3_reset (sql);
    return err;
}

static int64_t job_count (store_t *store)
{
    return sqlite_of (store)->jobs;
}

/* ---- opening ---- */

/* The one number that a statement gives; -1 when it gives none. */
static int64_t ask (sqlite3 *db, const char *text)
{
    sqlite3_stmt *sql = NULL;
    int64_t number = -1;
    if (sqlite3_prepare_v2 (db, text, -1, &sql, NULL) == SQLITE_OK && sqlite3_step (sql) == SQLITE_ROW)
        number = sqlite3_column_int64 (sql, 0);
    sqlite3_finalize (sql);
    return number;
}

static int64_t job_last_seq (store_t *store)
{
    int64_t seq = ask (sqlite_of (store)->db, "SELECT coalesce (max (seq), 0) FROM job");
    return seq > 0 ? seq : 0;
}

static void store_close (store_t **self_p)
{
    if (!*self_p)
        return;
    store_sqlite_t *self = sqlite_of (*self_p);
    for (int i = 0; i < SQL_COUNT; i++)
        sqlite3_finalize (self->sql[i]);
    sqlite3_close (self->db);
    free (self);
    *self_p = NULL;
}

static const store_ops_t sqlite_ops = {
    .name = "sqlite",
    .job_insert = job_insert,
    .job_update = job_update,
    .worker_put = worker_put,
    .worker_delete = worker_delete,
    .commit = commit,
    .job_get = job_get,
    .job_list = job_list,
    .job_live = job_live,
    .worker_each = worker_each,
    .job_count = job_count,
    .job_last_seq = job_last_seq,
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
                              "PRAGMA wal_autocheckpoint = 4000;";

/* Brings the schema up to date, one transaction a step. False with `problem` filled. */
static bool migrate (sqlite3 *db, const char *path, char *problem, size_t size)
{
    int64_t version = ask (db, "PRAGMA user_version");
    if (version > SCHEMA_VERSION) {
        snprintf (problem, size,
                  "'%s' was written by a newer gleaner-broker (schema %lld, this one knows %d): upgrade it.", path,
                  (long long)version, SCHEMA_VERSION);
        return false;
    }
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
    if (sqlite3_exec (db, pragmas, NULL, NULL, NULL) != SQLITE_OK || ask (db, "PRAGMA user_version") < 0) {
        int code = sqlite3_errcode (db);
        if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED)
            snprintf (problem, size, "another broker uses '%s': stop it, or give this one another --data.", path);
        else
            snprintf (problem, size, "cannot open '%s': %s.", path, sqlite3_errmsg (db));
        return false;
    }
    int64_t application = ask (db, "PRAGMA application_id");
    if (application != APPLICATION_ID && application != 0) {
        snprintf (problem, size, "'%s' is another program's database.", path);
        return false;
    }
    if (ask (db, "PRAGMA synchronous") != 2) {
        snprintf (problem, size, "'%s': the database does not take synchronous = FULL.", path);
        return false;
    }
    return migrate (db, path, problem, size);
}

store_t *store_sqlite_open (const char *path, char *problem, size_t problem_size)
{
    store_sqlite_t *self = xcalloc (1, sizeof *self);
    store_t *store = &self->base;
    self->base.ops = &sqlite_ops;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2 (path, &self->db, flags, NULL) != SQLITE_OK) {
        snprintf (problem, problem_size, "cannot open '%s': %s.", path, sqlite3_errmsg (self->db));
        goto fail;
    }
    if (!configure (self->db, path, problem, problem_size))
        goto fail;
    for (int i = 0; i < SQL_COUNT; i++) {
        if (sqlite3_prepare_v3 (self->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT, &self->sql[i], NULL) ==
            SQLITE_OK)
            continue;
        snprintf (problem, problem_size, "'%s' has another schema than its version says: %s.", path,
                  sqlite3_errmsg (self->db));
        goto fail;
    }
    self->jobs = ask (self->db, "SELECT count (*) FROM job");
    return store;
fail:
    store_close (&store);
    return NULL;
}
