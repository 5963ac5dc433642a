#include "gateway/clients.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "gateway/gateway.h"
#include "gateway/traffic.h"
#include "proto/clock.h"
#include "proto/log.h"

enum {
    LOOKS = 4,           /* at a connection, in the shortest of the times, */
    ROUNDS = 8,          /* of which this many rounds serve all */
    LOOK_MIN_MS = 25,    /* between two */
    LOOK_MAX_MS = 2500,  /* likewise */
    ROOM_PART = 16,      /* this part of the connections is kept free, */
    ROOM_MAX = 64,       /* and no more than this */
    ROOM_LOG_MS = 10000, /* between two lines about it */
    CLOSE_WAIT = 8,      /* the kernel's TCP_CLOSE_WAIT; its header and that of struct tcp_info exclude each other */
};

/* What a connection is waited for, or waits for. */
typedef enum {
    STAGE_HEAD,   /* a request, or the rest of its head */
    STAGE_BODY,   /* the rest of a request's body */
    STAGE_OURS,   /* us */
    STAGE_ANSWER, /* the client, which is to take its answer */
} stage_t;

typedef struct client {
    gateway_t *gateway;
    request_t *request; /* NULL: none is in progress */
    struct MHD_Connection *connection;
    int fd;
    uint32_t done; /* requests */
    bool ended;    /* by us; libmicrohttpd sees it in its next run */

    /* as it was when last looked at */
    stage_t stage;
    uint32_t stage_done;
    int64_t since_ms;        /* since when it has been seen in this stage; 0 in STAGE_HEAD: nothing has come */
    int64_t base;            /* bytes that had passed then */
    int64_t last;            /* and at the last look */
    int64_t look_ms;         /* when it is looked at next */
    uint64_t received, sent; /* bytes that were told of */

    TAILQ_ENTRY (client) turn; /* by look_ms */
    TAILQ_ENTRY (client) rest; /* while it asks for nothing: who has done so for longest is first */
    bool resting;
} client_t;

TAILQ_HEAD (client_list, client);
typedef struct client_list client_list_t;

struct clients {
    gateway_t *gateway;
    unsigned limit, room, count;
    int64_t look_every_ms;
    int64_t due_ms; /* of the next round of looks; a round takes all that are due by its time */
    int64_t room_logged_ms;
    int64_t made_room; /* connections ended for it since the last line about it */
    client_list_t turns;
    client_list_t fresh; /* resting, and never asked for anything */
    client_list_t idle;  /* resting after an answer */
};

/* ---- life ---- */

static int64_t shortest_ms (const gateway_options_t *options)
{
    return options->header_timeout_ms < options->body_timeout_ms ? options->header_timeout_ms
                                                                 : options->body_timeout_ms;
}

clients_t *clients_new (gateway_t *gateway, unsigned limit)
{
    clients_t *self = xcalloc (1, sizeof *self);
    int64_t every_ms = shortest_ms (gateway->options) / LOOKS;
    unsigned room = limit / ROOM_PART;
    self->gateway = gateway;
    self->limit = limit;
    self->room = room > ROOM_MAX ? ROOM_MAX : room;
    self->look_every_ms = every_ms < LOOK_MIN_MS ? LOOK_MIN_MS : every_ms > LOOK_MAX_MS ? LOOK_MAX_MS : every_ms;
    TAILQ_INIT (&self->turns);
    TAILQ_INIT (&self->fresh);
    TAILQ_INIT (&self->idle);
    return self;
}

void clients_destroy (clients_t **self_p)
{
    free (*self_p); /* libmicrohttpd has told the end of every connection */
    *self_p = NULL;
}

static void rest_begin (client_t *client)
{
    clients_t *all = client->gateway->clients;
    TAILQ_INSERT_TAIL (client->done ? &all->idle : &all->fresh, client, rest);
    client->resting = true;
}

static void rest_end (client_t *client)
{
    clients_t *all = client->gateway->clients;
    if (client->resting)
        TAILQ_REMOVE (client->done ? &all->idle : &all->fresh, client, rest);
    client->resting = false;
}

/* libmicrohttpd reads the end of the stream, and closes. */
static void client_end (client_t *client)
{
    rest_end (client);
    client->ended = true;
    shutdown (client->fd, SHUT_RDWR);
}

/* ---- room for others ---- */

static void log_room (clients_t *self)
{
    int64_t now_ms = clock_mono_ms ();
    self->made_room++;
    if (self->room_logged_ms && now_ms - self->room_logged_ms < ROOM_LOG_MS)
        return;
    log_event (LEVEL_WARN, "connections-full",
               "%u of %u connections are open: %lld that asked for nothing were ended to let others in", self->count,
               self->limit, (long long)self->made_room);
    self->made_room = 0;
    self->room_logged_ms = now_ms;
}

/* Who has never asked for anything goes first, then who has been silent for longest. When all are at work, newcomers
 * wait in the kernel's queue. */
static void make_room (clients_t *self)
{
    client_t *client = TAILQ_FIRST (&self->fresh);
    if (!client)
        client = TAILQ_FIRST (&self->idle);
    if (!client)
        return;
    client_end (client);
    log_room (self);
}

static void client_open (gateway_t *gateway, struct MHD_Connection *connection, void **client_p)
{
    clients_t *all = gateway->clients;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    client_t *client = xcalloc (1, sizeof *client);
    *client_p = client;
    client->gateway = gateway;
    client->fd = info ? info->connect_fd : -1;
    client->connection = connection;
    client->look_ms = clock_mono_ms () + all->look_every_ms;
    if (TAILQ_EMPTY (&all->turns))
        all->due_ms = client->look_ms;
    TAILQ_INSERT_TAIL (&all->turns, client, turn);
    if (++all->count > all->limit - all->room)
        make_room (all);
    rest_begin (client); /* not one to make room itself */
}

/* Tells of what has passed since the last time. */
static void count_bytes (client_t *client, const struct tcp_info *info)
{
    traffic_bytes (client->gateway->traffic, info->tcpi_bytes_received - client->received,
                   info->tcpi_bytes_acked - client->sent);
    client->received = info->tcpi_bytes_received;
    client->sent = info->tcpi_bytes_acked;
}

static bool read_info (const client_t *client, struct tcp_info *info)
{
    socklen_t size = sizeof *info;
    *info = (struct tcp_info){ 0 };
    return getsockopt (client->fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0;
}

void clients_notify (void *gateway, struct MHD_Connection *connection, void **client_p,
                     enum MHD_ConnectionNotificationCode what)
{
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        client_open (gateway, connection, client_p);
        return;
    }
    client_t *client = *client_p;
    *client_p = NULL;
    if (!client)
        return;
    struct tcp_info info;
    if (read_info (client, &info))
        count_bytes (client, &info);
    clients_t *all = client->gateway->clients;
    rest_end (client);
    TAILQ_REMOVE (&all->turns, client, turn);
    all->count--;
    free (client);
}

static client_t *client_of (const request_t *request)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info (request->connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

void clients_begun (request_t *request)
{
    client_t *client = client_of (request);
    if (client)
        client->request = request;
}

void clients_asked (request_t *request)
{
    client_t *client = client_of (request);
    if (client)
        rest_end (client);
}

void clients_done (request_t *request)
{
    client_t *client = client_of (request);
    if (!client)
        return;
    rest_end (client);
    client->request = NULL;
    client->done++;
    if (!client->ended)
        rest_begin (client);
}

/* ---- looking ---- */

static stage_t stage_of (const client_t *client)
{
    const request_t *request = client->request;
    if (!request || !request->begun)
        return STAGE_HEAD;
    if (request->parked)
        return STAGE_OURS;
    if (request->queued)
        return STAGE_ANSWER;
    return request->handled ? STAGE_OURS : STAGE_BODY;
}

static int64_t bytes_passed (const client_t *client, stage_t stage, const struct tcp_info *info)
{
    if (stage == STAGE_HEAD)
        return (int64_t)info->tcpi_bytes_received;
    return stage == STAGE_BODY ? client->request->came : (int64_t)info->tcpi_bytes_acked;
}

static bool is_late (const client_t *client, int64_t passed, int64_t now_ms)
{
    const gateway_options_t *options = client->gateway->options;
    int64_t taken_ms = now_ms - client->since_ms;
    if (client->stage == STAGE_HEAD)
        return client->since_ms && taken_ms > options->header_timeout_ms;
    return taken_ms > options->body_timeout_ms + (passed - client->base) * 1000 / options->min_rate;
}

static void end_late (client_t *client)
{
    struct linger none = { .l_onoff = 1 };
    request_t *request = client->request;
    fault_t fault;
    switch (client->stage) {
    case STAGE_HEAD:
        fault_set (&fault, ERR_REQUEST_TIMEOUT, "", "The request's head did not come in time.");
        refusals_note (&client->gateway->refusals, fault.err, "request-refused", "%s", fault.text);
        answer_by_hand (client->connection, &fault);
        break;
    case STAGE_BODY:
        request_refuse (request, ERR_REQUEST_TIMEOUT, NULL, "The request's body did not come in time.");
        request_tell_early (request);
        break;
    case STAGE_OURS:
    case STAGE_ANSWER: /* part of an answer has gone out: there is no room for another, nor is the rest to be kept */
        request_note (request, ERR_REQUEST_TIMEOUT);
        setsockopt (client->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
        break;
    }
    client_end (client);
}

/* Its other half is closed, and what it has sent is no whole request. libmicrohttpd does not see that when the end came
 * together with the last bytes. */
static bool is_half (const client_t *client, int64_t passed, const struct tcp_info *info)
{
    return info->tcpi_state == CLOSE_WAIT && client->stage <= STAGE_BODY && passed == client->last;
}

static void look (client_t *client, int64_t now_ms)
{
    stage_t stage = stage_of (client);
    struct tcp_info info;
    bool same = stage == client->stage && client->done == client->stage_done;
    if (client->ended || !read_info (client, &info))
        return;
    count_bytes (client, &info);
    int64_t passed = bytes_passed (client, stage, &info);
    if (!same) {
        client->stage = stage;
        client->stage_done = client->done;
        client->since_ms = stage == STAGE_HEAD ? 0 : now_ms;
        client->base = passed;
    } else if (stage != STAGE_OURS && is_half (client, passed, &info)) {
        client_end (client);
    } else if (stage != STAGE_OURS && is_late (client, passed, now_ms)) {
        end_late (client);
    } else if (stage == STAGE_HEAD && !client->since_ms && (client->request || passed > client->base)) {
        client->since_ms = now_ms;
    }
    client->last = passed;
}

void clients_turn (clients_t *self, int64_t now_ms)
{
    if (TAILQ_EMPTY (&self->turns) || now_ms < self->due_ms)
        return;
    for (client_t *client; (client = TAILQ_FIRST (&self->turns)) && client->look_ms <= now_ms;) {
        client->look_ms = now_ms + self->look_every_ms;
        TAILQ_REMOVE (&self->turns, client, turn);
        TAILQ_INSERT_TAIL (&self->turns, client, turn);
        look (client, now_ms);
    }
    int64_t next_ms = TAILQ_FIRST (&self->turns)->look_ms;
    int64_t soon_ms = now_ms + self->look_every_ms / ROUNDS;
    self->due_ms = next_ms > soon_ms ? next_ms : soon_ms;
}

int64_t clients_deadline (const clients_t *self)
{
    return TAILQ_EMPTY (&self->turns) ? INT64_MAX : self->due_ms;
}
