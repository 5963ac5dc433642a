#include "gateway.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "gateway/door.h"
#include "gateway/gateway.h"
#include "gateway/login.h"
#include "gateway/traffic.h"

enum { CALLS_MAX = 64, RUNS_MAX = 64, CLIENTS_MAX = 4, MEMORY = 14 * 1024 /* as in gateway/loop.c */ };

/* ---- in place of gateway/link.c: a broker that answers each call in the next turn ---- */

typedef struct {
    link_done_fn *done;
    void *ctx;
    msg_type_t type;
    err_t err; /* the broker refuses it */
} waiting_t;

static waiting_t waiting[CALLS_MAX];
static size_t waiting_count;
static decoder_t *decoder;

err_t link_call (link_t *self, message_t *request, const link_order_t *order)
{
    (void)self;
    buf_t frame = { 0 };
    message_t sent;
    fault_t fault;
    request->id = SLICE ("\1");
    fuzz_encode (request, &frame);
    err_t err = message_decode (decoder, buf_slice (&frame), FRAME_MAX, &sent, &fault);
    buf_fini (&frame);
    CHECK (!err || err == ERR_SCHEMA || err == ERR_BAD_UTF8); /* what it is about may be the broker's to refuse */
    if (!order->done)
        return ERR_NONE;
    if (waiting_count == CALLS_MAX)
        return ERR_BUSY;
    waiting[waiting_count++] = (waiting_t){ order->done, order->ctx, request->type, err };
    return ERR_NONE;
}

link_t *link_new (const char *endpoint, const curve_keys_t *keys, int64_t timeout_ms, char *problem,
                  size_t problem_size)
{
    (void)endpoint;
    (void)keys;
    (void)timeout_ms;
    (void)problem;
    (void)problem_size;
    return NULL;
}

void link_destroy (link_t **self_p)
{
    (void)self_p;
}

int link_fd (const link_t *self)
{
    (void)self;
    return -1;
}

int link_monitor_fd (const link_t *self)
{
    (void)self;
    return -1;
}

uint64_t link_connections (const link_t *self)
{
    (void)self;
    return 1;
}

bool link_turn (link_t *self)
{
    (void)self;
    return false;
}

int64_t link_deadline (const link_t *self)
{
    (void)self;
    return INT64_MAX;
}

void link_close (link_t *self)
{
    (void)self;
}

static void fill_reply (msg_type_t type, message_t *reply)
{
    switch ((int)type) {
    case MSG_AUTH_CHECK: /* or all would be turned away before their bodies are read */
        message_init (reply, MSG_AUTH_CHECK_OK);
        reply->auth_check_ok.required = 0;
        reply->auth_check_ok.role = SLICE ("admin");
        break;
    case MSG_BLOB_PUT:
        message_init (reply, MSG_BLOB_PUT_OK);
        reply->blob_put_ok.offset = 1;
        break;
    case MSG_BLOB_COMMIT:
        message_init (reply, MSG_BLOB_COMMIT_OK);
        reply->blob_commit_ok.file_url = SLICE ("/uploads/x.zip");
        break;
    case MSG_JOB_CREATE:
        message_init (reply, MSG_JOB_CREATE_OK);
        reply->job_create_ok.job_id = SLICE ("1-abcdef");
        break;
    default:
        message_error (reply, ERR_NO_SUCH_JOB, NULL);
    }
}

/* Answers all calls that wait now. */
static bool answer_calls (void)
{
    waiting_t now[CALLS_MAX];
    size_t count = waiting_count;
    memcpy (now, waiting, sizeof now);
    waiting_count = 0;
    for (size_t i = 0; i < count; i++) {
        message_t reply;
        if (now[i].err)
            message_error (&reply, now[i].err, NULL);
        else
            fill_reply (now[i].type, &reply);
        now[i].done (now[i].ctx, LINK_REPLY, &reply);
    }
    return count > 0;
}

/* ---- the gateway ---- */

static gateway_options_t options;
static gateway_t gateway = { .options = &options };

void fuzz_gateway_start (void)
{
    char program[] = "gleaner-gateway";
    char web[] = "--web";
    char none[] = "/nonexistent";
    char *argv[] = { program, web, none, NULL };
    char *no_environment[] = { NULL };
    decoder = decoder_new ();
    log_init ("fuzz", LEVEL_ERROR);
    CHECK (options_parse (&gateway_option_table, 3, argv, no_environment, &options) == OPTIONS_RUN);
    char problem[256];
    gateway.cache = cache_new (fuzz_folder (), options.cache_max, problem, sizeof problem);
    gateway.door = door_new (false, 0, 1);
    gateway.login = login_new (&gateway, 1000, 1000);
    gateway.epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
    gateway.clients = clients_new (&gateway, CLIENTS_MAX);
    hosts_init (&gateway.hosts, NULL);
    gateway.traffic = traffic_new ();
    gateway.daemon = MHD_start_daemon (
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, request_access, &gateway,
        MHD_OPTION_NOTIFY_COMPLETED, request_completed, &gateway, MHD_OPTION_URI_LOG_CALLBACK, request_log_uri,
        &gateway, MHD_OPTION_NOTIFY_CONNECTION, clients_notify, &gateway, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)MEMORY, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    CHECK (gateway.cache && gateway.epoll_fd >= 0 && gateway.daemon);
}

static unsigned connections (void)
{
    return MHD_get_daemon_info (gateway.daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)->num_connections;
}

/* Who waits for its client to go away hears that it has. */
static bool hear_hangups (void)
{
    struct epoll_event events[8];
    int count = epoll_wait (gateway.epoll_fd, events, 8, 0);
    for (int i = 0; i < count; i++)
        request_hung_up (events[i].data.ptr);
    return count > 0;
}

static void turn (void)
{
    for (int run = 0; run < RUNS_MAX; run++) {
        gateway.resumed = false;
        MHD_run (gateway.daemon);
        bool more = answer_calls ();
        more = hear_hangups () || more;
        if (!more && !gateway.resumed)
            break;
    }
}

/* What the client reads must be an answer. */
static void read_answers (int fd, bool *begun)
{
    static char bytes[64 * 1024];
    for (ssize_t got = recv (fd, bytes, sizeof bytes, MSG_DONTWAIT); got > 0;
         got = recv (fd, bytes, sizeof bytes, MSG_DONTWAIT)) {
        CHECK (*begun || (got >= 9 && memcmp (bytes, "HTTP/1.", 7) == 0));
        *begun = true;
    }
}

void fuzz_gateway_open (fuzz_client_t *self)
{
    const struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
    int ends[2];
    CHECK (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
    CHECK (MHD_add_connection (gateway.daemon, ends[0], (const struct sockaddr *)&address, sizeof address) == MHD_YES);
    *self = (fuzz_client_t){ .fd = ends[1] };
}

void fuzz_gateway_send (fuzz_client_t *self, slice_t bytes)
{
    while (bytes.len) {
        ssize_t sent = send (self->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        turn ();
        read_answers (self->fd, &self->answered);
        if (sent <= 0)
            return; /* it has shut the connection */
        bytes = slice_from (bytes.ptr + sent, bytes.len - (size_t)sent);
    }
}

void fuzz_gateway_close (fuzz_client_t *self)
{
    shutdown (self->fd, SHUT_WR);
    turn ();
    read_answers (self->fd, &self->answered);
    close (self->fd);
    for (int run = 0; run < RUNS_MAX && connections (); run++)
        turn ();
    CHECK (!connections () && !gateway.requests && !gateway.uploads && !gateway.buffered && !waiting_count);
}
