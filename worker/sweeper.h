/* sweeper.h - removes what jobs leave in their folders, however much that is, while the worker goes on.
 *
 * A folder is moved into WORK_DIR/trash, which a thread empties, each folder in its turn. What is there when the worker
 * is killed goes after its next start. */
#ifndef GLEANER_WORKER_SWEEPER_H
#define GLEANER_WORKER_SWEEPER_H

#include <stdbool.h>

typedef struct sweeper sweeper_t;

/* Begins with what is in the trash. Signals that end the program must be blocked. NULL, and errno, when it cannot be
 * made. The caller destroys it. */
sweeper_t *sweeper_new (const char *work_dir);
/* Waits for 2 s at most until the trash is empty; what is left then goes after the next start. */
void sweeper_destroy (sweeper_t **self_p);
/* `folder` (absolute) is not there any more when this returns, unless something is mounted there. One that is not there
 * is none. */
void sweeper_take (sweeper_t *self, const char *folder);
/* True while more waits than should: many folders, or any on a disk that is nearly full. */
bool sweeper_is_behind (sweeper_t *self);

#endif
