/* depot_internal.h - what the depot's own files share. All of it belongs to the depot's thread. */
#ifndef GLEANER_DEPOT_INTERNAL_H
#define GLEANER_DEPOT_INTERNAL_H

#include <nettle/sha2.h>
#include <stdatomic.h>

#include "broker/depot.h"
#include "proto/limits.h"
#include "proto/message.h"

enum {
    UPLOADS_MAX = 1024,   /* open uploads; one more is refused with TOO_MANY */
    OUTPUT_FDS_MAX = 512, /* output files kept open */
    OUTPUT_FOLDERS = 256,
    OUTPUT_NEAR = 65536, /* places of jobs in the count of their files: a power of two */
};

typedef struct upload upload_t;

typedef struct {
    int folder; /* DATA/blobs */
    int uploads_folder;
    upload_t **uploads;
    size_t count;
    uint64_t serial;
} depot_blobs_t;

typedef struct {
    int64_t seq;
    int64_t attempt;
    stream_t stream;
    bool replace;
    int fd; /* -1: free */
    int64_t length;
    int64_t hashed; /* bytes that `hash` has taken: behind `length` for a file that was opened again */
    int64_t dropped;
    struct sha256_ctx hash;
} output_file_t;

typedef struct {
    int folder;            /* DATA/output */
    int64_t max;           /* bytes kept of a printed stream */
    _Atomic int64_t bytes; /* in all files; read from the loop's thread too */
    output_file_t files[OUTPUT_FDS_MAX];
    uint32_t near[OUTPUT_NEAR]; /* files in the folders, by their job's place; never too few */
} depot_outputs_t;

/* depot_blob.c. Each fills the order's outcome. */
bool depot_blobs_init (depot_blobs_t *self, int data_folder);
void depot_blobs_fini (depot_blobs_t *self);
void depot_blob_put (depot_blobs_t *self, depot_order_t *order);
void depot_blob_commit (depot_blobs_t *self, depot_order_t *order);
void depot_uploads_drop (depot_blobs_t *self, int64_t idle_ms);
void depot_blob_abort (depot_blobs_t *self, depot_order_t *order);
void depot_blob_get (depot_blobs_t *self, depot_order_t *order);
void depot_blob_remove (depot_blobs_t *self, depot_order_t *order);
bool depot_blob_there (const depot_blobs_t *self, const char *sha256, int64_t *bytes);

/* depot_output.c */
bool depot_outputs_init (depot_outputs_t *self, int data_folder);
void depot_outputs_fini (depot_outputs_t *self);
void depot_append (depot_outputs_t *self, depot_order_t *order);
void depot_seal (depot_outputs_t *self, depot_order_t *order);
void depot_read (depot_outputs_t *self, depot_order_t *order);
void depot_read_ends (depot_outputs_t *self, depot_order_t *order);
void depot_discard (depot_outputs_t *self, depot_order_t *order);

/* depot_file.c */
/* Opens folder `name` below `parent`, made when missing; -1 with errno on failure. */
int depot_folder_open (int parent, const char *name);
/* Writes all of it at `offset`. Returns 0, DISK_FULL or INTERNAL (logged). */
err_t depot_write_at (int fd, slice_t data, int64_t offset);
/* Appends up to `limit` bytes from `offset` to `out`; fewer only at the file's end. */
err_t depot_read_at (int fd, int64_t offset, int64_t limit, buf_t *out);
/* DISK_FULL or INTERNAL for errno, logged with what was done. */
err_t depot_failed (const char *what);

#endif
