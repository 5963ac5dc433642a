/* store_ram.c - a store in memory for the simulator: what was not committed is lost by store_ram_crash.
 *
 * Jobs stand in an array in order of seq (they are only ever added at its end). Each has its committed row and, while a
 * transaction touches it, a new one beside it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store.h"

typedef struct {
    job_record_t *committed; /* NULL: added by the open transaction */
    job_record_t *changed;   /* NULL: not touched by it */
} ram_job_t;

typedef struct {
    worker_record_t *committed;
    worker_record_t *changed;
    bool deleted;
    bool touched;
} ram_worker_t;

typedef struct {
    store_t base;
    ram_job_t *jobs;
    size_t job_count, job_cap;
    size_t *dirty; /* indexes of jobs that the transaction touches */
    size_t dirty_count, dirty_cap;
    ram_worker_t *workers;
    size_t worker_count, worker_cap;
} store_ram_t;

static store_ram_t *ram_of (store_t *store)
{
    return (store_ram_t *)(void *)store;
}

/* ---- rows are one allocation each: the record, then its texts ---- */

static char *move_text (slice_t *slice, char *at)
{
    if (!slice->ptr)
        return at;
    if (slice->len)
        memcpy (at, slice->ptr, slice->len);
    slice->ptr = at;
    return at + slice->len + 1;
}

static job_record_t *job_copy (const job_record_t *from)
{
    slice_t texts[] = { from->command,       from->file_url,    from->filename,   from->pinned,
                        from->worker_id,     from->group,       from->token,      from->reason,
                        from->error_message, from->stdout_data, from->stderr_data };
    size_t size = sizeof *from;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        size += texts[i].len + 1;
    job_record_t *copy = xcalloc (1, size);
    *copy = *from;
    slice_t *slices[] = { &copy->command,       &copy->file_url,    &copy->filename,   &copy->pinned,
                          &copy->worker_id,     &copy->group,       &copy->token,      &copy->reason,
                          &copy->error_message, &copy->stdout_data, &copy->stderr_data };
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        at = move_text (slices[i], at);
    return copy;
}

static worker_record_t *worker_copy (const worker_record_t *from)
{
    size_t size = sizeof *from + from->worker_id.len + from->hostname.len + from->os.len + from->version.len +
                  from->machine.len + from->remote_addr.len + 6;
    worker_record_t *copy = xcalloc (1, size);
    *copy = *from;
    slice_t *slices[] = { &copy->worker_id, &copy->hostname, &copy->os,
                          &copy->version,   &copy->machine,  &copy->remote_addr };
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        at = move_text (slices[i], at);
    return copy;
}

static void *grown (void *items, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return items;
    *cap = *cap ? 2 * *cap : 64;
    return xrealloc (items, *cap * size);
}

/* ---- jobs ---- */

/* Index of the first job with a seq not below `seq`. */
static size_t job_at (const store_ram_t *self, int64_t seq)
{
    size_t low = 0;
    size_t high = self->job_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const ram_job_t *job = &self->jobs[middle];
        int64_t there = (job->changed ? job->changed : job->committed)->id.seq;
        if (there < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const job_record_t *job_now (const store_ram_t *self, size_t at)
{
    const ram_job_t *job = &self->jobs[at];
    return job->changed ? job->changed : job->committed;
}

static void job_touch (store_ram_t *self, size_t at, const job_record_t *now)
{
    ram_job_t *job = &self->jobs[at];
    job_record_t *copy = job_copy (now); /* before the old one goes: `now` may point into it */
    if (!job->changed) {
        self->dirty = grown (self->dirty, self->dirty_count, &self->dirty_cap, sizeof *self->dirty);
        self->dirty[self->dirty_count++] = at;
    }
    free (job->changed);
    job->changed = copy;
}

static err_t job_insert (store_t *store, const job_record_t *job)
{
    store_ram_t *self = ram_of (store);
    assert (job_at (self, job->id.seq) == self->job_count);
    self->jobs = grown (self->jobs, self->job_count, &self->job_cap, sizeof *self->jobs);
    self->jobs[self->job_count] = (ram_job_t){ 0 };
    job_touch (self, self->job_count++, job);
    return ERR_NONE;
}

static err_t job_update (store_t *store, const job_record_t *job)
{
    store_ram_t *self = ram_of (store);
    size_t at = job_at (self, job->id.seq);
    assert (at < self->job_count && job_now (self, at)->id.seq == job->id.seq);
    const job_record_t *old = job_now (self, at);
    job_record_t now = *job;
    now.id = old->id;
    now.command = old->command;
    now.file_url = old->file_url;
    now.filename = old->filename;
    now.timeout_ms = old->timeout_ms;
    now.max_attempts = old->max_attempts;
    now.created_ms = old->created_ms;
    now.pinned = old->pinned;
    job_touch (self, at, &now);
    return ERR_NONE;
}

static err_t job_get (store_t *store, const job_id_t *id, job_record_t *job)
{
    store_ram_t *self = ram_of (store);
    size_t at = job_at (self, id->seq);
    if (at == self->job_count || job_now (self, at)->id.seq != id->seq ||
        strcmp (job_now (self, at)->id.salt, id->salt) != 0)
        return ERR_NO_SUCH_JOB;
    *job = *job_now (self, at);
    return ERR_NONE;
}

static err_t job_list (store_t *store, int64_t before_seq, int64_t limit, store_job_fn *fn, void *ctx)
{
    store_ram_t *self = ram_of (store);
    for (size_t at = job_at (self, before_seq); at > 0 && limit > 0; limit--)
        fn (ctx, job_now (self, --at));
    return ERR_NONE;
}

static err_t job_live (store_t *store, store_job_fn *fn, void *ctx)
{
    store_ram_t *self = ram_of (store);
    for (size_t at = 0; at < self->job_count; at++)
        if (job_now (self, at)->state == JOB_PENDING || job_now (self, at)->state == JOB_RUNNING)
            fn (ctx, job_now (self, at));
    return ERR_NONE;
}

static int64_t job_count (store_t *store)
{
    return (int64_t)ram_of (store)->job_count;
}

static int64_t job_last_seq (store_t *store)
{
    store_ram_t *self = ram_of (store);
    return self->job_count ? job_now (self, self->job_count - 1)->id.seq : 0;
}

/* ---- workers: few, so a plain array ---- */

static const worker_record_t *worker_now (const ram_worker_t *worker)
{
    return worker->deleted ? NULL : worker->changed ? worker->changed : worker->committed;
}

static ram_worker_t *worker_find (store_ram_t *self, slice_t worker_id)
{
    for (size_t i = 0; i < self->worker_count; i++) {
        const ram_worker_t *worker = &self->workers[i];
        const worker_record_t *row = worker->changed ? worker->changed : worker->committed;
        if (row && slice_eq (row->worker_id, worker_id))
            return &self->workers[i];
    }
    return NULL;
}

static err_t worker_put (store_t *store, const worker_record_t *record)
{
    store_ram_t *self = ram_of (store);
    ram_worker_t *worker = worker_find (self, record->worker_id);
    if (!worker) {
        self->workers = grown (self->workers, self->worker_count, &self->worker_cap, sizeof *self->workers);
        worker = &self->workers[self->worker_count++];
        *worker = (ram_worker_t){ 0 };
    }
    worker_record_t *copy = worker_copy (record);
    free (worker->changed);
    worker->changed = copy;
    worker->deleted = false;
    worker->touched = true;
    return ERR_NONE;
}

static err_t worker_delete (store_t *store, slice_t worker_id)
{
    ram_worker_t *worker = worker_find (ram_of (store), worker_id);
    if (worker)
        worker->deleted = worker->touched = true;
    return ERR_NONE;
}

static err_t worker_each (store_t *store, store_worker_fn *fn, void *ctx)
{
    store_ram_t *self = ram_of (store);
    for (size_t i = 0; i < self->worker_count; i++)
        if (worker_now (&self->workers[i]))
            fn (ctx, worker_now (&self->workers[i]));
    return ERR_NONE;
}

/* ---- transactions ---- */

static void worker_settle (ram_worker_t *worker, bool keep)
{
    if (keep && worker->deleted) {
        free (worker->committed);
        free (worker->changed);
        worker->committed = worker->changed = NULL;
    } else if (keep && worker->changed) {
        free (worker->committed);
        worker->committed = worker->changed;
        worker->changed = NULL;
    } else if (!keep) {
        free (worker->changed);
        worker->changed = NULL;
    }
    worker->deleted = worker->touched = false;
}

static void settle (store_ram_t *self, bool keep)
{
    for (size_t i = 0; i < self->dirty_count; i++) {
        ram_job_t *job = &self->jobs[self->dirty[i]];
        job_record_t *gone = keep ? job->committed : job->changed;
        if (keep)
            job->committed = job->changed;
        free (gone);
        job->changed = NULL;
    }
    self->dirty_count = 0;
    while (self->job_count && !self->jobs[self->job_count - 1].committed)
        self->job_count--; /* added by the transaction that is gone */
    for (size_t i = 0; i < self->worker_count; i++)
        if (self->workers[i].touched)
            worker_settle (&self->workers[i], keep);
    for (size_t i = 0; i < self->worker_count;)
        if (self->workers[i].committed)
            i++;
        else
            self->workers[i] = self->workers[--self->worker_count];
}

static err_t commit (store_t *store)
{
    settle (ram_of (store), true);
    return ERR_NONE;
}

void store_ram_crash (store_t *self)
{
    settle (ram_of (self), false);
}

static void store_close (store_t **self_p)
{
    if (!*self_p)
        return;
    store_ram_t *self = ram_of (*self_p);
    settle (self, false);
    for (size_t i = 0; i < self->job_count; i++)
        free (self->jobs[i].committed);
    for (size_t i = 0; i < self->worker_count; i++)
        free (self->workers[i].committed);
    free (self->jobs);
    free (self->dirty);
    free (self->workers);
    free (self);
    *self_p = NULL;
}

static const store_ops_t ram_ops = {
    .name = "ram",
    .job_insert = job_insert,
    .job_update = job_update,
    .worker_put = worker_put,
    .worker_delete = worker_delete,
    .commit = commit,
    .job_get = job_get,
    .job_list = job_list,
    .job_live = job_live,
    .worker_each = worker_each,
    .job_count = job_count,
    .job_last_seq = job_last_seq,
    .close = store_close,
};

store_t *store_ram_new (void)
{
    store_ram_t *self = xcalloc (1, sizeof *self);
    self->base.ops = &ram_ops;
    return &self->base;
}
