/* store_sqlite_redo.c - the redo log: what makes a turn durable without a commit of the database.
 *
 * A commit of SQLite writes whole pages, several for each row, and waits for them. So its transaction stays open over
 * many turns, and a turn's statements, with what was bound to them, go as one batch into a file beside the database,
 * which is synced. When the file is full, or a turn did something that has no place in it, the database commits
 * (sqlite_settle) and the log begins anew. After a crash SQLite goes back to its last commit, and the batches since
 * then are run again: the same statements in the same order on the same data.
 *
 * The file is a row of batches, each at a multiple of SECTOR, number 1 at its front. Its header: magic, the log's name,
 * the batch's number, its length, 4 bytes of 0, a hash (BLAKE2b, 32 bytes) of those and the statements. Numbers
 * are little-endian. A statement: its code, how many values, and each value: its kind, then 8 bytes of number, or 4 of
 * length and its bytes. The name changes with each commit of the database, which keeps it (`total`, name 'redo'): its
 * upper bits stay those of the database, its lower bits count. Batches of an earlier count are over and done with.
 * A statement that has got more values since, at its end, is run with NULL for them: columns that an earlier broker did
 * not know.
 *
 * Before a log is used for the first time, an empty batch of number 0 is put at its front: from then on a front without
 * magic is that of a log whose bytes are gone ('redo-front' in `total` says that there is one; earlier brokers wrote
 * none).
 *
 * One batch is written at a time, and the next one only after it was synced. So a batch that cannot be read was never
 * acknowledged if nothing follows it; if a later one can be read, the log is damaged, and the broker must not start.
 * Two batches may share a block of the disk: as SQLite does, this trusts that a write which is cut short harms no
 * neighbour.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/store_sqlite.h"
#include "proto/clock.h"
#include "proto/log.h"

enum {
    SECTOR = 512,
    HASH = 32,
    FILE_SIZE = 4 * 1024 * 1024, /* some ten thousand statements: what a start has to run again */
    BATCH_MAX = FILE_SIZE / 4,   /* a turn that did more commits the database */
    PATH_SIZE = 4096 + 64,
    COUNT_BITS = 40, /* of a name; above them is the database's own */
    NAMES_MAX = 1 << 22,
};

typedef struct {
    char magic[8];
    uint64_t name, number;
    uint32_t length, zero;
    unsigned char hash[HASH];
} header_t;

static const char magic[8] = { 'G', 'L', 'N', 'R', 'R', 'E', 'D', 'O' };

/* Codes on disk: one is never given another meaning. 0: a turn that ran it commits the database. */
static const uint8_t codes[SQL_COUNT] = {
    [SQL_JOB_INSERT] = 1,   [SQL_JOB_UPDATE] = 2, [SQL_JOB_BRIEF_PUT] = 3, [SQL_LABEL_INSERT] = 4,
    [SQL_ATTEMPT_PUT] = 5,  [SQL_WORKER_PUT] = 6, [SQL_WORKER_DELETE] = 7, [SQL_BLOB_REFER] = 8,
    [SQL_BLOB_PUT] = 9,     [SQL_TOTAL_PUT] = 10, [SQL_DELTA_PUT] = 11,    [SQL_HOOK_PUT] = 12,
    [SQL_HOOK_DELETE] = 13,
};

/* ---- noting statements ---- */

static void append_value (buf_t *out, const bound_t *value)
{
    uint8_t kind = value->kind;
    buf_append (out, &kind, 1);
    if (kind == VALUE_INT) {
        uint64_t number = htole64 ((uint64_t)value->number);
        buf_append (out, &number, sizeof number);
    } else if (kind != VALUE_NULL) {
        uint32_t length = htole32 ((uint32_t)value->bytes.len);
        buf_append (out, &length, sizeof length);
        buf_append (out, value->bytes.ptr, value->bytes.len);
    }
}

void sqlite_redo_note (store_sqlite_t *self, sql_t which)
{
    redo_t *redo = &self->redo;
    if (!codes[which] || redo->batch.len > BATCH_MAX)
        redo->whole = true;
    if (redo->whole || redo->fd < 0)
        return;
    int count = sqlite3_bind_parameter_count (self->sql[which]);
    uint8_t head[2] = { codes[which], (uint8_t)count };
    if (!redo->batch.len) {
        buf_reserve (&redo->batch, sizeof (header_t));
        redo->batch.len = sizeof (header_t);
    }
    buf_append (&redo->batch, head, sizeof head);
    for (int i = 0; i < count; i++)
        append_value (&redo->batch, &self->bound[which][i]);
}

/* ---- writing ---- */

static void hash_batch (uint64_t key, const header_t *header, const char *statements, size_t length,
                        unsigned char out[HASH])
{
    crypto_generichash_state state;
    uint64_t little = htole64 (key);
    crypto_generichash_init (&state, NULL, 0, HASH);
    crypto_generichash_update (&state, (const unsigned char *)&little, sizeof little);
    crypto_generichash_update (&state, (const unsigned char *)header, offsetof (header_t, hash));
    crypto_generichash_update (&state, (const unsigned char *)statements, length);
    crypto_generichash_final (&state, out, HASH);
}

static size_t sectors (size_t length)
{
    return (length + SECTOR - 1) / SECTOR * SECTOR;
}

bool sqlite_redo_fits (const store_sqlite_t *self)
{
    const redo_t *redo = &self->redo;
    return redo->fd >= 0 && !redo->whole && (size_t)redo->at + sectors (redo->batch.len) <= FILE_SIZE;
}

err_t sqlite_redo_write (store_sqlite_t *self)
{
    redo_t *redo = &self->redo;
    size_t length = redo->batch.len - sizeof (header_t);
    size_t size = sectors (redo->batch.len);
    buf_reserve (&redo->batch, size - redo->batch.len);
    memset (redo->batch.ptr + redo->batch.len, 0, size - redo->batch.len);
    header_t header = { .name = htole64 (redo->name),
                        .number = htole64 (redo->number + 1),
                        .length = htole32 ((uint32_t)length) };
    memcpy (header.magic, magic, sizeof magic);
    hash_batch (redo->key, &header, redo->batch.ptr + sizeof header, length, header.hash);
    memcpy (redo->batch.ptr, &header, sizeof header);
    ssize_t put = pwrite (redo->fd, redo->batch.ptr, size, redo->at);
    if (put != (ssize_t)size) {
        int code = put < 0 ? errno : ENOSPC;
        log_event (LEVEL_ERROR, "store-failed", "redo log: %s", strerror (code));
        return code == ENOSPC || code == EDQUOT ? ERR_DISK_FULL : ERR_INTERNAL;
    }
    int64_t begun_us = clock_mono_us ();
    if (fdatasync (redo->fd) != 0) {
        log_event (LEVEL_ERROR, "store-failed", "redo log: %s", strerror (errno));
        self->broken = true; /* the next sync may succeed without the pages that this one has lost */
        return ERR_INTERNAL;
    }
    redo->at += (int64_t)size;
    redo->number++;
    sqlite_synced (self, STORE_SYNC_LOG, begun_us);
    return ERR_NONE;
}

void sqlite_redo_forget (store_sqlite_t *self)
{
    buf_clear (&self->redo.batch);
    self->redo.whole = false;
}

err_t sqlite_redo_mark (store_sqlite_t *self, bool clean)
{
    err_t err = sqlite_put_total (self, "redo-key", (int64_t)self->redo.key);
    err = err ? err : sqlite_put_total (self, "redo-front", !clean);
    return err ? err : sqlite_put_total (self, "clean", clean);
}

void sqlite_redo_begin (store_sqlite_t *self)
{
    self->redo.name++;
    self->redo.at = 0;
    self->redo.number = 0;
}

/* ---- running again ---- */

static bool take (slice_t *in, void *out, size_t size)
{
    if (in->len < size)
        return false;
    memcpy (out, in->ptr, size);
    *in = slice_from (in->ptr + size, in->len - size);
    return true;
}

static bool take_value (slice_t *in, bound_t *value)
{
    uint64_t number = 0;
    uint32_t length = 0;
    *value = (bound_t){ .kind = VALUE_NULL };
    if (!take (in, &value->kind, 1))
        return false;
    if (value->kind == VALUE_INT) {
        bool whole = take (in, &number, sizeof number);
        value->number = (int64_t)le64toh (number);
        return whole;
    }
    if (value->kind != VALUE_TEXT && value->kind != VALUE_BLOB)
        return value->kind == VALUE_NULL;
    if (!take (in, &length, sizeof length) || le32toh (length) > in->len)
        return false;
    value->bytes = slice_from (in->ptr, le32toh (length));
    *in = slice_from (in->ptr + value->bytes.len, in->len - value->bytes.len);
    return true;
}

static err_t run_statement (store_sqlite_t *self, slice_t *in)
{
    uint8_t head[2];
    if (!take (in, head, sizeof head))
        return ERR_INTERNAL;
    for (sql_t which = 0; which < SQL_COUNT; which++) {
        if (codes[which] != head[0] || !head[0])
            continue;
        int count = sqlite3_bind_parameter_count (self->sql[which]);
        if (head[1] > count)
            return ERR_INTERNAL;
        for (int at = 1; at <= count; at++) {
            bound_t value = { .kind = VALUE_NULL }; /* an older program's log knows fewer columns */
            if (at <= head[1] && !take_value (in, &value))
                return ERR_INTERNAL;
            sqlite_bind (self->sql[which], at, &value);
        }
        self->jobs += which == SQL_JOB_INSERT;
        return sqlite_run_silent (self, which);
    }
    return ERR_INTERNAL;
}

/* The batch at `at` if it is whole and has the log's name; its statements. */
static bool batch_at (const redo_t *redo, slice_t file, size_t at, uint64_t *number, slice_t *statements)
{
    header_t header;
    unsigned char hash[HASH];
    if (at + sizeof header > file.len)
        return false;
    memcpy (&header, file.ptr + at, sizeof header);
    size_t length = le32toh (header.length);
    if (memcmp (header.magic, magic, sizeof magic) != 0 || le64toh (header.name) != redo->name ||
        length > file.len - at - sizeof header)
        return false;
    *statements = slice_from (file.ptr + at + sizeof header, length);
    *number = le64toh (header.number);
    hash_batch (redo->key, &header, statements->ptr, length, hash);
    return memcmp (hash, header.hash, HASH) == 0;
}

static err_t run_batches (store_sqlite_t *self, slice_t file)
{
    redo_t *redo = &self->redo;
    uint64_t number = 0;
    slice_t statements;
    redo->at = 0;
    redo->number = 0;
    while (batch_at (redo, file, (size_t)redo->at, &number, &statements) && number == redo->number + 1) {
        size_t size = sectors (sizeof (header_t) + statements.len);
        while (statements.len) {
            err_t err = sqlite_begin (self);
            err = err ? err : run_statement (self, &statements);
            if (err)
                return err;
        }
        redo->at += (int64_t)size;
        redo->number = number;
    }
    return ERR_NONE;
}

static char *read_file (int fd)
{
    char *bytes = xcalloc (1, FILE_SIZE);
    for (size_t have = 0; have < FILE_SIZE;) {
        ssize_t got = pread (fd, bytes + have, FILE_SIZE - have, (off_t)have);
        if (got < 0) {
            free (bytes);
            return NULL;
        }
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return bytes;
}

err_t sqlite_redo_run (store_sqlite_t *self)
{
    if (self->redo.fd < 0)
        return ERR_NONE;
    char *bytes = read_file (self->redo.fd);
    if (!bytes)
        return ERR_INTERNAL;
    err_t err = run_batches (self, slice_from (bytes, FILE_SIZE));
    free (bytes);
    self->dirty = false;
    return err;
}

/* ---- opening ---- */

/* A batch that was acknowledged cannot be read: one behind it can. */
static bool is_damaged (const redo_t *redo, slice_t file)
{
    uint64_t number = 0;
    slice_t statements;
    for (size_t at = (size_t)redo->at; at + sizeof (header_t) <= file.len; at += SECTOR)
        if (batch_at (redo, file, at, &number, &statements) && number > redo->number)
            return true;
    return false;
}

/* The name in the file's first header; 0: there is none, as in a new file. False: it cannot be read. */
static bool read_name (int fd, uint64_t *name)
{
    header_t header = { .name = 0 };
    if (pread (fd, &header, sizeof header, 0) < 0)
        return false;
    *name = memcmp (header.magic, magic, sizeof magic) == 0 ? le64toh (header.name) : 0;
    return true;
}

static bool check_name (const redo_t *redo, uint64_t found, const char *path, char *problem, size_t size)
{
    if (found && found >> COUNT_BITS != redo->name >> COUNT_BITS) {
        snprintf (problem, size,
                  "'%s' belongs to another gleaner.db, or that one is damaged: put the right one back, or restore a "
                  "backup.",
                  path);
        return false;
    }
    if (found > redo->name) {
        snprintf (problem, size,
                  "'%s' is newer than its gleaner.db, which has lost a commit: restore a backup, or move the log away.",
                  path);
        return false;
    }
    return true;
}

static int open_file (const char *path)
{
    int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char folder[PATH_SIZE];
    snprintf (folder, sizeof folder, "%s", path);
    int parent = open (dirname (folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && parent >= 0 && fsync (parent) == 0;
    if (parent >= 0)
        close (parent);
    if (good || fd < 0)
        return fd;
    close (fd);
    return -1;
}

static void log_path (const char *db_path, char path[PATH_SIZE])
{
    snprintf (path, PATH_SIZE, "%.4096s-redo", db_path);
}

static bool is_whole (const char *path)
{
    struct stat info;
    return stat (path, &info) == 0 && info.st_size >= FILE_SIZE;
}

/* Positive as SQLite's integers go, so that -1 and 0 can mean that there is none. */
static uint64_t new_key (void)
{
    return (uint64_t)randombytes_random () << 31 | randombytes_random () >> 1 | 1;
}

bool sqlite_redo_open (store_sqlite_t *self, const char *db_path, char *problem, size_t size)
{
    redo_t *redo = &self->redo;
    char path[PATH_SIZE];
    log_path (db_path, path);
    int64_t name = sqlite_total (self->db, "redo");
    int64_t key = sqlite_total (self->db, "redo-key");
    redo->name = name > 0 ? (uint64_t)name : ((uint64_t)randombytes_uniform (NAMES_MAX) + 1) << COUNT_BITS;
    redo->key = key > 0 ? (uint64_t)key : new_key ();
    if (sqlite_total (self->db, "clean") == 0 && !is_whole (path)) {
        snprintf (problem, size,
                  "'%s' is missing or was cut, and without it the record is not whole: put it back, or restore a "
                  "backup.",
                  path);
        return false;
    }
    redo->fd = open_file (path);
    uint64_t found = 0;
    if (redo->fd < 0 || !read_name (redo->fd, &found)) {
        snprintf (problem, size, "cannot open or read '%s': %s.", path, strerror (errno));
        return false;
    }
    if (!found && sqlite_total (self->db, "clean") == 0 && sqlite_total (self->db, "redo-front") > 0) {
        snprintf (problem, size, "'%s' is damaged: what stood at its front is gone. Restore a backup.", path);
        return false;
    }
    redo->front = found != 0;
    return check_name (redo, found, path, problem, size);
}

static void say_what_was_run (const redo_t *redo, slice_t file)
{
    header_t header = { .name = 0 };
    if (redo->number)
        log_event (LEVEL_INFO, "redo-run", "%llu turns since the record's last commit were run again",
                   (unsigned long long)redo->number);
    if ((size_t)redo->at + sizeof header <= file.len)
        memcpy (&header, file.ptr + redo->at, sizeof header);
    if (memcmp (header.magic, magic, sizeof magic) == 0 && le64toh (header.name) == redo->name)
        log_event (LEVEL_WARN, "redo-torn",
                   "the log's last write is not whole; if the disk keeps its word, it was not acknowledged");
}

static bool run_at_start (store_sqlite_t *self, const char *path, char *problem, size_t size)
{
    redo_t *redo = &self->redo;
    char *bytes = read_file (redo->fd);
    slice_t file = slice_from (bytes, bytes ? FILE_SIZE : 0);
    err_t err = bytes ? run_batches (self, file) : ERR_INTERNAL;
    if (err == ERR_DISK_FULL)
        snprintf (problem, size,
                  "there is no room to bring what is in '%s' into the record: make some, and start again.", path);
    else if (err)
        snprintf (problem, size, "what is in '%s' cannot be brought into the record: restore a backup.", path);
    bool damaged = !err && is_damaged (redo, file);
    if (damaged)
        snprintf (problem, size, "'%s' is damaged: batch %llu cannot be read, though later ones can. Restore a backup.",
                  path, (unsigned long long)redo->number + 1);
    if (!err && !damaged)
        say_what_was_run (redo, file);
    free (bytes);
    self->dirty = false;
    return !err && !damaged;
}

/* Its room on the disk is taken beforehand, so that a full disk does not stop what runs; and it is written, for a sync
 * of bytes in a place that was never written must sync the file's map, too. */
static bool take_room (int fd)
{
    struct stat info;
    if (fstat (fd, &info) == 0 && info.st_size >= FILE_SIZE)
        return true;
    char *zeros = xcalloc (1, FILE_SIZE);
    bool good = pwrite (fd, zeros, FILE_SIZE, 0) == FILE_SIZE && fsync (fd) == 0;
    free (zeros);
    return good;
}

/* The first header of a new log, which no batch has: names count from 1 in a database that has committed. */
static bool put_front (redo_t *redo)
{
    header_t header = { .name = htole64 (redo->name >> COUNT_BITS << COUNT_BITS) };
    memcpy (header.magic, magic, sizeof magic);
    hash_batch (redo->key, &header, "", 0, header.hash);
    redo->front = pwrite (redo->fd, &header, sizeof header, 0) == (ssize_t)sizeof header && fdatasync (redo->fd) == 0;
    return redo->front;
}

/* Commits what was run, and whether the log is in use from now on. */
static err_t settle_at_start (store_sqlite_t *self, bool log)
{
    err_t err = sqlite_begin (self);
    if (!err)
        err = sqlite_redo_mark (self, !log);
    if (!err)
        err = sqlite_settle (self);
    self->dirty = false;
    return err;
}

bool sqlite_redo_start (store_sqlite_t *self, const char *db_path, char *problem, size_t size)
{
    redo_t *redo = &self->redo;
    char path[PATH_SIZE];
    log_path (db_path, path);
    if (!run_at_start (self, path, problem, size))
        return false;
    self->jobs_committed = self->jobs;
    bool log = redo->number || take_room (redo->fd); /* only a whole file has ever been used */
    err_t err = ERR_NONE;
    if (log && !redo->front) {
        err = settle_at_start (self, false); /* the database must know the name before the file has it */
        log = !err && put_front (redo);
    }
    err = err ? err : settle_at_start (self, log);
    if (err == ERR_DISK_FULL) {
        err = self->base.ops->rollback (&self->base);
        log = redo->number; /* then it was in use, and stays in use; else it is said nowhere that it is */
    }
    if (err) {
        snprintf (problem, size, "'%s' cannot be written: %s.", db_path, sqlite3_errmsg (self->db));
        return false;
    }
    if (log)
        return true;
    log_event (LEVEL_WARN, "redo-off", "there is no room for '%s': every turn commits the database, which is slower",
               path);
    sqlite_redo_close (self);
    return true;
}

void sqlite_redo_close (store_sqlite_t *self)
{
    if (self->redo.fd >= 0)
        close (self->redo.fd);
    self->redo.fd = -1;
    buf_fini (&self->redo.batch);
}
