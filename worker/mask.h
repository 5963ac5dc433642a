/* mask.h - hides secrets in what a job prints: each of them, and each line of one that has many, becomes "***",
 * wherever a piece of output begins or ends.
 *
 * All are looked for at once (Aho and Corasick, "Efficient string matching", 1975), so that the cost a byte does not
 * grow with their number. What could be the beginning of one is held back until the bytes after it are there. Not found
 * is what was changed on its way: base64, quotes, escapes. */
#ifndef GLEANER_WORKER_MASK_H
#define GLEANER_WORKER_MASK_H

#include "proto/buf.h"

/* What is looked for. */
typedef struct mask mask_t;

/* Of rows NAME=VALUE (lines.h). Values shorter than SECRET_MIN bytes, and lines of values, are not looked for. The
 * caller destroys it. */
mask_t *mask_new (slice_t rows);
void mask_destroy (mask_t **self_p);

/* One stream that it is looked for in. Zero-initialised lets everything pass. */
typedef struct {
    const mask_t *mask; /* NULL: nothing is hidden */
    uint32_t state;
    buf_t held;              /* the bytes that `state` stands for, and no more */
    buf_t covered;           /* a byte for each of them: 1 when it is part of a secret */
    size_t run_from, run_to; /* the last of them that stand together and are */
    bool hiding;             /* the byte before them was */
    buf_t shown;
} mask_stream_t;

/* `mask` is borrowed; it may be NULL. */
void mask_stream_init (mask_stream_t *self, const mask_t *mask);
void mask_stream_fini (mask_stream_t *self);
/* What of these bytes, and those that were held, can be shown; valid until the next call. */
slice_t mask_stream_take (mask_stream_t *self, slice_t bytes);
/* Nothing comes after: what is held. */
slice_t mask_stream_end (mask_stream_t *self);

#endif
