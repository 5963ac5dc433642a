/* log.h - one line an event on stderr: time, level, program, a stable event id, then text.
 *
 *   2026-01-02T03:04:05.678Z info broker worker-lost worker=lab-7: not heard of for 30 s
 *
 * Tests and operators match the event id, never the text. Control bytes in the text are escaped.
 */
#ifndef GLEANER_LOG_H
#define GLEANER_LOG_H

typedef enum { LEVEL_DEBUG, LEVEL_INFO, LEVEL_WARN, LEVEL_ERROR } log_level_t;

/* The level that a word names: debug, info, warn; LEVEL_ERROR for any other. */
log_level_t log_level_find (const char *word);
/* Names the program ("broker") and sets the lowest level that is written. `program` is borrowed for good. */
void log_init (const char *program, log_level_t lowest);
void log_event (log_level_t level, const char *event, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

#endif
