/* folders.h - the worker's own folder and what is in it.
 *
 *   WORK_DIR/worker-id              the lasting id
 *   WORK_DIR/broker.key, gateway.key   what joining has left: joined.h
 *   WORK_DIR/lock                   held while a worker runs here
 *   WORK_DIR/jobs/JOB.ATTEMPT/      the project's files; the commands run here
 *   WORK_DIR/archives/, spare/      of projects that may come again: archives.h, spare.h
 *   WORK_DIR/trash/                 what is being removed: sweeper.h
 *   WORK_DIR/spool/JOB.ATTEMPT/     archive.zip, stdout, stderr, result: until the broker has the result
 */
#ifndef GLEANER_WORKER_FOLDERS_H
#define GLEANER_WORKER_FOLDERS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/buf.h"
#include "worker/sweeper.h"

enum { FOLDER_PATH_MAX = 4096 };

/* Makes the work folder (default when `wanted` is NULL), locks it, writes its absolute path. False and one sentence in
 * `problem` when it cannot be used or another worker does. The lock lasts as long as the process. */
bool folders_open (const char *wanted, char path[FOLDER_PATH_MAX], char *problem, size_t problem_size);
/* The lasting id: `wanted` when given, else the one in the folder, made of `hostname` and random the first time. The
 * caller frees. NULL and one sentence in `problem` on failure. */
char *folders_worker_id (const char *path, const char *wanted, const char *hostname, char *problem,
                         size_t problem_size);
/* Makes `id` the one in the folder: joining has bound a key to it. Returns 0 or an errno. */
int folders_keep_id (const char *path, const char *id);
/* Removes all left-over job folders, and spools without a result. */
void folders_sweep (const char *path, sweeper_t *sweeper);
/* Makes a folder (0700) that is to hold many files, on ext4 in another part of the disk than its neighbours: without a
 * journal ext4 looks at each inode that became free in that part within the last minute before it gives one away
 * (find_inode_bit in fs/ext4/ialloc.c; FS_TOPDIR_FL in ioctl_iflags(2)), and a folder like it may have gone just now.
 * Elsewhere as mkdir. Returns 0 or an errno. */
int folder_make_apart (const char *path);
/* Removes a folder and everything in it, links not followed. */
void folder_remove (const char *path);
/* Calls `fn` with the path of each spool folder. */
void folders_each_spool (const char *path, void (*fn) (void *ctx, const char *spool), void *ctx);

/* Writes a whole file by way of a temporary one. Returns 0 or an errno. */
int file_write (const char *path, slice_t content);
/* Reads a whole file of `max` bytes at most. Returns 0 or an errno. */
int file_read (const char *path, size_t max, buf_t *out);

#endif
