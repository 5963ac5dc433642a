/* artifacts.h - the files that a job has made come home. */
#ifndef GLEANER_CLI_ARTIFACTS_H
#define GLEANER_CLI_ARTIFACTS_H

#include "cli/client.h"

#define UNPACK_MAX (1LL << 30) /* bytes of files, as many as a worker packs at most */

/* Fetches a job's artifacts and unpacks them below `folder`, which is made if it is not there: files only, each written
 * beside its place and moved into it, never through a link, and only what one of `patterns` (lines) takes, `max` bytes
 * of all files at most. STATUS_GOOD, or what to exit with after one sentence. */
int artifacts_fetch (client_t *client, const char *job, const char *folder, const char *patterns, int64_t max);

#endif
