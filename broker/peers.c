/* peers.c - whose connection is closed: libzmq's monitor tells descriptors, its messages tell from which they came.
 *
 * A descriptor's number is given again as soon as it is closed. Messages are taken before the monitor's events, and one
 * I/O thread makes both: so by the time that an event is looked at, all that led to the messages has been told too. A
 * worker heard of since the events were last looked at, when its number was closed and opened again, may be at either;
 * it is taken for the new one's, and if that is wrong, its lease runs out as a silent one's does. Never is one that
 * lives taken for gone.
 *
 * A connection that the kernel has given up, since nothing came by it, says nothing about its worker either: a cable
 * may be out for less than a lease. Such a one has been silent for PEER_SILENCE_S.
 */
#include "broker/peers.h"

#include <czmq.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/heap.h"
#include "broker/list.h"
#include "broker/map.h"

enum {
    SILENCE_MS = PEER_SILENCE_S * 1000 - 3000, /* clocks are read late; workers are heard of every 10 s */
    COME_BACK_MS = 3 * 1000,                   /* for a connection that was reset: workers try again within a second */
    EVENTS_TURN_MAX = 4096,                    /* looked at in one turn; the rest in the next */
    FD_MAX = 1024 * 1024,                      /* a higher one is not watched: its workers' leases run out */
};

typedef struct {
    char *id;
    int fd;            /* -1: closed */
    link_t link;       /* of the descriptor's */
    heap_node_t timer; /* while closed: when it is gone for good */
    int64_t heard_ms;
    uint64_t heard_turn;
} native_t;

typedef struct {
    int fd;
    bool closed; /* else opened */
} change_t;

struct peers {
    void *monitor;
    map_t natives;      /* by worker id */
    list_head_t *by_fd; /* natives; fd_count of them */
    int fd_count;
    heap_t closed;
    change_t *changes; /* of this turn */
    int change_count;
    uint64_t turn;
};

static slice_t id_of (const void *item)
{
    return slice_of (((const native_t *)item)->id);
}

/* ---- life ---- */

static void *monitor_open (void *router)
{
    char address[64];
    int none = 0;
    snprintf (address, sizeof address, "inproc://peers-%p", router);
    if (zmq_socket_monitor (router, address, ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED) != 0)
        return NULL;
    void *monitor = zmq_socket (zsys_init (), ZMQ_PAIR);
    if (!monitor)
        return NULL;
    zmq_setsockopt (monitor, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt (monitor, ZMQ_RCVHWM, &none, sizeof none); /* libzmq's I/O thread must never wait for us */
    if (zmq_connect (monitor, address) == 0)
        return monitor;
    zmq_close (monitor);
    return NULL;
}

peers_t *peers_new (void *router)
{
    void *monitor = monitor_open (router);
    if (!monitor)
        return NULL;
    peers_t *self = xcalloc (1, sizeof *self);
    uint8_t secret[16];
    randombytes_buf (secret, sizeof secret);
    map_init (&self->natives, id_of, secret);
    self->monitor = monitor;
    self->changes = xcalloc (EVENTS_TURN_MAX, sizeof *self->changes);
    return self;
}

static void native_free (peers_t *self, native_t *native)
{
    heap_remove (&self->closed, &native->timer);
    if (native->fd >= 0)
        list_remove (&self->by_fd[native->fd], &native->link);
    map_remove (&self->natives, native);
    free (native->id);
    free (native);
}

void peers_destroy (peers_t **self_p)
{
    peers_t *self = *self_p;
    if (!self)
        return;
    size_t at = 0;
    for (native_t *native = map_next (&self->natives, &at); native; native = map_next (&self->natives, &at)) {
        heap_remove (&self->closed, &native->timer);
        free (native->id);
        free (native);
    }
    map_fini (&self->natives);
    heap_fini (&self->closed);
    free (self->by_fd);
    free (self->changes);
    zmq_close (self->monitor);
    free (self);
    *self_p = NULL;
}

void *peers_monitor (const peers_t *self)
{
    return self->monitor;
}

/* ---- what is heard ---- */

/* Lists point to themselves: a larger table is a new one. */
static void by_fd_grow (peers_t *self, int fd)
{
    int count = self->fd_count ? self->fd_count : 64;
    while (count <= fd)
        count *= 2;
    list_head_t *larger = xcalloc ((size_t)count, sizeof *larger);
    for (int i = 0; i < count; i++)
        list_init (&larger[i]);
    for (int i = 0; i < self->fd_count; i++)
        for (link_t *link = list_first (&self->by_fd[i]); link; link = list_first (&self->by_fd[i])) {
            list_remove (&self->by_fd[i], link);
            list_append (&larger[i], link);
        }
    free (self->by_fd);
    self->by_fd = larger;
    self->fd_count = count;
}

static void move_to (peers_t *self, native_t *native, int fd)
{
    heap_remove (&self->closed, &native->timer);
    if (native->fd == fd)
        return;
    if (native->fd >= 0)
        list_remove (&self->by_fd[native->fd], &native->link);
    if (fd >= self->fd_count)
        by_fd_grow (self, fd);
    native->fd = fd;
    list_append (&self->by_fd[fd], &native->link);
}

/* The worker that the message comes from; absent when it names none. `own`: it tells, too, whether it speaks for
 * itself, and `itself` is that. */
static slice_t sender (const message_t *message, bool *own, bool *itself)
{
    *own = message->type == MSG_WORKER_REGISTER || message->type == MSG_WORKER_HEARTBEAT;
    switch ((int)message->type) {
    case MSG_WORKER_REGISTER:
        *itself = !message->worker_register.remote_addr.ptr;
        return message->worker_register.worker_id;
    case MSG_WORKER_HEARTBEAT:
        *itself = !message->worker_heartbeat.remote_addr.ptr;
        return message->worker_heartbeat.worker_id;
    case MSG_WORKER_GOODBYE:
        *own = true;
        *itself = false;
        return message->worker_goodbye.worker_id;
    case MSG_JOB_POLL:
        return message->job_poll.worker_id;
    case MSG_JOB_RENEW:
        return message->job_renew.worker_id;
    case MSG_JOB_OUTPUT:
        return message->job_output.worker_id;
    default:
        return SLICE_ABSENT;
    }
}

void peers_heard (peers_t *self, zmq_msg_t *body, const message_t *message, int64_t now_ms)
{
    bool own = false;
    bool itself = false;
    slice_t worker_id = sender (message, &own, &itself);
    if (!worker_id.len)
        return;
    native_t *native = map_get (&self->natives, worker_id);
    if (native && own && !itself) {
        native_free (self, native);
        return;
    }
    int fd = native || (own && itself) ? zmq_msg_get (body, ZMQ_SRCFD) : -1;
    if (fd < 0 || fd > FD_MAX)
        return;
    if (!native && self->natives.count >= WORKERS_MAX)
        return;
    if (!native) {
        native = xcalloc (1, sizeof *native);
        native->id = slice_dup (worker_id);
        native->fd = -1;
        map_put (&self->natives, native);
    }
    move_to (self, native, fd);
    native->heard_ms = now_ms;
    native->heard_turn = self->turn;
}

/* ---- what is closed ---- */

/* The next of the monitor's events: a number and a value in one frame, an address in the next (zmq_socket_monitor). */
static bool take_change (peers_t *self, change_t *out)
{
    zmq_msg_t part;
    zmq_msg_init (&part);
    bool any = zmq_msg_recv (&part, self->monitor, ZMQ_DONTWAIT) >= 0;
    uint16_t event = 0;
    int32_t value = -1;
    if (any && zmq_msg_size (&part) >= sizeof event + sizeof value) {
        memcpy (&event, zmq_msg_data (&part), sizeof event);
        memcpy (&value, (const char *)zmq_msg_data (&part) + sizeof event, sizeof value);
    }
    while (any && zmq_msg_more (&part) && zmq_msg_recv (&part, self->monitor, ZMQ_DONTWAIT) >= 0)
        ;
    zmq_msg_close (&part);
    *out = (change_t){ value, event == ZMQ_EVENT_DISCONNECTED };
    return any;
}

static bool opened_again (const peers_t *self, int at)
{
    for (int i = at + 1; i < self->change_count; i++)
        if (self->changes[i].fd == self->changes[at].fd && !self->changes[i].closed)
            return true;
    return false;
}

static void close_fd (peers_t *self, int at, int64_t now_ms)
{
    int fd = self->changes[at].fd;
    if (fd < 0 || fd >= self->fd_count || !self->by_fd[fd].count)
        return;
    bool again = opened_again (self, at);
    LIST_EACH (link, &self->by_fd[fd])
    {
        native_t *native = LIST_ITEM (link, native_t, link);
        if (again && native->heard_turn == self->turn)
            continue;
        if (now_ms - native->heard_ms >= SILENCE_MS) {
            native_free (self, native);
            continue;
        }
        list_remove (&self->by_fd[fd], &native->link);
        native->fd = -1;
        heap_put (&self->closed, &native->timer, now_ms + COME_BACK_MS, 0);
    }
}

bool peers_take (peers_t *self, int64_t now_ms, peers_gone_fn *fn, void *ctx)
{
    self->change_count = 0;
    while (self->change_count < EVENTS_TURN_MAX && take_change (self, &self->changes[self->change_count]))
        self->change_count++;
    for (int i = 0; i < self->change_count; i++)
        if (self->changes[i].closed)
            close_fd (self, i, now_ms);
    self->turn++;
    for (heap_node_t *top = heap_top (&self->closed); top && top->key <= now_ms; top = heap_top (&self->closed)) {
        native_t *native = LIST_ITEM (top, native_t, timer);
        fn (ctx, slice_of (native->id));
        native_free (self, native);
    }
    return self->change_count == EVENTS_TURN_MAX;
}

int64_t peers_deadline (const peers_t *self)
{
    const heap_node_t *top = heap_top (&self->closed);
    return top ? top->key : INT64_MAX;
}
