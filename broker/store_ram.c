/* store_ram.c - a store in memory for the simulator: what was not committed is lost by store_ram_crash.
 *
 * Jobs stand in an array in order of seq (they are only ever added at its end). Each has its committed row and, while a
 * transaction touches it, a new one beside it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store.h"
#include "proto/lines.h"

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

/* A row of statistics, or, with `bytes` NULL, the end of those of its kind that are earlier. */
typedef struct {
    int kind;
    int64_t time;
    char *bytes;
    size_t len;
} ram_stat_t;

/* What was said of a hook: that it is there, or no longer. */
typedef struct {
    job_id_t id;
    char *url;
    int64_t ended_ms;
    bool gone;
} ram_hook_t;

typedef struct {
    store_t base;
    ram_job_t *jobs;
    size_t job_count, job_cap;
    size_t *dirty; /* indexes of jobs that the transaction touches */
    size_t dirty_count, dirty_cap;
    ram_worker_t *workers;
    size_t worker_count, worker_cap;
    attempt_record_t **attempts;
    size_t attempt_count, attempt_cap;
    size_t attempts_committed;
    decoder_t *options; /* reads jobs' names */
    ram_stat_t *stats;
    size_t stat_count, stat_cap;
    size_t stats_committed;
    ram_hook_t *hooks;
    size_t hook_count, hook_cap;
    size_t hooks_committed;
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

static size_t texts_size (const slice_t *texts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += texts[i].len + 1;
    return size;
}

static job_record_t *job_copy (const job_record_t *from)
{
    slice_t texts[] = { from->command,       from->file_url,  from->filename,        from->pinned,
                        from->worker_id,     from->group,     from->token,           from->reason,
                        from->error_message, from->options,   from->labels,          from->request_hash,
                        from->receipt,       from->artifacts, from->idempotency_key, from->brief_options,
                        from->owner,         from->delta };
    size_t size =
        sizeof *from + texts_size (texts, sizeof texts / sizeof *texts) + texts_size (from->data, STREAM_COUNT);
    job_record_t *copy = xcalloc (1, size);
    *copy = *from;
    slice_t *slices[] = { &copy->command,       &copy->file_url,  &copy->filename,        &copy->pinned,
                          &copy->worker_id,     &copy->group,     &copy->token,           &copy->reason,
                          &copy->error_message, &copy->options,   &copy->labels,          &copy->request_hash,
                          &copy->receipt,       &copy->artifacts, &copy->idempotency_key, &copy->brief_options,
                          &copy->owner,         &copy->delta };
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        at = move_text (slices[i], at);
    for (int i = 0; i < STREAM_COUNT; i++)
        at = move_text (&copy->data[i], at);
    return copy;
}

static worker_record_t *worker_copy (const worker_record_t *from)
{
    size_t size = sizeof *from + from->worker_id.len + from->hostname.len + from->os.len + from->version.len +
                  from->machine.len + from->remote_addr.len + from->labels.len + 7;
    worker_record_t *copy = xcalloc (1, size);
    *copy = *from;
    slice_t *slices[] = { &copy->worker_id, &copy->hostname,    &copy->os,    &copy->version,
                          &copy->machine,   &copy->remote_addr, &copy->labels };
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
    now.options = old->options;
    now.labels = old->labels;
    now.brief_options = old->brief_options;
    now.idempotency_key = old->idempotency_key;
    now.request_hash = old->request_hash;
    now.owner = old->owner;
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

static err_t job_by_key (store_t *store, slice_t owner, slice_t key, job_record_t *job)
{
    store_ram_t *self = ram_of (store);
    for (size_t at = self->job_count; at > 0;) {
        const job_record_t *row = job_now (self, --at);
        if (!row->idempotency_key.ptr || !slice_eq (row->idempotency_key, key) || !job_owned (row, owner))
            continue;
        *job = *row;
        return ERR_NONE;
    }
    return ERR_NO_SUCH_JOB;
}

static bool has_label (slice_t labels, slice_t wanted)
{
    slice_t line;
    while (lines_next (&labels, &line)) {
        bool longer = line.len > wanted.len && line.ptr[wanted.len] == '=';
        if (slice_eq (line, wanted) || (longer && memcmp (line.ptr, wanted.ptr, wanted.len) == 0))
            return true;
    }
    return false;
}

static bool lets_through (const store_ram_t *self, const job_filter_t *filter, const job_record_t *job)
{
    return (filter->state < 0 || filter->state == (int)job->state) &&
           job->id.seq >= filter->since_ms * JOB_SEQ_PER_MS &&
           (!filter->worker.ptr || slice_eq (filter->worker, job->worker_id)) &&
           (!filter->owner.ptr || job_owned (job, filter->owner)) &&
           (!filter->label.ptr || has_label (job->labels, filter->label)) &&
           (!filter->text.ptr || job_holds_text (job, filter->text, self->options));
}

/* As a brief list shows it. */
static job_record_t brief (const job_record_t *job)
{
    job_record_t shown = *job;
    shown.token = shown.group = shown.request_hash = SLICE_ABSENT;
    for (int i = 0; i < STREAM_COUNT; i++)
        shown.data[i] = SLICE_ABSENT;
    if (job->brief_options.ptr)
        shown.options = job->brief_options;
    return shown;
}

static err_t job_list (store_t *store, const job_filter_t *filter, int64_t patience_ms, store_pick_fn *fn, void *ctx,
                       int64_t *next_seq)
{
    store_ram_t *self = ram_of (store);
    (void)patience_ms; /* memory is quick */
    *next_seq = 0;
    int64_t looks = 0;
    for (size_t at = job_at (self, filter->before_seq); at > 0 && !*next_seq; looks++) {
        const job_record_t *job = job_now (self, --at);
        bool fits = lets_through (self, filter, job);
        job_record_t shown = filter->brief ? brief (job) : *job;
        if (job->id.seq < filter->since_ms * JOB_SEQ_PER_MS)
            break;
        if (looks == LIST_LOOKS_MAX || (fits && !fn (ctx, &shown)))
            *next_seq = job->id.seq + 1;
    }
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

/* ---- attempts: in the order of their writing; the last row of one counts ---- */

static attempt_record_t *attempt_copy (const attempt_record_t *from)
{
    slice_t texts[] = {
        from->worker_id, from->token, from->reason, from->error_message, from->late_reason, from->usage
    };
    size_t size =
        sizeof *from + texts_size (texts, sizeof texts / sizeof *texts) + texts_size (from->data, STREAM_COUNT);
    attempt_record_t *copy = xcalloc (1, size);
    *copy = *from;
    slice_t *slices[] = { &copy->worker_id,     &copy->token,       &copy->reason,
                          &copy->error_message, &copy->late_reason, &copy->usage };
    char *at = (char *)(copy + 1);
    for (size_t i = 0; i < sizeof slices / sizeof *slices; i++)
        at = move_text (slices[i], at);
    for (int i = 0; i < STREAM_COUNT; i++)
        at = move_text (&copy->data[i], at);
    return copy;
}

static err_t attempt_put (store_t *store, const attempt_record_t *attempt)
{
    store_ram_t *self = ram_of (store);
    self->attempts = grown (self->attempts, self->attempt_count, &self->attempt_cap, sizeof *self->attempts);
    self->attempts[self->attempt_count++] = attempt_copy (attempt);
    return ERR_NONE;
}

static err_t attempt_get (store_t *store, int64_t seq, int64_t attempt, attempt_record_t *out)
{
    store_ram_t *self = ram_of (store);
    for (size_t at = self->attempt_count; at > 0;) {
        const attempt_record_t *row = self->attempts[--at];
        if (row->seq != seq || row->attempt != attempt)
            continue;
        *out = *row;
        return ERR_NONE;
    }
    return ERR_NO_SUCH_JOB;
}

static err_t attempt_each (store_t *store, int64_t seq, store_attempt_fn *fn, void *ctx)
{
    attempt_record_t row;
    for (int64_t attempt = 1; attempt <= ATTEMPT_MAX; attempt++)
        if (!attempt_get (store, seq, attempt, &row))
            fn (ctx, &row);
    return ERR_NONE;
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

/* ---- what is over ---- */

static bool comes_before (const ended_place_t *a, const ended_place_t *b)
{
    if (a->ended_ms != b->ended_ms)
        return a->ended_ms < b->ended_ms;
    return a->seq != b->seq ? a->seq < b->seq : a->attempt < b->attempt;
}

/* Takes it for the next one if it is nearer. */
static void consider (const ended_t *row, const ended_place_t *after, int64_t until_ms, ended_t *next)
{
    if (row->place.ended_ms < until_ms && comes_before (after, &row->place) &&
        (!next->place.ended_ms || comes_before (&row->place, &next->place)))
        *next = *row;
}

static void consider_job (store_ram_t *self, size_t at, const ended_place_t *after, int64_t until_ms, ended_t *next)
{
    const job_record_t *job = job_now (self, at);
    ended_t row = { { job->completed_ms, job->id.seq, job->attempt },
                    true,
                    job->token.ptr != NULL,
                    job->started_ms,
                    job->worker_id,
                    job->owner,
                    job->options,
                    job->receipt };
    if (job->completed_ms)
        consider (&row, after, until_ms, next);
}

static void consider_attempt (store_ram_t *self, size_t at, const ended_place_t *after, int64_t until_ms, ended_t *next)
{
    const attempt_record_t *row = self->attempts[at];
    attempt_record_t newest;
    if (attempt_get (&self->base, row->seq, row->attempt, &newest))
        return;
    ended_t ended = { { newest.completed_ms, newest.seq, newest.attempt },
                      false,
                      true,
                      newest.started_ms,
                      newest.worker_id,
                      SLICE_ABSENT,
                      SLICE_ABSENT,
                      newest.usage };
    for (size_t i = 0; i < self->job_count; i++) {
        const job_record_t *job = job_now (self, i);
        if (job->id.seq != newest.seq)
            continue;
        ended.owner = job->owner;
        ended.options = job->options;
    }
    consider (&ended, after, until_ms, next);
}

static err_t ended_each (store_t *store, bool jobs, bool options, ended_place_t *after, int64_t until_ms, int64_t limit,
                         store_ended_fn *fn, void *ctx, int64_t *count)
{
    store_ram_t *self = ram_of (store);
    for (*count = 0; *count < limit; ++*count) {
        ended_t next = { 0 };
        for (size_t at = 0; jobs && at < self->job_count; at++)
            consider_job (self, at, after, until_ms, &next);
        for (size_t at = 0; !jobs && at < self->attempt_count; at++)
            consider_attempt (self, at, after, until_ms, &next);
        if (!next.place.ended_ms)
            break;
        *after = next.place;
        if (!options)
            next.options = SLICE_ABSENT;
        fn (ctx, &next);
    }
    return ERR_NONE;
}

/* ---- statistics: all that was said, in its order ---- */

static void stat_say (store_ram_t *self, int kind, int64_t time, char *bytes, size_t len)
{
    self->stats = grown (self->stats, self->stat_count, &self->stat_cap, sizeof *self->stats);
    self->stats[self->stat_count++] = (ram_stat_t){ kind, time, bytes, len };
}

static err_t stat_put (store_t *store, int kind, int64_t time, slice_t bytes)
{
    char *copy = xcalloc (1, bytes.len + 1);
    memcpy (copy, bytes.ptr, bytes.len);
    stat_say (ram_of (store), kind, time, copy, bytes.len);
    return ERR_NONE;
}

static err_t stat_drop_before (store_t *store, int kind, int64_t time)
{
    stat_say (ram_of (store), kind, time, NULL, 0);
    return ERR_NONE;
}

static bool stat_holds (const store_ram_t *self, size_t at)
{
    const ram_stat_t *row = &self->stats[at];
    bool holds = row->bytes;
    for (size_t i = at + 1; i < self->stat_count && holds; i++) {
        const ram_stat_t *later = &self->stats[i];
        if (later->kind == row->kind)
            holds = later->bytes ? later->time != row->time : later->time <= row->time;
    }
    return holds;
}

static err_t stat_each (store_t *store, store_stat_fn *fn, void *ctx)
{
    store_ram_t *self = ram_of (store);
    for (size_t i = 0; i < self->stat_count; i++)
        if (stat_holds (self, i))
            fn (ctx, self->stats[i].kind, self->stats[i].time, slice_from (self->stats[i].bytes, self->stats[i].len));
    return ERR_NONE;
}

/* ---- hooks: likewise ---- */

static err_t hook_put (store_t *store, const hook_record_t *hook)
{
    store_ram_t *self = ram_of (store);
    self->hooks = grown (self->hooks, self->hook_count, &self->hook_cap, sizeof *self->hooks);
    self->hooks[self->hook_count++] = (ram_hook_t){ hook->id, slice_dup (hook->url), hook->ended_ms, false };
    return ERR_NONE;
}

static err_t hook_delete (store_t *store, int64_t seq, slice_t url)
{
    hook_record_t hook = { .id.seq = seq, .url = url };
    hook_put (store, &hook);
    store_ram_t *self = ram_of (store);
    self->hooks[self->hook_count - 1].gone = true;
    return ERR_NONE;
}

static bool hook_holds (const store_ram_t *self, size_t at)
{
    const ram_hook_t *row = &self->hooks[at];
    bool holds = !row->gone;
    for (size_t i = at + 1; i < self->hook_count && holds; i++)
        holds = self->hooks[i].id.seq != row->id.seq || strcmp (self->hooks[i].url, row->url) != 0;
    return holds;
}

static int by_seq (const void *left, const void *right)
{
    const ram_hook_t *a = *(const ram_hook_t *const *)left;
    const ram_hook_t *b = *(const ram_hook_t *const *)right;
    return a->id.seq < b->id.seq ? -1 : a->id.seq > b->id.seq;
}

static err_t hook_each (store_t *store, store_hook_fn *fn, void *ctx)
{
    store_ram_t *self = ram_of (store);
    const ram_hook_t **there = xcalloc (self->hook_count + 1, sizeof *there);
    size_t count = 0;
    for (size_t i = 0; i < self->hook_count; i++)
        if (hook_holds (self, i))
            there[count++] = &self->hooks[i];
    qsort (there, count, sizeof *there, by_seq);
    for (size_t i = 0; i < count; i++) {
        hook_record_t hook = { there[i]->id, slice_of (there[i]->url), there[i]->ended_ms };
        fn (ctx, &hook);
    }
    free (there);
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
    while (!keep && self->attempt_count > self->attempts_committed)
        free (self->attempts[--self->attempt_count]);
    self->attempts_committed = self->attempt_count;
    while (!keep && self->stat_count > self->stats_committed)
        free (self->stats[--self->stat_count].bytes);
    self->stats_committed = self->stat_count;
    while (!keep && self->hook_count > self->hooks_committed)
        free (self->hooks[--self->hook_count].url);
    self->hooks_committed = self->hook_count;
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

static void compact (store_t *store)
{
    (void)store;
}

static err_t rollback (store_t *store)
{
    settle (ram_of (store), false);
    return ERR_NONE;
}

void store_ram_crash (store_t *self)
{
    rollback (self);
}

/* The simulator keeps everything and copies nothing. */

static err_t blob_put (store_t *store, slice_t sha256, int64_t bytes, int64_t now_ms)
{
    (void)store, (void)sha256, (void)bytes, (void)now_ms;
    return ERR_NONE;
}

static int64_t blob_known (store_t *store, slice_t sha256)
{
    (void)store;
    return sha256.ptr != NULL;
}

static err_t job_expire (store_t *store, int64_t before_ms, bool archived, int64_t limit, store_job_fn *fn, void *ctx)
{
    (void)store, (void)before_ms, (void)archived, (void)limit, (void)fn, (void)ctx;
    return ERR_NONE;
}

static err_t blob_expire (store_t *store, int64_t before_ms, int64_t limit, store_blob_fn *fn, void *ctx)
{
    (void)store, (void)before_ms, (void)limit, (void)fn, (void)ctx;
    return ERR_NONE;
}

static err_t job_purge (store_t *store, ended_place_t *after, int64_t before_ms, int what, int64_t limit,
                        store_job_fn *fn, void *ctx, bool *more)
{
    (void)store, (void)after, (void)before_ms, (void)what, (void)limit, (void)fn, (void)ctx;
    *more = false;
    return ERR_NONE;
}

static int64_t no_bytes (store_t *store)
{
    (void)store;
    return 0;
}

static int snapshot_step (store_t *store, const char *path)
{
    (void)store, (void)path;
    return -1;
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
    for (size_t i = 0; i < self->attempt_count; i++)
        free (self->attempts[i]);
    for (size_t i = 0; i < self->stat_count; i++)
        free (self->stats[i].bytes);
    for (size_t i = 0; i < self->hook_count; i++)
        free (self->hooks[i].url);
    free (self->hooks);
    free (self->stats);
    free (self->attempts);
    free (self->jobs);
    free (self->dirty);
    free (self->workers);
    decoder_destroy (&self->options);
    free (self);
    *self_p = NULL;
}

static const store_ops_t ram_ops = {
    .name = "ram",
    .job_insert = job_insert,
    .job_update = job_update,
    .attempt_put = attempt_put,
    .worker_put = worker_put,
    .worker_delete = worker_delete,
    .blob_put = blob_put,
    .commit = commit,
    .compact = compact,
    .rollback = rollback,
    .job_get = job_get,
    .job_by_key = job_by_key,
    .job_list = job_list,
    .job_live = job_live,
    .attempt_get = attempt_get,
    .attempt_each = attempt_each,
    .job_expire = job_expire,
    .blob_expire = blob_expire,
    .job_purge = job_purge,
    .blob_known = blob_known,
    .blob_bytes = no_bytes,
    .blob_live_bytes = no_bytes,
    .stat_put = stat_put,
    .stat_drop_before = stat_drop_before,
    .stat_each = stat_each,
    .hook_put = hook_put,
    .hook_delete = hook_delete,
    .hook_each = hook_each,
    .ended_each = ended_each,
    .snapshot_step = snapshot_step,
    .worker_each = worker_each,
    .job_count = job_count,
    .job_last_seq = job_last_seq,
    .close = store_close,
};

store_t *store_ram_new (void)
{
    store_ram_t *self = xcalloc (1, sizeof *self);
    self->base.ops = &ram_ops;
    self->options = decoder_new ();
    return &self->base;
}
