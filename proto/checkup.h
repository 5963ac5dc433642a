/* checkup.h - what a program finds out about itself and its surroundings, a line each, for people and for programs.
 *
 *   ok    clock      0.2 s off
 *   warn  disk       812.0 MiB are free in '/tmp': make room, or set TMPDIR
 *   FAIL  server     http://pc:3000 does not answer: start gleaner-gateway there
 *
 * A line that is not ok says what to do.
 */
#ifndef GLEANER_CHECKUP_H
#define GLEANER_CHECKUP_H

#include <jansson.h>
#include <stdbool.h>

typedef enum { CHECK_OK, CHECK_WARN, CHECK_FAIL } check_t;

typedef struct {
    json_t *list; /* of what was found, when it is to be printed as JSON at the end; NULL: each line at once */
    int fails;
} checkup_t;

enum { CHECKUP_NAME_MAX = 10, CHECKUP_TEXT_MAX = 1024 };

/* `json`: nothing is printed before the end. */
void checkup_begin (checkup_t *self, bool json);
/* Tells of one thing, in one line whatever the text holds. */
void checkup_say (checkup_t *self, check_t state, const char *name, const char *format, ...)
    __attribute__ ((format (printf, 4, 5)));
/* Takes over a line that another program has printed so; false: it is none. */
bool checkup_take (checkup_t *self, const char *line);
/* Prints what is to be JSON. Returns whether nothing has failed. */
bool checkup_end (checkup_t *self);

#endif
