/* spare.h - the project that came last, unpacked once more while nothing else is to be done: the next job of it does
 * not wait for that.
 *
 *   WORK/spare/archive.zip   what is being unpacked, a link to what archives.h keeps
 *   WORK/spare/project/      that, unpacked; moved to be the folder of the job that gets it
 *
 * One at most. No job has seen it before the one that gets it: it is made where jobs are in a sandbox only, never of
 * what a job has left, and it counts as whole when the extractor has ended well in this run of the worker. What an
 * earlier run has left is removed. It is made while no job runs here, by a process that is the last to get processor
 * and disk, and that is killed when a job comes. With the archives that are kept it stays within --cache-max. */
#ifndef GLEANER_WORKER_SPARE_H
#define GLEANER_WORKER_SPARE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/archive_limits.h"
#include "worker/archives.h"
#include "worker/fork_server.h"
#include "worker/loop.h"
#include "worker/sweeper.h"

enum {
    SPARE_WORTH_MS = 100,       /* what is unpacked sooner is unpacked when it is wanted */
    SPARE_QUIET_MS = 1000,      /* without a job, before one is made; twice that after each that a job has cut short, */
    SPARE_QUIET_MAX_MS = 64000, /* up to this */
};

typedef struct spare spare_t;

/* All of it outlives the spare. */
typedef struct {
    loop_t *loop;
    archives_t *archives;
    fork_server_t *extractors;
    sweeper_t *sweeper;
    const char *work_dir;
    const char *extractor;           /* path of gleaner-extract */
    const archive_limits_t *archive; /* of what is extracted */
    bool allowed;                    /* no job can reach it; else there is never one */
} spare_config_t;

/* Removes what an earlier run has left. The caller destroys it. */
spare_t *spare_new (const spare_config_t *config);
/* Ends what makes it, and removes it. */
void spare_destroy (spare_t **self_p);

/* The archive with that hash was unpacked for a job, which took so long: it may come again. */
void spare_note (spare_t *self, slice_t sha256, int64_t took_ms);
/* Makes the spare of that archive `folder`, which is there and empty. False: there is none, and the folder is as it
 * was. */
bool spare_take (spare_t *self, slice_t sha256, const char *folder);
/* No job runs: one may be made, after a while. */
void spare_idle (spare_t *self);
/* A job has come, or the machine or the worker ends: none is made any more. Does not wait. */
void spare_stop (spare_t *self);
/* Where an archive, or a job, needs the room, it goes. Returns how many bytes of disk come free by that, a little
 * later; about. */
int64_t spare_yield (spare_t *self);

#endif
