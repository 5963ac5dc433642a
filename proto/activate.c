#include "activate.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST_FD = 3 }; /* SD_LISTEN_FDS_START */

static bool is_listener (int fd)
{
    int type = 0;
    int listens = 0;
    socklen_t size = sizeof type;
    char host[ACTIVATE_HOST_SIZE];
    bool v6;
    return getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
           getsockopt (fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens &&
           activate_address (fd, host, &v6) >= 0;
}

static void forget_environment (void)
{
    unsetenv ("LISTEN_FDS");
    unsetenv ("LISTEN_PID");
    unsetenv ("LISTEN_FDNAMES");
}

bool activate_take (int *fd, char *problem, size_t problem_size)
{
    const char *count_text = getenv ("LISTEN_FDS");
    const char *pid_text = getenv ("LISTEN_PID");
    bool ours = count_text && pid_text && strtol (pid_text, NULL, 10) == (long)getpid ();
    long count = ours ? strtol (count_text, NULL, 10) : 0;
    forget_environment ();
    *fd = -1;
    if (count <= 0)
        return true;
    if (count > 1 || !is_listener (FIRST_FD)) {
        snprintf (problem, problem_size,
                  "LISTEN_FDS=%ld: what was passed is not one socket that listens on TCP: give the socket unit one "
                  "ListenStream=ADDRESS:PORT.",
                  count);
        return false;
    }
    *fd = FIRST_FD;
    fcntl (*fd, F_SETFD, FD_CLOEXEC);
    fcntl (*fd, F_SETFL, fcntl (*fd, F_GETFL) | O_NONBLOCK);
    return true;
}

int activate_address (int fd, char host[ACTIVATE_HOST_SIZE], bool *v6)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;
    char port[8];
    if (getsockname (fd, (struct sockaddr *)&address, &len) != 0 ||
        (address.ss_family != AF_INET && address.ss_family != AF_INET6) ||
        getnameinfo ((struct sockaddr *)&address, len, host, ACTIVATE_HOST_SIZE, port, sizeof port,
                     NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return -1;
    *v6 = address.ss_family == AF_INET6;
    return (int)strtol (port, NULL, 10);
}
