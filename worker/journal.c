#include "worker/journal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void journal_fini (journal_t *self)
{
    buf_fini (&self->text);
}

/* False when it does not fit into `max`. */
static bool __attribute__ ((format (printf, 4, 5)))
write_entry (journal_t *self, int64_t max, int64_t ms, const char *format, ...)
{
    char what[128];
    char entry[160];
    va_list args;
    if (ms < self->last_ms)
        ms = self->last_ms;
    va_start (args, format);
    vsnprintf (what, sizeof what, format, args);
    va_end (args);
    int len = snprintf (entry, sizeof entry, "%lld %s\n", (long long)ms, what);
    if (self->length + len > max)
        return false;
    buf_append (&self->text, entry, (size_t)len);
    self->length += len;
    self->last_ms = ms;
    return true;
}

/* ---- what was printed ---- */

static void write_printed (journal_t *self, const journal_piece_t *piece, bool within_line)
{
    static const char *const kinds[STREAM_PRINTED_COUNT] = { "out", "err" };
    if (self->cut)
        return;
    self->cut = !write_entry (self, JOURNAL_PRINTED_MAX, piece->since_ms, "%s %lld %lld%s", kinds[self->stream],
                              (long long)piece->bytes, (long long)piece->lines, within_line ? "+" : "");
    if (self->cut)
        write_entry (self, JOURNAL_MAX, piece->since_ms, "cut");
}

static void write_lines (journal_t *self)
{
    if (self->lines.bytes)
        write_printed (self, &self->lines, false);
    self->lines = (journal_piece_t){ 0 };
}

void journal_flush (journal_t *self)
{
    journal_piece_t all = self->lines;
    if (!self->rest.bytes) {
        write_lines (self);
        return;
    }
    if (!all.bytes)
        all.since_ms = self->rest.since_ms;
    all.bytes += self->rest.bytes;
    write_printed (self, &all, true);
    self->lines = self->rest = (journal_piece_t){ 0 };
}

static int64_t count_newlines (const char *bytes, size_t len)
{
    int64_t count = 0;
    for (const char *at = bytes; (at = memchr (at, '\n', (size_t)(bytes + len - at))); at++)
        count++;
    return count;
}

static void add (journal_t *self, const char *bytes, size_t len, int64_t now_ms)
{
    const char *last = memrchr (bytes, '\n', len);
    size_t whole = last ? (size_t)(last - bytes) + 1 : 0;
    if (whole) {
        if (!self->lines.bytes)
            self->lines.since_ms = self->rest.bytes ? self->rest.since_ms : now_ms;
        self->lines.bytes += self->rest.bytes + (int64_t)whole;
        self->lines.lines += count_newlines (bytes, whole);
        self->rest = (journal_piece_t){ 0 };
    }
    if (len > whole && !self->rest.bytes)
        self->rest.since_ms = now_ms;
    self->rest.bytes += (int64_t)(len - whole);
}

void journal_printed (journal_t *self, stream_t stream, const char *bytes, size_t len, int64_t now_ms)
{
    if (stream != self->stream)
        journal_flush (self);
    self->stream = stream;
    while (len) {
        size_t room = (size_t)(JOURNAL_ENTRY_MAX - self->lines.bytes - self->rest.bytes);
        size_t part = len < room ? len : room;
        add (self, bytes, part, now_ms);
        bytes += part;
        len -= part;
        if (part == room && self->lines.bytes)
            write_lines (self);
        else if (part == room)
            journal_flush (self);
    }
    journal_tick (self, now_ms);
}

int64_t journal_due_ms (const journal_t *self)
{
    if (self->lines.bytes)
        return self->lines.since_ms + JOURNAL_MERGE_MS;
    return self->rest.bytes ? self->rest.since_ms + JOURNAL_LINE_MS : -1;
}

void journal_tick (journal_t *self, int64_t now_ms)
{
    if (self->lines.bytes && now_ms >= self->lines.since_ms + JOURNAL_MERGE_MS)
        write_lines (self);
    if (self->rest.bytes && now_ms >= self->rest.since_ms + JOURNAL_LINE_MS)
        journal_flush (self);
}

/* ---- what happened ---- */

void journal_phase (journal_t *self, const char *phase, int64_t now_ms)
{
    journal_flush (self);
    write_entry (self, JOURNAL_MAX, now_ms, "phase %s", phase);
}

void journal_begin (journal_t *self, int64_t number, int64_t now_ms)
{
    journal_flush (self);
    write_entry (self, JOURNAL_MAX, now_ms, "begin %lld", (long long)number);
}

void journal_end (journal_t *self, int64_t number, int exit_code, int signal_number, int64_t now_ms)
{
    journal_flush (self);
    if (signal_number)
        write_entry (self, JOURNAL_MAX, now_ms, "end %lld %d %d", (long long)number, exit_code, signal_number);
    else
        write_entry (self, JOURNAL_MAX, now_ms, "end %lld %d", (long long)number, exit_code);
}

void journal_limits (journal_t *self, const char *text, int64_t now_ms)
{
    journal_flush (self);
    write_entry (self, JOURNAL_MAX, now_ms, "limits %s", text);
}

void journal_use (journal_t *self, int64_t cpu_ms, int64_t rss_bytes, int64_t processes, int64_t now_ms)
{
    journal_flush (self);
    write_entry (self, JOURNAL_USE_MAX, now_ms, "use %lld %lld %lld", (long long)cpu_ms, (long long)rss_bytes,
                 (long long)processes);
}
