/* lines.h - MAP and TEXTS fields in memory: one line an entry, each ended by a newline; a MAP's are KEY=VALUE.
 * A ROWS field is a MAP whose values may be many lines: its entries end with a NUL each.
 *
 * Keys hold no '=', entries no control characters but tabs: what was sent is what a line shows.
 */
#ifndef GLEANER_LINES_H
#define GLEANER_LINES_H

#include <stdbool.h>

#include "buf.h"

/* Takes the next line off `rest`, without its newline. False at the end. */
bool lines_next (slice_t *rest, slice_t *line);
/* Splits KEY=VALUE; `value` is absent when there is no '='. */
void line_split (slice_t line, slice_t *key, slice_t *value);
/* The value of a key; absent when there is none. The last one counts. */
slice_t lines_get (slice_t lines, slice_t key);
/* How many lines. */
size_t lines_count (slice_t lines);
/* True when it holds no control characters but tabs. */
bool lines_plain (slice_t text);
/* Appends one entry; `value` absent: a TEXTS entry. False when it holds what an entry must not. */
bool lines_add (buf_t *lines, slice_t key, slice_t value);

/* Takes the next KEY=VALUE off the rows, without its NUL. False at the end, and where a row does not end. */
bool rows_next (slice_t *rest, slice_t *row);
size_t rows_count (slice_t rows);
/* Appends one. False when the key is empty or holds a '=' or a control character, or the value a NUL. */
bool rows_add (buf_t *rows, slice_t key, slice_t value);

#endif
