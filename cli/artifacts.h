/* artifacts.h - the files that a job has made come home. */
#ifndef GLEANER_CLI_ARTIFACTS_H
#define GLEANER_CLI_ARTIFACTS_H

#include "cli/client.h"

/* Fetches a job's artifacts and unpacks them below `folder`, which is made if it is not there: files only, each written
 * beside its place and moved into it, never through a link, and only what one of `patterns` (lines) takes. STATUS_GOOD,
 * or what to exit with after one sentence. */
int artifacts_fetch (client_t *client, const char *job, const char *folder, const char *patterns);

#endif
