/* bench-http - HTTP requests over keep-alive connections from one thread, one in flight a connection.
 *
 * usage: bench-http PORT CONNECTIONS COUNT METHOD PATH [BODY]
 * In PATH and BODY a '@' stands for a line of stdin, taken in turn (job ids, say).
 * prints one JSON object: requests, errors (any status but 200), per_second, p50_us, p99_us, max_us
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/buf.h"

enum { CONNECTIONS_MAX = 1024, EVENTS = 256, LINE_SIZE = 256, QUIET_MS = 10000 };

typedef struct {
    int fd;
    int64_t sent_us;
    size_t got;
    char answer[4096]; /* the head, and what follows as far as it fits */
    size_t left;       /* of a body that does not fit */
} connection_t;

typedef struct {
    const char *method, *path, *body;
    char **lines;
    size_t line_count, line_at;
    size_t wanted, sent, done, errors;
    int64_t *times_us;
    buf_t request;
} bench_t;

static int64_t now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static void die (const char *what)
{
    fprintf (stderr, "bench-http: %s: %s\n", what, strerror (errno));
    exit (1);
}

static void append_filled (buf_t *out, const char *text, const char *line)
{
    for (; *text; text++) {
        if (*text == '@' && line)
            buf_append_str (out, line);
        else
            buf_append (out, text, 1);
    }
}

static void build (bench_t *self)
{
    const char *line = self->line_count ? self->lines[self->line_at++ % self->line_count] : NULL;
    buf_t body = { 0 };
    append_filled (&body, self->body ? self->body : "", line);
    buf_clear (&self->request);
    buf_printf (&self->request, "%s ", self->method);
    append_filled (&self->request, self->path, line);
    buf_printf (&self->request, " HTTP/1.1\r\nHost: bench\r\n");
    if (self->body)
        buf_printf (&self->request, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    buf_printf (&self->request, "\r\n%s", body.ptr ? body.ptr : "");
    buf_fini (&body);
}

static void send_next (bench_t *self, connection_t *connection)
{
    if (self->sent == self->wanted)
        return;
    build (self);
    self->sent++;
    connection->got = connection->left = 0;
    connection->sent_us = now_us ();
    if (write (connection->fd, self->request.ptr, self->request.len) != (ssize_t)self->request.len)
        die ("write");
}

static void answered (bench_t *self, connection_t *connection)
{
    self->times_us[self->done++] = now_us () - connection->sent_us;
    if (memcmp (connection->answer, "HTTP/1.1 200", 12) != 0)
        self->errors++;
    send_next (self, connection);
}

/* The kernel drops the bytes without a copy (MSG_TRUNC, tcp(7)): the server is measured, not the client. */
static void skip_body (bench_t *self, connection_t *connection)
{
    ssize_t got = recv (connection->fd, NULL, connection->left, MSG_TRUNC);
    if (got <= 0)
        die ("read");
    connection->left -= (size_t)got < connection->left ? (size_t)got : connection->left;
    if (!connection->left)
        answered (self, connection);
}

static void readable (bench_t *self, connection_t *connection)
{
    if (connection->left) {
        skip_body (self, connection);
        return;
    }
    ssize_t got =
        read (connection->fd, connection->answer + connection->got, sizeof connection->answer - 1 - connection->got);
    if (got <= 0)
        die ("read");
    connection->got += (size_t)got;
    connection->answer[connection->got] = '\0';
    const char *end = strstr (connection->answer, "\r\n\r\n");
    const char *length = strcasestr (connection->answer, "\r\ncontent-length:");
    if (!end || !length)
        return;
    size_t whole = (size_t)(end + 4 - connection->answer) + strtoul (length + 17, NULL, 10);
    if (connection->got >= whole)
        answered (self, connection);
    else if (whole > sizeof connection->answer - 1)
        connection->left = whole - connection->got;
}

static void dial (connection_t *connection, int port, int epoll)
{
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons ((uint16_t)port),
                                   .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
    int one = 1;
    connection->fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection->fd < 0 || connect (connection->fd, (struct sockaddr *)&address, sizeof address) != 0)
        die ("connect");
    setsockopt (connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = connection };
    epoll_ctl (epoll, EPOLL_CTL_ADD, connection->fd, &event);
}

static void read_lines (bench_t *self)
{
    char line[LINE_SIZE];
    while (fgets (line, sizeof line, stdin)) {
        line[strcspn (line, "\n")] = '\0';
        self->lines = xrealloc (self->lines, (self->line_count + 1) * sizeof *self->lines);
        self->lines[self->line_count++] = xstrdup (line);
    }
}

static int by_value (const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a;
    int64_t right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void print_result (bench_t *self, int64_t took_us)
{
    qsort (self->times_us, self->done, sizeof *self->times_us, by_value);
    printf ("{\"requests\": %zu, \"errors\": %zu, \"per_second\": %.3f, \"p50_us\": %lld, \"p99_us\": %lld, "
            "\"max_us\": %lld}\n",
            self->done, self->errors, (double)self->done * 1e6 / (double)took_us,
            (long long)self->times_us[self->done / 2], (long long)self->times_us[self->done * 99 / 100],
            (long long)self->times_us[self->done - 1]);
}

int main (int argc, char **argv)
{
    if (argc < 6) {
        fprintf (stderr, "usage: bench-http PORT CONNECTIONS COUNT METHOD PATH [BODY]\n");
        return 2;
    }
    static connection_t connections[CONNECTIONS_MAX];
    int count = atoi (argv[2]);
    bench_t self = { .method = argv[4], .path = argv[5], .body = argc > 6 ? argv[6] : NULL };
    self.wanted = strtoul (argv[3], NULL, 10);
    if (count < 1 || count > CONNECTIONS_MAX || self.wanted < (size_t)count) {
        fprintf (stderr, "bench-http: 1 to %d connections, and no fewer requests\n", CONNECTIONS_MAX);
        return 2;
    }
    self.times_us = xcalloc (self.wanted, sizeof *self.times_us);
    if (strchr (self.path, '@') || (self.body && strchr (self.body, '@')))
        read_lines (&self);
    int epoll = epoll_create1 (EPOLL_CLOEXEC);
    for (int i = 0; i < count; i++)
        dial (&connections[i], atoi (argv[1]), epoll);
    int64_t start_us = now_us ();
    for (int i = 0; i < count; i++)
        send_next (&self, &connections[i]);
    while (self.done < self.wanted) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait (epoll, events, EVENTS, QUIET_MS);
        if (ready <= 0)
            die ("no answer for 10 s");
        for (int i = 0; i < ready; i++)
            readable (&self, events[i].data.ptr);
    }
    print_result (&self, now_us () - start_us);
    return self.errors ? 1 : 0;
}
