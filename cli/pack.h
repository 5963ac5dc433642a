/* pack.h - a project on its way: a folder, or a ZIP that is one already, as an open file. */
#ifndef GLEANER_CLI_PACK_H
#define GLEANER_CLI_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/sent.h"

typedef struct {
    int fd;        /* the ZIP, to be read from its beginning; the caller closes it. -1: nothing has changed */
    int64_t bytes; /* of it */
    int64_t files; /* of the project; 0 for a ZIP that was one already */
    int64_t
        changed;    /* those that differ from what was sent before, or are gone; the ZIP is a delta. -1: it holds all */
    char name[256]; /* "NAME.zip" */
} pack_t;

enum {
    PACK_DEPTH_MAX = 100,              /* folders that are looked into; what travels lies less deep (limits.h) */
    PACK_DELTA_SHARE = 4,              /* a delta is a quarter of its base at most, */
    PACK_DELTA_MAX = 64 * 1024 * 1024, /* and this long */
    PACK_TOUCHED_MAX = 1024 * 1024, /* bytes of files that have another time and no other bytes, that travel for it */
    PACK_REMOVED_MAX = 8 * 1024 * 1024, /* bytes of paths that it removes; workers take twice as much */
};

/* Packs a folder, less what .gitignore, .gleanerignore (unless `all`) and git's own folder hold, into a file without a
 * name below $TMPDIR; or opens a ZIP. A link to a file of the folder goes as that file; other links, and what is no
 * plain file, stay at home, which is said on stderr. 0, or STATUS_LOCAL after one sentence: nothing is half packed. */
int pack_project (const char *path, bool all, pack_t *out);

/* The same of a folder, and fills `index`, a new one. */
int pack_folder (const char *path, bool all, sent_t *index, pack_t *out);
/* Packs what has changed since `since`, whose files' times are brought up to date (`stale`): a delta, by rule 44 of
 * proto/README.md. 0; STATUS_LOCAL after one sentence; PACK_WHOLE: it would be too large, or cannot be made. */
enum { PACK_WHOLE = -1 };
int pack_delta (const char *path, bool all, sent_t *since, pack_t *out);

#endif
