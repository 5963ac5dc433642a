/* fds.h - messages with descriptors between processes of this machine: SOCK_SEQPACKET, SCM_RIGHTS. */
#ifndef GLEANER_WORKER_FDS_H
#define GLEANER_WORKER_FDS_H

#include <stddef.h>
#include <sys/types.h>

enum {
    FDS_MAX = 4,                /* in one message */
    FDS_MESSAGE_MAX = 8 * 1024, /* bytes; a path is half of it at most */
};

/* Sends one message, without waiting and without SIGPIPE. The caller keeps the descriptors. Returns 0 or an errno. */
int fds_send (int socket, const void *bytes, size_t len, const int *fds, size_t count);
/* Waits for one message. Fills `fds` with those that came, closed on exec, which the caller closes; the others are -1.
 * Returns its length, 0 at the end, -1 with errno: EMSGSIZE for one that is too long. */
ssize_t fds_receive (int socket, void *bytes, size_t size, int fds[FDS_MAX]);

#endif
