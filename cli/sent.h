/* sent.h - what of a folder a server has already: an index of the ZIP that was sent of it, in the user's cache.
 *
 *   $XDG_CACHE_HOME/gleaner/HASH    (~/.cache) of the server and the folder; 0600, written beside it and renamed
 *
 * A file whose length, times, inode and mode are those that the index has is taken to be the same and is not read,
 * unless it was changed within SENT_RACY_MS of when the index was taken: then it may have been changed once more in the
 * same tick of its disk's clock, as git calls it racy. An index that is missing, of another version or damaged is none,
 * and a folder that has the cache in it gets none.
 */
#ifndef GLEANER_CLI_SENT_H
#define GLEANER_CLI_SENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "proto/limits.h"

enum {
    SENT_HASH = 32,
    SENT_RACY_MS = 2000, /* no disk's clock ticks more slowly */
    SENT_MAX = 100,      /* indexes that are kept; the one that was written longest ago goes */
};

typedef struct {
    char *path; /* as in the ZIP */
    int64_t size, mtime_ns, ctime_ns;
    int64_t zip_s; /* mtime that the ZIP has for it */
    uint64_t inode, device;
    bool runs;                       /* its owner may execute it */
    unsigned char sha256[SENT_HASH]; /* of its bytes */
    bool here;                       /* met in this walk */
} sent_file_t;

typedef struct {
    char base[SHA256_HEX + 1]; /* the ZIP's hash */
    int64_t base_bytes;
    int64_t taken_ns; /* wall; no file was looked at before */
    bool stale;       /* what is on the disk says less than what is known */
    sent_file_t *files;
    size_t count, room;
} sent_t;

/* An empty one, taken now. The caller destroys it. */
sent_t *sent_new (void);
void sent_destroy (sent_t **self_p);

/* That of the folder (its real path) and the server; NULL: there is none. */
sent_t *sent_load (const char *server, const char *folder);
/* Puts it in the place of the old one; sorts it. Failure is none of the user's business: everything is sent next time.
 */
void sent_save (sent_t *self, const char *server, const char *folder);

/* The file of that path in a loaded index; NULL: there is none. */
sent_file_t *sent_find (const sent_t *self, const char *path);
/* True when it need not be read. */
bool sent_is_same (const sent_t *self, const sent_file_t *file, const struct stat *info);
/* Somebody has the file open for writing: what they write through mapped memory, its times may not tell, now or
 * later. To be asked before its bytes are read; not known (false) of another user's file, or of one on a disk that has
 * no leases. */
bool sent_is_written (int fd);
/* What it is now; with `written` it is read again the next time. */
void sent_note (sent_file_t *file, const struct stat *info, bool written);
/* Adds a file that the ZIP has. */
void sent_add (sent_t *self, const char *path, const struct stat *info, bool written,
               const unsigned char sha256[SENT_HASH]);

#endif
