/* lease.h - what every message about a held job carries. */
#ifndef GLEANER_WORKER_LEASE_H
#define GLEANER_WORKER_LEASE_H

#include <stdint.h>

#include "proto/limits.h"

typedef struct {
    const char *worker_id;
    char job_id[ID_MAX + 1];
    char token[TOKEN_MAX + 1];
    int64_t attempt;
    int64_t lease_ms;
} lease_t;

#endif
