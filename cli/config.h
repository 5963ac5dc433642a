/* config.h - changes lines of the user's config file, and leaves all others as they are. */
#ifndef GLEANER_CLI_CONFIG_H
#define GLEANER_CLI_CONFIG_H

#include <stddef.h>

#include "proto/buf.h"

typedef struct {
    const char *name;
    const char *value; /* NULL: no line of that name is left */
} config_line_t;

/* Sets these lines in the file at `path`, which need not be there, whole or not at all. 0, or STATUS_LOCAL after one
 * sentence. */
int config_set (const char *path, const config_line_t *lines, size_t count);
/* Makes the folders that a path leads through. 0, or STATUS_LOCAL after one sentence. */
int config_make_folders (const char *path);
/* Writes a file that nobody else can read, whole or not at all. Likewise. */
int config_write (const char *path, slice_t content);

#endif
