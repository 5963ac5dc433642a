/* store_sqlite.h - what the files of the SQLite store share. Nobody else includes it.
 *
 *   store_sqlite.c       opening, transactions
 *   store_sqlite_schema.c  statements, tables, migrations
 *   store_sqlite_redo.c  the redo log
 *   store_sqlite_behind.c  jobs that are in the log and not in their rows yet
 *   store_sqlite_rows.c  jobs, attempts, workers
 *   store_sqlite_list.c  lists of jobs
 *   store_sqlite_keep.c  blobs, retention, sizes
 *   store_sqlite_stat.c  statistics
 *   store_sqlite_hook.c  who is still to be told of a job's end
 *   store_sqlite_ended.c  what is over, by its end
 *   store_sqlite_copy.c  snapshots and the check
 */
#ifndef GLEANER_STORE_SQLITE_H
#define GLEANER_STORE_SQLITE_H

#include <sqlite3.h>

#include "broker/list.h"
#include "broker/map.h"
#include "broker/store.h"

typedef enum {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_JOB_INSERT,
    SQL_JOB_UPDATE,
    SQL_JOB_GET,
    SQL_JOB_BY_KEY,
    SQL_JOB_LIVE,
    SQL_JOB_AT,
    SQL_JOB_BRIEF,
    SQL_JOB_BRIEF_PUT,
    SQL_LABEL_INSERT,
    SQL_LABEL_HAS,
    SQL_ATTEMPT_PUT,
    SQL_ATTEMPT_GET,
    SQL_ATTEMPT_EACH,
    SQL_WORKER_PUT,
    SQL_WORKER_DELETE,
    SQL_WORKER_EACH,
    SQL_BLOB_REFER,
    SQL_BLOB_LEAVE,
    SQL_BLOB_PUT,
    SQL_BLOB_EXPIRED,
    SQL_BLOB_LIVE,
    SQL_BLOB_DELETE,
    SQL_JOB_EXPIRED,
    SQL_JOB_DELETE,
    SQL_LABEL_DELETE,
    SQL_ATTEMPT_DELETE,
    SQL_JOB_PURGEABLE,
    SQL_JOB_PURGE,
    SQL_ATTEMPT_PURGE,
    SQL_TOTAL_PUT,
    SQL_STAT_PUT,
    SQL_STAT_DROP,
    SQL_STAT_EACH,
    SQL_ENDED_JOBS,
    SQL_ENDED_ATTEMPTS,
    SQL_DELTA_PUT,
    SQL_DELTA_LEAVE,
    SQL_DELTA_DELETE,
    SQL_HOOK_PUT,
    SQL_HOOK_DELETE,
    SQL_HOOK_EACH,
    SQL_COUNT
} sql_t;

/* The statements of a way to walk the jobs for a list. */
typedef enum { LIST_PLAIN, LIST_TEXTS, LIST_COUNT, LIST_PARTS } list_part_t;
enum { LIST_WAYS = 8 };

enum { SQL_VALUES_MAX = 34 };

enum { VALUE_NULL, VALUE_INT, VALUE_TEXT, VALUE_BLOB }; /* as the redo log has them */

/* What was bound to a statement's place. */
typedef struct {
    uint8_t kind;
    int64_t number;
    slice_t bytes;
} bound_t;

typedef struct {
    int fd;          /* -1: there is none, every turn commits the database */
    uint64_t key;    /* of the batches' hashes: what a job prints cannot be taken for a batch */
    uint64_t name;   /* of the batches since the database's last commit */
    uint64_t number; /* of the last batch */
    int64_t at;      /* where the next one goes */
    bool front;      /* there is a header at the file's front, if only an old one */
    buf_t batch;     /* this turn's statements, behind room for the header */
    bool whole;      /* this turn is to commit the database */
} redo_t;

typedef struct {
    map_t by_seq;
    list_head_t rows; /* as they came */
    size_t bytes;     /* of all of them */
    int64_t keyed;    /* those with an idempotency key */
} behind_t;

typedef struct {
    store_t base;
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_COUNT];
    sqlite3_stmt *lists[LIST_WAYS][LIST_PARTS]; /* made when first used */
    decoder_t *options;                         /* reads jobs' names */
    sqlite3_stmt *reading;                      /* its row is what the last job's slices point into */
    sqlite3_stmt *reading_attempt;              /* likewise of the last attempt */
    bool open;                                  /* a transaction of the database; it may last many turns */
    bool dirty;                                 /* this turn has changed something */
    bool broken;                                /* what is on disk is not known: nothing more is committed */
    bound_t bound[SQL_COUNT][SQL_VALUES_MAX];
    redo_t redo;
    behind_t behind;
    int64_t jobs, jobs_committed;
    int64_t blob_bytes, blob_bytes_committed;
    sqlite3_backup *copy; /* a snapshot under way */
    sqlite3 *copy_db;
} store_sqlite_t;

static inline store_sqlite_t *sqlite_of (store_t *store)
{
    return (store_sqlite_t *)(void *)store;
}

/* store_sqlite_schema.c */
enum { APPLICATION_ID = 0x676c6e72 /* "glnr" */ };
extern const char *const sqlite_statements[SQL_COUNT];
/* False, with one sentence, when the tables are of a newer version than this program knows. */
bool sqlite_version_known (sqlite3 *db, const char *path, char *problem, size_t size);
/* Brings the tables up to date, one transaction a step. False with `problem` filled. */
bool sqlite_migrate (sqlite3 *db, const char *path, char *problem, size_t size);

/* store_sqlite.c */
/* Logs the database's last error; DISK_FULL or INTERNAL. */
err_t sqlite_failed (store_sqlite_t *self, const char *what);
/* What was acknowledged is in the log alone: nothing more may be written or said. */
bool sqlite_is_lost (const store_sqlite_t *self);
/* Opens the transaction unless it is open. */
err_t sqlite_begin (store_sqlite_t *self);
/* Ends the reads whose rows the last records point into. */
void sqlite_end_reads (store_sqlite_t *self);
/* Steps a bound statement that gives no rows, and resets it. What changes rows goes into the redo log by that; its
 * values must have been set by sqlite_set_*. */
err_t sqlite_run (store_sqlite_t *self, sql_t which);
err_t sqlite_run_silent (store_sqlite_t *self, sql_t which); /* without the log */
/* Tells who wants to know of a wait for the disk that began then. */
void sqlite_synced (store_sqlite_t *self, store_sync_t of, int64_t begun_us);
/* Commits the database; the log begins anew. DISK_FULL: then call rollback. INTERNAL: it is broken. */
err_t sqlite_settle (store_sqlite_t *self);
/* A number of the table `total`; -1: there is none, or no such table. The name is ours, and plain. */
int64_t sqlite_total (sqlite3 *db, const char *name);
/* Puts one into it, within the open transaction and not through the log. */
err_t sqlite_put_total (store_sqlite_t *self, const char *name, int64_t number);
/* The one number that a statement gives; -1 when it gives none. */
int64_t sqlite_ask (sqlite3 *db, const char *text);

/* A value for a statement's place; it borrows the bytes. */
bound_t sqlite_text (slice_t text);
bound_t sqlite_blob (slice_t bytes);
bound_t sqlite_number (int64_t number);
void sqlite_bind (sqlite3_stmt *sql, int at, const bound_t *value);
/* Binds it, and remembers it for the log. */
void sqlite_set_text (store_sqlite_t *self, sql_t which, int at, slice_t text);
void sqlite_set_blob (store_sqlite_t *self, sql_t which, int at, slice_t bytes);
void sqlite_set_int (store_sqlite_t *self, sql_t which, int at, int64_t number);
/* Absent slices and INT_ABSENT are NULL. Bound memory must outlive the step. */
void sqlite_bind_text (sqlite3_stmt *sql, int at, slice_t text);
void sqlite_bind_int (sqlite3_stmt *sql, int at, int64_t number);
slice_t sqlite_slice (sqlite3_stmt *sql, int at);
int64_t sqlite_int (sqlite3_stmt *sql, int at);

/* store_sqlite_redo.c. Opens the log of the database at that path and looks whether it is that database's; nothing is
 * changed yet, not even the schema. False, with one sentence, when something acknowledged could be lost. */
bool sqlite_redo_open (store_sqlite_t *self, const char *db_path, char *problem, size_t size);
/* Runs what is in it, and commits that. False as above. */
bool sqlite_redo_start (store_sqlite_t *self, const char *db_path, char *problem, size_t size);
void sqlite_redo_close (store_sqlite_t *self);
/* A statement was run in this turn, or will be by sqlite_behind_write, with these values in `bound`. */
void sqlite_redo_note (store_sqlite_t *self, sql_t which);
/* Whether the turn's statements can go into the log. */
bool sqlite_redo_fits (const store_sqlite_t *self);
/* Makes them durable. DISK_FULL, INTERNAL. */
err_t sqlite_redo_write (store_sqlite_t *self);
/* The turn's statements are dealt with. */
void sqlite_redo_forget (store_sqlite_t *self);
/* Runs again what is in the log, after the database has rolled back. */
err_t sqlite_redo_run (store_sqlite_t *self);
/* Once the database has committed the log's next name. */
void sqlite_redo_begin (store_sqlite_t *self);
/* Marks whether all is in the database itself, within the open transaction. While it is not, a start without the log is
 * refused. */
err_t sqlite_redo_mark (store_sqlite_t *self, bool clean);

/* store_sqlite_behind.c */
void sqlite_behind_init (behind_t *self);
void sqlite_behind_fini (behind_t *self);
/* Takes a job that is in the log. May write another one's row. */
err_t sqlite_behind_insert (store_sqlite_t *self, const job_record_t *job);
err_t sqlite_behind_update (store_sqlite_t *self, const job_record_t *job);
/* Writes every row, before a statement reads rows or the database commits. INTERNAL: it is broken. */
err_t sqlite_behind_write (store_sqlite_t *self);
/* Before a rollback. */
void sqlite_behind_forget (behind_t *self);
/* A job that has no row yet. False: look for its row, and patch what was read. */
bool sqlite_behind_get (const store_sqlite_t *self, int64_t seq, job_record_t *job);
bool sqlite_behind_by_key (const store_sqlite_t *self, slice_t owner, slice_t key, job_record_t *job);
void sqlite_behind_patch (const store_sqlite_t *self, job_record_t *job);

/* store_sqlite_rows.c: the columns of a job, for every statement that reads whole rows. */
#define JOB_CREATED                                                                                                    \
    "seq, salt, command, file_url, filename, timeout_ms, max_attempts, created_ms, pinned, options, "                  \
    "idempotency_key, request_hash"
#define JOB_CHANGING_FIRST                                                                                             \
    "state, attempt, worker_id, candidates, token, slot, started_ms, completed_ms, exit_code, reason, "                \
    "error_message, stdout, stderr, stdout_bytes, stderr_bytes, not_before_ms, signal, receipt, artifacts, "           \
    "journal_bytes"
#define JOB_CHANGING JOB_CHANGING_FIRST ", journal"
/* What sqlite_read_job reads. Where many rows are read, a journal in its row is not: an empty one stands for it. */
#define JOURNAL_HINT "CASE typeof (journal) WHEN 'null' THEN NULL ELSE x'' END"
#define JOB_WHOLE    JOB_CREATED ", " JOB_CHANGING ", purged, owner"
#define JOB_SHOWN    JOB_CREATED ", " JOB_CHANGING_FIRST ", " JOURNAL_HINT ", purged, owner"
#define ATTEMPT_FIRST                                                                                                  \
    "seq, attempt, worker_id, token, accepted, reason, error_message, exit_code, signal, started_ms, completed_ms, "   \
    "stdout, stderr, late_ms, late_exit_code, late_reason"
/* The same with NULL for what a brief list does not need. */
#define JOB_BRIEF                                                                                                      \
    "seq, salt, command, file_url, filename, timeout_ms, max_attempts, created_ms, pinned, "                           \
    "coalesce (brief_options, options), idempotency_key, NULL, state, attempt, worker_id, NULL, NULL, slot, "          \
    "started_ms, completed_ms, exit_code, reason, error_message, NULL, NULL, stdout_bytes, stderr_bytes, "             \
    "not_before_ms, signal, receipt, artifacts, journal_bytes, NULL, purged, owner"
/* INTERNAL, logged: it is no job's row that this program could have written. */
err_t sqlite_read_job (sqlite3_stmt *sql, job_record_t *job);
err_t sqlite_each_job (store_sqlite_t *self, sqlite3_stmt *sql, store_job_fn *fn, void *ctx);
extern const store_ops_t sqlite_ops;
/* Puts a job's row, or its part that changes, into the database, past the log. */
err_t sqlite_write_created (store_sqlite_t *self, const job_record_t *job);
err_t sqlite_write_changed (store_sqlite_t *self, const job_record_t *job);
err_t sqlite_job_insert (store_t *store, const job_record_t *job);
err_t sqlite_job_update (store_t *store, const job_record_t *job);
err_t sqlite_job_get (store_t *store, const job_id_t *id, job_record_t *job);
err_t sqlite_job_by_key (store_t *store, slice_t owner, slice_t key, job_record_t *job);
err_t sqlite_job_live (store_t *store, store_job_fn *fn, void *ctx);
err_t sqlite_attempt_put (store_t *store, const attempt_record_t *attempt);
err_t sqlite_attempt_get (store_t *store, int64_t seq, int64_t attempt, attempt_record_t *out);
err_t sqlite_attempt_each (store_t *store, int64_t seq, store_attempt_fn *fn, void *ctx);
err_t sqlite_worker_put (store_t *store, const worker_record_t *worker);
err_t sqlite_worker_delete (store_t *store, slice_t worker_id);
err_t sqlite_worker_each (store_t *store, store_worker_fn *fn, void *ctx);

/* Runs a statement of (label, seq) for each label of a job: as KEY=VALUE, and as KEY alone. */
err_t sqlite_labels_run (store_sqlite_t *self, sql_t which, slice_t labels, int64_t seq);

/* store_sqlite_list.c */
err_t sqlite_job_list (store_t *store, const job_filter_t *filter, int64_t patience_ms, store_pick_fn *fn, void *ctx,
                       int64_t *next_seq);

/* store_sqlite_keep.c */
/* A job refers to the blob, or no longer does; an absent hash is none. */
err_t sqlite_blob_refer (store_sqlite_t *self, slice_t sha256);
err_t sqlite_blob_leave (store_sqlite_t *self, slice_t sha256);
err_t sqlite_delta_put (store_sqlite_t *self, const job_record_t *job);
int64_t sqlite_blob_known (store_t *store, slice_t sha256);
err_t sqlite_blob_put (store_t *store, slice_t sha256, int64_t bytes, int64_t now_ms);
err_t sqlite_job_expire (store_t *store, int64_t before_ms, bool archived, int64_t limit, store_job_fn *fn, void *ctx);
int64_t sqlite_blob_live_bytes (store_t *store);
err_t sqlite_blob_expire (store_t *store, int64_t before_ms, int64_t limit, store_blob_fn *fn, void *ctx);
err_t sqlite_job_purge (store_t *store, ended_place_t *after, int64_t before_ms, int what, int64_t limit,
                        store_job_fn *fn, void *ctx, bool *more);

/* store_sqlite_stat.c */
err_t sqlite_stat_put (store_t *store, int kind, int64_t time, slice_t bytes);
err_t sqlite_stat_drop_before (store_t *store, int kind, int64_t time);
err_t sqlite_stat_each (store_t *store, store_stat_fn *fn, void *ctx);

/* store_sqlite_hook.c */
err_t sqlite_hook_put (store_t *store, const hook_record_t *hook);
err_t sqlite_hook_delete (store_t *store, int64_t seq, slice_t url);
err_t sqlite_hook_each (store_t *store, store_hook_fn *fn, void *ctx);

/* store_sqlite_ended.c */
err_t sqlite_ended_each (store_t *store, bool jobs, bool options, ended_place_t *after, int64_t until_ms, int64_t limit,
                         store_ended_fn *fn, void *ctx, int64_t *count);

/* store_sqlite_copy.c */
int sqlite_snapshot_step (store_t *store, const char *path);

#endif
