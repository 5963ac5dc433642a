/* listen.h - the listening socket. */
#ifndef GATEWAY_LISTEN_H
#define GATEWAY_LISTEN_H

#include <stdbool.h>
#include <stddef.h>

/* Listens on "HOST:PORT" or "[V6]:PORT". Returns the descriptor, or -1 and one sentence in `problem`. `name` becomes
 * the address as it is, with the real port; `open` tells whether others than this machine can reach it. */
int listen_open (const char *address, char *name, size_t name_size, bool *open, char *problem, size_t problem_size);

/* Likewise of a socket that listens already (activate.h). */
void listen_describe (int fd, char *name, size_t name_size, bool *open);
/* Whether `address` is one, without listening there; `open` as above. False and one sentence in `problem`. */
bool listen_check (const char *address, bool *open, char *problem, size_t problem_size);

#endif
