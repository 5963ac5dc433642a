#include "tests/bench/cycle/drive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 256, QUIET_MS = 30000, READ_SIZE = 65536, GREETING_MAX = 24 };

slice_t cycle_payload (void)
{
    static char bytes[PAYLOAD];
    memset (bytes, 'x', sizeof bytes);
    return slice_from (bytes, sizeof bytes);
}

void drive_die (const char *what)
{
    fprintf (stderr, "bench-cycle: %s: %s\n", what, strerror (errno));
    exit (1);
}

int64_t drive_now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void flush (client_t *client)
{
    if (!client->out.len)
        return;
    if (write (client->fd, client->out.ptr, client->out.len) != (ssize_t)client->out.len)
        drive_die ("write");
    buf_clear (&client->out);
}

void drive_begin (drive_t *self, client_t *client, step_t step, long number)
{
    client->step = step;
    client->sent_us = drive_now_us ();
    if (step == STEP_CREATE)
        self->kind->create (client, number);
    else if (step == STEP_TAKE)
        self->kind->take (client);
    else
        self->kind->finish (client);
    flush (client);
}

static void one_answer (drive_t *self, client_t *client, long length)
{
    client->in.len -= (size_t)length;
    memmove (client->in.ptr, client->in.ptr + length, client->in.len);
    flush (client);
    if (client->step != STEP_HELLO)
        self->answered (self, client);
    else if (!client->part)
        self->greeted++;
}

static void readable (drive_t *self, client_t *client)
{
    static char bytes[READ_SIZE];
    ssize_t got = read (client->fd, bytes, sizeof bytes);
    if (got <= 0)
        drive_die ("read");
    buf_append (&client->in, bytes, (size_t)got);
    while (client->in.len) {
        long length = self->kind->answer (client);
        if (length == ANSWER_BROKEN)
            drive_die ("an answer that is none");
        if (length == ANSWER_PART)
            return;
        one_answer (self, client, length);
    }
}

static void dial (drive_t *self, client_t *client)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons ((uint16_t)self->port),
                                   .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
    int one = 1;
    client->fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect (client->fd, (struct sockaddr *)&address, sizeof address) != 0)
        drive_die ("connect");
    setsockopt (client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    if (epoll_ctl (self->epoll, EPOLL_CTL_ADD, client->fd, &event) != 0)
        drive_die ("epoll");
    client->step = STEP_HELLO;
    if (self->kind->hello && (client->consumer || self->kind != &kind_http))
        self->kind->hello (client);
    else
        self->greeted++;
    flush (client);
}

void drive_connect (drive_t *self, int wait_ms)
{
    int count = self->producers + self->consumers;
    self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    self->clients = xcalloc ((size_t)count, sizeof *self->clients);
    for (int i = 0; i < count; i++) {
        self->clients[i].number = i;
        self->clients[i].consumer = i >= self->producers;
        self->clients[i].wait_ms = wait_ms;
        dial (self, &self->clients[i]);
        while (i + 1 - self->greeted > GREETING_MAX)
            drive_expect (self);
    }
    while (self->greeted < count)
        drive_expect (self);
}

bool drive_serve (drive_t *self, int64_t wait_us)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = { .tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000 };
    int ready = epoll_pwait2 (self->epoll, events, EVENTS, &wait, NULL);
    if (ready < 0 && errno != EINTR)
        drive_die ("epoll_pwait2");
    for (int i = 0; i < ready; i++)
        readable (self, events[i].data.ptr);
    return ready > 0;
}

void drive_expect (drive_t *self)
{
    if (!drive_serve (self, QUIET_MS * 1000LL)) {
        errno = ETIMEDOUT;
        drive_die ("no answer for 30 s");
    }
}
