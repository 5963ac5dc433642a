#include "worker/journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/limits.h"

void journal_fini (journal_t *self)
{
    buf_fini (&self->text);
}

static void __attribute__ ((format (printf, 3, 4))) put (journal_t *self, int64_t ms, const char *format, ...)
{
    char rest[128];
    size_t from = self->text.len;
    va_list args;
    if (ms > self->last_ms)
        self->last_ms = ms;
    va_start (args, format);
    vsnprintf (rest, sizeof rest, format, args);
    va_end (args);
    buf_printf (&self->text, "%lld %s\n", (long long)self->last_ms, rest);
    if (self->written + (int64_t)(self->text.len - from) > JOURNAL_MAX)
        self->text.len = from;
    self->written += (int64_t)(self->text.len - from);
}

/* Puts what is gathered. */
static void put_entry (journal_t *self, int64_t ms)
{
    static const char *const kinds[STREAM_PRINTED_COUNT] = { "out", "err" };
    if (!self->entry.bytes)
        return;
    if (!self->cut && self->written > JOURNAL_MAX - JOURNAL_RESERVE) {
        put (self, ms, "cut");
        self->cut = true;
    }
    if (!self->cut)
        put (self, ms, "%s %lld %lld%s", kinds[self->entry.stream], (long long)self->entry.bytes,
             (long long)self->entry.lines, self->entry.partial ? "+" : "");
    self->entry.bytes = self->entry.lines = 0;
}

static void gather (journal_t *self, int64_t ms, stream_t stream, int64_t bytes, int64_t lines, bool partial)
{
    if (self->entry.bytes && (self->entry.stream != stream || self->entry.bytes + bytes > JOURNAL_ENTRY_MAX ||
                              ms - self->entry.since_ms > JOURNAL_MERGE_MS))
        put_entry (self, ms);
    if (!self->entry.bytes)
        self->entry.since_ms = ms;
    self->entry.stream = stream;
    self->entry.bytes += bytes;
    self->entry.lines += lines;
    self->entry.partial = partial;
}

/* The beginning of a line goes without its end. */
static void release (journal_t *self, int64_t ms, stream_t stream)
{
    int64_t bytes = self->held[stream].bytes;
    self->held[stream].bytes = 0;
    if (bytes)
        gather (self, ms, stream, bytes, 0, true);
}

static int64_t count_lines (slice_t bytes)
{
    int64_t lines = 0;
    const char *end = bytes.ptr + bytes.len;
    for (const char *at = bytes.ptr; (at = memchr (at, '\n', (size_t)(end - at))); at++)
        lines++;
    return lines;
}

/* No more than JOURNAL_ENTRY_MAX / 2. */
static void printed_piece (journal_t *self, int64_t ms, stream_t stream, slice_t piece)
{
    const char *newline = memrchr (piece.ptr, '\n', piece.len);
    int64_t whole = newline ? newline + 1 - piece.ptr : 0;
    if (whole) {
        int64_t held = self->held[stream].bytes;
        self->held[stream].bytes = 0;
        gather (self, ms, stream, held + whole, count_lines (slice_from (piece.ptr, (size_t)whole)), false);
    }
    if (!self->held[stream].bytes)
        self->held[stream].since_ms = ms;
    self->held[stream].bytes += (int64_t)piece.len - whole;
    if (self->held[stream].bytes >= JOURNAL_ENTRY_MAX / 2)
        release (self, ms, stream);
}

void journal_printed (journal_t *self, int64_t ms, stream_t stream, slice_t bytes)
{
    while (bytes.len) {
        size_t len = bytes.len < JOURNAL_ENTRY_MAX / 2 ? bytes.len : JOURNAL_ENTRY_MAX / 2;
        printed_piece (self, ms, stream, slice_from (bytes.ptr, len));
        bytes = slice_from (bytes.ptr + len, bytes.len - len);
    }
}

void journal_flush (journal_t *self, int64_t ms, bool all)
{
    for (int stream = 0; stream < STREAM_PRINTED_COUNT; stream++)
        if (all || ms - self->held[stream].since_ms >= JOURNAL_HOLD_MS)
            release (self, ms, (stream_t)stream);
    if (all || ms - self->entry.since_ms >= JOURNAL_MERGE_MS)
        put_entry (self, ms);
}

int64_t journal_due_ms (const journal_t *self)
{
    int64_t due = self->entry.bytes ? self->entry.since_ms + JOURNAL_MERGE_MS : INT64_MAX;
    for (int stream = 0; stream < STREAM_PRINTED_COUNT; stream++)
        if (self->held[stream].bytes && self->held[stream].since_ms + JOURNAL_HOLD_MS < due)
            due = self->held[stream].since_ms + JOURNAL_HOLD_MS;
    return due;
}

void journal_phase (journal_t *self, int64_t ms, const char *phase)
{
    journal_flush (self, ms, true);
    put (self, ms, "phase %s", phase);
}

void journal_begin (journal_t *self, int64_t ms, int64_t command)
{
    put_entry (self, ms);
    put (self, ms, "begin %lld", (long long)command);
}

void journal_end (journal_t *self, int64_t ms, int64_t command, int exit_code, int signal_number)
{
    journal_flush (self, ms, true);
    if (signal_number)
        put (self, ms, "end %lld %d %d", (long long)command, exit_code, signal_number);
    else
        put (self, ms, "end %lld %d", (long long)command, exit_code);
}

void journal_use (journal_t *self, int64_t ms, int64_t cpu_ms, int64_t memory_bytes, int64_t processes)
{
    put_entry (self, ms);
    put (self, ms, "use %lld %lld %lld", (long long)cpu_ms, (long long)memory_bytes, (long long)processes);
}
