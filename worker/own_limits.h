/* own_limits.h - what another process can set of this one, and its children inherit: limits, niceness, processors. */
#ifndef GLEANER_WORKER_OWN_LIMITS_H
#define GLEANER_WORKER_OWN_LIMITS_H

#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>

typedef struct {
    struct rlimit limits[RLIM_NLIMITS]; /* prlimit(2) */
    int niceness;                       /* setpriority(2) */
    int policy;                         /* sched_setscheduler(2) */
    int io_priority;                    /* ioprio_set(2) */
    cpu_set_t processors;               /* sched_setaffinity(2) */
} own_limits_t;

/* As they are now. What the kernel does not tell reads as 0. */
void own_limits_note (own_limits_t *self);
/* True when they still are as they were. */
bool own_limits_same (const own_limits_t *before);

#endif
