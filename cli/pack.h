/* pack.h - a project on its way: a folder, or a ZIP that is one already, as an open file. */
#ifndef GLEANER_CLI_PACK_H
#define GLEANER_CLI_PACK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int fd;         /* the ZIP, to be read from its beginning; the caller closes it */
    int64_t bytes;  /* of it */
    int64_t files;  /* in it; 0 for a ZIP that was one already */
    char name[256]; /* "NAME.zip" */
} pack_t;

enum { PACK_FILES_MAX = 100000, PACK_DEPTH_MAX = 100 };

/* Packs a folder, less what .gitignore, .gleanerignore (unless `all`) and git's own folder hold, into a file without a
 * name below $TMPDIR; or opens a ZIP. A link to a file of the folder goes as that file; other links, and what is no
 * plain file, stay at home, which is said on stderr. 0, or STATUS_LOCAL after one sentence: nothing is half packed. */
int pack_project (const char *path, bool all, pack_t *out);

#endif
