/* hosts.h - the names by which a gateway may be asked.
 *
 * A page of the Internet can let its own name point to this machine, and then the browser takes the gateway for that
 * page's own server (DNS rebinding). Such a name has a dot, and is neither an address nor this machine's name: so only
 * those are taken without being told, and every other name must be an option's.
 */
#ifndef GATEWAY_HOSTS_H
#define GATEWAY_HOSTS_H

#include <stdbool.h>

#include "proto/buf.h"

enum { HOST_NAME_SIZE = 256 };

typedef struct {
    const char *names;            /* separated by commas; "*": any. NULL: none */
    char machine[HOST_NAME_SIZE]; /* its own name */
} hosts_t;

void hosts_init (hosts_t *self, const char *names);
/* Whether the value of a Host header is one: NAME, V4 or [V6], with or without :PORT. */
bool hosts_know (const hosts_t *self, slice_t host);

#endif
