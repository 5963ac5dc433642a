/* secret.h - files that hold secrets: keys, mostly. Nobody but their owner may read them. */
#ifndef GLEANER_SECRET_H
#define GLEANER_SECRET_H

#include <stdbool.h>
#include <sys/types.h>

#include "buf.h"

enum { SECRET_FILE_MAX = 256 * 1024 };

/* Reads a regular file of at most SECRET_FILE_MAX bytes into `out`, NUL-terminated. False and one sentence in `problem`
 * when it cannot be read, or when others than its owner may read or write it: then the sentence says what to type. */
bool secret_read (const char *path, buf_t *out, char *problem, size_t problem_size);
/* Writes the file anew, mode 0600, by way of a temporary one beside it; it is on the disk when this returns. Returns 0
 * or an errno. */
int secret_write (const char *path, slice_t content);
/* As buf_fini, and nothing of it is left in memory. */
void secret_fini (buf_t *secret);

/* Whether a file of this mode is for its owner alone. What the service manager has put into $CREDENTIALS_DIRECTORY is
 * for this user alone by its folder, and by a list of access rights that shows as the group's right to read. */
bool secret_is_private (const char *path, mode_t mode);

#endif
