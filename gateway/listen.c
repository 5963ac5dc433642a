#include "gateway/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/http.h"

/* Splits at the last colon; the brackets around an IPv6 address go. */
static bool split (const char *address, char *host, size_t host_size, const char **port)
{
    const char *colon = strrchr (address, ':');
    if (!colon || !colon[1])
        return false;
    slice_t name = slice_from (address, (size_t)(colon - address));
    bool bracket = name.len > 1 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']';
    if (bracket)
        name = slice_from (name.ptr + 1, name.len - 2);
    else if (memchr (name.ptr, ':', name.len))
        return false;
    *port = colon + 1;
    /* getaddrinfo would take 99999 and cut it to 16 bits. */
    size_t digits = strspn (*port, "0123456789");
    return name.len > 0 && slice_copy (name, host, host_size) && digits <= 5 && !(*port)[digits] &&
           strtol (*port, NULL, 10) <= 65535;
}

static int bind_socket (const struct addrinfo *info)
{
    int fd = socket (info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int yes = 1;
    if (fd < 0)
        return -1;
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind (fd, info->ai_addr, info->ai_addrlen) == 0 && listen (fd, SOMAXCONN) == 0)
        return fd;
    int saved = errno;
    close (fd);
    errno = saved;
    return -1;
}

void listen_describe (int fd, char *name, size_t name_size, bool *open)
{
    struct sockaddr_storage address = { 0 };
    socklen_t len = sizeof address;
    char host[INET6_ADDRSTRLEN] = "?";
    char port[8] = "0";
    if (getsockname (fd, (struct sockaddr *)&address, &len) == 0)
        getnameinfo ((struct sockaddr *)&address, len, host, sizeof host, port, sizeof port,
                     NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf (name, name_size, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
    *open = !peer_is_loopback (host);
}

/* NULL and one sentence when there is no such address; freeaddrinfo is the caller's. */
static struct addrinfo *look_up (const char *address, char *problem, size_t problem_size)
{
    char host[256];
    const char *port = NULL;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    if (split (address, host, sizeof host, &port) && getaddrinfo (host, port, &hints, &found) == 0)
        return found;
    snprintf (problem, problem_size, "--listen: '%s' is no address: say HOST:PORT or [IPV6]:PORT.", address);
    return NULL;
}

int listen_open (const char *address, char *name, size_t name_size, bool *open, char *problem, size_t problem_size)
{
    struct addrinfo *found = look_up (address, problem, problem_size);
    if (!found)
        return -1;
    int fd = bind_socket (found);
    if (fd < 0)
        snprintf (problem, problem_size, "Cannot listen on %s: %s.", address, strerror (errno));
    else
        listen_describe (fd, name, name_size, open);
    freeaddrinfo (found);
    return fd;
}

bool listen_check (const char *address, bool *open, char *problem, size_t problem_size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    struct addrinfo *found = look_up (address, problem, problem_size);
    if (!found)
        return false;
    getnameinfo (found->ai_addr, found->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    *open = !peer_is_loopback (host);
    freeaddrinfo (found);
    return true;
}
