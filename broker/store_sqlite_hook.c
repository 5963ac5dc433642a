/* store_sqlite_hook.c - who is still to be told of a job's end. */
#include "broker/store_sqlite.h"

err_t sqlite_hook_put (store_t *store, const hook_record_t *hook)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    sqlite_set_int (self, SQL_HOOK_PUT, 1, hook->id.seq);
    sqlite_set_text (self, SQL_HOOK_PUT, 2, hook->url);
    sqlite_set_text (self, SQL_HOOK_PUT, 3, slice_of (hook->id.salt));
    sqlite_set_int (self, SQL_HOOK_PUT, 4, hook->ended_ms);
    return sqlite_run (self, SQL_HOOK_PUT);
}

err_t sqlite_hook_delete (store_t *store, int64_t seq, slice_t url)
{
    store_sqlite_t *self = sqlite_of (store);
    err_t err = sqlite_begin (self);
    if (err)
        return err;
    sqlite_set_int (self, SQL_HOOK_DELETE, 1, seq);
    sqlite_set_text (self, SQL_HOOK_DELETE, 2, url);
    return sqlite_run (self, SQL_HOOK_DELETE);
}

err_t sqlite_hook_each (store_t *store, store_hook_fn *fn, void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = self->sql[SQL_HOOK_EACH];
    int code = sqlite3_step (sql);
    for (; code == SQLITE_ROW; code = sqlite3_step (sql)) {
        hook_record_t hook = { .id.seq = sqlite3_column_int64 (sql, 0),
                               .url = sqlite_slice (sql, 1),
                               .ended_ms = sqlite3_column_int64 (sql, 3) };
        if (slice_copy (sqlite_slice (sql, 2), hook.id.salt, sizeof hook.id.salt))
            fn (ctx, &hook);
    }
    err_t err = code == SQLITE_DONE ? ERR_NONE : sqlite_failed (self, "hook_each");
    sqlite3_reset (sql);
    return err;
}
