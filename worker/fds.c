#include "worker/fds.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union {
    char bytes[CMSG_SPACE (FDS_MAX * sizeof (int))]; /* rounded up: there may be room for one more */
    struct cmsghdr aligned;
} control_t;

int fds_send (int socket, const void *bytes, size_t len, const int *fds, size_t count)
{
    control_t control = { { 0 } };
    struct iovec piece = { (void *)(uintptr_t)bytes, len };
    struct msghdr message = { .msg_iov = &piece, .msg_iovlen = 1 };
    assert (count <= FDS_MAX);
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE (count * sizeof *fds);
        struct cmsghdr *head = CMSG_FIRSTHDR (&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN (count * sizeof *fds);
        memcpy (CMSG_DATA (head), fds, count * sizeof *fds);
    }
    return sendmsg (socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

ssize_t fds_receive (int socket, void *bytes, size_t size, int fds[FDS_MAX])
{
    control_t control;
    struct iovec piece = { bytes, size };
    struct msghdr message = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes
    };
    for (int i = 0; i < FDS_MAX; i++)
        fds[i] = -1;
    ssize_t got = recvmsg (socket, &message, MSG_CMSG_CLOEXEC);
    struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR (&message) : NULL;
    size_t count = 0;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        count = (head->cmsg_len - CMSG_LEN (0)) / sizeof *fds;
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy (&fd, CMSG_DATA (head) + i * sizeof fd, sizeof fd);
        if (i < FDS_MAX)
            fds[i] = fd;
        else
            close (fd);
    }
    if (got <= 0 || !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return got;
    for (int i = 0; i < FDS_MAX; i++)
        if (fds[i] >= 0)
            close (fds[i]);
    errno = EMSGSIZE;
    return -1;
}
