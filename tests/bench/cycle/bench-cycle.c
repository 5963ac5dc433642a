/* bench-cycle - jobs through a queue: created, handed to a consumer, finished, each step answered before the client's
 * next one. All clients are connections of one thread.
 *
 * usage: bench-cycle KIND PORT JOBS PRODUCERS CONSUMERS
 *        bench-cycle dispatch KIND PORT JOBS PAUSE-MS CONSUMERS [PID]
 *        bench-cycle pace KIND PORT PER-SECOND SECONDS PRODUCERS CONSUMERS
 *        bench-cycle first KIND PORT
 *   KIND  redis, beanstalk (their own protocols), native (ZeroMQ), http
 *
 * The first: life cycles a second. The producers make all jobs; then the consumers take and finish them.
 *   prints creates_per_second, finishes_per_second, cycles_per_second, and of each step p50, p99, max in microseconds
 * dispatch: one job at a time while all consumers wait, the next one PAUSE-MS after the last one is finished.
 *   prints of create (sent to answered), handed (create answered to job in hand; 0 when the job was faster) and whole
 *   (create sent to job in hand) p50, p99, max; and the memory of process PID before and while the consumers wait
 * pace: jobs at a fixed rate.
 *   prints in tenths of the time the latencies of create (since it was due) and finish, and behind, the longest queue
 * first: waits until something listens on the port.
 *   prints first_answer_ms, since the program started
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/bench/cycle/drive.h"

enum { CLIENTS_MAX = 20000 };

static int usage (void)
{
    fprintf (stderr, "usage: bench-cycle redis|beanstalk|native|http PORT JOBS PRODUCERS CONSUMERS\n"
                     "       bench-cycle dispatch KIND PORT JOBS PAUSE-MS CONSUMERS [PID]\n"
                     "       bench-cycle pace KIND PORT PER-SECOND SECONDS PRODUCERS CONSUMERS\n"
                     "       bench-cycle first KIND PORT\n");
    return 2;
}

static const queue_kind_t *kind_of (const char *name)
{
    static const queue_kind_t *const kinds[] = { &kind_redis, &kind_beanstalk, &kind_native, &kind_http };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp (name, kinds[i]->name) == 0)
            return kinds[i];
    return NULL;
}

/* As many open files as the system allows: each client is one. */
static void raise_limit (void)
{
    struct rlimit files;
    getrlimit (RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit (RLIMIT_NOFILE, &files);
}

static bool set_clients (drive_t *drive, int producers, int consumers)
{
    drive->producers = producers;
    drive->consumers = consumers;
    return producers >= 1 && consumers >= 1 && producers <= CLIENTS_MAX && consumers <= CLIENTS_MAX - producers;
}

/* `words` follow KIND and PORT. */
static int run (drive_t *drive, const char *mode, int count, char **words)
{
    int numbers[4] = { 0 };
    for (int i = 0; i < count && i < 4; i++)
        numbers[i] = atoi (words[i]);
    if (strcmp (mode, "life") == 0 && count == 3 && set_clients (drive, numbers[1], numbers[2]) &&
        numbers[0] >= numbers[1])
        life_run (drive, numbers[0]);
    else if (strcmp (mode, "dispatch") == 0 && (count == 3 || count == 4) && set_clients (drive, 1, numbers[2]) &&
             numbers[0] >= 1)
        dispatch_run (drive, numbers[0], numbers[1], numbers[3]);
    else if (strcmp (mode, "pace") == 0 && count == 4 && set_clients (drive, numbers[2], numbers[3]) &&
             numbers[0] >= 1 && numbers[1] >= 1)
        pace_run (drive, numbers[0], numbers[1]);
    else if (strcmp (mode, "first") == 0 && count == 0) {
        drive->consumers = 1; /* a worker that registers */
        first_run (drive);
    } else
        return usage ();
    return 0;
}

int main (int argc, char **argv)
{
    const char *mode = "life";
    int at = 1;
    if (argc > 1 && !kind_of (argv[1]))
        mode = argv[at++];
    if (argc < at + 2)
        return usage ();
    drive_t drive = { .kind = kind_of (argv[at]), .port = atoi (argv[at + 1]) };
    if (!drive.kind || drive.port < 1)
        return usage ();
    raise_limit ();
    return run (&drive, mode, argc - at - 2, argv + at + 2);
}
