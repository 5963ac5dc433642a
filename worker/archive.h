/* archive.h - a project's ZIP into a folder, by rules that hold whatever the bytes are (README.md of this folder).
 *
 * Two passes: the first reads what the ZIP says of itself (zip_index.h) and writes nothing. In the second the library
 * unpacks, real bytes are counted, and each entry is held against what the first pass has found.
 */
#ifndef GLEANER_WORKER_ARCHIVE_H
#define GLEANER_WORKER_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/buf.h"
#include "worker/archive_limits.h"

enum {
    ARCHIVE_PATH_MAX = 1024,
    ARCHIVE_NAME_MAX = 255, /* of one part of a path */
    ARCHIVE_RATIO_FREE = 16 * 1024 * 1024,
};

/* What to do about too many. */
#define ARCHIVE_FEWER ": leave some out in .gleanerignore, or raise the worker's --archive-files."

/* Why an archive is refused. */
typedef struct {
    const char *code; /* one of README.md's words; NULL: the fault is not the archive's */
    int error;        /* then: an errno */
    char text[400];   /* one sentence, printable */
} archive_refusal_t;

/* Extracts what is behind the descriptor `archive` into the folder that `folder` is open on (O_PATH is enough), which
 * is empty. Opens nothing else, and nothing to read. False with `refusal` filled: then the folder may hold a part. */
bool archive_extract (int archive, int folder, const archive_limits_t *limits, archive_refusal_t *refusal);

/* Likewise of two, as if what is in them were one archive (rule 44 of proto/README.md): `delta` is laid over it. */
bool archive_extract_delta (int archive, int delta, int folder, const archive_limits_t *limits,
                            archive_refusal_t *refusal);

/* As archive_extract, or with a `delta` that is not -1 as archive_extract_delta, where `folder` holds what
 * archive_extract has made of that archive, and nothing else has touched it: what is not to be there in the end is
 * removed, what is stays, and folders get the time of now. After any failure the folder is of no use, and extracting
 * into an empty one tells what is the matter. */
bool archive_extract_over (int archive, int delta, int folder, const archive_limits_t *limits,
                           archive_refusal_t *refusal);

/* Bytes of disk that an archive takes which was extracted; about. -1 on failure. */
int64_t archive_room (int archive, const archive_limits_t *limits);

/* Reads a ZIP of its own, so that what the library does once is done before a process is forked, or shut in, that reads
 * another. */
void archive_warm (void);

/* ---- archive_check.c ---- */

/* The names of an archive seen so far. Zero-initialised is empty. */
typedef struct {
    struct archive_name **buckets;
    size_t bucket_count;
    int64_t count; /* of files and folders, those too that are only a part of a path */
} archive_names_t;
void archive_names_fini (archive_names_t *self);
/* Checks an entry's path: relative, without "..", backslashes, control characters; not seen before; no file where a
 * folder is, nor the reverse. Two names are the same if they are so in NFC and without regard to letter case. False
 * with `refusal` filled. Without names the path alone is checked. */
bool archive_path_check (archive_names_t *self, const char *path, bool is_folder, const archive_limits_t *limits,
                         archive_refusal_t *refusal);
/* Whether two spellings in UTF-8 are one name: byte for byte, or in NFC. libarchive composes the names that it reads.
 */
bool archive_name_same (slice_t a, slice_t b);

/* Fills `refusal`. Returns false. */
bool archive_refuse (archive_refusal_t *refusal, const char *code, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));
/* Likewise, about an entry; its name is made printable. */
bool archive_refuse_entry (archive_refusal_t *refusal, const char *code, const char *path, const char *why);
/* Likewise, with errno. */
bool archive_refuse_errno (archive_refusal_t *refusal);

#endif
