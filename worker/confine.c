#include "worker/confine.h"

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <unistd.h>

enum {
    FILE_SPARE = 64 * 1024, /* so that the folder is seen to be over its limit */
    TASKS_SPARE = 1024,     /* what the user's other programs may start meanwhile */
    OOM_SCORE = 500,
    OWN_NICENESS = -15,
};

#define OOM_SCORE_TEXT "500"

/* `count` of the processors, not the same ones for every job. */
static cpu_set_t some_of (const cpu_set_t *all, int count)
{
    cpu_set_t some;
    int total = CPU_COUNT (all);
    int skip = getpid () % total;
    CPU_ZERO (&some);
    for (int cpu = 0, nth = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET (cpu, all) && (nth++ + skip) % total < count)
            CPU_SET (cpu, &some);
    return some;
}

void confine_begin (const limits_t *limits, const own_limits_t *own)
{
    struct rlimit file = own->limits[RLIMIT_FSIZE];
    int count = (int)((limits->cpus + 99) / 100);
    if (limits->disk_bytes && (rlim_t)limits->disk_bytes < file.rlim_cur) {
        file.rlim_cur = (rlim_t)limits->disk_bytes + FILE_SPARE;
        setrlimit (RLIMIT_FSIZE, &file);
    }
    if (limits->pids) {
        struct sysinfo info;
        struct rlimit tasks = own->limits[RLIMIT_NPROC]; /* of all that the user runs */
        rlim_t most = (sysinfo (&info) == 0 ? info.procs : 0) + (rlim_t)limits->pids + TASKS_SPARE;
        tasks.rlim_cur = most < tasks.rlim_cur ? most : tasks.rlim_cur;
        setrlimit (RLIMIT_NPROC, &tasks);
    }
    if (count && count < CPU_COUNT (&own->processors)) {
        cpu_set_t some = some_of (&own->processors, count);
        sched_setaffinity (0, sizeof some, &some);
    }
}

void confine_end (const limits_t *limits, const own_limits_t *own)
{
    if (limits->disk_bytes)
        setrlimit (RLIMIT_FSIZE, &own->limits[RLIMIT_FSIZE]);
    if (limits->pids)
        setrlimit (RLIMIT_NPROC, &own->limits[RLIMIT_NPROC]);
    if (limits->cpus)
        sched_setaffinity (0, sizeof own->processors, &own->processors);
}

/* When the machine runs out of memory, the kernel is to end a job's processes before the lender's. They inherit it. */
static void offer_to_kernel (void)
{
    char now[16] = "";
    int fd = open ("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    bool lower = read (fd, now, sizeof now - 1) > 0 && strtol (now, NULL, 10) < OOM_SCORE;
    if (lower && write (fd, OOM_SCORE_TEXT, sizeof OOM_SCORE_TEXT - 1) < 0)
        fprintf (stderr, "gleaner-keeper: /proc/self/oom_score_adj stays as it is.\n");
    close (fd);
}

/* Where that is allowed: it must have its turn among very many. What it starts has the niceness that it had. */
static void go_first (void)
{
    const struct sched_param none = { 0 };
    if (getpriority (PRIO_PROCESS, 0) != 0 || setpriority (PRIO_PROCESS, 0, OWN_NICENESS) != 0)
        return;
    if (sched_setscheduler (0, SCHED_OTHER | SCHED_RESET_ON_FORK, &none) != 0)
        setpriority (PRIO_PROCESS, 0, 0);
}

void confine_prepare (void)
{
    offer_to_kernel ();
    go_first ();
}
