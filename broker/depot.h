/* depot.h - bytes on disk, kept by a thread of their own so that the loop never waits for a disk's bytes.
 *
 *   DATA/blobs/ab/abcd...                  content-addressed: written to a temporary file, hashed, fsynced, renamed,
 *                                          its folder fsynced
 *   DATA/uploads/                          temporary files of uploads; swept at start
 *   DATA/output/SS/SEQ.ATTEMPT.stdout      append-only, likewise .stderr, .journal; SS = seq % 256 in hex
 *   DATA/output/SS/SEQ.ATTEMPT.stdout.new  a copy that takes the stream's place at seal
 *
 * Orders are carried out one after the other; each is answered once with an outcome. Order of one caller's orders is
 * kept, which is what lets a seal see every append before it.
 */
#ifndef GLEANER_DEPOT_H
#define GLEANER_DEPOT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/error.h"
#include "proto/stream.h"

typedef struct depot depot_t;

enum {
    BLOB_YOUNG_MS = 10 * 1000,
    UPLOAD_IDLE_MAX_MS = 10 * 60 * 1000, /* an upload that nobody continues is dropped */
};

typedef enum {
    DEPOT_BLOB_PUT,     /* upload, offset, data -> offset */
    DEPOT_BLOB_COMMIT,  /* upload, bytes, zip, sha256 (may be empty) -> sha256, bytes */
    DEPOT_BLOB_ABORT,   /* upload */
    DEPOT_BLOB_GET,     /* sha256, offset -> data, bytes */
    DEPOT_BLOB_CHECK,   /* sha256 -> bytes; NO_SUCH_BLOB */
    DEPOT_UPLOADS_DROP, /* idle_ms: uploads that nobody has continued for so long go */
    DEPOT_BLOB_REMOVE,  /* sha256: its file goes, unless it came again in the last BLOB_YOUNG_MS */
    DEPOT_APPEND,       /* seq, attempt, stream, offset (INT_ABSENT: end), replace, data -> offset */
    DEPOT_SEAL,    /* seq, attempt, expected lengths and hashes, sha256 of a blob that must be there (may be empty) ->
                    * lengths, hashes, small contents */
    DEPOT_READ,    /* seq, attempt, offset and limit per stream -> data per stream, lengths */
    DEPOT_DISCARD, /* seq, attempt, streams: their files go */
} depot_kind_t;

/* One order. Filled by the caller, owned by the depot from depot_submit until depot_take hands it back with its
 * outcome; then the caller destroys it. `frame` keeps the memory alive that `data` points into (a received ZeroMQ
 * message), so that bytes are not copied. */
typedef struct depot_order {
    depot_kind_t kind;
    uint64_t request; /* the loop's handle, carried through */
    void *frame;      /* zmq_msg_t *, closed and freed by depot_order_destroy; NULL when none */

    char upload[129];
    char sha256[65];
    bool zip;
    int64_t idle_ms; /* UPLOADS_DROP */
    int64_t seq, attempt;
    int streams;                   /* DISCARD: bit 1 << stream */
    int64_t tail;                  /* READ: bytes of each stream's end that are wanted too; */
    int64_t ends_from, ends_count; /* and of these attempts: of stderr, or of stdout when that is silent */
    stream_t stream;
    bool replace;
    int64_t offset;
    slice_t data;
    struct {
        int64_t expected; /* SEAL; INT_ABSENT: whatever is there */
        char sha256[65];  /* SEAL; empty: whatever it is */
        int64_t offset;   /* READ */
        int64_t limit;    /* READ */
    } want[STREAM_COUNT];

    /* outcome */
    err_t err;
    int64_t bytes; /* a blob's length; APPEND, BLOB_PUT: the length now; OUTPUT_GAP, OUTPUT_MISMATCH: likewise */
    stream_t fault_stream;   /* OUTPUT_MISMATCH: which */
    buf_t got[STREAM_COUNT]; /* BLOB_GET: got[0]; READ, SEAL: content */
    buf_t end[STREAM_COUNT]; /* READ: the last `tail` bytes */
    buf_t *ends;             /* READ: likewise; `ends_count` of them, or NULL */
    bool has[STREAM_COUNT];  /* SEAL: `got` holds the whole stream and its file is gone */
    int64_t length[STREAM_COUNT];
    char hash[STREAM_COUNT][65];   /* SEAL */
    int64_t dropped[STREAM_COUNT]; /* SEAL: bytes beyond the cap, as far as is remembered */

    struct depot_order *next; /* the depot's */
} depot_order_t;

depot_order_t *depot_order_new (depot_kind_t kind, uint64_t request);
void depot_order_destroy (depot_order_t **self_p);

/* Makes the folders below `data_dir`, sweeps left-overs, starts the thread. Of what is printed, `output_max` bytes of
 * each stream are kept, of a journal JOURNAL_MAX, the rest is dropped. NULL and one sentence in `problem` on failure.
 */
depot_t *depot_new (const char *data_dir, int64_t output_max, char *problem, size_t problem_size);
/* Finishes what was submitted, stops the thread. */
void depot_destroy (depot_t **self_p);

/* Bytes of all output files there are. */
int64_t depot_output_bytes (const depot_t *self);
/* An fd that is readable when depot_take has something (an eventfd). */
int depot_fd (const depot_t *self);
/* Consumes the order. BUSY (the order stays the caller's) when ORDERS_MAX orders or ORDER_BYTES_MAX bytes are queued.
 */
err_t depot_submit (depot_t *self, depot_order_t **order_p);
/* The next finished order, the caller's; NULL when there is none. */
depot_order_t *depot_take (depot_t *self);

#endif
