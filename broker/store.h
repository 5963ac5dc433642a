/* store.h - where the record lives: one ops table, several stores (sqlite for real, ram for the simulator).
 *
 * All operations block and belong to one thread. Writes join the open transaction (opened by the first write); only
 * commit makes them durable, and all of them or none. Reads see the open transaction. Nothing here frees what the
 * caller passes; slices in records that are read out are valid until the next operation on the store. Functions return
 * 0, DISK_FULL, or INTERNAL; after an error of a write or a commit the caller must stop acknowledging: the
 * transaction's outcome is unknown until the store is opened again.
 */
#ifndef GLEANER_STORE_H
#define GLEANER_STORE_H

#include "broker/record.h"

typedef struct store store_t;

typedef void store_job_fn (void *ctx, const job_record_t *job);
typedef void store_worker_fn (void *ctx, const worker_record_t *worker);

typedef struct {
    const char *name;
    /* Writes; idempotent but for job_insert, which asserts that the seq is new. */
    err_t (*job_insert) (store_t *self, const job_record_t *job);
    err_t (*job_update) (store_t *self, const job_record_t *job); /* the part that changes; the row is there */
    err_t (*worker_put) (store_t *self, const worker_record_t *worker);
    err_t (*worker_delete) (store_t *self, slice_t worker_id);
    /* Durable when it returns 0. Without an open transaction: 0 at once. */
    err_t (*commit) (store_t *self);
    /* Reads. job_get: NO_SUCH_JOB when there is none (the salt must match too). */
    err_t (*job_get) (store_t *self, const job_id_t *id, job_record_t *job);
    /* Jobs below `before_seq` (INT64_MAX: from the newest), newest first, until `fn` was called `limit` times. */
    err_t (*job_list) (store_t *self, int64_t before_seq, int64_t limit, store_job_fn *fn, void *ctx);
    /* Pending and running jobs, oldest first; cost does not grow with finished ones. */
    err_t (*job_live) (store_t *self, store_job_fn *fn, void *ctx);
    err_t (*worker_each) (store_t *self, store_worker_fn *fn, void *ctx);
    int64_t (*job_count) (store_t *self);    /* all jobs; O(1) after opening */
    int64_t (*job_last_seq) (store_t *self); /* 0 when there is none */
    void (*close) (store_t **self_p);
} store_ops_t;

/* Every store begins with this. */
struct store {
    const store_ops_t *ops;
};

/* Opens DIR/gleaner.db, made when missing. On failure returns NULL and one sentence in `problem`: not a database, held
 * by another broker, schema newer than this program, no permission, no space. */
store_t *store_sqlite_open (const char *path, char *problem, size_t problem_size);

/* A store in memory. */
store_t *store_ram_new (void);
/* What a crash leaves: the open transaction is gone, what was committed stays. */
void store_ram_crash (store_t *self);

#endif
