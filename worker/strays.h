/* strays.h - children of this program that it did not start: what a keeper that was killed leaves behind.
 *
 * Keepers are the subreapers of their jobs, this program is that of its keepers. A stray is told by child_is_known; the
 * keepers, extractors and packers of other jobs are none, nor is what they started.
 */
#ifndef GLEANER_WORKER_STRAYS_H
#define GLEANER_WORKER_STRAYS_H

#include <stdbool.h>

#include "worker/loop.h"

/* After so long a stray that does not die of KILL (the kernel holds it, or it is another user's) is left. */
enum { STRAYS_MS_MAX = 10 * 1000 };

typedef struct strays strays_t;

/* From now on orphans of this program's descendants come to it. The children that it has by now are no strays. The
 * caller owns it; the loop outlives it. */
strays_t *strays_new (loop_t *loop);
/* What strays_end has begun is brought to its end. */
void strays_destroy (strays_t **self_p);
/* Stops, kills and reaps all strays that there are, and all that they started, until none is left. What is left after
 * STRAYS_MS_MAX is reaped when it ends. */
void strays_end (strays_t *self);
/* True while some are being killed. */
bool strays_left (const strays_t *self);

#endif
