/* bench-preload - a data folder's database with COUNT finished jobs in it, and PENDING jobs behind them, written
 * straight through the store.
 *
 * The finished ones are of 100 workers; every 1000th has failed, and has a label and an environment. OUTPUT: bytes of
 * stdout of each, 20 by default.
 *
 * usage: bench-preload DB-FILE COUNT [OUTPUT [PENDING]]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/store.h"
#include "proto/clock.h"

enum { BATCH = 10000, WORKERS = 100, FAILED_EVERY = 1000 };

static char output[STORE_INLINE_MAX + 1];

static int give_up (const char *why)
{
    fprintf (stderr, "bench-preload: %s\n", why);
    return 1;
}

/* As the core encodes them. */
static slice_t options (bool brief, slice_t labels, buf_t *raw)
{
    static char env[ENV_MAX / 4];
    message_t message;
    message_init (&message, MSG_JOB_OPTIONS);
    snprintf (env, sizeof env, "KEY=%0*d\n", (int)sizeof env - 6, 0);
    message.job_options.name = SLICE ("nightly build");
    message.job_options.labels = labels;
    message.job_options.env = brief ? SLICE_ABSENT : slice_of (env);
    message_encode_item (&message, raw);
    return buf_slice (raw);
}

static job_record_t pending (int64_t seq)
{
    return (job_record_t){
        .id = { .seq = seq, .salt = "bench0" },
        .command = SLICE ("make -C project test"),
        .file_url = SLICE ("/uploads/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.zip"),
        .filename = SLICE ("project.zip"),
        .timeout_ms = TIMEOUT_DEFAULT_MS,
        .max_attempts = 3,
        .created_ms = seq / JOB_SEQ_PER_MS,
        .state = JOB_PENDING,
        .slot = SLOT_NONE,
        .exit_code = INT_ABSENT,
        .signal = INT_ABSENT,
        .bytes = BYTES_UNKNOWN,
    };
}

static err_t add_finished (store_t *store, int64_t seq, int64_t number)
{
    char worker[32];
    buf_t raw = { 0 };
    buf_t brief = { 0 };
    snprintf (worker, sizeof worker, "bench-worker-%d", (int)(number % WORKERS));
    job_record_t job = pending (seq);
    job.state = JOB_COMPLETED;
    job.attempt = 1;
    job.worker_id = slice_of (worker);
    job.token = SLICE ("0123456789abcdef0123456789abcdef");
    job.slot = 0;
    job.started_ms = job.created_ms;
    job.completed_ms = job.created_ms + 1;
    job.exit_code = 0;
    job.signal = 0;
    job.data[STREAM_STDOUT] = slice_of (output);
    job.data[STREAM_STDERR] = job.data[STREAM_JOURNAL] = SLICE ("");
    job.bytes[STREAM_STDOUT] = (int64_t)strlen (output);
    job.bytes[STREAM_STDERR] = job.bytes[STREAM_JOURNAL] = 0;
    if (number % FAILED_EVERY == 0) {
        job.state = JOB_FAILED;
        job.labels = SLICE ("kind=nightly\n");
        job.options = options (false, job.labels, &raw);
        job.brief_options = options (true, job.labels, &brief);
    }
    err_t err = store->ops->job_insert (store, &job);
    buf_fini (&raw);
    buf_fini (&brief);
    return err;
}

static err_t add_pending (store_t *store, int64_t seq, int64_t number)
{
    (void)number;
    job_record_t job = pending (seq);
    return store->ops->job_insert (store, &job);
}

static err_t add_many (store_t *store, int64_t seq, int64_t count, err_t (*add_one) (store_t *, int64_t, int64_t))
{
    err_t err = ERR_NONE;
    for (int64_t i = 0; i < count && !err; i++, seq += JOB_SEQ_PER_MS) {
        err = add_one (store, seq, i);
        if (!err && i % BATCH == BATCH - 1)
            err = store->ops->commit (store);
    }
    return err;
}

int main (int argc, char **argv)
{
    char problem[256];
    int64_t count = argc > 2 && argc < 6 ? atoll (argv[2]) : -1;
    int64_t length = argc > 3 ? atoll (argv[3]) : 20;
    int64_t waiting = argc > 4 ? atoll (argv[4]) : 0;
    if (count < 0 || length < 1 || length > STORE_INLINE_MAX || waiting < 0)
        return give_up ("usage: bench-preload DB-FILE COUNT [OUTPUT [PENDING]]");
    memset (output, 'x', (size_t)length);
    store_t *store = store_sqlite_open (argv[1], problem, sizeof problem);
    if (!store)
        return give_up (problem);
    int64_t seq = (clock_wall_ms () - count - waiting) * JOB_SEQ_PER_MS;
    if (add_many (store, seq, count, add_finished) ||
        add_many (store, seq + count * JOB_SEQ_PER_MS, waiting, add_pending))
        return give_up ("the store refuses to write");
    if (store->ops->commit (store))
        return give_up ("the store refuses to commit");
    store->ops->close (&store);
    return 0;
}
