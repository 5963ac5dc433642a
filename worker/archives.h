/* archives.h - archives of projects that came before, by their hash: what is here is not downloaded again.
 *
 *   WORK/archives/SHA256    whole; it came with that hash. Its access time is that of its last use
 *
 * The files are links to what jobs have downloaded, and jobs get links to them: one that is removed while a job uses it
 * stays that job's. The folder is the worker's own (0700), and no job in a sandbox reaches it; each work folder has one
 * worker. What a crash, or a disk, has done to a file is found when it is used the first time after a start. All
 * operations block for as long as a local disk takes for a name.
 */
#ifndef GLEANER_WORKER_ARCHIVES_H
#define GLEANER_WORKER_ARCHIVES_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"

typedef struct archives archives_t;

enum {
    ARCHIVES_MAX = 1024,                    /* kept, whatever their size */
    ARCHIVES_DISK_SHARE = 8,                /* an eighth of the disk at most, whatever was asked for */
    ARCHIVES_FREE_PART = 16,                /* they give way where less than a sixteenth of the disk is free, */
    ARCHIVES_FREE_MIN = 1024 * 1024 * 1024, /* and less than this many bytes */
};

/* `work_dir` is there. `bytes_max` 0: none are kept, and those that an earlier run has left are removed. The caller
 * destroys it. */
archives_t *archives_new (const char *work_dir, int64_t bytes_max);
void archives_destroy (archives_t **self_p);

/* Makes `path`, which is not there, the archive with that hash. False: there is none. `*sure` tells whether its bytes
 * were held against the hash in this run; else whoever reads it must do so. */
bool archives_take (archives_t *self, slice_t sha256, const char *path, bool *sure);
/* The file at `path` is whole and has that hash, which may be absent. The one that was not used for longest makes room.
 */
void archives_keep (archives_t *self, slice_t sha256, const char *path);
/* Its bytes were held against its hash. */
void archives_sure (archives_t *self, slice_t sha256);
/* To be called before a job begins: where the disk is nearly full, the ones that were not used for longest go, since
 * jobs need the room more. `coming` bytes of it are being freed already. */
void archives_yield (archives_t *self, int64_t coming);
/* How many bytes what is made of them may take, of the room that was given and of the disk, where it takes `held` of
 * them already. Not below 0. */
int64_t archives_room (const archives_t *self, int64_t held);
/* It is not what it should be. */
void archives_drop (archives_t *self, slice_t sha256);

#endif
