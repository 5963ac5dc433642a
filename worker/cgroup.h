/* cgroup.h - control groups (cgroups(7), version 2), where the worker's own one was delegated to it: each attempt's
 * commands are in one of their own, by which the kernel limits them, counts what they use, and ends them.
 *
 *   ROOT                the worker's own, by its unit's Delegate=yes; nothing is in it itself, as the kernel demands
 *   ROOT/worker         this program, its keepers and sandboxes
 *   ROOT/job-ID.N       the commands of an attempt; gone with it
 */
#ifndef GLEANER_WORKER_CGROUP_H
#define GLEANER_WORKER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "worker/folders.h"
#include "worker/limits.h"

enum { CGROUP_WHY_SIZE = FOLDER_PATH_MAX + 256, CGROUP_PATH_MAX = FOLDER_PATH_MAX + 320 };

typedef struct {
    char root[FOLDER_PATH_MAX];
    bool cpu;      /* processor time is limited, too; memory and processes always are */
    char **behind; /* groups that could not be removed yet: what was killed in them has not ended */
    size_t behind_count;
} cgroup_t;

/* Of one attempt. */
typedef struct {
    char *path; /* NULL: none */
    int procs;  /* a process that writes "0" there is in the group from then on, with all that it starts */
    int memory_events;
    int pids_events; /* both have EPOLLPRI when they have changed */
} cgroup_job_t;

#define CGROUP_JOB_NONE ((cgroup_job_t){ .procs = -1, .memory_events = -1, .pids_events = -1 })

/* What the kernel has counted; 0 where it does not tell. */
typedef struct {
    int64_t cpu_ms;
    int64_t memory_peak_bytes; /* files in memory included */
    int64_t pids_peak;         /* processes and threads */
    int64_t memory_kills;      /* processes ended because the group was at its memory.max */
    int64_t pids_refused;      /* because it was at its pids.max */
} cgroup_counts_t;

/* cgroup_find.c: the folder of this process's own group. `proc` is its folder in /proc. False and the reason, half a
 * sentence, when there is none that was delegated: whoever may write there has it so; root, who may write everywhere,
 * by the mark that systemd puts on it. */
bool cgroup_find (const char *proc, char root[FOLDER_PATH_MAX], char why[CGROUP_WHY_SIZE]);

/* Takes `root` over: this process, which has no child yet, goes into a group below it, and attempts can have theirs.
 * What an earlier worker left there is ended and removed. False and the reason as above; then nothing has changed. */
bool cgroup_open (cgroup_t *self, const char *root, char why[CGROUP_WHY_SIZE]);
void cgroup_close (cgroup_t *self);

/* A group with these limits, disk excepted, of which nobody is a member yet. Returns 0 or an errno. */
int cgroup_job_open (cgroup_t *self, const char *name, const limits_t *limits, cgroup_job_t *out);
void cgroup_job_count (const cgroup_job_t *self, cgroup_counts_t *out);
/* KILL to all its members, and whatever they fork meanwhile. */
void cgroup_job_kill (const cgroup_job_t *self);
/* Kills and removes it. */
void cgroup_job_close (cgroup_t *self, cgroup_job_t *job);

#endif
