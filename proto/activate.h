/* activate.h - a listening socket that the service manager has made and keeps (sd_listen_fds(3)): while the program is
 * started again, who connects waits instead of being refused. */
#ifndef GLEANER_ACTIVATE_H
#define GLEANER_ACTIVATE_H

#include <stdbool.h>
#include <stddef.h>

enum { ACTIVATE_HOST_SIZE = 64 };

/* The socket that was passed, and LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES go from the environment: they are not for
 * children. True with `fd` (-1: none was passed), which is the caller's; false and one sentence in `problem` when what
 * was passed is not one TCP socket that listens. */
bool activate_take (int *fd, char *problem, size_t problem_size);

/* The address that a TCP socket listens on: `host` in numbers, without brackets. Returns the port, -1 when there is no
 * such address. `v6` tells whether it is one of IPv6. */
int activate_address (int fd, char host[ACTIVATE_HOST_SIZE], bool *v6);

#endif
