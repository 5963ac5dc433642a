/* watch.h - the keeper looks at what its job uses, where no cgroup limits it, and finds out when that is too much.
 *
 * It looks rarely while a job is far from its limits, and often when it is near; a look may take a small part of the
 * time only, however many processes or files there are. Processes can become thousands before a look is over, since
 * each of them has as much right to a processor as the keeper: so the kernel's count of all tasks, which costs nothing,
 * is asked often, and when there may be too many of them the job stands still while they are looked at. */
#ifndef GLEANER_WORKER_WATCH_H
#define GLEANER_WORKER_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "worker/limits.h"
#include "worker/tree.h"

/* What there was too much of; as the keeper tells it. */
typedef enum { OVER_NOTHING = '-', OVER_MEMORY = 'm', OVER_DISK = 'd', OVER_PIDS = 'p' } over_t;

typedef struct {
    limits_t limits;
    over_t over;
    int64_t over_used; /* bytes, or processes and threads */
    int64_t memory_peak_bytes;
    int64_t pids_peak;
    int64_t due_ms;      /* of the next look at the processes */
    int64_t count_ms;    /* and of asking for the number of all tasks */
    int64_t tasks;       /* of the job, as they were looked at last */
    int64_t all_tasks;   /* and those of the machine */
    int64_t disk_due_ms; /* and at the folder */
    int64_t disk_used_bytes;
    int64_t disk_free_bytes; /* of its file system, as the folder was looked at last */
    int64_t disk_looked_ms;  /* when that was */
    int64_t disk_look_ms;    /* and what it took */
} watch_t;

/* A job begins, in the current directory. */
void watch_begin (watch_t *self, const limits_t *limits, int64_t now_ms);
/* When to look next; INT64_MAX: never. */
int64_t watch_due_ms (const watch_t *self);
/* Looks, where it is time. `command`: the leader of a process group that the job consists of, mostly; 0: none. */
void watch_look (watch_t *self, pid_t command);
/* To all of that group; to every process of the keeper's own namespace where it has one. */
void watch_signal (pid_t command, int number);
/* The folder once more, at the end. */
void watch_look_last (watch_t *self);
/* Takes note of what was seen in another way: by somebody else's look, or of a process that was reaped. */
void watch_note (watch_t *self, const tree_usage_t *usage);
void watch_note_reaped (watch_t *self, const struct rusage *usage);

#endif
