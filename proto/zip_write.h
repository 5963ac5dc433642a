/* zip_write.h - a ZIP that is written file by file: a job's artifacts, a project on its way to the server.
 *
 * Files have their own times and no owners, so that the same files give the same bytes.
 */
#ifndef GLEANER_ZIP_WRITE_H
#define GLEANER_ZIP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

typedef struct zip_write zip_write_t;

/* Begins a ZIP in an empty file, which stays the caller's, and loads what it takes. The caller ends it. NULL and one
 * sentence in `problem`. */
zip_write_t *zip_write_new (int fd, char *problem, size_t problem_size);
/* Adds what can be read from `fd`, `info->st_size` bytes at most. 0; 1: it could not be read to that length, and what
 * was read is kept; -1 and one sentence in `problem`: the ZIP cannot be written. */
int zip_write_add (zip_write_t *self, const char *name, const struct stat *info, int fd, char *problem,
                   size_t problem_size);
/* From now on `fn` hears the bytes of each file, as they are packed. */
typedef void zip_tap_fn (void *ctx, const void *bytes, size_t len);
void zip_write_tap (zip_write_t *self, zip_tap_fn *fn, void *ctx);
/* Writes what is left, when `keep`. Consumes and nulls. False and one sentence in `problem`. */
bool zip_write_end (zip_write_t **self_p, bool keep, char *problem, size_t problem_size);

#endif
