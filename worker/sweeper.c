#include "worker/sweeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/clock.h"
#include "proto/id.h"
#include "proto/log.h"
#include "worker/folders.h"

enum {
    NICENESS = 10,
    LEVELS = 16,          /* open at once */
    VISIT_MS = 250,       /* for one folder, then the others have their turn */
    AGAIN_MS = 60 * 1000, /* what could not be removed is tried again */
    END_MS = 2 * 1000,    /* for what there is still to remove when the worker ends */
    WAITING_MAX = 64,     /* folders, before the worker is behind */
    FREE_PART = 16,       /* of the disk: when less than a sixteenth is free, one that waits is enough */
    ID_SIZE = 33,
};

struct sweeper {
    int trash;
    bool told; /* that it is behind */
    pthread_t thread;
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* Under the lock: */
    uint64_t taken; /* folders that have come */
    uint64_t seen;  /* of these, when the last round began */
    uint64_t left;  /* in the trash after it; not what cannot be removed */
    /* The thread's own, of a round: */
    int64_t visit_end_ms;
    bool less; /* something has gone */
    uint64_t stay;
};

static bool is_inside (const struct dirent *entry)
{
    return strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0;
}

/* ---- the thread ---- */

static bool unshut (int parent, const char *name)
{
    return errno == EACCES && fchmodat (parent, name, 0700, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A job may have taken every permission from it. */
static DIR *open_folder (int parent, const char *name)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct stat info;
    int fd = openat (parent, name, flags);
    if (fd < 0 && unshut (parent, name))
        fd = openat (parent, name, flags);
    if (fd >= 0 && fstat (fd, &info) == 0 && (info.st_mode & 0700) != 0700)
        fchmod (fd, 0700);
    DIR *folder = fd >= 0 ? fdopendir (fd) : NULL;
    if (!folder && fd >= 0)
        close (fd);
    return folder;
}

/* Moves a folder beside those in the trash: so no depth is too great. */
static bool bring_up (sweeper_t *self, int parent, const char *name)
{
    char id[ID_SIZE];
    random_id_make (id);
    if (renameat (parent, name, self->trash, id) != 0 &&
        (!unshut (parent, name) || renameat (parent, name, self->trash, id) != 0))
        return false;
    self->stay++;
    self->less = true;
    return true;
}

static bool has_turn (const sweeper_t *self)
{
    return clock_mono_ms () < self->visit_end_ms && !atomic_load (&self->stop);
}

static bool empty_folder (sweeper_t *self, int parent, const char *name, int levels);

/* True when it is not there any more. What is mounted there stays, and so does what is in it. */
static bool remove_entry (sweeper_t *self, int parent, const char *name, int levels)
{
    if (unlinkat (parent, name, 0) == 0 || unlinkat (parent, name, AT_REMOVEDIR) == 0) {
        self->less = true;
        return true;
    }
    if (errno != ENOTEMPTY && errno != EEXIST)
        return errno == ENOENT;
    return levels ? empty_folder (self, parent, name, levels - 1) : bring_up (self, parent, name);
}

static bool empty_folder (sweeper_t *self, int parent, const char *name, int levels)
{
    DIR *folder = open_folder (parent, name);
    if (!folder)
        return false;
    bool turn = true;
    for (struct dirent *entry = readdir (folder); entry && turn; entry = readdir (folder))
        if (is_inside (entry)) {
            remove_entry (self, dirfd (folder), entry->d_name, levels);
            turn = has_turn (self);
        }
    closedir (folder);
    bool gone = unlinkat (parent, name, AT_REMOVEDIR) == 0;
    self->less = self->less || gone;
    return gone;
}

/* Each folder in the trash has its turn. */
static void go_round (sweeper_t *self)
{
    DIR *trash = open_folder (self->trash, ".");
    self->less = false;
    self->stay = trash ? 0 : 1;
    if (!trash)
        return;
    for (struct dirent *entry = readdir (trash); entry && !atomic_load (&self->stop); entry = readdir (trash)) {
        self->visit_end_ms = clock_mono_ms () + VISIT_MS;
        if (is_inside (entry) && !remove_entry (self, self->trash, entry->d_name, LEVELS))
            self->stay++;
    }
    closedir (trash);
}

/* Or until `end_ms` of clock_awake_ms. The lock is held. */
static void wait_for_change (sweeper_t *self, int64_t end_ms)
{
    const struct timespec end = { .tv_sec = end_ms / 1000, .tv_nsec = end_ms % 1000 * 1000000 };
    pthread_cond_timedwait (&self->changed, &self->lock, &end);
}

/* Until another folder comes, or, when some could not be removed, for a while. The lock is held. */
static void wait_for_more (sweeper_t *self)
{
    int64_t end_ms = clock_awake_ms () + AGAIN_MS;
    while (self->taken == self->seen && !atomic_load (&self->stop) && (!self->stay || clock_awake_ms () < end_ms))
        if (self->stay)
            wait_for_change (self, end_ms);
        else
            pthread_cond_wait (&self->changed, &self->lock);
}

static void *sweep (void *ctx)
{
    sweeper_t *self = ctx;
    uint64_t hopeless = 0; /* were in the trash when nothing more could be removed */
    setpriority (PRIO_PROCESS, (id_t)gettid (), NICENESS);
    pthread_mutex_lock (&self->lock);
    while (!atomic_load (&self->stop)) {
        uint64_t seen = self->taken;
        pthread_mutex_unlock (&self->lock);
        go_round (self);
        bool stuck = !self->less && !atomic_load (&self->stop);
        if (stuck && self->stay > hopeless)
            log_event (LEVEL_WARN, "trash-left",
                       "what jobs left cannot be removed from the work folder's trash: %llu left",
                       (unsigned long long)self->stay);
        hopeless = stuck ? self->stay : hopeless;
        pthread_mutex_lock (&self->lock);
        self->seen = seen;
        self->left = self->stay > hopeless ? self->stay - hopeless : 0;
        pthread_cond_broadcast (&self->changed);
        if (stuck || !self->stay)
            wait_for_more (self);
    }
    pthread_mutex_unlock (&self->lock);
    return NULL;
}

/* ---- life ---- */

static int begin (sweeper_t *self)
{
    pthread_condattr_t clock;
    pthread_condattr_init (&clock);
    pthread_condattr_setclock (&clock, CLOCK_MONOTONIC); /* clock_awake_ms */
    pthread_cond_init (&self->changed, &clock);
    pthread_condattr_destroy (&clock);
    pthread_mutex_init (&self->lock, NULL);
    int error = pthread_create (&self->thread, NULL, sweep, self);
    if (error) {
        pthread_cond_destroy (&self->changed);
        pthread_mutex_destroy (&self->lock);
    }
    return error;
}

sweeper_t *sweeper_new (const char *work_dir)
{
    char path[FOLDER_PATH_MAX + 8];
    snprintf (path, sizeof path, "%s/trash", work_dir);
    if (mkdir (path, 0700) != 0 && errno != EEXIST)
        return NULL;
    int trash = open (path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (trash < 0)
        return NULL;
    sweeper_t *self = xcalloc (1, sizeof *self);
    self->trash = trash;
    self->left = 1; /* until the first round has looked */
    int error = begin (self);
    if (!error)
        return self;
    close (trash);
    free (self);
    errno = error;
    return NULL;
}

void sweeper_destroy (sweeper_t **self_p)
{
    sweeper_t *self = *self_p;
    if (!self)
        return;
    int64_t end_ms = clock_awake_ms () + END_MS;
    pthread_mutex_lock (&self->lock);
    while ((self->left || self->taken > self->seen) && clock_awake_ms () < end_ms)
        wait_for_change (self, end_ms);
    atomic_store (&self->stop, true);
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
    pthread_join (self->thread, NULL);
    pthread_cond_destroy (&self->changed);
    pthread_mutex_destroy (&self->lock);
    close (self->trash);
    free (self);
    *self_p = NULL;
}

/* ---- what comes ---- */

void sweeper_take (sweeper_t *self, const char *folder)
{
    char id[ID_SIZE];
    random_id_make (id);
    if (renameat (AT_FDCWD, folder, self->trash, id) != 0 &&
        (!unshut (AT_FDCWD, folder) || renameat (AT_FDCWD, folder, self->trash, id) != 0)) {
        if (errno != ENOENT && errno != EBUSY) /* busy: something is mounted there, and is not the job's */
            folder_remove (folder);
        return;
    }
    pthread_mutex_lock (&self->lock);
    self->taken++;
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

bool sweeper_is_behind (sweeper_t *self)
{
    struct statvfs disk;
    pthread_mutex_lock (&self->lock);
    uint64_t waiting = self->left + (self->taken - self->seen);
    pthread_mutex_unlock (&self->lock);
    bool behind = waiting > WAITING_MAX ||
                  (waiting && fstatvfs (self->trash, &disk) == 0 && disk.f_bavail < disk.f_blocks / FREE_PART);
    if (behind && !self->told)
        log_event (LEVEL_INFO, "trash-waits", "no new jobs until more of what jobs left is removed: %llu folders wait",
                   (unsigned long long)waiting);
    self->told = behind;
    return behind;
}
