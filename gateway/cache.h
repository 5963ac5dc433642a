/* cache.h - copies of the broker's blobs on this machine's disk, named by their hash: the gateway's only state, and it
 * can be deleted at any time.
 *
 *   DIR/SHA256.zip     whole and verified; its modification time is that of its last use
 *   DIR/.new-XXXXXX    on its way
 *
 * Several gateways may share a folder. All operations block, for as long as a local disk does.
 */
#ifndef GATEWAY_CACHE_H
#define GATEWAY_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/error.h"

typedef struct cache cache_t;

/* Makes the folder when it is missing. NULL and one sentence in `problem` when it cannot be used. */
cache_t *cache_new (const char *dir, int64_t bytes_max, char *problem, size_t problem_size);
void cache_destroy (cache_t **self_p);

/* A descriptor of the copy, the caller's, and its length; -1 when there is none. Counts as a use. */
int cache_open (cache_t *self, const char *sha256, int64_t *bytes);

/* A new file: its descriptor (-1: none could be made) and its path (the caller frees it), both the caller's. */
int cache_begin (cache_t *self, char **path_p);
/* Gives the file at `path` its name. The caller has verified it. Older copies go when there is too much.
 * Returns 0 or INTERNAL. */
err_t cache_commit (cache_t *self, const char *path, const char *sha256, int64_t bytes);

#endif
