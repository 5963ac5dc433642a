/* log_internal.h - the forms of a log line. Each writes one event and keeps errno. */
#ifndef GLEANER_LOG_INTERNAL_H
#define GLEANER_LOG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

typedef struct {
    log_level_t level;
    const char *level_name;
    const char *program;
    const char *event;
    const char *text; /* any bytes but NUL */
    int64_t wall_ms;
} log_entry_t;

enum {
    LOG_TIME_SIZE = 32,
    LOG_WAIT_MS = 200, /* a log that nobody reads holds the program up for so long, once */
};

/* RFC 3339, UTC, with milliseconds. */
void log_time (int64_t wall_ms, char out[LOG_TIME_SIZE]);
/* Whether the valid UTF-8 that `text` begins with is a control character, of ASCII or of those beyond it (C1), to which
 * terminals listen, too. */
bool log_is_control (const char *text);
/* Appends `text` with bytes of control characters, and what is not UTF-8, as \xNN, within `max` bytes of `line`.
 * Returns the new length. */
size_t log_append_escaped (char *line, size_t len, size_t max, const char *text);
/* One write, so that lines of several processes do not mix. A line for which there is no room is lost, and counted. */
void log_write (const char *line, size_t len);

/* log_json.c */
void log_json (const log_entry_t *entry);

/* log_journal.c */
/* True when stderr leads to the journal; then entries go there with their fields. */
bool log_journal_open (void);
void log_journal (const log_entry_t *entry);

#endif
