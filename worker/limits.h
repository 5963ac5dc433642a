/* limits.h - what a job may use at most: as it asks, as this worker gives, and what then holds. */
#ifndef GLEANER_WORKER_LIMITS_H
#define GLEANER_WORKER_LIMITS_H

#include <stddef.h>
#include <stdint.h>

/* 0: not limited. */
typedef struct {
    int64_t memory_bytes; /* of all its processes together */
    int64_t disk_bytes;   /* that its folder takes */
    int64_t pids;         /* processes and threads at once */
    int64_t cpus;         /* hundredths of a processor */
} limits_t;

enum { LIMITS_TEXT_MAX = 96 };

/* Each the lower one of both: what a job does not name is as the worker gives it. */
limits_t limits_lower (const limits_t *job, const limits_t *worker);
/* "memory=536870912 cpus=1.5 disk=... pids=...": those that there are, in that order; "none". */
void limits_text (const limits_t *self, char text[LIMITS_TEXT_MAX]);

#endif
