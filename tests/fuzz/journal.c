/* A job's journal: whatever is printed, in whatever pieces and at whatever times, its entries are lines, in the order
 * of their times, and no more than allowed. */
#include "worker/journal.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return 0;
}

static void act (journal_t *journal, slice_t *in, int64_t now_ms, int64_t *printed)
{
    uint8_t how = fuzz_byte (in);
    slice_t text;
    switch (how % 8) {
    case 0:
        journal_phase (journal, "run", now_ms);
        break;
    case 1:
        journal_begin (journal, fuzz_16 (in), now_ms);
        break;
    case 2:
        journal_end (journal, fuzz_16 (in), fuzz_byte (in), fuzz_byte (in), now_ms);
        break;
    case 3:
        journal_use (journal, (int64_t)fuzz_64 (in) & INT64_MAX, fuzz_16 (in), fuzz_byte (in), now_ms);
        break;
    case 4:
        journal_tick (journal, now_ms);
        break;
    case 5:
        journal_flush (journal);
        break;
    default:
        text = fuzz_take (in, fuzz_16 (in));
        journal_printed (journal, how & 8 ? STREAM_STDERR : STREAM_STDOUT, text.ptr, text.len, now_ms);
        *printed += (int64_t)text.len;
    }
}

/* Bytes that the entries tell of. */
static int64_t check_lines (slice_t text)
{
    int64_t last_ms = 0;
    int64_t told = 0;
    while (text.len) {
        const char *end = memchr (text.ptr, '\n', text.len);
        CHECK (end);
        char *line = slice_dup (slice_from (text.ptr, (size_t)(end - text.ptr)));
        char *rest = NULL;
        int64_t ms = strtoll (line, &rest, 10);
        CHECK (rest > line && *rest == ' ' && ms >= last_ms);
        if (strncmp (rest, " out ", 5) == 0 || strncmp (rest, " err ", 5) == 0)
            told += strtoll (rest + 5, NULL, 10);
        last_ms = ms;
        free (line);
        text = slice_from (end + 1, text.len - (size_t)(end + 1 - text.ptr));
    }
    return told;
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    journal_t journal = { 0 };
    int64_t now_ms = 0;
    int64_t printed = 0;
    while (in.len) {
        now_ms += (int8_t)fuzz_byte (&in); /* a clock that goes back, too */
        act (&journal, &in, now_ms < 0 ? 0 : now_ms, &printed);
    }
    journal_flush (&journal);
    CHECK (journal.length == (int64_t)journal.text.len && journal.length <= JOURNAL_MAX);
    int64_t told = check_lines (buf_slice (&journal.text));
    CHECK (journal.cut ? told <= printed : told == printed);
    journal_fini (&journal);
    return 0;
}
