#include "gateway/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/log.h"

enum { STALE_S = 24 * 60 * 60 /* a file on its way for longer was left by a crash */ };

struct cache {
    char *dir;
    int64_t bytes_max;
    int64_t bytes; /* of the copies, as far as this gateway knows */
};

typedef struct {
    char name[80];
    int64_t bytes;
    struct timespec used;
} copy_t;

static char *path_of (const cache_t *self, const char *sha256)
{
    buf_t path = { 0 };
    buf_printf (&path, "%s/%s.zip", self->dir, sha256);
    return path.ptr;
}

static int make_folders (const char *dir)
{
    char *path = xstrdup (dir);
    int rc = 0;
    for (char *at = path + 1; rc == 0; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char end = *at;
        *at = '\0';
        rc = mkdir (path, 0700) == 0 || errno == EEXIST ? 0 : -1;
        *at = end;
        if (end == '\0')
            break;
    }
    free (path);
    return rc;
}

/* All whole copies, the caller's. Sweeps what a crash left. */
static copy_t *scan (const cache_t *self, size_t *count)
{
    *count = 0;
    copy_t *copies = NULL;
    DIR *dir = opendir (self->dir);
    if (!dir)
        return NULL;
    for (struct dirent *entry; (entry = readdir (dir));) {
        struct stat info;
        size_t len = strlen (entry->d_name);
        if (fstatat (dirfd (dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG (info.st_mode))
            continue;
        if (strncmp (entry->d_name, ".new-", 5) == 0 && info.st_mtime < time (NULL) - STALE_S)
            unlinkat (dirfd (dir), entry->d_name, 0);
        if (len != 68 || strcmp (entry->d_name + 64, ".zip") != 0)
            continue;
        copies = xrealloc (copies, (*count + 1) * sizeof *copies);
        copy_t *copy = &copies[(*count)++];
        memcpy (copy->name, entry->d_name, len + 1);
        copy->bytes = info.st_size;
        copy->used = info.st_mtim;
    }
    closedir (dir);
    return copies;
}

static int by_use (const void *a, const void *b)
{
    const struct timespec *x = &((const copy_t *)a)->used;
    const struct timespec *y = &((const copy_t *)b)->used;
    if (x->tv_sec != y->tv_sec)
        return x->tv_sec < y->tv_sec ? -1 : 1;
    return x->tv_nsec < y->tv_nsec ? -1 : x->tv_nsec > y->tv_nsec;
}

static int64_t total (const copy_t *copies, size_t count)
{
    int64_t bytes = 0;
    for (size_t at = 0; at < count; at++)
        bytes += copies[at].bytes;
    return bytes;
}

/* Makes room, a tenth more than needed, so that the folder is not read for every new copy. */
static void evict (cache_t *self)
{
    size_t count;
    copy_t *copies = scan (self, &count);
    self->bytes = total (copies, count);
    bool full = self->bytes > self->bytes_max;
    if (full)
        qsort (copies, count, sizeof *copies, by_use);
    for (size_t at = 0; full && at < count && self->bytes > self->bytes_max / 10 * 9; at++) {
        buf_t path = { 0 };
        buf_printf (&path, "%s/%s", self->dir, copies[at].name);
        if (unlink (path.ptr) == 0)
            self->bytes -= copies[at].bytes;
        buf_fini (&path);
    }
    free (copies);
}

cache_t *cache_new (const char *dir, int64_t bytes_max, char *problem, size_t problem_size)
{
    cache_t *self = xcalloc (1, sizeof *self);
    self->dir = xstrdup (dir);
    self->bytes_max = bytes_max;
    if (make_folders (dir) == 0 && access (dir, R_OK | W_OK | X_OK) == 0) {
        evict (self);
        return self;
    }
    snprintf (problem, problem_size, "The cache folder '%s' cannot be used (%s): name another one with --cache-dir.",
              dir, strerror (errno));
    cache_destroy (&self);
    return NULL;
}

void cache_destroy (cache_t **self_p)
{
    cache_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    free (self->dir);
    free (self);
}

int cache_open (cache_t *self, const char *sha256, int64_t *bytes)
{
    char *path = path_of (self, sha256);
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    free (path);
    struct stat info;
    if (fd < 0)
        return -1;
    if (fstat (fd, &info) != 0 || !S_ISREG (info.st_mode)) {
        close (fd);
        return -1;
    }
    *bytes = info.st_size;
    futimens (fd, NULL);
    return fd;
}

int cache_begin (cache_t *self, char **path_p)
{
    buf_t path = { 0 };
    buf_printf (&path, "%s/.new-XXXXXX", self->dir);
    *path_p = path.ptr;
    return mkostemp (path.ptr, O_CLOEXEC);
}

err_t cache_commit (cache_t *self, const char *path, const char *sha256, int64_t bytes)
{
    char *name = path_of (self, sha256);
    int rc = rename (path, name);
    free (name);
    if (rc != 0) {
        log_event (LEVEL_ERROR, "cache-failed", "a file cannot be kept in %s: %s", self->dir, strerror (errno));
        return ERR_INTERNAL;
    }
    self->bytes += bytes;
    if (self->bytes > self->bytes_max)
        evict (self);
    return 0;
}
