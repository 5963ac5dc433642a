/* store_sqlite_schema.c - every statement, the tables, and the steps from one version of them to the next. */
#include <stdio.h>

#include "broker/store_sqlite.h"

enum { SCHEMA_VERSION = 7 };

/* The job's archive is a blob. */
#define ARCHIVED "length (file_url) = 77 AND substr (file_url, 1, 9) = '/uploads/' AND substr (file_url, 74) = '.zip'"

const char *const sqlite_statements[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_JOB_INSERT] =
        "INSERT INTO job (" JOB_CREATED ", " JOB_CHANGING ", owner) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
        "?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, "
        "?29, ?30, ?31, ?32, ?33, ?34)",
    [SQL_JOB_UPDATE] = "UPDATE job SET state = ?13, attempt = ?14, worker_id = ?15, candidates = ?16, token = ?17, "
                       "slot = ?18, started_ms = ?19, completed_ms = ?20, exit_code = ?21, reason = ?22, "
                       "error_message = ?23, stdout = ?24, stderr = ?25, stdout_bytes = ?26, stderr_bytes = ?27, "
                       "not_before_ms = ?28, signal = ?29, receipt = ?30, artifacts = ?31, journal_bytes = ?32, "
                       "journal = ?33 WHERE seq = ?1",
    [SQL_JOB_GET] = "SELECT " JOB_WHOLE " FROM job WHERE seq = ?1 AND salt = ?2",
    [SQL_JOB_BY_KEY] = "SELECT " JOB_SHOWN " FROM job WHERE idempotency_key = ?1 AND owner IS ?2",
    [SQL_JOB_LIVE] = "SELECT " JOB_SHOWN " FROM job WHERE state < 2 ORDER BY seq",
    [SQL_JOB_AT] = "SELECT " JOB_SHOWN " FROM job WHERE seq = ?1",
    [SQL_JOB_BRIEF] = "SELECT " JOB_BRIEF " FROM job WHERE seq = ?1",
    [SQL_JOB_BRIEF_PUT] = "UPDATE job SET brief_options = ?2 WHERE seq = ?1",
    [SQL_LABEL_HAS] = "SELECT 1 FROM job_label WHERE label = ?1 AND seq = ?2",
    [SQL_LABEL_INSERT] = "INSERT OR IGNORE INTO job_label (label, seq) VALUES (?1, ?2)",
    [SQL_ATTEMPT_PUT] = "INSERT OR REPLACE INTO attempt (" ATTEMPT_FIRST ", journal, usage) VALUES (?1, ?2, ?3, ?4, "
                        "?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)",
    [SQL_ATTEMPT_GET] = "SELECT " ATTEMPT_FIRST ", journal, usage FROM attempt WHERE seq = ?1 AND attempt = ?2",
    [SQL_ATTEMPT_EACH] =
        "SELECT " ATTEMPT_FIRST ", " JOURNAL_HINT ", usage FROM attempt WHERE seq = ?1 ORDER BY attempt",
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
                      "(SELECT substr (file_url, 10, 64) FROM job WHERE state < 2 AND " ARCHIVED " UNION "
                      "SELECT sha256 FROM job_delta JOIN job USING (seq) WHERE state < 2)",
    [SQL_JOB_DELETE] = "DELETE FROM job WHERE seq = ?1",
    [SQL_LABEL_DELETE] = "DELETE FROM job_label WHERE label = ?1 AND seq = ?2",
    [SQL_ATTEMPT_DELETE] = "DELETE FROM attempt WHERE seq = ?1",
    /* `likely`: the walk shall begin at the place, and not where `completed_ms > 0`, which the index needs, does. */
    [SQL_JOB_PURGEABLE] = "SELECT " JOB_SHOWN ", artifacts IS NOT NULL OR (purged & 1 = 0 AND (stdout IS NULL "
                          "OR stderr IS NULL OR attempt > 1 OR typeof (journal) = 'null')) FROM job "
                          "WHERE (completed_ms, seq) > (?1, ?2) AND likely (completed_ms > 0) AND completed_ms < ?3 "
                          "ORDER BY completed_ms, seq LIMIT ?4",
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
    [SQL_ENDED_JOBS] = "SELECT completed_ms, seq, attempt, token IS NOT NULL, started_ms, worker_id, owner, receipt, "
                       "CASE ?3 WHEN 1 THEN coalesce (brief_options, options) END FROM job "
                       "WHERE (completed_ms, seq) > (?1, ?2) AND likely (completed_ms > 0) AND completed_ms < ?4 "
                       "ORDER BY completed_ms, seq LIMIT ?5",
    [SQL_ENDED_ATTEMPTS] = "SELECT a.completed_ms, a.seq, a.attempt, 1, a.started_ms, a.worker_id, job.owner, a.usage, "
                           "CASE ?3 WHEN 1 THEN coalesce (brief_options, options) END "
                           "FROM attempt AS a INDEXED BY attempt_over CROSS JOIN job ON job.seq = a.seq "
                           "WHERE (a.completed_ms, a.seq, a.attempt) > (?1, ?2, ?6) AND a.completed_ms < ?4 "
                           "ORDER BY a.completed_ms, a.seq, a.attempt LIMIT ?5",
    [SQL_DELTA_PUT] = "INSERT OR REPLACE INTO job_delta (seq, sha256) VALUES (?1, ?2)",
    [SQL_DELTA_LEAVE] = "UPDATE blob SET refs = refs - 1 WHERE refs > 0 AND "
                        "sha256 = (SELECT sha256 FROM job_delta WHERE seq = ?1)",
    [SQL_DELTA_DELETE] = "DELETE FROM job_delta WHERE seq = ?1",
    [SQL_HOOK_PUT] = "INSERT OR REPLACE INTO hook (seq, url, salt, ended_ms) VALUES (?1, ?2, ?3, ?4)",
    [SQL_HOOK_DELETE] = "DELETE FROM hook WHERE seq = ?1 AND url = ?2",
    [SQL_HOOK_EACH] = "SELECT seq, url, salt, ended_ms FROM hook ORDER BY seq",
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

    /* Keys are an owner's own. */
    "ALTER TABLE job ADD COLUMN owner TEXT;"
    "DROP INDEX job_key;"
    "CREATE UNIQUE INDEX job_key ON job (idempotency_key, coalesce (owner, '')) WHERE idempotency_key IS NOT NULL;"
    "CREATE INDEX job_owner ON job (owner, seq) WHERE owner IS NOT NULL;",

    "ALTER TABLE attempt ADD COLUMN usage BLOB;",

    /* A program that knows no deltas would let go of their blobs while jobs need them. */
    "CREATE TABLE job_delta (seq INTEGER PRIMARY KEY, sha256 TEXT NOT NULL);"
    /* Who is still to be told of a job's end. */
    "CREATE TABLE hook (seq INTEGER, url TEXT, salt TEXT NOT NULL, ended_ms INTEGER NOT NULL, PRIMARY KEY (seq, url))"
    " WITHOUT ROWID;"
    "CREATE INDEX attempt_over ON attempt (completed_ms);",
};

/* Rule 51 of proto/README.md. */
bool sqlite_version_known (sqlite3 *db, const char *path, char *problem, size_t size)
{
    int64_t version = sqlite_ask (db, "PRAGMA user_version");
    if (version > SCHEMA_VERSION)
        snprintf (problem, size,
                  "'%s' was written by a newer gleaner-broker (schema %lld, this one knows %d): upgrade it.", path,
                  (long long)version, SCHEMA_VERSION);
    return version <= SCHEMA_VERSION;
}

bool sqlite_migrate (sqlite3 *db, const char *path, char *problem, size_t size)
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
