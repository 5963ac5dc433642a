/* store_sqlite_sync.c - syncs the redo log in a thread of its own, while the loop goes on with what has come meanwhile.
 *
 *   loop    begin ---- the next turn is stepped ---- wait: is it done?   answers leave
 *             | ask                                    ^
 *   thread    +------> fdatasync ------ done, an error +
 *
 * One sync at a time. Both ways go through an eventfd; what the sync gave is written before `done` and read after it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "broker/store_sqlite.h"

struct syncer {
    pthread_t thread;
    int file;
    int ask, done;
    bool begun;       /* begin was called and wait not yet */
    atomic_int error; /* of the last one; an errno */
    atomic_bool end;
};

static void signal_event (int fd)
{
    uint64_t one = 1;
    while (write (fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

static void take_event (int fd)
{
    uint64_t count;
    while (read (fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
}

static void *syncer_main (void *ctx)
{
    syncer_t *self = ctx;
    for (take_event (self->ask); !self->end; take_event (self->ask)) {
        self->error = fdatasync (self->file) == 0 ? 0 : errno;
        signal_event (self->done);
    }
    return NULL;
}

syncer_t *syncer_new (int file)
{
    syncer_t *self = xcalloc (1, sizeof *self);
    sigset_t all, old;
    self->file = file;
    self->ask = eventfd (0, EFD_CLOEXEC);
    self->done = eventfd (0, EFD_CLOEXEC);
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &old); /* signals are the loop's */
    bool good = self->ask >= 0 && self->done >= 0 && pthread_create (&self->thread, NULL, syncer_main, self) == 0;
    pthread_sigmask (SIG_SETMASK, &old, NULL);
    if (good)
        return self;
    if (self->ask >= 0)
        close (self->ask);
    if (self->done >= 0)
        close (self->done);
    free (self);
    return NULL;
}

void syncer_begin (syncer_t *self)
{
    self->begun = true;
    signal_event (self->ask);
}

int syncer_fd (const syncer_t *self)
{
    return self->begun ? self->done : -1;
}

int syncer_wait (syncer_t *self)
{
    if (!self->begun)
        return 0;
    self->begun = false;
    take_event (self->done);
    return self->error;
}

void syncer_destroy (syncer_t **self_p)
{
    syncer_t *self = *self_p;
    if (!self)
        return;
    syncer_wait (self);
    self->end = true;
    signal_event (self->ask);
    pthread_join (self->thread, NULL);
    close (self->ask);
    close (self->done);
    free (self);
    *self_p = NULL;
}
