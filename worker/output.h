/* output.h - one stream of a job: from the pipe into a file, from the file to the broker, in pieces with offsets.
 *
 * The file lets the job run on through any outage, and keeps memory flat whatever it prints. What is printed beyond
 * `max` is counted and dropped. The worker's own stream, the journal, comes from memory instead of a pipe. */
#ifndef GLEANER_WORKER_OUTPUT_H
#define GLEANER_WORKER_OUTPUT_H

#include <nettle/sha2.h>

#include "proto/stream.h"
#include "worker/backoff.h"
#include "worker/lease.h"
#include "worker/mask.h"
#include "worker/transport.h"

typedef struct output output_t;

/* What an output needs of its job. */
typedef struct {
    /* All that is there has been sent, or sending failed for good with `err` (the lease is gone), or the job is to
     * stop. */
    void (*sent) (void *ctx);
    void (*lost) (void *ctx, err_t err);
    void (*cancelled) (void *ctx);
    /* The file has grown by these bytes. NULL: nobody asks. */
    void (*kept) (void *ctx, stream_t stream, const char *bytes, size_t len);
    void *ctx;
} output_events_t;

struct output {
    loop_t *loop;
    transport_t *transport;
    const lease_t *lease;
    stream_t stream;
    char *path;           /* of the file, made when the first byte comes */
    int fd;               /* -1: no byte yet */
    int64_t max;          /* bytes kept */
    mask_stream_t masked; /* what of it is yet to be looked at */
    int64_t soon_ms;      /* how long output_send_soon waits before it sends the first of them */
    int64_t length;       /* bytes in the file */
    int64_t dropped;      /* bytes that are not */
    int64_t acked;        /* bytes that the broker has */
    bool begun;           /* something was sent */
    bool paused;          /* output_send_soon does nothing */
    bool replacing;       /* what is sent goes into a copy that takes the place of what the broker has */
    bool anew;            /* and that copy is yet to begin: with a piece, be it empty */
    bool given_up;        /* nothing of it is sent any more */
    struct sha256_ctx hash;
    call_id_t call;
    loop_timer_t timer;
    backoff_t backoff;
    output_events_t events;
};

void output_init (output_t *self, loop_t *loop, transport_t *transport, const lease_t *lease, stream_t stream,
                  char *path, const output_events_t *events);
void output_fini (output_t *self);
/* Moves what the pipe holds into the file, up to `max`. False at its end. An errno of the disk goes to `*error`. */
bool output_take (output_t *self, int pipe_fd, int *error);
/* What is printed goes through this first; it is borrowed. */
void output_mask (output_t *self, const mask_t *mask);
/* Nothing more is printed: what might have been the beginning of a secret goes into the file. As output_take. */
void output_end (output_t *self, int *error);
/* Adds these bytes to the file. Returns 0 or an errno of the disk. */
int output_append (output_t *self, slice_t bytes);
/* Opens the file of an earlier run and reads it all. */
void output_reopen (output_t *self);
/* SHA-256 of what is in the file, as hex. */
void output_sha256 (const output_t *self, char hex[SHA256_HEX + 1]);
/* Sends what is not yet sent, soon or now; `sent` is called when nothing is left. */
void output_send_soon (output_t *self);
void output_send (output_t *self);
/* True when the broker has all that is there, or shall not have it. */
bool output_is_sent (const output_t *self);
/* Nothing is sent until output_send, or output_go_on. */
void output_pause (output_t *self);
void output_go_on (output_t *self);
/* The broker has just `offset` bytes: go on from there. */
void output_rewind (output_t *self, int64_t offset);
/* The broker has other bytes than these: all of them are to be sent again, to take the place of its. */
void output_replace (output_t *self);
/* Nothing of it is sent any more. */
void output_give_up (output_t *self);
/* The whole file into `out`; it is short. Returns 0 or an errno. */
int output_read_all (const output_t *self, buf_t *out);

#endif
