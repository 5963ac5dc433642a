/* check.h - gleaner-worker --check: whether this machine can run jobs as the options say, without running any. */
#ifndef GLEANER_WORKER_CHECK_H
#define GLEANER_WORKER_CHECK_H

#include "worker/options.h"

/* Prints a line a check (proto/checkup.h). `keeper` is the path of gleaner-keeper, or NULL, and then `missing` is a
 * sentence that names what is. Takes some seconds. Returns the status to exit with: 0, or 1 when something fails. */
int worker_check (const worker_options_t *options, const char *keeper, const char *missing);

#endif
