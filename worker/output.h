/* output.h - one stream of a job: from the pipe into a file, from the file to the broker, in pieces with offsets.
 *
 * The file lets the job run on through any outage, and keeps memory flat whatever it prints. */
#ifndef GLEANER_WORKER_OUTPUT_H
#define GLEANER_WORKER_OUTPUT_H

#include "worker/backoff.h"
#include "worker/lease.h"
#include "worker/transport.h"

typedef struct output output_t;

/* What an output needs of its job. */
typedef struct {
    /* All that is there has been sent, or sending failed for good with `err` (the lease is gone), or the job is to
     * stop. */
    void (*sent) (void *ctx);
    void (*lost) (void *ctx, err_t err);
    void (*cancelled) (void *ctx);
    void *ctx;
} output_events_t;

struct output {
    loop_t *loop;
    transport_t *transport;
    const lease_t *lease;
    const char *name; /* "stdout" or "stderr" */
    char *path;       /* of the file, made when the first byte comes */
    int fd;           /* -1: no byte yet */
    int64_t length;   /* bytes in the file */
    int64_t acked;    /* bytes that the broker has */
    bool begun;       /* something was sent */
    call_id_t call;
    loop_timer_t timer;
    backoff_t backoff;
    output_events_t events;
};

void output_init (output_t *self, loop_t *loop, transport_t *transport, const lease_t *lease, const char *name,
                  char *path, const output_events_t *events);
void output_fini (output_t *self);
/* Moves what the pipe holds into the file. False at its end. An errno of the disk goes to `*error`. */
bool output_take (output_t *self, int pipe_fd, int *error);
/* Opens the file of an earlier run. */
void output_reopen (output_t *self);
/* Sends what is not yet sent, soon or now; `sent` is called when nothing is left. */
void output_send_soon (output_t *self);
void output_send (output_t *self);
/* The broker has just `offset` bytes: go on from there. */
void output_rewind (output_t *self, int64_t offset);
/* The whole file into `out`; it is short. Returns 0 or an errno. */
int output_read_all (const output_t *self, buf_t *out);

#endif
