/* archive.h - a project's ZIP into a folder, by rules that hold whatever the bytes are (README.md of this folder).
 *
 * Two passes: the first looks at every entry and writes nothing, the second writes and counts real bytes.
 */
#ifndef GLEANER_WORKER_ARCHIVE_H
#define GLEANER_WORKER_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARCHIVE_ENTRIES_MAX = 10000,
    ARCHIVE_PATH_MAX = 1024,
    ARCHIVE_DEPTH_MAX = 32,
    ARCHIVE_RATIO_MAX = 100, /* extracted bytes to the archive's, once above ARCHIVE_RATIO_FREE */
    ARCHIVE_RATIO_FREE = 16 * 1024 * 1024,
};
#define ARCHIVE_BYTES_MAX (1LL << 30) /* extracted */

/* Extracts `archive` into `folder`, which is there and empty. False and one sentence in `problem` when it is refused;
 * then the folder may hold a part, and errno says what failed on our side, if anything did (ENOSPC), else it is 0. */
bool archive_extract (const char *archive, const char *folder, char *problem, size_t problem_size);

/* The names of an archive seen so far. Zero-initialised is empty. */
typedef struct {
    struct archive_name **buckets;
    size_t count;
} archive_names_t;
void archive_names_fini (archive_names_t *self);
/* Checks an entry's path: relative, without "..", backslashes, control characters; not seen before, in whatever letter
 * case; no file where a folder is, nor the reverse. False and one sentence in `problem`. */
bool archive_path_check (archive_names_t *self, const char *path, bool is_folder, char *problem, size_t problem_size);
/* Writes one sentence about an entry, its name made printable. Returns false. */
bool archive_refuse_entry (const char *path, const char *why, char *problem, size_t problem_size);

/* Reads a ZIP of its own, so that what the library does once is done before a process is forked that reads another. */
void archive_warm (void);

#endif
