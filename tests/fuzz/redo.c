/* The redo log as it is read back: the input is the file; or it is statements, which get a header and a hash that fit,
 * as nobody guesses those. The source is included: what reads the file is its own business. */
#include "broker/store_sqlite_redo.c" /* NOLINT(bugprone-suspicious-include) */

#include "fuzz.h"

static store_t *store;

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char path[96];
    char problem[512];
    CHECK (sodium_init () >= 0);
    log_init ("fuzz", LEVEL_ERROR + 1);
    snprintf (path, sizeof path, "%s/gleaner.db", fuzz_folder ());
    store = store_sqlite_open (path, problem, sizeof problem);
    CHECK (store);
    return 0;
}

/* A whole batch of these statements. */
static void put_batch (buf_t *file, const redo_t *redo, uint64_t number, slice_t statements)
{
    header_t header = { .name = htole64 (redo->name),
                        .number = htole64 (number),
                        .length = htole32 ((uint32_t)statements.len) };
    memcpy (header.magic, magic, sizeof magic);
    hash_batch (redo->key, &header, statements.ptr, statements.len, header.hash);
    size_t size = sectors (sizeof header + statements.len);
    buf_reserve (file, size);
    memset (file->ptr + file->len, 0, size);
    memcpy (file->ptr + file->len, &header, sizeof header);
    memcpy (file->ptr + file->len + sizeof header, statements.ptr, statements.len);
    file->len += size;
}

static void make_file (slice_t in, const redo_t *redo, buf_t *file)
{
    uint8_t how = fuzz_byte (&in);
    if (!(how & 1)) {
        buf_append (file, in.ptr, in.len);
        return;
    }
    for (uint64_t number = 1; in.len; number += how & 2 ? fuzz_byte (&in) % 3 : 1)
        put_batch (file, redo, number, fuzz_take (&in, fuzz_16 (&in) % 1024));
    for (int i = 0; how & 4 && i < 2 && file->len; i++)
        file->ptr[(how * 61UL + i * 7919UL) % file->len] ^= (char)how;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    store_sqlite_t *self = sqlite_of (store);
    redo_t *redo = &self->redo;
    const redo_t before = *redo;
    int64_t jobs = self->jobs;
    buf_t file = { 0 };
    make_file (slice_from (data, size), redo, &file);
    err_t err = run_batches (self, buf_slice (&file));
    CHECK (err == ERR_NONE || err == ERR_INTERNAL);
    CHECK (redo->at >= 0 && (size_t)redo->at <= sectors (file.len));
    is_damaged (redo, buf_slice (&file));
    say_what_was_run (redo, buf_slice (&file));
    /* As it was. */
    sqlite_end_reads (self);
    if (!sqlite3_get_autocommit (self->db))
        sqlite_run_silent (self, SQL_ROLLBACK);
    self->open = self->dirty = false;
    self->jobs = jobs;
    *redo = before;
    buf_fini (&file);
    return 0;
}
