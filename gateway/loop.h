/* loop.h - one thread, one epoll set: HTTP, the broker's socket and signals. */
#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include "gateway/gateway.h"

/* Serves HTTP on `listen_fd` (consumed) until SIGINT or SIGTERM (which the caller has blocked), then answers what is in
 * progress and ends. `name` is the address for the ready line. Returns the program's exit status. */
int loop_run (gateway_t *gateway, int listen_fd, const char *name);

#endif
