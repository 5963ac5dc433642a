/* escape.h - a job's output on a terminal: what would steer it is shown instead, ESC as ^[. */
#ifndef GLEANER_CLI_ESCAPE_H
#define GLEANER_CLI_ESCAPE_H

#include "proto/buf.h"

/* Where a stream of bytes stands, chunk after chunk; begins zeroed. */
typedef struct {
    int more;  /* bytes that the character still has (UTF-8, RFC 3629) */
    bool held; /* a 0xC2, whose next byte tells a letter from a control character */
} escape_t;

/* Appends the bytes to `out`. Line ends, tabs and returns are as they are; other control characters, those of eight
 * bits too, become ^X or <9b>. */
void escape_append (escape_t *self, slice_t bytes, buf_t *out);

#endif
