/* store_sqlite_rows.c - jobs, attempts and workers as rows. */
#include "broker/store_sqlite.h"

#include <assert.h>
#include <string.h>

#include "proto/lines.h"
#include "proto/log.h"

/* The values of SQL_JOB_INSERT and SQL_JOB_UPDATE, which have the same places. */
static void set_created (bound_t *values, const job_record_t *job)
{
    values[1] = sqlite_text (slice_of (job->id.salt));
    values[2] = sqlite_text (job->command);
    values[3] = sqlite_text (job->file_url);
    values[4] = sqlite_text (job->filename);
    values[5] = sqlite_number (job->timeout_ms);
    values[6] = sqlite_number (job->max_attempts);
    values[7] = sqlite_number (job->created_ms);
    values[8] = sqlite_text (job->pinned);
    values[9] = sqlite_blob (job->options);
    values[10] = sqlite_text (job->idempotency_key);
    values[11] = sqlite_blob (job->request_hash);
    values[33] = sqlite_text (job->owner);
}

static void set_changing (bound_t *values, const job_record_t *job)
{
    values[0] = sqlite_number (job->id.seq);
    values[12] = sqlite_number (job->state);
    values[13] = sqlite_number (job->attempt);
    values[14] = sqlite_text (job->worker_id);
    values[15] = sqlite_text (job->group);
    values[16] = sqlite_text (job->token);
    values[17] = sqlite_number (job->slot);
    values[18] = sqlite_number (job->started_ms);
    values[19] = sqlite_number (job->completed_ms);
    values[20] = sqlite_number (job->exit_code);
    values[21] = sqlite_text (job->reason);
    values[22] = sqlite_text (job->error_message);
    values[23] = sqlite_blob (job->data[STREAM_STDOUT]);
    values[24] = sqlite_blob (job->data[STREAM_STDERR]);
    values[25] = sqlite_number (job->bytes[STREAM_STDOUT]);
    values[26] = sqlite_number (job->bytes[STREAM_STDERR]);
    values[27] = sqlite_number (job->not_before_ms);
    values[28] = sqlite_number (job->signal);
    values[29] = sqlite_blob (job->receipt);
    values[30] = sqlite_text (job->artifacts);
    values[31] = sqlite_number (job->bytes[STREAM_JOURNAL]);
    values[32] = sqlite_blob (job->data[STREAM_JOURNAL]);
}

/* Puts a row into the database now. The log has it already. */
static err_t write_values (store_sqlite_t *self, sql_t which)
{
    int count = sqlite3_bind_parameter_count (self->sql[which]);
    for (int at = 1; at <= count; at++)
        sqlite_bind (self->sql[which], at, &self->bound[which][at - 1]);
    return sqlite_run_silent (self, which);
}

err_t sqlite_read_job (sqlite3_stmt *sql, job_record_t *job)
{
    *job = (job_record_t){
        .id.seq = sqlite3_column_int64 (sql, 0),
        .command = sqlite_slice (sql, 2),
        .file_url = sqlite_slice (sql, 3),
        .filename = sqlite_slice (sql, 4),
        .timeout_ms = sqlite3_column_int64 (sql, 5),
        .max_attempts = sqlite3_column_int64 (sql, 6),
        .created_ms = sqlite3_column_int64 (sql, 7),
        .pinned = sqlite_slice (sql, 8),
        .options = sqlite_slice (sql, 9),
        .idempotency_key = sqlite_slice (sql, 10),
        .request_hash = sqlite_slice (sql, 11),
        .state = (job_state_t)sqlite3_column_int64 (sql, 12),
        .attempt = sqlite3_column_int64 (sql, 13),
        .worker_id = sqlite_slice (sql, 14),
        .group = sqlite_slice (sql, 15),
        .token = sqlite_slice (sql, 16),
        .slot = sqlite3_column_int64 (sql, 17),
        .started_ms = sqlite3_column_int64 (sql, 18),
        .completed_ms = sqlite3_column_int64 (sql, 19),
        .exit_code = sqlite_int (sql, 20),
        .reason = sqlite_slice (sql, 21),
        .error_message = sqlite_slice (sql, 22),
        .data = { sqlite_slice (sql, 23), sqlite_slice (sql, 24), sqlite_slice (sql, 32) },
        .bytes = { sqlite_int (sql, 25), sqlite_int (sql, 26), sqlite_int (sql, 31) },
        .not_before_ms = sqlite3_column_int64 (sql, 27),
        .signal = sqlite_int (sql, 28),
        .receipt = sqlite_slice (sql, 29),
        .artifacts = sqlite_slice (sql, 30),
        .purged = sqlite3_column_int64 (sql, 33),
        .owner = sqlite_slice (sql, 34),
    };
    slice_copy (sqlite_slice (sql, 1), job->id.salt, sizeof job->id.salt);
    int64_t state = sqlite3_column_int64 (sql, 12);
    if (job->id.seq >= 0 && state >= JOB_PENDING && state <= JOB_FAILED)
        return ERR_NONE;
    log_event (LEVEL_ERROR, "store-damaged", "there can be no job with number %lld and state %lld",
               (long long)job->id.seq, (long long)state);
    return ERR_INTERNAL;
}

/* ---- jobs ---- */

err_t sqlite_labels_run (store_sqlite_t *self, sql_t which, slice_t labels, int64_t seq)
{
    slice_t line, key, value;
    err_t err = ERR_NONE;
    while (!err && lines_next (&labels, &line)) {
        line_split (line, &key, &value);
        sqlite_set_int (self, which, 2, seq);
        sqlite_set_text (self, which, 1, line);
        err = sqlite_run (self, which);
        sqlite_set_text (self, which, 1, key);
        if (!err)
            err = sqlite_run (self, which);
    }
    return err;
}

static void set_brief (bound_t *values, const job_record_t *job)
{
    values[0] = sqlite_number (job->id.seq);
    values[1] = sqlite_blob (job->brief_options);
}

err_t sqlite_write_created (store_sqlite_t *self, const job_record_t *job)
{
    set_created (self->bound[SQL_JOB_INSERT], job);
    set_changing (self->bound[SQL_JOB_INSERT], job);
    err_t err = write_values (self, SQL_JOB_INSERT);
    if (err || !job->brief_options.ptr)
        return err;
    set_brief (self->bound[SQL_JOB_BRIEF_PUT], job);
    return write_values (self, SQL_JOB_BRIEF_PUT);
}

err_t sqlite_write_changed (store_sqlite_t *self, const job_record_t *job)
{
    set_changing (self->bound[SQL_JOB_UPDATE], job);
    err_t err = write_values (self, SQL_JOB_UPDATE);
    assert (err || sqlite3_changes (self->db) == 1);
    return err;
}

/* Once it is in the log, a row that the database refuses would stop every start: it is refused here. */
static bool key_is_taken (store_t *store, const job_record_t *job)
{
    job_record_t other;
    return job->idempotency_key.ptr &&
           sqlite_job_by_key (store, job->owner, job->idempotency_key, &other) != ERR_NO_SUCH_JOB;
}

err_t sqlite_job_insert (store_t *store, const job_record_t *job)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = key_is_taken (store, job) ? ERR_INTERNAL : sqlite_begin (self);
    if (err)
        return err;
    set_created (self->bound[SQL_JOB_INSERT], job);
    set_changing (self->bound[SQL_JOB_INSERT], job);
    sqlite_redo_note (self, SQL_JOB_INSERT);
    if (job->brief_options.ptr) {
        set_brief (self->bound[SQL_JOB_BRIEF_PUT], job);
        sqlite_redo_note (self, SQL_JOB_BRIEF_PUT);
    }
    err = sqlite_behind_insert (self, job);
    if (!err)
        err = sqlite_labels_run (self, SQL_LABEL_INSERT, job->labels, job->id.seq);
    if (!err)
        err = sqlite_blob_refer (self, blob_url_sha256 (job->file_url));
    if (!err && job->delta.ptr)
        err = sqlite_delta_put (self, job);
    self->jobs += !err;
    return err;
}

err_t sqlite_job_update (store_t *store, const job_record_t *job)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    set_changing (self->bound[SQL_JOB_UPDATE], job);
    sqlite_redo_note (self, SQL_JOB_UPDATE);
    err = sqlite_blob_refer (self, job->artifacts);
    return err ? err : sqlite_behind_update (self, job);
}

static err_t read_one (store_sqlite_t *self, sql_t which, job_record_t *job)
{
    sqlite3_stmt *sql = self->sql[which];
    int code = sqlite3_step (sql);
    err_t err = ERR_NONE;
    if (code == SQLITE_ROW && !(err = sqlite_read_job (sql, job))) {
        self->reading = sql;
        sqlite_behind_patch (self, job);
        return ERR_NONE;
    }
    if (code != SQLITE_ROW)
        err = code == SQLITE_DONE ? ERR_NO_SUCH_JOB : sqlite_failed (self, sqlite_statements[which]);
    sqlite3_reset (sql);
    return err;
}

static void end_job_read (store_sqlite_t *self)
{
    if (self->reading)
        sqlite3_reset (self->reading);
    self->reading = NULL;
}

err_t sqlite_job_get (store_t *store, const job_id_t *id, job_record_t *job)
{
    store_sqlite_t *self = sqlite_of (store);
    end_job_read (self);
    if (sqlite_behind_get (self, id->seq, job))
        return strcmp (job->id.salt, id->salt) == 0 ? ERR_NONE : ERR_NO_SUCH_JOB;
    sqlite_bind_int (self->sql[SQL_JOB_GET], 1, id->seq);
    sqlite_bind_text (self->sql[SQL_JOB_GET], 2, slice_of (id->salt));
    return read_one (self, SQL_JOB_GET, job);
}

err_t sqlite_job_by_key (store_t *store, slice_t owner, slice_t key, job_record_t *job)
{
    store_sqlite_t *self = sqlite_of (store);
    end_job_read (self);
    if (sqlite_behind_by_key (self, owner, key, job))
        return ERR_NONE;
    sqlite_bind_text (self->sql[SQL_JOB_BY_KEY], 1, key);
    sqlite_bind_text (self->sql[SQL_JOB_BY_KEY], 2, owner);
    return read_one (self, SQL_JOB_BY_KEY, job);
}

err_t sqlite_each_job (store_sqlite_t *self, sqlite3_stmt *sql, store_job_fn *fn, void *ctx)
{
    int code = sqlite3_step (sql);
    err_t err = ERR_NONE;
    for (; code == SQLITE_ROW && !err; code = err ? code : sqlite3_step (sql)) {
        job_record_t job;
        err = sqlite_read_job (sql, &job);
        if (!err)
            fn (ctx, &job);
    }
    if (!err && code != SQLITE_DONE)
        err = sqlite_failed (self, sqlite3_sql (sql));
    sqlite3_reset (sql);
    return err;
}

err_t sqlite_job_live (store_t *store, store_job_fn *fn, void *ctx)
{
    err_t err = sqlite_behind_write (sqlite_of (store));
    return err ? err : sqlite_each_job (sqlite_of (store), sqlite_of (store)->sql[SQL_JOB_LIVE], fn, ctx);
}

/* ---- attempts ---- */

err_t sqlite_attempt_put (store_t *store, const attempt_record_t *attempt)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 1, attempt->seq);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 2, attempt->attempt);
    sqlite_set_text (self, SQL_ATTEMPT_PUT, 3, attempt->worker_id);
    sqlite_set_text (self, SQL_ATTEMPT_PUT, 4, attempt->token);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 5, attempt->accepted);
    sqlite_set_text (self, SQL_ATTEMPT_PUT, 6, attempt->reason);
    sqlite_set_text (self, SQL_ATTEMPT_PUT, 7, attempt->error_message);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 8, attempt->exit_code);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 9, attempt->signal);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 10, attempt->started_ms);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 11, attempt->completed_ms);
    sqlite_set_blob (self, SQL_ATTEMPT_PUT, 12, attempt->data[STREAM_STDOUT]);
    sqlite_set_blob (self, SQL_ATTEMPT_PUT, 13, attempt->data[STREAM_STDERR]);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 14, attempt->late_ms);
    sqlite_set_int (self, SQL_ATTEMPT_PUT, 15, attempt->late_exit_code);
    sqlite_set_text (self, SQL_ATTEMPT_PUT, 16, attempt->late_reason);
    sqlite_set_blob (self, SQL_ATTEMPT_PUT, 17, attempt->data[STREAM_JOURNAL]);
    sqlite_set_blob (self, SQL_ATTEMPT_PUT, 18, attempt->usage);
    return sqlite_run (self, SQL_ATTEMPT_PUT);
}

static void read_attempt (sqlite3_stmt *sql, attempt_record_t *out)
{
    *out = (attempt_record_t){
        .seq = sqlite3_column_int64 (sql, 0),
        .attempt = sqlite3_column_int64 (sql, 1),
        .worker_id = sqlite_slice (sql, 2),
        .token = sqlite_slice (sql, 3),
        .accepted = sqlite3_column_int (sql, 4),
        .reason = sqlite_slice (sql, 5),
        .error_message = sqlite_slice (sql, 6),
        .exit_code = sqlite_int (sql, 7),
        .signal = sqlite_int (sql, 8),
        .started_ms = sqlite3_column_int64 (sql, 9),
        .completed_ms = sqlite3_column_int64 (sql, 10),
        .data = { sqlite_slice (sql, 11), sqlite_slice (sql, 12), sqlite_slice (sql, 16) },
        .late_ms = sqlite3_column_int64 (sql, 13),
        .late_exit_code = sqlite_int (sql, 14),
        .late_reason = sqlite_slice (sql, 15),
        .usage = sqlite_slice (sql, 17),
    };
}

err_t sqlite_attempt_get (store_t *store, int64_t seq, int64_t attempt, attempt_record_t *out)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = self->sql[SQL_ATTEMPT_GET];
    sqlite3_reset (sql);
    sqlite_bind_int (sql, 1, seq);
    sqlite_bind_int (sql, 2, attempt);
    int code = sqlite3_step (sql);
    if (code == SQLITE_ROW) {
        self->reading_attempt = sql;
        read_attempt (sql, out);
        return ERR_NONE;
    }
    self->reading_attempt = NULL;
    err_t err = code == SQLITE_DONE ? ERR_NO_SUCH_JOB : sqlite_failed (self, "attempt_get");
    sqlite3_reset (sql);
    return err;
}

err_t sqlite_attempt_each (store_t *store, int64_t seq, store_attempt_fn *fn, void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = self->sql[SQL_ATTEMPT_EACH];
    sqlite_bind_int (sql, 1, seq);
    int code = sqlite3_step (sql);
    for (; code == SQLITE_ROW; code = sqlite3_step (sql)) {
        attempt_record_t attempt;
        read_attempt (sql, &attempt);
        fn (ctx, &attempt);
    }
    err_t err = code == SQLITE_DONE ? ERR_NONE : sqlite_failed (self, "attempt_each");
    sqlite3_reset (sql);
    return err;
}

/* ---- workers ---- */

err_t sqlite_worker_put (store_t *store, const worker_record_t *worker)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    sqlite_set_text (self, SQL_WORKER_PUT, 1, worker->worker_id);
    sqlite_set_text (self, SQL_WORKER_PUT, 2, worker->hostname);
    sqlite_set_text (self, SQL_WORKER_PUT, 3, worker->os);
    sqlite_set_text (self, SQL_WORKER_PUT, 4, worker->version);
    sqlite_set_text (self, SQL_WORKER_PUT, 5, worker->machine);
    sqlite_set_text (self, SQL_WORKER_PUT, 6, worker->remote_addr);
    sqlite_set_int (self, SQL_WORKER_PUT, 7, worker->cpu_count);
    sqlite_set_int (self, SQL_WORKER_PUT, 8, worker->slots);
    sqlite_set_int (self, SQL_WORKER_PUT, 9, worker->registered_ms);
    sqlite_set_int (self, SQL_WORKER_PUT, 10, worker->last_seen_ms);
    sqlite_set_int (self, SQL_WORKER_PUT, 11, worker->online);
    sqlite_set_text (self, SQL_WORKER_PUT, 12, worker->labels);
    sqlite_set_int (self, SQL_WORKER_PUT, 13, worker->asleep_until_ms);
    sqlite_set_int (self, SQL_WORKER_PUT, 14, worker->draining);
    return sqlite_run (self, SQL_WORKER_PUT);
}

err_t sqlite_worker_delete (store_t *store, slice_t worker_id)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    sqlite_set_text (self, SQL_WORKER_DELETE, 1, worker_id);
    return sqlite_run (self, SQL_WORKER_DELETE);
}

err_t sqlite_worker_each (store_t *store, store_worker_fn *fn, void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = self->sql[SQL_WORKER_EACH];
    int code = sqlite3_step (sql);
    for (; code == SQLITE_ROW; code = sqlite3_step (sql)) {
        worker_record_t worker = {
            .worker_id = sqlite_slice (sql, 0),
            .hostname = sqlite_slice (sql, 1),
            .os = sqlite_slice (sql, 2),
            .version = sqlite_slice (sql, 3),
            .machine = sqlite_slice (sql, 4),
            .remote_addr = sqlite_slice (sql, 5),
            .cpu_count = sqlite_int (sql, 6),
            .slots = sqlite_int (sql, 7),
            .registered_ms = sqlite3_column_int64 (sql, 8),
            .last_seen_ms = sqlite3_column_int64 (sql, 9),
            .online = sqlite3_column_int (sql, 10),
            .labels = sqlite_slice (sql, 11),
            .asleep_until_ms = sqlite3_column_int64 (sql, 12),
            .draining = sqlite3_column_int (sql, 13),
        };
        fn (ctx, &worker);
    }
    err_t err = code == SQLITE_DONE ? ERR_NONE : sqlite_failed (self, "worker_each");
    sqlite3_reset (sql);
    return err;
}
