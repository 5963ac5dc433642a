/* store.h - where the record lives: one ops table, several stores (sqlite for real, ram for the simulator).
 *
 * All operations block and belong to one thread. Writes join the open transaction (opened by the first write); only
 * commit makes them durable, and all of them or none. Reads see the open transaction. Nothing here frees what the
 * caller passes; slices in a job, or an attempt, that is read out are valid until the next write, commit, rollback or
 * read of that kind, or the next call that looks at many rows. Functions return 0, DISK_FULL, or INTERNAL. After
 * DISK_FULL nothing of the open transaction is kept once `rollback` has been called. After INTERNAL the caller must
 * stop acknowledging: the transaction's outcome is unknown until the store is opened again.
 */
#ifndef GLEANER_STORE_H
#define GLEANER_STORE_H

#include "broker/record.h"

enum {
    LIST_LOOKS_MAX = 20 * 1000, /* jobs that one job_list looks at */
    LIST_SURE = LIST_MAX,       /* so many at least: what nothing is filtered out of is never short */
};

typedef struct store store_t;

typedef void store_job_fn (void *ctx, const job_record_t *job);
/* False: it has enough, and has not taken this one. */
typedef bool store_pick_fn (void *ctx, const job_record_t *job);
typedef void store_worker_fn (void *ctx, const worker_record_t *worker);
typedef void store_attempt_fn (void *ctx, const attempt_record_t *attempt);
typedef void store_blob_fn (void *ctx, slice_t sha256, int64_t bytes);
typedef void store_hook_fn (void *ctx, const hook_record_t *hook);
typedef void store_stat_fn (void *ctx, int kind, int64_t time, slice_t bytes);

/* Where a walk over what is over stands: behind this one. */
typedef struct {
    int64_t ended_ms, seq, attempt;
} ended_place_t;

/* What is counted of it. Slices are valid while the function runs that is given it. */
typedef struct {
    ended_place_t place;
    bool job;           /* a job is over; else it is an attempt with a row of its own */
    bool ran;           /* it stands for an attempt */
    int64_t started_ms; /* of the attempt */
    slice_t worker_id;
    slice_t owner;
    slice_t options; /* the job's, encoded; env may be left out */
    slice_t usage;   /* of the attempt: an item that has a usage's fields, encoded; absent: none */
} ended_t;

typedef void store_ended_fn (void *ctx, const ended_t *ended);

typedef struct {
    const char *name;
    /* Writes; idempotent but for job_insert, whose seq, and idempotency key among its owner's, must be new. */
    err_t (*job_insert) (store_t *self, const job_record_t *job);
    err_t (*job_update) (store_t *self, const job_record_t *job);          /* the part that changes; the row is there */
    err_t (*attempt_put) (store_t *self, const attempt_record_t *attempt); /* new, or changed */
    err_t (*worker_put) (store_t *self, const worker_record_t *worker);
    err_t (*worker_delete) (store_t *self, slice_t worker_id);
    /* The blob is on disk: known from now on, last used at `now_ms` (wall). */
    err_t (*blob_put) (store_t *self, slice_t sha256, int64_t bytes, int64_t now_ms);
    /* Durable when it returns 0. Without an open transaction: 0 at once. */
    err_t (*commit) (store_t *self);
    /* Gives back room on the disk that is only held for speed. Not within a transaction. */
    void (*compact) (store_t *self);
    /* Forgets what was written since the last commit. INTERNAL: what was committed before cannot be had again just now;
     * nothing more can be committed. */
    err_t (*rollback) (store_t *self);
    /* Reads. job_get: NO_SUCH_JOB when there is none (the salt must match too). */
    err_t (*job_get) (store_t *self, const job_id_t *id, job_record_t *job);
    /* The job that this owner (absent: nobody) created with this key; NO_SUCH_JOB. */
    err_t (*job_by_key) (store_t *self, slice_t owner, slice_t key, job_record_t *job);
    /* Jobs that the filter lets through, newest first, until `fn` has enough, LIST_LOOKS_MAX jobs were looked at, or
     * `patience_ms` are over and LIST_SURE were. `*next_seq`: what to go on with as `before_seq`; 0: there is no more.
     * Here, and wherever a function is called for each of many rows, an empty journal may stand for one that is in its
     * row. */
    err_t (*job_list) (store_t *self, const job_filter_t *filter, int64_t patience_ms, store_pick_fn *fn, void *ctx,
                       int64_t *next_seq);
    /* NO_SUCH_JOB when the attempt has no row of its own. */
    err_t (*attempt_get) (store_t *self, int64_t seq, int64_t attempt, attempt_record_t *out);
    /* Attempts of a job that have rows, oldest first. */
    err_t (*attempt_each) (store_t *self, int64_t seq, store_attempt_fn *fn, void *ctx);
    /* Pending and running jobs, oldest first; cost does not grow with finished ones. */
    err_t (*job_live) (store_t *self, store_job_fn *fn, void *ctx);
    err_t (*worker_each) (store_t *self, store_worker_fn *fn, void *ctx);
    int64_t (*job_count) (store_t *self);    /* all jobs; O(1) after opening */
    int64_t (*job_last_seq) (store_t *self); /* 0 when there is none */
    /* The next `limit` jobs (or attempts that have rows) that ended behind `*after`, which moves on, and before
     * `until_ms`, by their end; with `options`, or with those absent. `*count`: how many; fewer than `limit`: there is
     * no more. */
    err_t (*ended_each) (store_t *self, bool jobs, bool options, ended_place_t *after, int64_t until_ms, int64_t limit,
                         store_ended_fn *fn, void *ctx, int64_t *count);
    /* Housekeeping. Each removes up to `limit` rows within the open transaction and names them to `fn`, whose files can
     * go once that is committed. Jobs: final ones that were over before `before_ms`, oldest first, with their attempts;
     * `archived`: those only whose archive is a blob. Blobs: those that no job refers to and that were last used before
     * `before_ms`. */
    err_t (*job_expire) (store_t *self, int64_t before_ms, bool archived, int64_t limit, store_job_fn *fn, void *ctx);
    err_t (*blob_expire) (store_t *self, int64_t before_ms, int64_t limit, store_blob_fn *fn, void *ctx);
    /* Up to `limit` final jobs that were over behind `*after`, which moves on, and before `before_ms` lose their output
     * or artifacts (`what`, PURGED_ bits); with PURGE_HEAVY in `what` only those that may have files of output, or
     * artifacts. `*more`: there may be others behind `*after`; a call looks at no more than PURGE_LOOKS jobs. */
    err_t (*job_purge) (store_t *self, ended_place_t *after, int64_t before_ms, int what, int64_t limit,
                        store_job_fn *fn, void *ctx, bool *more);
    /* A blob's length; 0: none is known by this hash (it may be absent). */
    int64_t (*blob_known) (store_t *self, slice_t sha256);
    int64_t (*blob_bytes) (store_t *self);      /* of all known blobs; O(1) */
    int64_t (*blob_live_bytes) (store_t *self); /* of those that pending and running jobs need; O(those jobs).
                                                 * INT64_MAX: it cannot be told */
    /* Statistics: small rows by kind and time, whose bytes are the caller's business (measure.c). stat_put: new, or in
     * the old one's place. stat_drop_before: those of a kind with an earlier time go. */
    err_t (*stat_put) (store_t *self, int kind, int64_t time, slice_t bytes);
    err_t (*stat_drop_before) (store_t *self, int kind, int64_t time);
    err_t (*stat_each) (store_t *self, store_stat_fn *fn, void *ctx);
    /* Receivers that are still to be told of a job's end: written with that end, deleted once they know. hook_put: new,
     * or in the old one's place. hook_delete: of one that is not there is nothing. hook_each: oldest job first. */
    err_t (*hook_put) (store_t *self, const hook_record_t *hook);
    err_t (*hook_delete) (store_t *self, int64_t seq, slice_t url);
    err_t (*hook_each) (store_t *self, store_hook_fn *fn, void *ctx);
    /* A consistent copy into the file at `path`, some pages a call: 0 when there is more to do, 1 when it is complete
     * and on disk, -1 on failure (logged). `path` NULL gives up a copy that is under way. */
    int (*snapshot_step) (store_t *self, const char *path);
    void (*close) (store_t **self_p);
} store_ops_t;

/* What a commit waited for: its statements in a log, or the database's own. */
typedef enum { STORE_SYNC_LOG, STORE_SYNC_DATABASE, STORE_SYNCS } store_sync_t;
typedef void store_synced_fn (void *ctx, store_sync_t of, int64_t took_us);

/* Every store begins with this. `synced`: is told of each wait for the disk; NULL: nobody is. */
struct store {
    const store_ops_t *ops;
    store_synced_fn *synced;
    void *synced_ctx;
};

/* Opens DIR/gleaner.db, made when missing. On failure returns NULL and one sentence in `problem`: not a database, held
 * by another broker, schema newer than this program, no permission, no space. */
store_t *store_sqlite_open (const char *path, char *problem, size_t problem_size);

/* Examines a database that no broker uses: integrity of its pages and references. Calls `fn` with one sentence for each
 * fault. False when there was one. */
bool store_sqlite_check (store_t *self, void (*fn) (void *ctx, const char *fault), void *ctx);

/* The same of its pages alone, while they are few enough for that to be quick; else it is left to --check. 0 or
 * INTERNAL with one sentence in `problem`. */
err_t store_sqlite_glance (store_t *self, char *problem, size_t problem_size);

/* A store in memory. */
store_t *store_ram_new (void);
/* What a crash leaves: the open transaction is gone, what was committed stays. */
void store_ram_crash (store_t *self);

#endif
