/* archive_limits.h - what an archive may become, as the worker's options say. */
#ifndef GLEANER_WORKER_ARCHIVE_LIMITS_H
#define GLEANER_WORKER_ARCHIVE_LIMITS_H

#include <stdint.h>

enum { ARCHIVE_FILES_LIMIT = 200000 /* as many as the extractor's memory is for */ };

typedef struct {
    int64_t files; /* and folders */
    int64_t bytes; /* extracted */
    int64_t ratio; /* extracted bytes to the archive's, once there are more than some */
    int64_t depth; /* parts of a path */
} archive_limits_t;

#endif
