/* store_sqlite_stat.c - rows of statistics. */
#include "broker/store_sqlite.h"

err_t sqlite_stat_put (store_t *store, int kind, int64_t time, slice_t bytes)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    sqlite_bind_int (self->sql[SQL_STAT_PUT], 1, kind);
    sqlite_bind_int (self->sql[SQL_STAT_PUT], 2, time);
    bound_t value = sqlite_blob (bytes);
    sqlite_bind (self->sql[SQL_STAT_PUT], 3, &value);
    return sqlite_run (self, SQL_STAT_PUT);
}

err_t sqlite_stat_drop_before (store_t *store, int kind, int64_t time)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    sqlite_bind_int (self->sql[SQL_STAT_DROP], 1, kind);
    sqlite_bind_int (self->sql[SQL_STAT_DROP], 2, time);
    return sqlite_run (self, SQL_STAT_DROP);
}

err_t sqlite_stat_each (store_t *store, store_stat_fn *fn, void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = self->sql[SQL_STAT_EACH];
    int code = 0;
    while ((code = sqlite3_step (sql)) == SQLITE_ROW)
        fn (ctx, sqlite3_column_int (sql, 0), sqlite3_column_int64 (sql, 1), sqlite_slice (sql, 2));
    err_t err = code == SQLITE_DONE ? ERR_NONE : sqlite_failed (self, sqlite_statements[SQL_STAT_EACH]);
    sqlite3_reset (sql);
    return err;
}
