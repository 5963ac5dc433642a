/* store_sqlite_behind.c - write-behind: what changes in a job comes into its row once, and not at each transition.
 *
 * A turn's changes are safe when they are in the redo log (store_sqlite_redo.c). The database has time with them: a
 * job's newest state is kept here, reads of that job find it here, and its row is written when it is the oldest of
 * those that are kept, when somebody asks for rows by anything but the id, or when the database commits. A job that is
 * over soon costs one INSERT instead of an INSERT, two UPDATEs and the reads between them.
 *
 * Whatever is kept here is in the log, or part of the turn that is under way. So a rollback forgets it all and runs the
 * log, and a crash needs nothing of it.
 */
#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store_sqlite.h"

enum {
    ROWS_MAX = 256,              /* some milliseconds to write them all; beyond that each new one writes the oldest */
    BYTES_MAX = 4 * 1024 * 1024, /* likewise */
};

typedef struct {
    link_t link;
    bool created;     /* there is no row yet; else only the part that changes is known here */
    job_record_t job; /* its slices point into the following */
    char *created_bytes;
    char *changing_bytes;
    size_t created_len;
    size_t changing_len;
} row_t;

static slice_t key_of (const void *item)
{
    const row_t *row = item;
    return slice_from (&row->job.id.seq, sizeof row->job.id.seq);
}

void sqlite_behind_init (behind_t *self)
{
    uint8_t secret[16];
    randombytes_buf (secret, sizeof secret);
    map_init (&self->by_seq, key_of, secret);
    list_init (&self->rows);
}

static row_t *find (const behind_t *self, int64_t seq)
{
    return map_get (&self->by_seq, slice_from (&seq, sizeof seq));
}

/* ---- copies ---- */

/* Moves the slices into memory of their own. The caller frees it. */
static char *keep (slice_t *const slices[], size_t count, size_t *len)
{
    *len = 0;
    for (size_t i = 0; i < count; i++)
        *len += slices[i]->len;
    char *bytes = xrealloc (NULL, *len + 1);
    char *at = bytes;
    for (size_t i = 0; i < count; i++) {
        if (!slices[i]->ptr)
            continue;
        memcpy (at, slices[i]->ptr, slices[i]->len);
        *slices[i] = slice_from (at, slices[i]->len);
        at += slices[i]->len;
    }
    return bytes;
}

static char *keep_created (job_record_t *job, size_t *len)
{
    slice_t *const slices[] = { &job->command,      &job->file_url,      &job->filename,
                                &job->pinned,       &job->options,       &job->idempotency_key,
                                &job->request_hash, &job->brief_options, &job->owner };
    job->labels = SLICE_ABSENT; /* lists look for them in a table of their own */
    return keep (slices, sizeof slices / sizeof *slices, len);
}

static char *keep_changing (job_record_t *job, size_t *len)
{
    slice_t *const slices[] = { &job->worker_id,
                                &job->group,
                                &job->token,
                                &job->reason,
                                &job->error_message,
                                &job->data[STREAM_STDOUT],
                                &job->data[STREAM_STDERR],
                                &job->data[STREAM_JOURNAL],
                                &job->receipt,
                                &job->artifacts };
    return keep (slices, sizeof slices / sizeof *slices, len);
}

static void copy_changing (job_record_t *to, const job_record_t *from)
{
    to->state = from->state;
    to->attempt = from->attempt;
    to->worker_id = from->worker_id;
    to->group = from->group;
    to->token = from->token;
    to->slot = from->slot;
    to->started_ms = from->started_ms;
    to->completed_ms = from->completed_ms;
    to->not_before_ms = from->not_before_ms;
    to->exit_code = from->exit_code;
    to->signal = from->signal;
    to->reason = from->reason;
    to->error_message = from->error_message;
    memcpy (to->data, from->data, sizeof to->data);
    memcpy (to->bytes, from->bytes, sizeof to->bytes);
    to->receipt = from->receipt;
    to->artifacts = from->artifacts;
}

/* ---- writing rows ---- */

static void drop (behind_t *self, row_t *row)
{
    self->bytes -= row->created_len + row->changing_len;
    self->keyed -= row->job.idempotency_key.ptr != NULL;
    map_remove (&self->by_seq, row);
    list_remove (&self->rows, &row->link);
    free (row->created_bytes);
    free (row->changing_bytes);
    free (row);
}

static err_t write_row (store_sqlite_t *self, row_t *row)
{
    err_t err = row->created ? sqlite_write_created (self, &row->job) : sqlite_write_changed (self, &row->job);
    if (!err)
        drop (&self->behind, row);
    self->broken = self->broken || err == ERR_INTERNAL; /* it was acknowledged */
    return err;
}

err_t sqlite_behind_write (store_sqlite_t *self)
{
    err_t err = ERR_NONE;
    if (!list_first (&self->behind.rows))
        return ERR_NONE;
    sqlite_end_reads (self);
    if (sqlite_is_lost (self)) /* outside of a transaction each row would be committed by itself */
        return ERR_INTERNAL;
    for (link_t *first; !err && (first = list_first (&self->behind.rows));)
        err = write_row (self, LIST_ITEM (first, row_t, link));
    return err;
}

void sqlite_behind_forget (behind_t *self)
{
    for (link_t *first; (first = list_first (&self->rows));)
        drop (self, LIST_ITEM (first, row_t, link));
}

void sqlite_behind_fini (behind_t *self)
{
    sqlite_behind_forget (self);
    map_fini (&self->by_seq);
}

/* ---- changes ---- */

static row_t *add (behind_t *self, const job_id_t *id, bool created)
{
    row_t *row = xcalloc (1, sizeof *row);
    row->job.id = *id;
    row->created = created;
    map_put (&self->by_seq, row);
    list_append (&self->rows, &row->link);
    return row;
}

static err_t make_room (store_sqlite_t *self)
{
    err_t err = ERR_NONE;
    behind_t *behind = &self->behind;
    while (!err && (behind->rows.count > ROWS_MAX || behind->bytes > BYTES_MAX))
        err = write_row (self, LIST_ITEM (list_first (&behind->rows), row_t, link));
    return err;
}

err_t sqlite_behind_insert (store_sqlite_t *self, const job_record_t *job)
{
    behind_t *behind = &self->behind;
    assert (!find (behind, job->id.seq));
    row_t *row = add (behind, &job->id, true);
    row->job = *job;
    row->created_bytes = keep_created (&row->job, &row->created_len);
    row->changing_bytes = keep_changing (&row->job, &row->changing_len);
    behind->bytes += row->created_len + row->changing_len;
    behind->keyed += row->job.idempotency_key.ptr != NULL;
    return make_room (self);
}

err_t sqlite_behind_update (store_sqlite_t *self, const job_record_t *job)
{
    behind_t *behind = &self->behind;
    row_t *row = find (behind, job->id.seq);
    if (!row)
        row = add (behind, &job->id, false);
    char *old = row->changing_bytes; /* what was read out of here may come back as part of the change */
    behind->bytes -= row->changing_len;
    copy_changing (&row->job, job);
    row->changing_bytes = keep_changing (&row->job, &row->changing_len);
    behind->bytes += row->changing_len;
    free (old);
    return make_room (self);
}

/* ---- reads ---- */

static void read_out (const row_t *row, job_record_t *job)
{
    *job = row->job;
    job->brief_options = SLICE_ABSENT;
}

bool sqlite_behind_get (const store_sqlite_t *self, int64_t seq, job_record_t *job)
{
    const row_t *row = find (&self->behind, seq);
    if (!row || !row->created)
        return false;
    read_out (row, job);
    return true;
}

bool sqlite_behind_by_key (const store_sqlite_t *self, slice_t owner, slice_t key, job_record_t *job)
{
    if (!self->behind.keyed)
        return false;
    LIST_EACH (at, &self->behind.rows)
    {
        const row_t *row = LIST_ITEM (at, row_t, link);
        if (!row->job.idempotency_key.ptr || !slice_eq (row->job.idempotency_key, key) || !job_owned (&row->job, owner))
            continue;
        read_out (row, job);
        return true;
    }
    return false;
}

void sqlite_behind_patch (const store_sqlite_t *self, job_record_t *job)
{
    const row_t *row = find (&self->behind, job->id.seq);
    if (row)
        copy_changing (job, &row->job);
}
