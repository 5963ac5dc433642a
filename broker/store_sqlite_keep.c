/* store_sqlite_keep.c - which blobs are referred to, and what housekeeping takes away. */
#include "broker/store_sqlite.h"

#include <stdlib.h>
#include <string.h>

static err_t run_for (store_sqlite_t *self, sql_t which, slice_t sha256)
{
    if (!sha256.ptr)
        return ERR_NONE;
    sqlite_set_text (self, which, 1, sha256);
    return sqlite_run (self, which);
}

err_t sqlite_blob_refer (store_sqlite_t *self, slice_t sha256)
{
    return run_for (self, SQL_BLOB_REFER, sha256);
}

err_t sqlite_blob_leave (store_sqlite_t *self, slice_t sha256)
{
    return run_for (self, SQL_BLOB_LEAVE, sha256);
}

/* The job's own row may still be in the log alone. */
err_t sqlite_delta_put (store_sqlite_t *self, const job_record_t *job)
{
    sqlite_set_int (self, SQL_DELTA_PUT, 1, job->id.seq);
    sqlite_set_text (self, SQL_DELTA_PUT, 2, job->delta);
    err_t err = sqlite_run (self, SQL_DELTA_PUT);
    return err ? err : sqlite_blob_refer (self, job->delta);
}

/* A damaged row may say anything. */
static int64_t plausible (int64_t bytes)
{
    const int64_t most = 1LL << 60; /* two of them can be added */
    return bytes < 0 ? 0 : bytes < most ? bytes : most;
}

static void count_bytes (store_sqlite_t *self, int64_t come, int64_t gone)
{
    self->blob_bytes = plausible (plausible (self->blob_bytes) + plausible (come) - plausible (gone));
}

static int64_t blob_bytes (store_sqlite_t *self, slice_t sha256)
{
    sqlite3_stmt *sql = NULL;
    int64_t bytes = 0;
    if (sqlite3_prepare_v2 (self->db, "SELECT bytes FROM blob WHERE sha256 = ?1", -1, &sql, NULL) != SQLITE_OK)
        return 0;
    sqlite_bind_text (sql, 1, sha256);
    if (sqlite3_step (sql) == SQLITE_ROW)
        bytes = sqlite3_column_int64 (sql, 0);
    sqlite3_finalize (sql);
    return bytes;
}

int64_t sqlite_blob_known (store_t *store, slice_t sha256)
{
    return sha256.ptr ? blob_bytes (sqlite_of (store), sha256) : 0;
}

err_t sqlite_blob_put (store_t *store, slice_t sha256, int64_t bytes, int64_t now_ms)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    int64_t had = blob_bytes (self, sha256);
    sqlite_set_text (self, SQL_BLOB_PUT, 1, sha256);
    sqlite_set_int (self, SQL_BLOB_PUT, 2, bytes);
    sqlite_set_int (self, SQL_BLOB_PUT, 3, now_ms);
    err = sqlite_run (self, SQL_BLOB_PUT);
    if (!err)
        count_bytes (self, bytes, had);
    return err;
}

err_t sqlite_blob_expire (store_t *store, int64_t before_ms, int64_t limit, store_blob_fn *fn, void *ctx)
{
    enum { BATCH_MAX = 256 };
    store_sqlite_t *self = sqlite_of (store);
    char gone[BATCH_MAX][SHA256_HEX + 1];
    int64_t bytes[BATCH_MAX];
    int count = 0;
    sqlite3_stmt *sql = self->sql[SQL_BLOB_EXPIRED];
    sqlite_bind_int (sql, 1, before_ms);
    sqlite_bind_int (sql, 2, limit < BATCH_MAX ? limit : BATCH_MAX);
    while (sqlite3_step (sql) == SQLITE_ROW && count < BATCH_MAX) {
        bytes[count] = sqlite3_column_int64 (sql, 1);
        count += slice_copy (sqlite_slice (sql, 0), gone[count], sizeof gone[count]);
    }
    sqlite3_reset (sql);
    err_t err = count ? sqlite_begin (self) : ERR_NONE;
    for (int i = 0; i < count && !err; i++) {
        err = run_for (self, SQL_BLOB_DELETE, slice_of (gone[i]));
        if (!err) {
            count_bytes (self, 0, bytes[i]);
            fn (ctx, slice_of (gone[i]), bytes[i]);
        }
    }
    return err;
}

int64_t sqlite_blob_live_bytes (store_t *store)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = self->sql[SQL_BLOB_LIVE];
    if (sqlite_behind_write (self))
        return INT64_MAX;
    int64_t bytes = sqlite3_step (sql) == SQLITE_ROW ? sqlite3_column_int64 (sql, 0) : INT64_MAX;
    sqlite3_reset (sql);
    return bytes;
}

/* ---- jobs that are over ---- */

/* What must be known of a job once its row is gone. */
typedef struct {
    job_record_t job; /* slices are not kept, but for these */
    char blob[SHA256_HEX + 1];
    char artifacts[SHA256_HEX + 1];
    char *options;
    size_t options_len;
} gone_t;

typedef struct {
    gone_t *items;
    size_t count;
    size_t cap;
} batch_t;

static void batch_add (void *ctx, const job_record_t *job)
{
    batch_t *batch = ctx;
    if (batch->count == batch->cap)
        return;
    gone_t *gone = &batch->items[batch->count++];
    gone->job = *job;
    slice_t blob = blob_url_sha256 (job->file_url);
    if (blob.ptr)
        slice_copy (blob, gone->blob, sizeof gone->blob);
    if (job->artifacts.ptr)
        slice_copy (job->artifacts, gone->artifacts, sizeof gone->artifacts);
    gone->options_len = job->options.len;
    if (job->options.len) {
        gone->options = xcalloc (1, job->options.len);
        memcpy (gone->options, job->options.ptr, job->options.len);
    }
}

static void batch_fini (batch_t *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        free (batch->items[i].options);
    free (batch->items);
}

static slice_t known (const char *hash)
{
    return *hash ? slice_of (hash) : SLICE_ABSENT;
}

static err_t delete_labels (store_sqlite_t *self, const gone_t *gone)
{
    if (!gone->options)
        return ERR_NONE;
    decoder_t *decoder = decoder_new ();
    message_t options;
    fault_t fault;
    err_t err = ERR_NONE;
    slice_t bytes = slice_from (gone->options, gone->options_len);
    if (!message_decode_item (decoder, bytes, MSG_JOB_OPTIONS, &options, &fault))
        err = sqlite_labels_run (self, SQL_LABEL_DELETE, options.job_options.labels, gone->job.id.seq);
    decoder_destroy (&decoder);
    return err;
}

static err_t run_seq (store_sqlite_t *self, sql_t which, int64_t seq)
{
    sqlite_bind_int (self->sql[which], 1, seq);
    return sqlite_run (self, which);
}

static err_t delete_job (store_sqlite_t *self, const gone_t *gone)
{
    err_t err = delete_labels (self, gone);
    if (!err)
        err = run_seq (self, SQL_ATTEMPT_DELETE, gone->job.id.seq);
    if (!err)
        err = run_seq (self, SQL_JOB_DELETE, gone->job.id.seq);
    if (!err)
        err = sqlite_blob_leave (self, known (gone->blob));
    if (!err)
        err = sqlite_blob_leave (self, known (gone->artifacts));
    if (!err)
        err = run_seq (self, SQL_DELTA_LEAVE, gone->job.id.seq);
    if (!err)
        err = run_seq (self, SQL_DELTA_DELETE, gone->job.id.seq);
    self->jobs -= !err;
    return err;
}

err_t sqlite_job_expire (store_t *store, int64_t before_ms, bool archived, int64_t limit, store_job_fn *fn, void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    batch_t batch = { xcalloc ((size_t)limit, sizeof (gone_t)), 0, (size_t)limit };
    sqlite_end_reads (self);
    sqlite_bind_int (self->sql[SQL_JOB_EXPIRED], 1, before_ms);
    sqlite_bind_int (self->sql[SQL_JOB_EXPIRED], 2, limit);
    sqlite_bind_int (self->sql[SQL_JOB_EXPIRED], 3, archived);
    err_t err = sqlite_behind_write (self);
    if (!err)
        err = sqlite_each_job (self, self->sql[SQL_JOB_EXPIRED], batch_add, &batch);
    if (!err && batch.count)
        err = sqlite_begin (self);
    for (size_t i = 0; i < batch.count && !err; i++) {
        err = delete_job (self, &batch.items[i]);
        if (!err)
            fn (ctx, &batch.items[i].job);
    }
    batch_fini (&batch);
    return err;
}

static err_t purge_job (store_sqlite_t *self, const gone_t *gone, int what)
{
    sqlite_bind_int (self->sql[SQL_JOB_PURGE], 2, what);
    err_t err = run_seq (self, SQL_JOB_PURGE, gone->job.id.seq);
    if (!err && what & PURGED_OUTPUT)
        err = run_seq (self, SQL_ATTEMPT_PURGE, gone->job.id.seq);
    if (!err && what & PURGED_ARTIFACTS)
        err = sqlite_blob_leave (self, known (gone->artifacts));
    return err;
}

/* What is to go of the next jobs by their end. Sets `*after` and `*more`. */
static err_t purgeable (store_sqlite_t *self, ended_place_t *after, int64_t before_ms, int what, batch_t *batch,
                        bool *more)
{
    sqlite3_stmt *sql = self->sql[SQL_JOB_PURGEABLE];
    sqlite_bind_int (sql, 1, after->ended_ms);
    sqlite_bind_int (sql, 2, after->seq);
    sqlite_bind_int (sql, 3, before_ms);
    sqlite_bind_int (sql, 4, PURGE_LOOKS);
    int looks = 0, heavy = sqlite3_column_count (sql) - 1;
    int code = SQLITE_ROW;
    err_t err = ERR_NONE;
    while (!err && batch->count < batch->cap && (code = sqlite3_step (sql)) == SQLITE_ROW) {
        job_record_t job;
        err = sqlite_read_job (sql, &job);
        if (err)
            break;
        looks++;
        *after = (ended_place_t){ .ended_ms = job.completed_ms, .seq = job.id.seq };
        if (what & (PURGED_OUTPUT | PURGED_ARTIFACTS) & ~(int)job.purged &&
            (!(what & PURGE_HEAVY) || sqlite3_column_int (sql, heavy)))
            batch_add (batch, &job);
    }
    if (!err && code != SQLITE_ROW && code != SQLITE_DONE)
        err = sqlite_failed (self, sqlite3_sql (sql));
    sqlite3_reset (sql);
    *more = batch->count == batch->cap || looks == PURGE_LOOKS;
    return err;
}

err_t sqlite_job_purge (store_t *store, ended_place_t *after, int64_t before_ms, int what, int64_t limit,
                        store_job_fn *fn, void *ctx, bool *more)
{
    store_sqlite_t *self = sqlite_of (store);
    batch_t batch = { xcalloc ((size_t)limit, sizeof (gone_t)), 0, (size_t)limit };
    sqlite_end_reads (self);
    *more = false;
    err_t err = sqlite_behind_write (self);
    if (!err)
        err = purgeable (self, after, before_ms, what, &batch, more);
    if (!err && batch.count)
        err = sqlite_begin (self);
    for (size_t i = 0; i < batch.count && !err; i++) {
        const gone_t *gone = &batch.items[i];
        err = purge_job (self, gone, what & (PURGED_OUTPUT | PURGED_ARTIFACTS) & ~(int)gone->job.purged);
        if (!err)
            fn (ctx, &gone->job);
    }
    batch_fini (&batch);
    return err;
}
