/* refusals.h - how often each error was answered, and a log of those that were the peer's own fault. The table is as
 * long as errors.def, and the log a few lines a second, whatever a hostile peer sends. */
#ifndef GLEANER_REFUSALS_H
#define GLEANER_REFUSALS_H

#include "message.h"

enum { REFUSALS_LOGGED_MAX = 10 /* lines a second; the rest is counted in one more */ };

/* Zero-initialised is empty. */
typedef struct {
    int64_t counts[ERR_COUNT];
    int64_t second; /* monotonic; what `lines` is of */
    int lines;
    int64_t unsaid; /* not logged since the last line that was */
} refusals_t;

/* Counts `err`. When it says that the peer's bytes or manners are at fault, and not that something is not there, it is
 * logged as `event`: its code and the text, in which nothing secret may stand. Otherwise at level debug. */
void refusals_note (refusals_t *self, err_t err, const char *event, const char *format, ...)
    __attribute__ ((format (printf, 4, 5)));

/* The counts above 0 as a list of MSG_REFUSAL_ENTRY, whose items are appended to `raw`. */
list_t refusals_list (const refusals_t *self, buf_t *raw);

#endif
