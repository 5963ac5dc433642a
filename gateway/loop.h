/* loop.h - one thread, one epoll set: HTTP, the broker's socket and signals. */
#ifndef GATEWAY_LOOP_H
#define GATEWAY_LOOP_H

#include "gateway/gateway.h"

/* Serves HTTP on `listen_fd` (consumed) until `signal_fd` (program_signals; consumed) has one, then answers what is in
 * progress and ends. `name` is the address for the ready line. Returns the program's exit status. */
int loop_run (gateway_t *gateway, int listen_fd, int signal_fd, const char *name);

/* HTTP connections that are open. */
unsigned loop_connections (const gateway_t *gateway);

#endif
