/* bench-preload - a data folder's database with COUNT finished jobs in it, written straight through the store.
 *
 * usage: bench-preload DB-FILE COUNT
 */
#include <stdio.h>
#include <stdlib.h>

#include "broker/store.h"
#include "proto/clock.h"

enum { BATCH = 10000 };

static int give_up (const char *why)
{
    fprintf (stderr, "bench-preload: %s\n", why);
    return 1;
}

static err_t add (store_t *store, int64_t seq)
{
    job_record_t job = {
        .id = { .seq = seq, .salt = "bench0" },
        .command = SLICE ("make -C project test"),
        .file_url = SLICE ("/uploads/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.zip"),
        .filename = SLICE ("project.zip"),
        .timeout_ms = TIMEOUT_DEFAULT_MS,
        .max_attempts = 3,
        .created_ms = seq / JOB_SEQ_PER_MS,
        .state = JOB_COMPLETED,
        .attempt = 1,
        .worker_id = SLICE ("bench-worker-0123456789ab"),
        .token = SLICE ("0123456789abcdef0123456789abcdef"),
        .started_ms = seq / JOB_SEQ_PER_MS,
        .completed_ms = seq / JOB_SEQ_PER_MS + 1,
        .exit_code = 0,
        .data = { SLICE ("42 passed, 0 failed\n"), SLICE (""), SLICE ("") },
        .bytes = { 20, 0, 0 },
    };
    return store->ops->job_insert (store, &job);
}

int main (int argc, char **argv)
{
    char problem[256];
    int64_t count = argc == 3 ? atoll (argv[2]) : 0;
    if (count < 1)
        return give_up ("usage: bench-preload DB-FILE COUNT");
    store_t *store = store_sqlite_open (argv[1], problem, sizeof problem);
    if (!store)
        return give_up (problem);
    int64_t seq = (clock_wall_ms () - count) * JOB_SEQ_PER_MS;
    for (int64_t i = 0; i < count; i++, seq += JOB_SEQ_PER_MS)
        if (add (store, seq) || (i % BATCH == BATCH - 1 && store->ops->commit (store)))
            return give_up ("the store refuses to write");
    if (store->ops->commit (store))
        return give_up ("the store refuses to commit");
    store->ops->close (&store);
    return 0;
}
