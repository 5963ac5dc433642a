/* journal.h - the text of an attempt's journal (rule 33 of proto/README.md): what happened when.
 *
 * It only writes and merges; time is given, in milliseconds since the attempt came to this worker. Bytes of one stream
 * that follow each other within 10 ms are one entry, of 64 KiB at most, and so are those of a line that is complete
 * within 30 ms. Near its end, `cut`, it tells no more of them, and at JOURNAL_MAX of nothing. */
#ifndef GLEANER_WORKER_JOURNAL_H
#define GLEANER_WORKER_JOURNAL_H

#include "proto/buf.h"
#include "proto/limits.h"
#include "proto/stream.h"

enum {
    JOURNAL_MERGE_MS = 10,
    JOURNAL_LINE_MS = 30,
    JOURNAL_ENTRY_MAX = 64 * 1024,
    /* What is kept free for commands, of which there may be COMMAND_MAX / 2, and for usage. */
    JOURNAL_PRINTED_MAX = JOURNAL_MAX - 3 * 1024 * 1024,
    JOURNAL_USE_MAX = JOURNAL_MAX - 2 * 1024 * 1024,
};

/* Bytes of a stream that no entry tells of yet. */
typedef struct {
    int64_t bytes;
    int64_t lines;
    int64_t since_ms;
} journal_piece_t;

/* Zeroed is valid and empty. */
typedef struct {
    buf_t text;     /* complete entries; the owner takes them and empties it */
    int64_t length; /* of all entries so far */
    int64_t last_ms;
    bool cut;
    stream_t stream;       /* that the pieces are of */
    journal_piece_t lines; /* whole lines */
    journal_piece_t rest;  /* after them, within a line */
} journal_t;

void journal_fini (journal_t *self);
/* The attempt enters a phase: a word. */
void journal_phase (journal_t *self, const char *phase, int64_t now_ms);
/* The command `number`, from 1 on, begins; has ended; `signal_number` 0: by itself. */
void journal_begin (journal_t *self, int64_t number, int64_t now_ms);
void journal_end (journal_t *self, int64_t number, int exit_code, int signal_number, int64_t now_ms);
/* CPU time of all its processes so far, their resident memory now, and how many they are. */
void journal_use (journal_t *self, int64_t cpu_ms, int64_t rss_bytes, int64_t processes, int64_t now_ms);
/* What it may use, as limits_text tells. */
void journal_limits (journal_t *self, const char *text, int64_t now_ms);
/* The stream grew by these bytes. */
void journal_printed (journal_t *self, stream_t stream, const char *bytes, size_t len, int64_t now_ms);
/* When journal_tick is to be called next; -1: nothing waits. */
int64_t journal_due_ms (const journal_t *self);
/* Completes the entries whose time has come. */
void journal_tick (journal_t *self, int64_t now_ms);
/* Completes all. */
void journal_flush (journal_t *self);

#endif
