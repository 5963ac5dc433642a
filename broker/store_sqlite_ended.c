/* store_sqlite_ended.c - jobs and attempts by their end, some at a time: an index each, so that a range costs what is
 * in it. */
#include "broker/store_sqlite.h"

static void read_ended (sqlite3_stmt *sql, bool jobs, ended_t *out)
{
    *out = (ended_t){
        .place = { sqlite3_column_int64 (sql, 0), sqlite3_column_int64 (sql, 1), sqlite3_column_int64 (sql, 2) },
        .job = jobs,
        .ran = sqlite3_column_int (sql, 3) != 0,
        .started_ms = sqlite3_column_int64 (sql, 4),
        .worker_id = sqlite_slice (sql, 5),
        .owner = sqlite_slice (sql, 6),
        .usage = sqlite_slice (sql, 7),
        .options = sqlite_slice (sql, 8),
    };
}

err_t sqlite_ended_each (store_t *store, bool jobs, bool options, ended_place_t *after, int64_t until_ms, int64_t limit,
                         store_ended_fn *fn, void *ctx, int64_t *count)
{
    store_sqlite_t *self = sqlite_of (store);
    sql_t which = jobs ? SQL_ENDED_JOBS : SQL_ENDED_ATTEMPTS;
    sqlite3_stmt *sql = self->sql[which];
    *count = 0;
    sqlite_end_reads (self);
    err_t err = sqlite_behind_write (self);
    if (err)
        return err;
    sqlite3_bind_int64 (sql, 1, after->ended_ms);
    sqlite3_bind_int64 (sql, 2, after->seq);
    sqlite3_bind_int (sql, 3, options);
    sqlite3_bind_int64 (sql, 4, until_ms);
    sqlite3_bind_int64 (sql, 5, limit);
    if (!jobs)
        sqlite3_bind_int64 (sql, 6, after->attempt);
    int code;
    while ((code = sqlite3_step (sql)) == SQLITE_ROW) {
        ended_t ended;
        read_ended (sql, jobs, &ended);
        *after = ended.place;
        fn (ctx, &ended);
        ++*count;
    }
    if (code != SQLITE_DONE)
        err = sqlite_failed (self, sqlite_statements[which]);
    sqlite3_reset (sql);
    return err;
}
