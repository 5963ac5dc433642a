/* keep.c - housekeeping: what is too old, or too much, goes. First its row, then, once that is committed, its file. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "broker/broker.h"
#include "proto/log.h"

enum {
    ROUND_MS = 5 * 1000,
    AGAIN_MS = 20,         /* when a round left something to do */
    BATCH = 200,           /* jobs or blobs a round */
    SIZE_BATCH = 8,        /* jobs a round, when it is for room: no more than needed shall go */
    SPARED_MS = 30 * 1000, /* so long a job's results stay, however little room there is */
};

typedef struct {
    broker_t *broker;
    int64_t count;
} round_t;

static void later (broker_t *self, depot_order_t *order)
{
    order->next = self->discards;
    self->discards = order;
}

static void drop_output (void *ctx, const job_record_t *job)
{
    round_t *round = ctx;
    round->count++;
    for (int64_t attempt = 1; attempt <= job->attempt; attempt++) {
        depot_order_t *order = depot_order_new (DEPOT_DISCARD, 0);
        order->seq = job->id.seq;
        order->attempt = attempt;
        order->streams = STREAMS_ALL;
        later (round->broker, order);
    }
}

static void count_only (void *ctx, const job_record_t *job)
{
    (void)job;
    ((round_t *)ctx)->count++;
}

static void drop_blob (void *ctx, slice_t sha256, int64_t bytes)
{
    (void)bytes;
    round_t *round = ctx;
    round->count++;
    depot_order_t *order = depot_order_new (DEPOT_BLOB_REMOVE, 0);
    slice_copy (sha256, order->sha256, sizeof order->sha256);
    later (round->broker, order);
}

static void note (broker_t *self, err_t err)
{
    if (err == ERR_DISK_FULL)
        self->lost = true;
    else if (err)
        broker_die (err);
}

/* Each returns how many went; or 1 where none did, but not all have been looked at. */

static int64_t expire_jobs (broker_t *self, int64_t before_ms, bool archived)
{
    round_t round = { self, 0 };
    int64_t batch = archived ? SIZE_BATCH : BATCH;
    note (self, self->store->ops->job_expire (self->store, before_ms, archived, batch, drop_output, &round));
    self->keep.jobs_gone += round.count;
    return round.count;
}

static int64_t expire_blobs (broker_t *self, int64_t before_ms)
{
    round_t round = { self, 0 };
    int64_t young = self->wall_ms - BLOB_YOUNG_MS - 5000; /* the depot spares younger ones */
    note (self,
          self->store->ops->blob_expire (self->store, before_ms < young ? before_ms : young, BATCH, drop_blob, &round));
    self->keep.blobs_gone += round.count;
    return round.count;
}

static int64_t purge (broker_t *self, ended_place_t *after, int64_t before_ms, int what, int64_t batch,
                      store_job_fn *fn)
{
    round_t round = { self, 0 };
    bool more = false;
    note (self, self->store->ops->job_purge (self->store, after, before_ms, what, batch, fn, &round, &more));
    return round.count ? round.count : more;
}

static int64_t by_age (broker_t *self)
{
    const broker_options_t *options = self->options;
    int64_t count = 0;
    if (options->keep_jobs_ms)
        count += expire_jobs (self, self->wall_ms - options->keep_jobs_ms, false);
    if (!self->lost && options->keep_output_ms)
        count += purge (self, &self->keep.output_after, self->wall_ms - options->keep_output_ms, PURGED_OUTPUT, BATCH,
                        drop_output);
    if (!self->lost && options->keep_artifacts_ms)
        count += purge (self, &self->keep.artifacts_after, self->wall_ms - options->keep_artifacts_ms, PURGED_ARTIFACTS,
                        BATCH, count_only);
    if (!self->lost && options->keep_uploads_ms)
        count += expire_blobs (self, self->wall_ms - options->keep_uploads_ms);
    return count;
}

/* Output and artifacts of the oldest jobs that are over. */
static int64_t purge_oldest (broker_t *self)
{
    return purge (self, &self->keep.size_after, self->wall_ms - SPARED_MS,
                  PURGED_OUTPUT | PURGED_ARTIFACTS | PURGE_HEAVY, SIZE_BATCH, drop_output);
}

/* Until there is little enough: unused uploads, then output and artifacts of the oldest jobs that are over, then the
 * records of the oldest of these for their archives' sake. Jobs that ended just now are spared, and records stay while
 * what pending and running jobs need is too much by itself. */
static int64_t by_size (broker_t *self)
{
    int64_t most = self->options->data_max;
    int64_t blobs = self->store->ops->blob_bytes (self->store);
    if (!most || self->lost || blobs + depot_output_bytes (self->depot) <= most)
        return 0;
    if (self->removals)
        return 1; /* what goes already is still counted: look again when it has gone */
    int64_t count = expire_blobs (self, self->wall_ms);
    if (!count && !self->lost)
        count = purge_oldest (self);
    if (!count && !self->lost && self->store->ops->blob_live_bytes (self->store) <= most)
        count = expire_jobs (self, self->wall_ms - SPARED_MS, true);
    return count;
}

static void drop_idle_uploads (broker_t *self)
{
    int64_t keep_ms = self->options->keep_uploads_ms;
    depot_order_t *order = depot_order_new (DEPOT_UPLOADS_DROP, 0);
    order->idle_ms = keep_ms && keep_ms < UPLOAD_IDLE_MAX_MS ? keep_ms : UPLOAD_IDLE_MAX_MS;
    broker_order (self, order);
}

/* What a backup refers to stays until it has been copied. */
static bool backup_runs (const broker_t *self)
{
    char path[4096];
    snprintf (path, sizeof path, "%s/" BACKUP_LOCK, self->folder);
    int fd = open (path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool runs = flock (fd, LOCK_SH | LOCK_NB) != 0;
    close (fd);
    return runs;
}

/* Now and then, or when no more is to go: under load a round follows the other. */
static void tell (broker_t *self, bool over)
{
    keep_t *keep = &self->keep;
    if (!over && self->now_ms < keep->told_ms + ROUND_MS)
        return;
    keep->told_ms = self->now_ms;
    if (keep->jobs_gone)
        log_event (LEVEL_INFO, "jobs-expired", "%lld jobs that were over went from the record",
                   (long long)keep->jobs_gone);
    if (keep->blobs_gone)
        log_event (LEVEL_INFO, "blobs-expired", "%lld files that no job refers to went", (long long)keep->blobs_gone);
    keep->jobs_gone = keep->blobs_gone = 0;
}

void keep_tick (broker_t *self)
{
    if (self->now_ms < self->keep.due_ms || self->lost)
        return;
    self->keep.due_ms = self->now_ms + ROUND_MS;
    if (backup_runs (self))
        return;
    drop_idle_uploads (self);
    int64_t count = by_age (self) + by_size (self);
    tell (self, !count);
    self->keep.due_ms = self->now_ms + (count ? AGAIN_MS : ROUND_MS);
}

/* What went in that turn is there again, so all is looked at anew; not at once, for the disk is full. */
void keep_forget (broker_t *self)
{
    self->keep = (keep_t){ .due_ms = self->now_ms + ROUND_MS, .told_ms = self->keep.told_ms };
}
