/* join.h - join codes: what `gleaner-broker enroll` prints, and `--join` takes. */
#ifndef GLEANER_JOIN_H
#define GLEANER_JOIN_H

#include <stdbool.h>

#include "message.h"

/* Appends the code for `code` (a JOIN_CODE) to `out`. */
void join_code_format (const message_t *code, buf_t *out);
/* False when `text` is no join code: one that has a broker's endpoint and key, or a gateway's `server`. `out` points
 * into `raw`, which the caller frees. */
bool join_code_read (slice_t text, buf_t *raw, message_t *out);

#endif
