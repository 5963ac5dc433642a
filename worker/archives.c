#include "worker/archives.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/limits.h"
#include "proto/log.h"

typedef struct {
    char sha256[SHA256_HEX + 1];
    int64_t bytes;
    struct timespec changed; /* what the file's time was */
    struct timespec used;
    bool sure;
} kept_t;

struct archives {
    int folder; /* -1: nothing is kept */
    int64_t bytes_max;
    int64_t bytes;
    kept_t kept[ARCHIVES_MAX];
    size_t count;
};

static bool earlier (const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static kept_t *find (archives_t *self, slice_t sha256)
{
    for (size_t i = 0; i < self->count; i++)
        if (slice_eq_str (sha256, self->kept[i].sha256))
            return &self->kept[i];
    return NULL;
}

static void drop (archives_t *self, kept_t *kept)
{
    unlinkat (self->folder, kept->sha256, 0);
    self->bytes -= kept->bytes;
    *kept = self->kept[--self->count];
}

static void drop_oldest (archives_t *self)
{
    kept_t *oldest = &self->kept[0];
    for (size_t i = 1; i < self->count; i++)
        if (earlier (&self->kept[i].used, &oldest->used))
            oldest = &self->kept[i];
    drop (self, oldest);
}

static void make_room (archives_t *self, int64_t bytes)
{
    while (self->count && (self->count == ARCHIVES_MAX || self->bytes + bytes > self->bytes_max))
        drop_oldest (self);
}

static void enter (archives_t *self, const char *sha256, const struct stat *info, bool sure)
{
    make_room (self, info->st_size);
    kept_t *kept = &self->kept[self->count++];
    *kept = (kept_t){ .bytes = info->st_size, .changed = info->st_mtim, .used = info->st_atim, .sure = sure };
    snprintf (kept->sha256, sizeof kept->sha256, "%s", sha256);
    self->bytes += info->st_size;
}

/* What is no archive's name was not put there by a worker, or by one that kept them otherwise. */
static void read_folder (archives_t *self)
{
    DIR *dir = fdopendir (openat (self->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    for (struct dirent *entry; dir && (entry = readdir (dir));) {
        struct stat info;
        if (fstatat (self->folder, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || S_ISDIR (info.st_mode))
            continue;
        if (S_ISREG (info.st_mode) && info.st_size <= self->bytes_max &&
            hex_valid (slice_of (entry->d_name), SHA256_HEX))
            enter (self, entry->d_name, &info, false);
        else
            unlinkat (self->folder, entry->d_name, 0);
    }
    if (dir)
        closedir (dir);
}

static int64_t share_of_disk (int folder)
{
    struct statvfs disk;
    return fstatvfs (folder, &disk) == 0 ? (int64_t)(disk.f_blocks * disk.f_frsize) / ARCHIVES_DISK_SHARE : 0;
}

archives_t *archives_new (const char *work_dir, int64_t bytes_max)
{
    archives_t *self = xcalloc (1, sizeof *self);
    buf_t path = { 0 };
    buf_printf (&path, "%s/archives", work_dir);
    if (bytes_max)
        mkdir (path.ptr, 0700);
    self->folder = open (path.ptr, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (self->folder >= 0) {
        int64_t share = share_of_disk (self->folder);
        self->bytes_max = bytes_max < share ? bytes_max : share;
        read_folder (self);
    } else if (bytes_max) {
        log_event (LEVEL_WARN, "archives-failed", "%s: %s; projects are downloaded each time", path.ptr,
                   strerror (errno));
    }
    buf_fini (&path);
    return self;
}

void archives_destroy (archives_t **self_p)
{
    if (!*self_p)
        return;
    if ((*self_p)->folder >= 0)
        close ((*self_p)->folder);
    free (*self_p);
    *self_p = NULL;
}

/* The file is still the one that was kept, as far as its length and its time tell. */
static bool is_same (const kept_t *kept, const struct stat *info)
{
    return S_ISREG (info->st_mode) && info->st_size == kept->bytes && info->st_mtim.tv_sec == kept->changed.tv_sec &&
           info->st_mtim.tv_nsec == kept->changed.tv_nsec;
}

bool archives_take (archives_t *self, slice_t sha256, const char *path, bool *sure)
{
    const struct timespec now[] = { { .tv_nsec = UTIME_NOW }, { .tv_nsec = UTIME_OMIT } };
    struct stat info;
    kept_t *kept = sha256.len ? find (self, sha256) : NULL;
    if (!kept)
        return false;
    if (fstatat (self->folder, kept->sha256, &info, AT_SYMLINK_NOFOLLOW) != 0 || !is_same (kept, &info)) {
        drop (self, kept);
        return false;
    }
    if (linkat (self->folder, kept->sha256, AT_FDCWD, path, 0) != 0)
        return false;
    utimensat (self->folder, kept->sha256, now, AT_SYMLINK_NOFOLLOW);
    clock_gettime (CLOCK_REALTIME, &kept->used);
    *sure = kept->sure;
    return true;
}

void archives_keep (archives_t *self, slice_t sha256, const char *path)
{
    char name[SHA256_HEX + 1];
    struct stat info;
    if (sha256.len != SHA256_HEX || !self->bytes_max || find (self, sha256) || stat (path, &info) != 0 ||
        info.st_size > self->bytes_max)
        return;
    slice_copy (sha256, name, sizeof name);
    make_room (self, info.st_size);
    if (linkat (AT_FDCWD, path, self->folder, name, 0) == 0)
        enter (self, name, &info, true);
}

void archives_sure (archives_t *self, slice_t sha256)
{
    kept_t *kept = sha256.len ? find (self, sha256) : NULL;
    if (kept)
        kept->sure = true;
}

/* Bytes that are free beyond what is to be left to jobs; below 0 on a disk that is nearly full. */
static int64_t free_of_disk (const archives_t *self)
{
    struct statvfs disk;
    if (fstatvfs (self->folder, &disk) != 0)
        return 0;
    fsblkcnt_t part = disk.f_blocks / ARCHIVES_FREE_PART;
    fsblkcnt_t wanted = ARCHIVES_FREE_MIN / disk.f_frsize;
    return ((int64_t)disk.f_bavail - (int64_t)(part < wanted ? part : wanted)) * (int64_t)disk.f_frsize;
}

void archives_yield (archives_t *self, int64_t coming)
{
    while (self->count && free_of_disk (self) + coming < 0)
        drop_oldest (self);
}

int64_t archives_room (const archives_t *self, int64_t held)
{
    int64_t of_cache = self->bytes_max - self->bytes;
    int64_t of_disk = of_cache > 0 ? held + free_of_disk (self) : 0;
    int64_t room = of_cache < of_disk ? of_cache : of_disk;
    return room > 0 ? room : 0;
}

void archives_drop (archives_t *self, slice_t sha256)
{
    kept_t *kept = sha256.len ? find (self, sha256) : NULL;
    if (kept)
        drop (self, kept);
}
