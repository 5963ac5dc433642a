/* collect.h - a finished job's artifacts: the files below its folder that its patterns take, into one ZIP.
 *
 * Links are neither followed nor kept, and what is no plain file is left out. Files stand in the ZIP in order of their
 * names, with their own times and without owners, so that the same files give the same bytes.
 */
#ifndef GLEANER_WORKER_COLLECT_H
#define GLEANER_WORKER_COLLECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/buf.h"
#include "proto/zip_write.h"

enum {
    COLLECT_ENTRIES_MAX = 100000, /* looked at */
    COLLECT_DEPTH_MAX = 32,
    COLLECT_PATH_MAX = 1024,
    COLLECT_PATTERNS_MAX = 4096,
};
#define COLLECT_BYTES_MAX (1LL << 30) /* of files, before they are packed */

typedef struct {
    int folder; /* open */
    zip_write_t *zip;
    const char *const *patterns;
    int pattern_count;
} collect_order_t;

typedef struct {
    int64_t files;
    buf_t notes; /* sentences: what is missing; empty when nothing is. The caller frees */
} collect_result_t;

/* Adds the files to the ZIP, and opens only what is below the folder. False and one sentence in `problem` when it could
 * not be written. */
bool collect (const collect_order_t *order, collect_result_t *result, char *problem, size_t problem_size);

#endif
