/* journal.h - what happened when in an attempt, as text (rule 33 of proto/README.md): pure, time comes in.
 *
 * All times are ms since the worker was handed the attempt. Entries gather in `text`, for the caller to take away. */
#ifndef GLEANER_WORKER_JOURNAL_H
#define GLEANER_WORKER_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/stream.h"

enum {
    JOURNAL_MERGE_MS = 10,         /* pieces of one stream that come within this are one entry */
    JOURNAL_HOLD_MS = 30,          /* the beginning of a line waits so long for its end */
    JOURNAL_ENTRY_MAX = 64 * 1024, /* bytes of output that one entry tells of */
    JOURNAL_RESERVE = 64 * 1024,   /* of JOURNAL_MAX: for entries that are not of output, after a `cut` */
};

typedef struct {
    buf_t text;      /* entries */
    int64_t written; /* bytes of entries so far, those taken away too */
    int64_t last_ms; /* time never goes back */
    bool cut;
    struct {
        stream_t stream;
        int64_t since_ms;
        int64_t bytes; /* 0: nothing is gathered */
        int64_t lines;
        bool partial; /* its last byte is no newline */
    } entry;
    struct {
        int64_t bytes; /* of the beginning of a line */
        int64_t since_ms;
    } held[STREAM_PRINTED_COUNT];
} journal_t;

void journal_fini (journal_t *self);
/* `bytes` were kept of a stream. */
void journal_printed (journal_t *self, int64_t ms, stream_t stream, slice_t bytes);
/* The attempt enters `phase`. */
void journal_phase (journal_t *self, int64_t ms, const char *phase);
void journal_begin (journal_t *self, int64_t ms, int64_t command);
/* `signal_number` 0: none. What was held back of output stands before it. */
void journal_end (journal_t *self, int64_t ms, int64_t command, int exit_code, int signal_number);
void journal_use (journal_t *self, int64_t ms, int64_t cpu_ms, int64_t memory_bytes, int64_t processes);
/* Puts what has waited long enough into `text`; all of it when `all`. */
void journal_flush (journal_t *self, int64_t ms, bool all);
/* When journal_flush has something to do; INT64_MAX: when more was printed. */
int64_t journal_due_ms (const journal_t *self);

#endif
