#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/depot_internal.h"
#include "proto/clock.h"
#include "proto/id.h"

enum {
    NAME_SIZE = 80,
    WRITE_OUT = 8 * 1024 * 1024, /* bytes of an upload after which the disk is told to begin with them */
};

struct upload {
    char id[ID_MAX + 1];
    char file[NAME_SIZE];
    int fd;
    int64_t length;
    int64_t begun; /* bytes that the disk was told to begin with */
    int64_t touched_ms;
    struct sha256_ctx hash;
};

/* What an earlier run did not finish is nobody's any more: its sender was never told that it was safe. */
static void sweep (int folder)
{
    DIR *dir = fdopendir (dup (folder));
    if (!dir)
        return;
    for (struct dirent *entry = readdir (dir); entry; entry = readdir (dir))
        if (entry->d_name[0] != '.')
            unlinkat (folder, entry->d_name, 0);
    closedir (dir);
}

bool depot_blobs_init (depot_blobs_t *self, int data_folder)
{
    self->folder = depot_folder_open (data_folder, "blobs");
    self->uploads_folder = depot_folder_open (data_folder, "uploads");
    if (self->folder < 0 || self->uploads_folder < 0)
        return false;
    sweep (self->uploads_folder);
    self->uploads = xcalloc (UPLOADS_MAX, sizeof (upload_t *));
    return true;
}

static void upload_drop (depot_blobs_t *self, size_t at)
{
    upload_t *upload = self->uploads[at];
    unlinkat (self->uploads_folder, upload->file, 0);
    close (upload->fd);
    free (upload);
    self->uploads[at] = self->uploads[--self->count];
}

void depot_blobs_fini (depot_blobs_t *self)
{
    while (self->count)
        upload_drop (self, 0);
    free (self->uploads);
    close (self->folder);
    close (self->uploads_folder);
}

/* Its index; `count` when there is none. */
static size_t upload_find (const depot_blobs_t *self, const char *id)
{
    size_t at = 0;
    while (at < self->count && strcmp (self->uploads[at]->id, id) != 0)
        at++;
    return at;
}

void depot_uploads_drop (depot_blobs_t *self, int64_t idle_ms)
{
    int64_t oldest = clock_mono_ms () - idle_ms;
    for (size_t at = self->count; at-- > 0;)
        if (self->uploads[at]->touched_ms < oldest)
            upload_drop (self, at);
}

static err_t upload_begin (depot_blobs_t *self, const char *id)
{
    size_t old = upload_find (self, id);
    if (old < self->count)
        upload_drop (self, old);
    if (self->count == UPLOADS_MAX)
        depot_uploads_drop (self, UPLOAD_IDLE_MAX_MS);
    if (self->count == UPLOADS_MAX)
        return ERR_TOO_MANY;
    upload_t *upload = xcalloc (1, sizeof *upload);
    snprintf (upload->id, sizeof upload->id, "%s", id);
    snprintf (upload->file, sizeof upload->file, "%llu.part", (unsigned long long)++self->serial);
    upload->fd = openat (self->uploads_folder, upload->file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (upload->fd < 0) {
        free (upload);
        return depot_failed ("open an upload");
    }
    sha256_init (&upload->hash);
    self->uploads[self->count++] = upload;
    return ERR_NONE;
}

/* The disk writes while the rest comes, so that the fsync at the end finds little left, and no other order waits long
 * behind it. This promises nothing and takes no error away: the fsync reports what went wrong here. */
static void write_out (upload_t *upload)
{
    if (upload->length - upload->begun < WRITE_OUT)
        return;
    sync_file_range (upload->fd, upload->begun, upload->length - upload->begun, SYNC_FILE_RANGE_WRITE);
    upload->begun = upload->length;
}

/* Bytes that were sent before are skipped: a sender that heard no answer sends them again (rule 30 of proto/README.md).
 */
static err_t upload_write (upload_t *upload, int64_t offset, slice_t data)
{
    if (offset > upload->length)
        return ERR_BAD_OFFSET;
    size_t had = (size_t)(upload->length - offset);
    if (had >= data.len)
        return ERR_NONE;
    slice_t rest = slice_from (data.ptr + had, data.len - had);
    err_t err = depot_write_at (upload->fd, rest, upload->length);
    if (err)
        return err;
    sha256_update (&upload->hash, rest.len, (const uint8_t *)rest.ptr);
    upload->length += (int64_t)rest.len;
    write_out (upload);
    return ERR_NONE;
}

void depot_blob_put (depot_blobs_t *self, depot_order_t *order)
{
    if (order->offset == 0 && (order->err = upload_begin (self, order->upload)))
        return;
    size_t at = upload_find (self, order->upload);
    if (at == self->count) {
        order->err = ERR_NO_SUCH_UPLOAD;
        return;
    }
    upload_t *upload = self->uploads[at];
    upload->touched_ms = clock_mono_ms ();
    order->err = upload_write (upload, order->offset, order->data);
    order->bytes = upload->length;
    if (order->err == ERR_DISK_FULL || order->err == ERR_INTERNAL)
        upload_drop (self, at); /* a hole must not be hashed over */
}

/* The end-of-central-directory record whose comment reaches just to the file's end (APPNOTE.TXT 4.3.16). */
static bool has_directory_end (const unsigned char *tail, size_t len)
{
    for (size_t at = len >= 22 ? len - 22 + 1 : 0; at-- > 0;)
        if (memcmp (tail + at, "PK\5\6", 4) == 0 && (size_t)(tail[at + 20] | tail[at + 21] << 8) == len - at - 22)
            return true;
    return false;
}

static bool is_zip (int fd, int64_t length)
{
    enum { TAIL_MAX = 22 + 65535 };
    buf_t head = { 0 };
    buf_t tail = { 0 };
    int64_t from = length > TAIL_MAX ? length - TAIL_MAX : 0;
    bool good = !depot_read_at (fd, 0, 4, &head) && !depot_read_at (fd, from, TAIL_MAX, &tail) && head.len == 4 &&
                (memcmp (head.ptr, "PK\3\4", 4) == 0 || memcmp (head.ptr, "PK\5\6", 4) == 0) &&
                has_directory_end ((const unsigned char *)tail.ptr, tail.len);
    buf_fini (&head);
    buf_fini (&tail);
    return good;
}

/* The order that makes a blob safe: its bytes, then its name, then the folder that holds the name. */
static err_t store_blob (depot_blobs_t *self, upload_t *upload, const char *sha256)
{
    char shard[3] = { sha256[0], sha256[1], '\0' };
    futimens (upload->fd, NULL); /* by its age it is known that a removal on its way does not mean this one */
    if (fsync (upload->fd) != 0)
        return depot_failed ("fsync a blob");
    int folder = depot_folder_open (self->folder, shard);
    if (folder < 0)
        return depot_failed ("open a blob folder");
    err_t err = ERR_NONE;
    if (renameat (self->uploads_folder, upload->file, folder, sha256) != 0) {
        err = depot_failed ("name a blob");
    } else if (fsync (folder) != 0) {
        err = depot_failed ("fsync a blob's name");
        unlinkat (folder, sha256, 0); /* else the commit, sent again, would find it and think it safe */
    }
    close (folder);
    return err;
}

/* A commit sent again, its answer having been lost? The broker may have ended between the blob's name and its fsync. */
static err_t commit_again (const depot_blobs_t *self, const depot_order_t *order)
{
    char shard[3] = { order->sha256[0], order->sha256[0] ? order->sha256[1] : '\0', '\0' };
    int64_t bytes = 0;
    if (!depot_blob_there (self, order->sha256, &bytes) || bytes != order->bytes)
        return ERR_NO_SUCH_UPLOAD;
    int folder = depot_folder_open (self->folder, shard);
    err_t err = folder >= 0 && fsync (folder) == 0 ? ERR_NONE : depot_failed ("fsync a blob's name");
    if (folder >= 0)
        close (folder);
    return err;
}

void depot_blob_commit (depot_blobs_t *self, depot_order_t *order)
{
    size_t at = upload_find (self, order->upload);
    if (at == self->count) {
        order->err = commit_again (self, order);
        return;
    }
    upload_t *upload = self->uploads[at];
    int64_t expected = order->bytes;
    order->bytes = upload->length;
    if (expected != upload->length) {
        order->err = ERR_BAD_OFFSET;
        return;
    }
    if (order->zip && !is_zip (upload->fd, upload->length)) {
        order->err = ERR_NOT_ZIP;
    } else {
        unsigned char hash[SHA256_DIGEST_SIZE];
        sha256_digest (&upload->hash, SHA256_DIGEST_SIZE, hash);
        hex_format (hash, sizeof hash, order->sha256);
        order->err = store_blob (self, upload, order->sha256);
    }
    upload_drop (self, at);
}

void depot_blob_abort (depot_blobs_t *self, depot_order_t *order)
{
    size_t at = upload_find (self, order->upload);
    if (at < self->count)
        upload_drop (self, at);
}

void depot_blob_get (depot_blobs_t *self, depot_order_t *order)
{
    char path[NAME_SIZE];
    snprintf (path, sizeof path, "%.2s/%.64s", order->sha256, order->sha256);
    int fd = openat (self->folder, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        order->err = errno == ENOENT ? ERR_NO_SUCH_BLOB : depot_failed ("open a blob");
        return;
    }
    struct stat info;
    order->err = fstat (fd, &info) == 0 ? ERR_NONE : depot_failed ("stat a blob");
    if (!order->err)
        order->err = depot_read_at (fd, order->offset, CHUNK_MAX, &order->got[0]);
    order->bytes = (int64_t)info.st_size;
    close (fd);
}

static bool blob_path (const char *sha256, char path[NAME_SIZE])
{
    snprintf (path, NAME_SIZE, "%.2s/%.64s", sha256, sha256);
    return strlen (sha256) == SHA256_HEX;
}

bool depot_blob_there (const depot_blobs_t *self, const char *sha256, int64_t *bytes)
{
    char path[NAME_SIZE];
    struct stat info;
    if (!blob_path (sha256, path) || fstatat (self->folder, path, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (bytes)
        *bytes = (int64_t)info.st_size;
    return true;
}

void depot_blob_remove (depot_blobs_t *self, depot_order_t *order)
{
    char path[NAME_SIZE];
    struct stat info;
    if (!blob_path (order->sha256, path) || fstatat (self->folder, path, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    int64_t age = clock_wall_ms () - (int64_t)info.st_mtim.tv_sec * 1000;
    if (age >= 0 && age < BLOB_YOUNG_MS)
        return;
    if (unlinkat (self->folder, path, 0) != 0)
        order->err = depot_failed ("remove a blob");
}
