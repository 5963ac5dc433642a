/* reload.h - SIGHUP: the options once more, and what of them a running program can take over.
 *
 * Rows that are `live` (options.h) are taken over where they are: whoever reads such a value reads it in the options
 * each time. The others need a restart, and one warning names those that have changed. What cannot be used changes
 * nothing at all. Log events: config-reloaded, config-refused, restart-needed.
 */
#ifndef GLEANER_RELOAD_H
#define GLEANER_RELOAD_H

#include "options.h"

typedef struct reload reload_t;

/* `options`, of `size` bytes, was filled by options_parse from the same arguments, which are borrowed, as it is, and
 * not changed since: a copy is kept to tell what has changed. The caller destroys it. */
reload_t *reload_new (const option_table_t *table, int argc, char **argv, char **environ_p, void *options, size_t size);
void reload_destroy (reload_t **self_p);

/* Reads everything again. True when it could be used: then live rows hold what it says, and log-level counts. */
bool reload_run (reload_t *self);

#endif
