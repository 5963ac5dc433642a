#include "worker/own_limits.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { IOPRIO_WHO_PROCESS = 1 };

void own_limits_note (own_limits_t *self)
{
    memset (self, 0, sizeof *self);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++)
        getrlimit ((__rlimit_resource_t)i, &self->limits[i]);
    self->niceness = getpriority (PRIO_PROCESS, 0);
    self->policy = sched_getscheduler (0);
    self->io_priority = (int)syscall (SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0);
    sched_getaffinity (0, sizeof self->processors, &self->processors);
}

bool own_limits_same (const own_limits_t *before)
{
    own_limits_t now;
    own_limits_note (&now);
    for (int i = 0; i < (int)RLIM_NLIMITS; i++)
        if (now.limits[i].rlim_cur != before->limits[i].rlim_cur ||
            now.limits[i].rlim_max != before->limits[i].rlim_max)
            return false;
    return now.niceness == before->niceness && now.policy == before->policy && now.io_priority == before->io_priority &&
           CPU_EQUAL (&now.processors, &before->processors);
}
