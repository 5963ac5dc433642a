/* The SQLite store alone: jobs are made, handed out and ended, so many in a turn and a commit after each, then read.
 * At the end what the store has put off is done too (compact).
 */
#include "broker/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/guard/guard.h"

enum {
    JOBS = 1024,
    TURN = 64,
    WORKERS = 64,
    LOST_EVERY = 16, /* jobs of which an attempt was lost before */
    LISTS = 8,
    LIST = 50,
    STRIDE = 389, /* prime to JOBS: gets in no order */
};

typedef struct {
    store_t *store;
    job_record_t job;
    char worker[32];
} shelf_t;

/* As after its creation. */
static void job_of (shelf_t *self, int number)
{
    snprintf (self->worker, sizeof self->worker, "guard-worker-%02d", number % WORKERS);
    self->job = (job_record_t){
        .id = { .seq = (GUARD_WALL_MS + number) * JOB_SEQ_PER_MS, .salt = "guard0" },
        .command = SLICE ("cmake --build build\nctest --test-dir build"),
        .file_url = SLICE ("/uploads/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.zip"),
        .filename = SLICE ("project.zip"),
        .labels = number % 4 ? SLICE_ABSENT : SLICE ("kind=nightly\n"),
        .timeout_ms = TIMEOUT_DEFAULT_MS,
        .max_attempts = 3,
        .created_ms = GUARD_WALL_MS + number,
        .slot = SLOT_NONE,
        .exit_code = INT_ABSENT,
        .signal = INT_ABSENT,
        .bytes = BYTES_UNKNOWN,
    };
}

static void job_assign (shelf_t *self, int number)
{
    self->job.state = JOB_RUNNING;
    self->job.attempt = number % LOST_EVERY ? 1 : 2;
    self->job.worker_id = slice_of (self->worker);
    self->job.token = SLICE ("0123456789abcdef0123456789abcdef");
    self->job.slot = 0;
    self->job.started_ms = self->job.created_ms + 10;
}

static void job_end (shelf_t *self)
{
    static const slice_t data[STREAM_COUNT] = { SLICE ("100% tests passed, 0 tests failed out of 40\n"), SLICE (""),
                                                SLICE ("0 phase run\n") };
    self->job.state = JOB_COMPLETED;
    self->job.completed_ms = self->job.created_ms + 110;
    self->job.exit_code = 0;
    for (int i = 0; i < STREAM_COUNT; i++) {
        self->job.data[i] = data[i];
        self->job.bytes[i] = (int64_t)data[i].len;
    }
}

static void insert (shelf_t *self, int number)
{
    job_of (self, number);
    err_t err = self->store->ops->job_insert (self->store, &self->job);
    assert (!err);
}

static void assign (shelf_t *self, int number)
{
    job_of (self, number);
    job_assign (self, number);
    err_t err = self->store->ops->job_update (self->store, &self->job);
    assert (!err);
    if (number % LOST_EVERY)
        return;
    attempt_record_t lost = {
        .seq = self->job.id.seq,
        .attempt = 1,
        .worker_id = SLICE ("guard-worker-00"),
        .token = SLICE ("fedcba9876543210fedcba9876543210"),
        .reason = SLICE ("worker-lost"),
        .error_message = SLICE ("Worker guard-worker-00 was not heard of for 60 s while it ran the job."),
        .exit_code = INT_ABSENT,
        .signal = INT_ABSENT,
        .started_ms = self->job.created_ms + 1,
        .completed_ms = self->job.created_ms + 9,
        .late_exit_code = INT_ABSENT,
    };
    err = self->store->ops->attempt_put (self->store, &lost);
    assert (!err);
}

static void end (shelf_t *self, int number)
{
    job_of (self, number);
    job_assign (self, number);
    job_end (self);
    err_t err = self->store->ops->job_update (self->store, &self->job);
    assert (!err);
}

static void turn (shelf_t *self, int from, void (*write) (shelf_t *self, int number))
{
    for (int i = 0; i < TURN; i++)
        write (self, from + i);
    err_t err = self->store->ops->commit (self->store);
    assert (!err);
}

static void put_worker (shelf_t *self, int number)
{
    job_of (self, number); /* its worker */
    worker_record_t worker = {
        .worker_id = slice_of (self->worker),
        .hostname = SLICE ("host"),
        .os = SLICE ("linux"),
        .version = SLICE ("0.2.0"),
        .cpu_count = 8,
        .slots = 1,
        .registered_ms = GUARD_WALL_MS,
        .last_seen_ms = GUARD_WALL_MS,
        .online = 1,
    };
    err_t err = self->store->ops->worker_put (self->store, &worker);
    assert (!err);
}

static void count_attempt (void *ctx, const attempt_record_t *attempt)
{
    *(int *)ctx += attempt->attempt == 1;
}

static bool count_job (void *ctx, const job_record_t *job)
{
    int *count = ctx;
    if (*count == LIST)
        return false;
    *count += job->state == JOB_COMPLETED;
    return true;
}

static void read_jobs (shelf_t *self)
{
    const store_ops_t *ops = self->store->ops;
    int attempts = 0;
    for (int i = 0; i < JOBS; i++) {
        job_record_t got;
        job_of (self, i * STRIDE % JOBS);
        err_t err = ops->job_get (self->store, &self->job.id, &got);
        assert (!err && got.state == JOB_COMPLETED && slice_eq (got.command, self->job.command));
        err = ops->attempt_each (self->store, self->job.id.seq, count_attempt, &attempts);
        assert (!err);
    }
    assert (attempts == JOBS / LOST_EVERY);
}

static void list_jobs (shelf_t *self)
{
    job_filter_t filter = { .before_seq = INT64_MAX, .state = -1, .brief = true };
    for (int i = 0; i < LISTS; i++) {
        int count = 0;
        int64_t next_seq = 0;
        filter.label = i % 2 ? SLICE ("kind=nightly") : SLICE_ABSENT;
        err_t err = self->store->ops->job_list (self->store, &filter, 24 * 3600 * 1000, count_job, &count, &next_seq);
        assert (!err && count == LIST && next_seq > 0);
    }
}

static void *set_up (const char *folder)
{
    char path[4096];
    char problem[512] = "";
    shelf_t *self = xcalloc (1, sizeof *self);
    snprintf (path, sizeof path, "%s/gleaner.db", folder);
    self->store = store_sqlite_open (path, problem, sizeof problem);
    if (!self->store) {
        fprintf (stderr, "guard-run: %s\n", problem);
        exit (1);
    }
    return self;
}

static void run (void *ctx)
{
    shelf_t *self = ctx;
    turn (self, 0, put_worker);
    for (int i = 0; i < JOBS; i += TURN) {
        turn (self, i, insert);
        turn (self, i, assign);
        turn (self, i, end);
    }
    self->store->ops->compact (self->store);
    read_jobs (self);
    list_jobs (self);
}

static void tear_down (void **self_p)
{
    shelf_t *self = *self_p;
    assert (self->store->ops->job_count (self->store) == JOBS);
    self->store->ops->close (&self->store);
    free (self);
    *self_p = NULL;
}

const guard_scenario_t guard_store = { .name = "store", .set_up = set_up, .run = run, .tear_down = tear_down };
