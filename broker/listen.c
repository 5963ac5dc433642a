#include "broker/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/activate.h"
#include "proto/log.h"

bool listen_is_loopback (const char *endpoint)
{
    return strncmp (endpoint, "tcp://127.", 10) == 0 || strncmp (endpoint, "tcp://localhost:", 16) == 0 ||
           strncmp (endpoint, "tcp://[::1]:", 12) == 0 || strncmp (endpoint, "ipc://", 6) == 0;
}

/* libzmq takes a port's lower 16 bits and says nothing. */
static bool port_fits (const char *endpoint)
{
    const char *port = strrchr (endpoint, ':');
    char *end = NULL;
    if (strncmp (endpoint, "tcp://", 6) != 0 || !port || strcmp (port, ":*") == 0)
        return true;
    long number = strtol (port + 1, &end, 10);
    return end > port + 1 && !*end && number >= 0 && number <= 65535;
}

bool listen_check (const broker_options_t *options, const char *endpoint, char *problem, size_t problem_size)
{
    if (!port_fits (endpoint))
        snprintf (problem, problem_size, "--listen: '%.200s' has no port from 0 to 65535.", endpoint);
    else if (!options->curve && !options->insecure && !listen_is_loopback (endpoint))
        snprintf (problem, problem_size,
                  "--listen: other machines can reach '%.200s', and what they send is in clear text: say --curve, "
                  "listen on tcp://127.0.0.1:PORT, or say --insecure.",
                  endpoint);
    else
        return true;
    return false;
}

static void set_number (void *router, int option, int number)
{
    zmq_setsockopt (router, option, &number, sizeof number);
}

/* The endpoint of a socket that is there. */
static void endpoint_of (int fd, bool *v6, char endpoint[LISTEN_ENDPOINT_SIZE])
{
    char host[ACTIVATE_HOST_SIZE];
    int port = activate_address (fd, host, v6);
    snprintf (endpoint, LISTEN_ENDPOINT_SIZE, *v6 ? "tcp://[%s]:%d" : "tcp://%s:%d", host, port);
}

bool listen_bind (void *router, const broker_options_t *options, int passed, char *problem, size_t problem_size)
{
    char endpoint[LISTEN_ENDPOINT_SIZE];
    bool v6 = false;
    snprintf (endpoint, sizeof endpoint, "%s", options->listen);
    if (passed >= 0) {
        endpoint_of (passed, &v6, endpoint);
        set_number (router, ZMQ_IPV6, v6);
        set_number (router, ZMQ_USE_FD, passed);
        log_event (LEVEL_INFO, "socket-passed", "listening on %s as the service manager says, whatever --listen says",
                   endpoint);
    }
    /* zsock_bind knows no port 0; libzmq's own call does. */
    bool good = listen_check (options, endpoint, problem, problem_size);
    if (good && zmq_bind (router, endpoint) != 0) {
        snprintf (problem, problem_size, "cannot listen on '%.200s': %s.", endpoint, zmq_strerror (zmq_errno ()));
        good = false;
    }
    set_number (router, ZMQ_USE_FD, -1);
    if (!good && passed >= 0)
        close (passed);
    if (good && !options->curve && !listen_is_loopback (endpoint))
        log_event (LEVEL_WARN, "listening-openly", "%s: what is sent to this port is in clear text", endpoint);
    return good;
}
