/* zip_index.h - what a ZIP says of itself, read without a library.
 *
 * A ZIP tells of each entry twice: in the directory at its end, and in a header before its bytes. Readers that believe
 * one or the other see different archives. Here both are read, and where they differ the archive is refused: what is
 * in the index has one meaning.
 */
#ifndef GLEANER_WORKER_ZIP_INDEX_H
#define GLEANER_WORKER_ZIP_INDEX_H

#include "worker/archive.h"

typedef struct {
    int64_t header; /* where its own header begins */
    int64_t data;   /* where its bytes begin */
    int64_t packed; /* bytes in the archive */
    int64_t bytes;  /* once unpacked, as it says */
    bool is_folder;
    bool runs;  /* its owner may execute it */
    bool gone;  /* not to be unpacked: a delta's list of what is to be removed, and what a delta takes away */
    char *path; /* checked; without a slash at its end */
} zip_entry_t;

/* Zero-initialised is empty. */
typedef struct {
    zip_entry_t *entries; /* in the order of their bytes */
    size_t count;
} zip_index_t;

/* Reads the index of the ZIP behind a descriptor, and checks every rule that can be checked without unpacking. False
 * with `refusal` filled. The caller ends it in any case. */
bool zip_index_read (zip_index_t *self, int fd, const archive_limits_t *limits, archive_refusal_t *refusal);
/* Likewise of one of two archives that are unpacked as one: what only the whole shows, names that clash and limits, is
 * not looked at (archive_delta.h). A delta may begin with the entry DELTA_REMOVED, which is `gone`. */
typedef enum { PART_BASE, PART_DELTA } zip_part_t;
#define DELTA_REMOVED "./removed"
bool zip_index_read_part (zip_index_t *self, int fd, zip_part_t part, archive_refusal_t *refusal);
/* What an archive of that length says that it becomes, against the limits. */
bool zip_sizes_check (int64_t bytes, int64_t archive_bytes, const archive_limits_t *limits, archive_refusal_t *refusal);
void zip_index_fini (zip_index_t *self);

#endif
