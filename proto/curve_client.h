/* curve_client.h - a client of a broker that has CURVE: its socket's options, and how it joins. */
#ifndef GLEANER_CURVE_CLIENT_H
#define GLEANER_CURVE_CLIENT_H

#include "curve_keys.h"

/* Makes what `socket` connects to from now on CURVE's. 0, or -1 with errno. */
int curve_client (void *socket, const curve_keys_t *keys);

/* Becomes a worker (`worker_id`) or a gateway (NULL) of the broker that `code` names, and keeps keys and broker in the
 * file `path`; takes some seconds at most. When an earlier try was cut off, the same code goes on from there. False
 * with one sentence in `problem`. */
bool curve_join (const char *code, const char *path, const char *worker_id, char *problem, size_t problem_size);

#endif
