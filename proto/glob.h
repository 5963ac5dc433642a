/* glob.h - patterns of files below a folder, as a job's artifacts are named.
 *
 * `*` and `?` stand for any characters and one character of a path component, `[a-z]` and `[!a-z]` for one of a set,
 * `**` as a component of its own for any number of folders. Matching begins at the top: "*.log" is not found in "a/".
 * What matches a folder takes everything below it; a pattern with a slash at its end matches folders only. Names that
 * begin with a dot are names like others.
 */
#ifndef GLEANER_GLOB_H
#define GLEANER_GLOB_H

#include <stdbool.h>

/* True when the pattern stays below the folder: not empty, no leading '/', no "..", no backslash, no control
 * characters (BAD_GLOB of proto/README.md). */
bool glob_safe (const char *pattern);
/* True when the pattern, a safe one, takes the file at `path`: relative, with single slashes, without "." and "..".
 * Its time grows with the product of the lengths, whatever the pattern is. */
bool glob_match (const char *pattern, const char *path);

#endif
