/* machine.h - how busy the worker's machine is, for people who look at the registry. */
#ifndef GLEANER_WORKER_MACHINE_H
#define GLEANER_WORKER_MACHINE_H

#include <stdint.h>

/* What cannot be told is INT_ABSENT. */
typedef struct {
    int64_t load_percent; /* of the last minute, 100: as much as all processors can do */
    int64_t memory_bytes;
    int64_t memory_free_bytes; /* what programs can still get */
} machine_t;

/* Reads /proc/loadavg and /proc/meminfo. */
void machine_read (machine_t *self);
/* The same from texts of those files. */
void machine_parse (const char *loadavg, const char *meminfo, int64_t processors, machine_t *self);

#endif
