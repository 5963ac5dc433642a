/* log.h - one line an event: time, level, program, a stable event id, then text.
 *
 * text      2026-01-02T03:04:05.678Z info broker worker-lost worker=lab-7: not heard of for 30 s
 * json {"time":"2026-01-02T03:04:05.678Z","level":"info","program":"broker","event":"worker-lost","text":"...","pid":7}
 * journal   fields of journald's own (journalctl GLEANER_EVENT=worker-lost) where stderr leads to it, else
 *           <6>worker-lost worker=lab-7: ... for whatever reads stderr and knows sd-daemon(3)
 *
 * Tests and operators match the event id, never the text. Control bytes in the text are escaped, so that nobody can
 * forge a line. A line has LOG_LINE_MAX bytes at most, as much as a pipe takes in one piece; what is longer is cut.
 * When nobody reads stderr, lines are lost instead of the program being held up, and `log-lost` tells how many.
 */
#ifndef GLEANER_LOG_H
#define GLEANER_LOG_H

typedef enum { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR } log_level_t;

enum { LOG_LINE_MAX = 4096 };

/* The level that a word names: debug, info, warn; LEVEL_ERROR for any other. */
log_level_t log_level_find (const char *word);
/* Names the program ("broker") and sets the lowest level that is written, as text. `program` is borrowed for good. */
void log_init (const char *program, log_level_t lowest);
/* The form by its word: auto, text, json or journal. Auto is journal when stderr is the journal's (JOURNAL_STREAM,
 * systemd.exec(5)), else text. Before the first thread. */
void log_form (const char *word);
/* The lowest level from now on; any thread may be logging. */
void log_level_set (log_level_t lowest);
void log_event (log_level_t level, const char *event, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

#endif
