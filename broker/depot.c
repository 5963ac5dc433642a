#include "broker/depot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <zmq.h>

#include "broker/depot_internal.h"
#include "proto/log.h"

enum {
    ORDERS_MAX = 8192,                   /* queued orders; one more is refused with BUSY */
    ORDER_BYTES_MAX = 128 * 1024 * 1024, /* bytes that they hold; likewise */
};

typedef struct {
    depot_order_t *first;
    depot_order_t **end;
} queue_t;

struct depot {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work;
    queue_t waiting;  /* under the lock */
    queue_t finished; /* under the lock */
    size_t count;     /* under the lock: orders waiting */
    size_t bytes;     /* under the lock: what they hold */
    bool stop;        /* under the lock */
    int wake;         /* eventfd: finished has orders */
    int folder;
    depot_blobs_t blobs;     /* the thread's */
    depot_outputs_t outputs; /* the thread's */
};

depot_order_t *depot_order_new (depot_kind_t kind, uint64_t request)
{
    depot_order_t *self = xcalloc (1, sizeof *self);
    self->kind = kind;
    self->request = request;
    return self;
}

void depot_order_destroy (depot_order_t **self_p)
{
    depot_order_t *self = *self_p;
    if (!self)
        return;
    if (self->frame) {
        zmq_msg_close (self->frame);
        free (self->frame);
    }
    for (int i = 0; i < STREAM_COUNT; i++) {
        buf_fini (&self->got[i]);
        buf_fini (&self->end[i]);
    }
    for (int64_t i = 0; self->ends && i < self->ends_count; i++)
        buf_fini (&self->ends[i]);
    free (self->ends);
    free (self);
    *self_p = NULL;
}

static void queue_init (queue_t *self)
{
    self->first = NULL;
    self->end = &self->first;
}

static void queue_append (queue_t *self, depot_order_t *order)
{
    order->next = NULL;
    *self->end = order;
    self->end = &order->next;
}

static depot_order_t *queue_take (queue_t *self)
{
    depot_order_t *order = self->first;
    if (!order)
        return NULL;
    self->first = order->next;
    if (!self->first)
        self->end = &self->first;
    return order;
}

static void carry_out (depot_t *self, depot_order_t *order)
{
    switch (order->kind) {
    case DEPOT_BLOB_PUT:
        depot_blob_put (&self->blobs, order);
        break;
    case DEPOT_BLOB_COMMIT:
        depot_blob_commit (&self->blobs, order);
        break;
    case DEPOT_BLOB_ABORT:
        depot_blob_abort (&self->blobs, order);
        break;
    case DEPOT_BLOB_GET:
        depot_blob_get (&self->blobs, order);
        break;
    case DEPOT_BLOB_CHECK:
        if (!depot_blob_there (&self->blobs, order->sha256, &order->bytes))
            order->err = ERR_NO_SUCH_BLOB;
        break;
    case DEPOT_UPLOADS_DROP:
        depot_uploads_drop (&self->blobs, order->idle_ms);
        break;
    case DEPOT_BLOB_REMOVE:
        depot_blob_remove (&self->blobs, order);
        break;
    case DEPOT_APPEND:
        depot_append (&self->outputs, order);
        break;
    case DEPOT_SEAL:
        depot_seal (&self->outputs, order);
        if (!order->err && order->sha256[0] && !depot_blob_there (&self->blobs, order->sha256, NULL))
            order->err = ERR_ARTIFACTS_MISSING;
        break;
    case DEPOT_READ:
        depot_read (&self->outputs, order);
        depot_read_ends (&self->outputs, order);
        break;
    case DEPOT_DISCARD:
        depot_discard (&self->outputs, order);
        break;
    }
}

static void say_finished (depot_t *self, depot_order_t *order)
{
    pthread_mutex_lock (&self->lock);
    self->count--;
    self->bytes -= order->data.len;
    bool first = !self->finished.first;
    queue_append (&self->finished, order);
    pthread_mutex_unlock (&self->lock);
    if (first)
        eventfd_write (self->wake, 1);
}

static void *depot_main (void *arg)
{
    depot_t *self = arg;
    for (;;) {
        pthread_mutex_lock (&self->lock);
        while (!self->waiting.first && !self->stop)
            pthread_cond_wait (&self->work, &self->lock);
        depot_order_t *order = queue_take (&self->waiting);
        pthread_mutex_unlock (&self->lock);
        if (!order)
            return NULL; /* told to stop, and nothing is left */
        carry_out (self, order);
        say_finished (self, order);
    }
}

static bool depot_open (depot_t *self, const char *data_dir, char *problem, size_t size)
{
    self->folder = open (data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    self->wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->folder < 0 || self->wake < 0 || !depot_blobs_init (&self->blobs, self->folder) ||
        !depot_outputs_init (&self->outputs, self->folder)) {
        snprintf (problem, size, "cannot use data directory '%s': %s.", data_dir, strerror (errno));
        return false;
    }
    return true;
}

depot_t *depot_new (const char *data_dir, int64_t output_max, char *problem, size_t problem_size)
{
    depot_t *self = xcalloc (1, sizeof *self);
    self->outputs.max = output_max;
    queue_init (&self->waiting);
    queue_init (&self->finished);
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->work, NULL);
    if (!depot_open (self, data_dir, problem, problem_size)) {
        free (self); /* the program ends: its descriptors go with it */
        return NULL;
    }
    int error = pthread_create (&self->thread, NULL, depot_main, self);
    if (error) {
        snprintf (problem, problem_size, "cannot start the depot's thread: %s.", strerror (error));
        free (self);
        return NULL;
    }
    return self;
}

void depot_destroy (depot_t **self_p)
{
    depot_t *self = *self_p;
    if (!self)
        return;
    pthread_mutex_lock (&self->lock);
    self->stop = true;
    pthread_cond_signal (&self->work);
    pthread_mutex_unlock (&self->lock);
    pthread_join (self->thread, NULL);
    for (depot_order_t *order = queue_take (&self->finished); order; order = queue_take (&self->finished))
        depot_order_destroy (&order);
    depot_blobs_fini (&self->blobs);
    depot_outputs_fini (&self->outputs);
    pthread_mutex_destroy (&self->lock);
    pthread_cond_destroy (&self->work);
    close (self->wake);
    close (self->folder);
    free (self);
    *self_p = NULL;
}

int64_t depot_output_bytes (const depot_t *self)
{
    return atomic_load (&self->outputs.bytes);
}

int depot_fd (const depot_t *self)
{
    return self->wake;
}

err_t depot_submit (depot_t *self, depot_order_t **order_p)
{
    depot_order_t *order = *order_p;
    pthread_mutex_lock (&self->lock);
    bool full = self->count >= ORDERS_MAX || self->bytes + order->data.len > ORDER_BYTES_MAX;
    /* Removals make room and are never refused; there is one at most for each job that ends. */
    if (full && order->kind != DEPOT_DISCARD && order->kind != DEPOT_BLOB_REMOVE) {
        pthread_mutex_unlock (&self->lock);
        return ERR_BUSY;
    }
    self->count++;
    self->bytes += order->data.len;
    queue_append (&self->waiting, order);
    pthread_cond_signal (&self->work);
    pthread_mutex_unlock (&self->lock);
    *order_p = NULL;
    return ERR_NONE;
}

depot_order_t *depot_take (depot_t *self)
{
    pthread_mutex_lock (&self->lock);
    depot_order_t *order = queue_take (&self->finished);
    if (!order) {
        eventfd_t count;
        eventfd_read (self->wake, &count);
    }
    pthread_mutex_unlock (&self->lock);
    return order;
}
