/* store_sqlite_copy.c - copies of the database while it is in use, and its check while it is not. */
#include "broker/store_sqlite.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/log.h"

enum {
    PAGES_A_STEP = 256,           /* a megabyte: some milliseconds of the loop's time */
    GLANCE_PAGES_MAX = 16 * 1024, /* 64 MiB: well under a second */
};

static void copy_end (store_sqlite_t *self)
{
    if (self->copy)
        sqlite3_backup_finish (self->copy);
    if (self->copy_db)
        sqlite3_close (self->copy_db);
    self->copy = NULL;
    self->copy_db = NULL;
}

static bool copy_begin (store_sqlite_t *self, const char *path)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    unlink (path); /* of an earlier one */
    err_t err = sqlite_settle (self);
    if (err == ERR_DISK_FULL)
        self->base.ops->rollback (&self->base);
    if (err)
        return false;
    if (sqlite3_open_v2 (path, &self->copy_db, flags, NULL) == SQLITE_OK)
        self->copy = sqlite3_backup_init (self->copy_db, "main", self->db, "main");
    if (self->copy)
        return true;
    log_event (LEVEL_ERROR, "snapshot-failed", "'%s': %s", path,
               self->copy_db ? sqlite3_errmsg (self->copy_db) : "no memory");
    copy_end (self);
    return false;
}

/* The copy is whole without a log. SQLITE_DONE, or what went wrong. */
static int copy_mark (store_sqlite_t *self)
{
    sqlite3_backup_finish (self->copy);
    self->copy = NULL;
    int code = sqlite3_exec (self->copy_db,
                             "PRAGMA locking_mode = EXCLUSIVE;"
                             "INSERT OR REPLACE INTO total (name, bytes) VALUES ('clean', 1);",
                             NULL, NULL, NULL);
    return code == SQLITE_OK ? SQLITE_DONE : code;
}

int sqlite_snapshot_step (store_t *store, const char *path)
{
    store_sqlite_t *self = sqlite_of (store);
    if (!path) {
        copy_end (self);
        return -1;
    }
    if (self->dirty)
        return 0; /* a turn is not copied by halves */
    if (!self->copy && !copy_begin (self, path))
        return -1;
    /* What this connection writes between steps goes into the copy too: it is of the moment when it is complete. */
    int code = sqlite3_backup_step (self->copy, PAGES_A_STEP);
    if (code == SQLITE_OK)
        return 0;
    if (code == SQLITE_DONE)
        code = copy_mark (self);
    if (code != SQLITE_DONE)
        log_event (LEVEL_ERROR, "snapshot-failed", "'%s': %s", path, sqlite3_errstr (code));
    copy_end (self);
    return code == SQLITE_DONE ? 1 : -1;
}

bool store_sqlite_check (store_t *store, void (*fn) (void *ctx, const char *fault), void *ctx)
{
    store_sqlite_t *self = sqlite_of (store);
    static const char *const questions[] = {
        "PRAGMA integrity_check (20)",
        "SELECT 'the foreign key check names table ' || \"table\" FROM pragma_foreign_key_check LIMIT 20",
        "SELECT 'job ' || seq || ' is over but has no time of its end' FROM job WHERE state >= 2 AND completed_ms = 0 "
        "LIMIT 20",
        "SELECT 'job ' || seq || ' runs without a token' FROM job WHERE state = 1 AND token IS NULL LIMIT 20",
        "SELECT 'attempt ' || attempt || ' of job ' || seq || ' has no job' FROM attempt "
        "WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.seq = attempt.seq) LIMIT 20",
        "SELECT 'it has ' || (SELECT count (*) FROM job) || ' jobs and says ' || bytes FROM total WHERE name = 'jobs' "
        "AND bytes <> (SELECT count (*) FROM job)",
        "SELECT 'job ' || seq || ' has more attempts than it may' FROM job WHERE attempt > max_attempts LIMIT 20",
    };
    bool sound = true;
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        sqlite3_stmt *sql = NULL;
        int code = sqlite3_prepare_v2 (self->db, questions[i], -1, &sql, NULL);
        while (code == SQLITE_OK && (code = sqlite3_step (sql)) == SQLITE_ROW) {
            const char *said = (const char *)sqlite3_column_text (sql, 0);
            code = SQLITE_OK;
            if (i == 0 && said && sqlite3_stricmp (said, "ok") == 0)
                continue;
            sound = false;
            fn (ctx, said ? said : "?");
        }
        if (code != SQLITE_DONE) {
            sound = false;
            fn (ctx, sqlite3_errmsg (self->db));
        }
        sqlite3_finalize (sql);
    }
    return sound;
}

err_t store_sqlite_glance (store_t *store, char *problem, size_t problem_size)
{
    store_sqlite_t *self = sqlite_of (store);
    sqlite3_stmt *sql = NULL;
    if (sqlite_ask (self->db, "PRAGMA page_count") > GLANCE_PAGES_MAX)
        return ERR_NONE;
    int code = sqlite3_prepare_v2 (self->db, "PRAGMA quick_check (1)", -1, &sql, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step (sql);
    const char *said = code == SQLITE_ROW ? (const char *)sqlite3_column_text (sql, 0) : sqlite3_errmsg (self->db);
    bool sound = code == SQLITE_ROW && said && sqlite3_stricmp (said, "ok") == 0;
    if (!sound)
        snprintf (problem, problem_size, "the record is damaged: %.200s. Examine it with --check, or restore a backup.",
                  said ? said : "?");
    for (char *at = problem; !sound && (at = strchr (at, '\n'));)
        *at = ' ';
    sqlite3_finalize (sql);
    return sound ? ERR_NONE : ERR_INTERNAL;
}
