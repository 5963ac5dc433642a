/* bench-cycle - life cycles of jobs a second through a queue: created, handed to a consumer, finished, each step
 * answered before the client's next one.
 *
 * usage: bench-cycle KIND PORT JOBS PRODUCERS CONSUMERS
 *   KIND  redis, beanstalk (their own protocols), native (ZeroMQ), http
 *
 * The producers make all jobs; then the consumers take and finish them. All clients are connections of one thread.
 * prints one JSON object: creates_per_second, finishes_per_second, cycles_per_second, and of each step the median and
 * the 99th percentile in microseconds
 */
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

#include "tests/bench/cycle/cycle.h"

enum { CLIENTS_MAX = 1024, EVENTS = 256, QUIET_MS = 30000, READ_SIZE = 65536 };

typedef struct {
    const queue_kind_t *kind;
    int epoll;
    client_t clients[CLIENTS_MAX];
    long wanted, begun, done; /* of the phase */
    int greeted;
    int64_t *times[STEP_FINISH + 1];
    long counts[STEP_FINISH + 1];
} bench_t;

slice_t cycle_payload (void)
{
    static char bytes[PAYLOAD];
    memset (bytes, 'x', sizeof bytes);
    return slice_from (bytes, sizeof bytes);
}

static void die (const char *what)
{
    fprintf (stderr, "bench-cycle: %s: %s\n", what, strerror (errno));
    exit (1);
}

static int64_t now_us (void)
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
        die ("write");
    buf_clear (&client->out);
}

static void begin (bench_t *self, client_t *client, step_t step)
{
    client->step = step;
    client->sent_us = now_us ();
    if (step == STEP_CREATE)
        self->kind->create (client, self->begun++);
    else if (step == STEP_TAKE)
        self->kind->take (client);
    else
        self->kind->finish (client);
    flush (client);
}

static void next (bench_t *self, client_t *client)
{
    if (client->step == STEP_HELLO) {
        self->greeted++;
        return;
    }
    if (client->step != STEP_TAKE || !client->nothing)
        self->times[client->step][self->counts[client->step]++] = now_us () - client->sent_us;
    if (client->step == STEP_TAKE && !client->nothing) {
        begin (self, client, STEP_FINISH);
        return;
    }
    self->done += client->step != STEP_TAKE;
    if (client->consumer && self->done < self->wanted)
        begin (self, client, STEP_TAKE);
    else if (!client->consumer && self->begun < self->wanted)
        begin (self, client, STEP_CREATE);
}

static void readable (bench_t *self, client_t *client)
{
    buf_reserve (&client->in, READ_SIZE);
    ssize_t got = read (client->fd, client->in.ptr + client->in.len, READ_SIZE);
    if (got <= 0)
        die ("read");
    client->in.len += (size_t)got;
    while (client->in.len) {
        long length = self->kind->answer (client);
        if (length == ANSWER_BROKEN)
            die ("an answer that is none");
        if (length == ANSWER_PART)
            return;
        client->in.len -= (size_t)length;
        memmove (client->in.ptr, client->in.ptr + length, client->in.len);
        flush (client);
        if (client->step != STEP_HELLO || !client->part)
            next (self, client);
    }
}

static void dial (bench_t *self, client_t *client, int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons ((uint16_t)port),
                                   .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
    int one = 1;
    client->fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0 || connect (client->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die ("connect");
    setsockopt (client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = client };
    epoll_ctl (self->epoll, EPOLL_CTL_ADD, client->fd, &event);
    client->step = STEP_HELLO;
    if (self->kind->hello && (client->consumer || self->kind != &kind_http))
        self->kind->hello (client);
    else
        self->greeted++;
    flush (client);
}

static void serve (bench_t *self)
{
    struct epoll_event events[EVENTS];
    int ready = epoll_wait (self->epoll, events, EVENTS, QUIET_MS);
    if (ready <= 0)
        die ("no answer for 30 s");
    for (int i = 0; i < ready; i++)
        readable (self, events[i].data.ptr);
}

/* Seconds until all jobs have gone through the phase's steps. */
static double phase (bench_t *self, int first, int count, step_t step)
{
    int64_t start_us = now_us ();
    self->begun = self->done = 0;
    for (int i = first; i < first + count; i++)
        begin (self, &self->clients[i], step);
    while (self->done < self->wanted)
        serve (self);
    return (double)(now_us () - start_us) / 1e6;
}

static int by_value (const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print_times (bench_t *self, step_t step, const char *name)
{
    qsort (self->times[step], (size_t)self->counts[step], sizeof **self->times, by_value);
    printf (", \"%s_p50_us\": %lld, \"%s_p99_us\": %lld", name, (long long)self->times[step][self->counts[step] / 2],
            name, (long long)self->times[step][self->counts[step] * 99 / 100]);
}

int main (int argc, char **argv)
{
    static const queue_kind_t *const kinds[] = { &kind_redis, &kind_beanstalk, &kind_native, &kind_http };
    static bench_t self;
    for (size_t i = 0; argc == 6 && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp (argv[1], kinds[i]->name) == 0)
            self.kind = kinds[i];
    int port = argc == 6 ? atoi (argv[2]) : 0;
    self.wanted = argc == 6 ? atol (argv[3]) : 0;
    int producers = argc == 6 ? atoi (argv[4]) : 0;
    int consumers = argc == 6 ? atoi (argv[5]) : 0;
    if (!self.kind || producers < 1 || consumers < 1 || producers + consumers > CLIENTS_MAX ||
        self.wanted < producers) {
        fprintf (stderr, "usage: bench-cycle redis|beanstalk|native|http PORT JOBS PRODUCERS CONSUMERS\n");
        return 2;
    }
    self.epoll = epoll_create1 (EPOLL_CLOEXEC);
    for (step_t step = STEP_CREATE; step <= STEP_FINISH; step++)
        self.times[step] = xcalloc ((size_t)self.wanted + CLIENTS_MAX, sizeof **self.times);
    for (int i = 0; i < producers + consumers; i++) {
        self.clients[i].number = i;
        self.clients[i].consumer = i >= producers;
        dial (&self, &self.clients[i], port);
    }
    while (self.greeted < producers + consumers)
        serve (&self);
    double creating = phase (&self, 0, producers, STEP_CREATE);
    double finishing = phase (&self, producers, consumers, STEP_TAKE);
    double jobs = (double)self.wanted;
    printf ("{\"kind\": \"%s\", \"jobs\": %ld, \"creates_per_second\": %.0f, \"finishes_per_second\": %.0f, "
            "\"cycles_per_second\": %.0f",
            self.kind->name, self.wanted, jobs / creating, jobs / finishing, jobs / (creating + finishing));
    print_times (&self, STEP_CREATE, "create");
    print_times (&self, STEP_TAKE, "take");
    print_times (&self, STEP_FINISH, "finish");
    printf ("}\n");
    return 0;
}
