/* id.h - the one place where ids are made and read.
 *
 * A job id is `job-MILLISECONDS-XXXYYYYYY`: 13 digits of ms since the epoch, three base-36 characters that count jobs
 * within that millisecond and six of random. Ids of one broker therefore sort in order of creation. Time and count make
 * one integer, the job's sequence number (`seq`), which is its key in core and store; the six are its `salt`.
 */
#ifndef GLEANER_ID_H
#define GLEANER_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

enum {
    JOB_SALT_LEN = 6,
    JOB_ID_LEN = 4 + 13 + 1 + 9,
    JOB_SEQ_PER_MS = 36 * 36 * 36,
};

#define JOB_MS_MAX 9999999999999LL /* the last millisecond that an id has digits for */

typedef struct {
    int64_t seq; /* ms * JOB_SEQ_PER_MS + count; > 0 */
    char salt[JOB_SALT_LEN + 1];
} job_id_t;

/* The next seq after `last_seq` at wall time `wall_ms`: never lower than last_seq + 1, even when the clock went back.
 */
int64_t job_seq_next (int64_t last_seq, int64_t wall_ms);
/* Fills the salt from 64 random bits. */
void job_salt_make (uint64_t random, char salt[JOB_SALT_LEN + 1]);
/* Writes the 27 characters and a NUL. */
void job_id_format (const job_id_t *id, char out[JOB_ID_LEN + 1]);
/* False when `text` is not a job id. */
bool job_id_parse (slice_t text, job_id_t *out);

/* Hex of `len` bytes: 2 * len characters and a NUL. */
void hex_format (const void *bytes, size_t len, char *out);
/* True when `text` is `digits` lower-case hex digits. */
bool hex_valid (slice_t text, size_t digits);
/* 32 hex digits of fresh random (libsodium) and a NUL: upload ids, worker ids. */
void random_id_make (char out[33]);

/* A blob's fileUrl: "/uploads/SHA256.zip". */
enum { BLOB_URL_LEN = 9 + 64 + 4 };
void blob_url_format (slice_t sha256, char out[BLOB_URL_LEN + 1]);
/* The hash inside a fileUrl or an /uploads/ path made by blob_url_format; absent when it is none. */
slice_t blob_url_sha256 (slice_t url);

/* True when `name` is one plain path component: not empty, "." or "..", no '/', '\\' or control characters, no leading
 * '-', 255 bytes at most, valid UTF-8 (http-api.md: old agents join it to their folder). */
bool filename_safe (slice_t name);
/* True when `url` is a path under /uploads/ without dot segments, or an absolute http(s) URL; no control characters. */
bool file_url_safe (slice_t url);
/* True when `id` can name a worker: 1 to ID_MAX bytes of printable UTF-8 without control characters or newline. */
bool worker_id_safe (slice_t id);

#endif
