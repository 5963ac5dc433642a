/* confine.h - what the kernel keeps a job to without a cgroup, and how the keeper stands beside it. */
#ifndef GLEANER_WORKER_CONFINE_H
#define GLEANER_WORKER_CONFINE_H

#include "worker/limits.h"
#include "worker/own_limits.h"

/* Of this program, once: when the machine runs out of memory, the kernel ends what it started before the lender's
 * programs; and where that is allowed, it has its turn among very many processes. */
void confine_prepare (void);
/* Of this program, for what it starts from now on: no file that is larger by itself than the folder may be; processes
 * that do not become endlessly many before they are counted (not for root); and as many processors as `cpus` needs. A
 * job can lift these; it is watched all the same. `own` is how this program was. */
void confine_begin (const limits_t *limits, const own_limits_t *own);
/* As it was. */
void confine_end (const limits_t *limits, const own_limits_t *own);

#endif
