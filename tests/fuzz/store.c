/* Rows of the database as they are read back: the input is a row of each table, any value in any column, as a damaged
 * file or another program would leave it. All that reads rows reads them. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/store_sqlite.h"
#include "fuzz.h"
#include "proto/log.h"

enum { COLUMNS_MAX = 40, SEQ = 7 };

static const char *const tables[] = { "job", "attempt", "worker", "blob", "stat", "job_label" };
enum { TABLES = sizeof tables / sizeof *tables };

static store_t *store;
static sqlite3_stmt *inserts[TABLES];
static decoder_t *decoder;

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char path[96];
    char problem[512];
    CHECK (sodium_init () >= 0);
    log_init ("fuzz", LEVEL_ERROR + 1);
    decoder = decoder_new ();
    snprintf (path, sizeof path, "%s/gleaner.db", fuzz_folder ());
    store = store_sqlite_open (path, problem, sizeof problem);
    CHECK (store);
    for (int i = 0; i < TABLES; i++) {
        char text[256];
        snprintf (text, sizeof text, "SELECT count (*) FROM pragma_table_info ('%s')", tables[i]);
        int64_t columns = sqlite_ask (sqlite_of (store)->db, text);
        CHECK (columns > 0 && columns <= COLUMNS_MAX);
        int len = snprintf (text, sizeof text, "INSERT OR REPLACE INTO %s VALUES (?", tables[i]);
        for (int64_t at = 1; at < columns; at++)
            len += snprintf (text + len, sizeof text - (size_t)len, ",?");
        snprintf (text + len, sizeof text - (size_t)len, ")");
        CHECK (sqlite3_prepare_v2 (sqlite_of (store)->db, text, -1, &inserts[i], NULL) == SQLITE_OK);
    }
    return 0;
}

/* ---- a row ---- */

static void bind_any (sqlite3_stmt *sql, int at, slice_t *in)
{
    uint8_t kind = fuzz_byte (in);
    slice_t bytes;
    switch (kind % 8) {
    case 0:
        sqlite3_bind_null (sql, at);
        break;
    case 1:
        sqlite3_bind_int64 (sql, at, (int64_t)fuzz_64 (in));
        break;
    case 2:
        sqlite3_bind_int64 (sql, at, kind >> 3);
        break;
    case 3:
        sqlite3_bind_double (sql, at, (double)(int64_t)fuzz_64 (in));
        break;
    case 4:
        bytes = fuzz_take (in, fuzz_byte (in));
        sqlite3_bind_blob (sql, at, bytes.ptr, (int)bytes.len, SQLITE_TRANSIENT);
        break;
    default:
        bytes = fuzz_take (in, fuzz_byte (in));
        sqlite3_bind_text (sql, at, bytes.ptr, (int)bytes.len, SQLITE_TRANSIENT);
    }
}

static void insert (int table, slice_t *in)
{
    sqlite3_stmt *sql = inserts[table];
    int count = sqlite3_bind_parameter_count (sql);
    for (int at = 1; at <= count; at++)
        bind_any (sql, at, in);
    if (table < 2 && fuzz_byte (in) & 1)
        sqlite3_bind_int64 (sql, 1, SEQ);
    sqlite3_step (sql); /* some are refused by the table itself */
    sqlite3_reset (sql);
}

/* ---- what reads them ---- */

static void read_slice (slice_t bytes)
{
    volatile char sum = 0;
    for (size_t i = 0; i < bytes.len; i++)
        sum = (char)(sum + bytes.ptr[i]);
}

static void read_job (const job_record_t *job)
{
    char id[JOB_ID_LEN + 1];
    message_t options;
    fault_t fault;
    job_id_format (&job->id, id);
    read_slice (slice_of (job_state_name (job->state)));
    read_slice (job->command);
    read_slice (job->request_hash);
    read_slice (job->data[STREAM_JOURNAL]);
    job_output_gone (job, 7);
    message_decode_item (decoder, job->options, MSG_JOB_OPTIONS, &options, &fault);
    message_decode_item (decoder, job->receipt, MSG_RECEIPT, &options, &fault);
}

static void on_job (void *ctx, const job_record_t *job)
{
    (void)ctx;
    read_job (job);
}

/* What is gone is told by its numbers: its texts are not kept. */
static void on_gone (void *ctx, const job_record_t *job)
{
    char id[JOB_ID_LEN + 1];
    (void)ctx;
    job_id_format (&job->id, id);
}

static bool on_pick (void *ctx, const job_record_t *job)
{
    (void)ctx;
    read_job (job);
    return true;
}

static void on_attempt (void *ctx, const attempt_record_t *attempt)
{
    (void)ctx;
    read_slice (attempt->worker_id);
    read_slice (attempt->data[STREAM_STDOUT]);
    read_slice (attempt->late_reason);
}

static void on_blob (void *ctx, slice_t sha256, int64_t bytes)
{
    (void)ctx;
    (void)bytes;
    read_slice (sha256);
}

static void on_stat (void *ctx, int kind, int64_t time, slice_t bytes)
{
    (void)ctx;
    (void)kind;
    (void)time;
    read_slice (bytes);
}

static void on_worker (void *ctx, const worker_record_t *worker)
{
    (void)ctx;
    read_slice (worker->hostname);
    read_slice (worker->labels);
}

static void read_all (slice_t in)
{
    const store_ops_t *ops = store->ops;
    const job_id_t id = { .seq = SEQ, .salt = "abc123" };
    int64_t next = 0;
    ended_place_t after = { 0 };
    bool more;
    job_record_t job;
    attempt_record_t attempt;
    job_filter_t filter = { .before_seq = INT64_MAX, .state = -1, .text = SLICE ("a"), .brief = in.len & 1 };
    if (!ops->job_get (store, &id, &job))
        read_job (&job);
    if (!ops->job_by_key (store, SLICE_ABSENT, SLICE ("key"), &job))
        read_job (&job);
    if (!ops->attempt_get (store, SEQ, 1, &attempt))
        on_attempt (NULL, &attempt);
    ops->attempt_each (store, SEQ, on_attempt, NULL);
    ops->worker_each (store, on_worker, NULL);
    ops->job_list (store, &filter, 1000, on_pick, NULL, &next);
    filter.text = SLICE_ABSENT;
    filter.label = SLICE ("a=b");
    ops->job_list (store, &filter, 1000, on_pick, NULL, &next);
    ops->stat_each (store, on_stat, NULL);
    ops->blob_live_bytes (store);
    ops->job_live (store, on_job, NULL);
    ops->job_purge (store, &after, INT64_MAX, PURGED_OUTPUT | PURGED_ARTIFACTS, 10, on_gone, NULL, &more);
    ops->job_expire (store, INT64_MAX, false, 10, on_gone, NULL);
    ops->blob_expire (store, INT64_MAX, 10, on_blob, NULL);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    store_sqlite_t *self = sqlite_of (store);
    slice_t in = slice_from (data, size);
    int64_t jobs = self->jobs;
    int64_t blob_bytes = self->blob_bytes;
    CHECK (sqlite_begin (self) == ERR_NONE);
    for (int rows = 0; in.len && rows < 16; rows++)
        insert (fuzz_byte (&in) % TABLES, &in);
    read_all (in);
    sqlite_end_reads (self);
    if (!sqlite3_get_autocommit (self->db))
        sqlite_run_silent (self, SQL_ROLLBACK);
    sqlite_redo_forget (self);
    self->open = self->dirty = self->broken = false;
    self->jobs = jobs;
    self->blob_bytes = blob_bytes;
    return 0;
}
