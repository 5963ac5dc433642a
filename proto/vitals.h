/* vitals.h - what this process takes: read from /proc, in some 20 us. */
#ifndef GLEANER_VITALS_H
#define GLEANER_VITALS_H

#include <stdint.h>

/* -1: not known. */
typedef struct {
    int64_t resident_bytes;
    int64_t cpu_us; /* of all threads */
    int64_t
        open_fds; /* by the folder's size, which Linux tells from 6.2 on; else not known: to count them takes long */
    int64_t start_ms; /* when it began, since the epoch */
} vitals_t;

void vitals_read (vitals_t *self);

#endif
