/* projects.h - small projects that come again and again, unpacked, in memory.
 *
 * Many jobs of one project are the common case: a parameter each. The first two have their archive downloaded and
 * unpacked by the extractor; what the second one's folder holds then is kept, under the archive's hash, and the ones
 * after it are given the same files without either. So nothing is kept of what comes once, and nothing is ever given
 * but to a job of the very same archive. Held in memory and not on the disk: no job in a
 * sandbox can reach it. */
#ifndef GLEANER_WORKER_PROJECTS_H
#define GLEANER_WORKER_PROJECTS_H

#include <stdbool.h>

#include "proto/buf.h"

/* What is larger is unpacked each time: a copy is made between two other things that the worker has to do. */
enum {
    PROJECT_FILES_MAX = 128, /* files and folders together */
    PROJECT_BYTES_MAX = 512 * 1024,
    PROJECTS_MAX = 16, /* kept at once; the one that was not asked for longest goes */
};

typedef struct projects projects_t;

projects_t *projects_new (void);
void projects_destroy (projects_t **self_p);

/* An archive with this hash (64 hex digits) has just been unpacked in `folder`, and nothing else has touched that. */
void projects_note (projects_t *self, slice_t sha256, const char *folder);
/* Makes the files of that archive in `folder`, which is empty: as the extractor would. `*known` is false when they are
 * not kept; then nothing is made. Returns 0 or an errno. */
int projects_give (projects_t *self, slice_t sha256, const char *folder, bool *known);

#endif
