#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/depot_internal.h"
#include "proto/id.h"

enum { PATH_SIZE = 80 };

static void file_path (char path[PATH_SIZE], int64_t seq, int64_t attempt, stream_t stream, bool replace)
{
    snprintf (path, PATH_SIZE, "%02x/%lld.%lld.%s%s", (unsigned)(seq % OUTPUT_FOLDERS), (long long)seq,
              (long long)attempt, stream_name (stream), replace ? ".new" : "");
}

/* How many files there may be of this job and of those that share its place. Of most that end there is none, and each
 * of them would be looked for by name. */
static uint32_t *files_near (depot_outputs_t *self, int64_t seq)
{
    return &self->near[(uint64_t)seq % OUTPUT_NEAR];
}

/* Counts the files in one of our folders, and their bytes. False when it cannot be read. */
static bool folder_count (depot_outputs_t *self, const char *name)
{
    int fd = openat (self->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir (fd) : NULL;
    if (!dir)
        return false;
    for (struct dirent *entry = readdir (dir); entry; entry = readdir (dir)) {
        struct stat info;
        if (entry->d_name[0] == '.')
            continue;
        (*files_near (self, strtoll (entry->d_name, NULL, 10)))++;
        if (fstatat (fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0)
            self->bytes += info.st_size;
    }
    closedir (dir);
    return true;
}

bool depot_outputs_init (depot_outputs_t *self, int data_folder)
{
    for (int i = 0; i < OUTPUT_FDS_MAX; i++)
        self->files[i].fd = -1;
    self->folder = depot_folder_open (data_folder, "output");
    if (self->folder < 0)
        return false;
    for (int i = 0; i < OUTPUT_FOLDERS; i++) {
        char name[3];
        snprintf (name, sizeof name, "%02x", (unsigned)i);
        if (mkdirat (self->folder, name, 0700) != 0 && errno != EEXIST)
            return false;
        if (!folder_count (self, name))
            return false;
    }
    return fsync (self->folder) == 0;
}

static void file_close (output_file_t *file)
{
    if (file->fd >= 0)
        close (file->fd);
    file->fd = -1;
}

void depot_outputs_fini (depot_outputs_t *self)
{
    for (int i = 0; i < OUTPUT_FDS_MAX; i++)
        file_close (&self->files[i]);
    close (self->folder);
}

/* The place in the table of open files where this one is, or would be. */
static output_file_t *file_slot (depot_outputs_t *self, int64_t seq, int64_t attempt, stream_t stream, bool replace)
{
    uint64_t hash = ((uint64_t)seq * 1000003 + (uint64_t)attempt) * 8 + (uint64_t)stream * 2 + replace;
    return &self->files[(hash * 0x9e3779b97f4a7c15ULL) >> 55];
}

static bool file_is (const output_file_t *file, int64_t seq, int64_t attempt, stream_t stream, bool replace)
{
    return file->fd >= 0 && file->seq == seq && file->attempt == attempt && file->stream == stream &&
           file->replace == replace;
}

/* -1 with errno. */
static int open_or_make (depot_outputs_t *self, int64_t seq, const char *path, bool make)
{
    enum { HOW = O_RDWR | O_CLOEXEC | O_NOFOLLOW };
    int made = make ? openat (self->folder, path, HOW | O_CREAT | O_EXCL, 0600) : -1;
    if (made >= 0)
        (*files_near (self, seq))++;
    return make && (made >= 0 || errno != EEXIST) ? made : openat (self->folder, path, HOW);
}

/* The open file; made when missing if `make`. NULL with errno ENOENT when there is none. */
static output_file_t *file_open (depot_outputs_t *self, const depot_order_t *order, stream_t stream, bool replace,
                                 bool make)
{
    _Static_assert(OUTPUT_FDS_MAX == 512, "file_slot takes 9 bits");
    output_file_t *file = file_slot (self, order->seq, order->attempt, stream, replace);
    if (file_is (file, order->seq, order->attempt, stream, replace))
        return file;
    errno = ENOENT;
    if (!make && !*files_near (self, order->seq))
        return NULL;
    char path[PATH_SIZE];
    file_path (path, order->seq, order->attempt, stream, replace);
    int fd = open_or_make (self, order->seq, path, make);
    struct stat info;
    if (fd < 0 || fstat (fd, &info) != 0) {
        if (fd >= 0)
            close (fd);
        return NULL;
    }
    file_close (file);
    *file = (output_file_t){ .seq = order->seq,
                             .attempt = order->attempt,
                             .stream = stream,
                             .replace = replace,
                             .fd = fd,
                             .length = info.st_size };
    sha256_init (&file->hash);
    return file;
}

static void file_forget (depot_outputs_t *self, const depot_order_t *order, stream_t stream, bool replace)
{
    output_file_t *file = file_slot (self, order->seq, order->attempt, stream, replace);
    if (file_is (file, order->seq, order->attempt, stream, replace))
        file_close (file);
}

static int64_t stream_max (const depot_outputs_t *self, stream_t stream)
{
    return stream == STREAM_JOURNAL ? JOURNAL_MAX : self->max;
}

/* New bytes at the file's end, those beyond the cap dropped. */
static err_t file_extend (depot_outputs_t *self, output_file_t *file, slice_t data)
{
    int64_t max = stream_max (self, file->stream);
    int64_t room = max > file->length ? max - file->length : 0;
    if ((int64_t)data.len > room) {
        file->dropped += (int64_t)data.len - room;
        data.len = (size_t)room;
    }
    err_t err = depot_write_at (file->fd, data, file->length);
    if (err) { /* a part of it may stand there: no byte counts that was not told */
        if (ftruncate (file->fd, file->length) != 0)
            depot_failed ("truncate an output file");
        return err;
    }
    if (file->hashed == file->length) {
        sha256_update (&file->hash, data.len, (const uint8_t *)data.ptr);
        file->hashed += (int64_t)data.len;
    }
    file->length += (int64_t)data.len;
    self->bytes += (int64_t)data.len;
    return ERR_NONE;
}

static err_t file_restart (depot_outputs_t *self, output_file_t *file)
{
    if (ftruncate (file->fd, 0) != 0)
        return depot_failed ("truncate an output file");
    self->bytes -= file->length;
    file->length = file->hashed = file->dropped = 0;
    sha256_init (&file->hash);
    return ERR_NONE;
}

void depot_append (depot_outputs_t *self, depot_order_t *order)
{
    output_file_t *file = file_open (self, order, order->stream, order->replace, true);
    if (!file) {
        order->err = depot_failed ("open an output file");
        return;
    }
    if (order->replace && order->offset == 0 && file->length) /* the copy begins anew */
        order->err = file_restart (self, file);
    int64_t offset = order->offset == INT_ABSENT ? file->length : order->offset;
    if (!order->err && offset > file->length && file->length < stream_max (self, order->stream))
        order->err = ERR_OUTPUT_GAP;
    size_t had =
        offset < file->length ? (size_t)(file->length - offset) : 0; /* sent before: its answer was lost (rule 28) */
    if (!order->err && had < order->data.len) {
        order->err = file_extend (self, file, slice_from (order->data.ptr + had, order->data.len - had));
        if (order->err)
            file_forget (self, order, order->stream, order->replace);
    }
    order->bytes = file->length;
}

/* Brings the hash up to the file's end and writes it as hex. */
static err_t file_hash (output_file_t *file, char hex[65])
{
    enum { PIECE = 256 * 1024 };
    buf_t piece = { 0 };
    err_t err = ERR_NONE;
    while (!err && file->hashed < file->length) {
        buf_clear (&piece);
        err = depot_read_at (file->fd, file->hashed, PIECE, &piece);
        if (!err && !piece.len)
            err = ERR_INTERNAL; /* it became shorter: nobody but us may write here */
        sha256_update (&file->hash, piece.len, (const uint8_t *)piece.ptr);
        file->hashed += (int64_t)piece.len;
    }
    buf_fini (&piece);
    struct sha256_ctx final = file->hash; /* more may be appended if this result is refused */
    unsigned char hash[SHA256_DIGEST_SIZE];
    sha256_digest (&final, SHA256_DIGEST_SIZE, hash);
    hex_format (hash, sizeof hash, hex);
    return err;
}

static err_t sync_folder (depot_outputs_t *self, int64_t seq)
{
    char name[3];
    snprintf (name, sizeof name, "%02x", (unsigned)(seq % OUTPUT_FOLDERS));
    int folder = openat (self->folder, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err_t err = folder >= 0 && fsync (folder) == 0 ? ERR_NONE : depot_failed ("fsync an output folder");
    if (folder >= 0)
        close (folder);
    return err;
}

/* -1 with errno when it is not there. */
static int64_t size_of (const depot_outputs_t *self, const char *path)
{
    struct stat info;
    return fstatat (self->folder, path, &info, AT_SYMLINK_NOFOLLOW) == 0 ? (int64_t)info.st_size : -1;
}

/* A file of `had` bytes, or of -1 none, is no longer there. */
static void file_gone (depot_outputs_t *self, int64_t seq, int64_t had)
{
    uint32_t *near = files_near (self, seq);
    if (had < 0)
        return;
    self->bytes -= had;
    *near -= *near > 0;
}

/* The copy takes the stream's place. */
static err_t take_place (depot_outputs_t *self, const depot_order_t *order, stream_t stream)
{
    char from[PATH_SIZE];
    char to[PATH_SIZE];
    file_path (from, order->seq, order->attempt, stream, true);
    file_path (to, order->seq, order->attempt, stream, false);
    file_forget (self, order, stream, true);
    file_forget (self, order, stream, false);
    int64_t had = size_of (self, to);
    if (renameat (self->folder, from, self->folder, to) != 0)
        return depot_failed ("rename an output file");
    file_gone (self, order->seq, had);
    return ERR_NONE;
}

/* What the kernel could not write it takes for written from now on (fsync(2), BUGS): the bytes are thrown away, and the
 * worker, told that there are none, sends them again. */
static err_t sync_failed (depot_outputs_t *self, output_file_t *file)
{
    err_t err = depot_failed ("fsync an output file");
    file_restart (self, file);
    return err;
}

/* The stream's bytes are safe afterwards: small ones in the order, for the store, others in their synced file. */
static err_t seal_stream (depot_outputs_t *self, depot_order_t *order, stream_t stream)
{
    output_file_t *file = file_open (self, order, stream, true, false);
    bool replaced = file != NULL;
    if (!file)
        file = file_open (self, order, stream, false, false);
    if (!file && errno != ENOENT)
        return depot_failed ("open an output file");
    order->length[stream] = file ? file->length : 0;
    order->dropped[stream] = file ? file->dropped : INT_ABSENT;
    if (order->want[stream].expected != INT_ABSENT && order->want[stream].expected != order->length[stream])
        return ERR_OUTPUT_MISMATCH;
    output_file_t nothing = { 0 };
    sha256_init (&nothing.hash);
    err_t unread = file_hash (file ? file : &nothing, order->hash[stream]);
    if (unread)
        return unread;
    const char *wanted = order->want[stream].sha256;
    if (*wanted && strcmp (wanted, order->hash[stream]) != 0)
        return ERR_OUTPUT_MISMATCH;
    order->has[stream] = order->length[stream] <= STORE_INLINE_MAX;
    if (!file)
        return ERR_NONE;
    if (order->has[stream])
        return depot_read_at (file->fd, 0, order->length[stream], &order->got[stream]);
    if (fdatasync (file->fd) != 0)
        return sync_failed (self, file);
    err_t err = replaced ? take_place (self, order, stream) : ERR_NONE;
    return err ? err : sync_folder (self, order->seq);
}

void depot_seal (depot_outputs_t *self, depot_order_t *order)
{
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT; stream++) {
        err_t err = seal_stream (self, order, stream);
        if (err && !order->err) {
            order->err = err;
            order->fault_stream = stream;
            order->bytes = order->length[stream];
        }
    }
}

void depot_read (depot_outputs_t *self, depot_order_t *order)
{
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT && !order->err; stream++) {
        if (order->want[stream].limit < 0)
            continue;
        const output_file_t *file = file_open (self, order, stream, false, false);
        if (!file && errno != ENOENT)
            order->err = depot_failed ("open an output file");
        order->length[stream] = file ? file->length : 0;
        int64_t there = order->length[stream] - order->want[stream].offset;
        int64_t take = there < order->want[stream].limit ? there : order->want[stream].limit;
        if (file && take > 0)
            order->err = depot_read_at (file->fd, order->want[stream].offset, take, &order->got[stream]);
        int64_t tail = order->tail < order->length[stream] ? order->tail : order->length[stream];
        if (file && tail > 0 && order->want[stream].limit > 0 && !order->err)
            order->err = depot_read_at (file->fd, order->length[stream] - tail, tail, &order->end[stream]);
    }
}

/* The end of an attempt's stderr, or of its stdout. What cannot be read is left out: it is no more than a hint. */
static void read_end (depot_outputs_t *self, const depot_order_t *order, int64_t attempt, buf_t *out)
{
    depot_order_t one = { .seq = order->seq, .attempt = attempt };
    for (int stream = STREAM_PRINTED_COUNT; stream-- > 0 && !out->len;) {
        const output_file_t *file = file_open (self, &one, (stream_t)stream, false, false);
        int64_t tail = file && order->tail > file->length ? file->length : order->tail;
        if (file && tail > 0 && depot_read_at (file->fd, file->length - tail, tail, out))
            buf_clear (out);
    }
}

void depot_read_ends (depot_outputs_t *self, depot_order_t *order)
{
    if (order->ends_count <= 0)
        return;
    order->ends = xcalloc ((size_t)order->ends_count, sizeof *order->ends);
    for (int64_t i = 0; i < order->ends_count; i++)
        read_end (self, order, order->ends_from + i, &order->ends[i]);
}

static void discard_file (depot_outputs_t *self, depot_order_t *order, stream_t stream, bool replace)
{
    char path[PATH_SIZE];
    file_path (path, order->seq, order->attempt, stream, replace);
    file_forget (self, order, stream, replace);
    int64_t had = size_of (self, path);
    if (had < 0 && errno == ENOENT)
        return;
    if (unlinkat (self->folder, path, 0) == 0)
        file_gone (self, order->seq, had);
    else if (errno != ENOENT)
        order->err = depot_failed ("remove an output file");
}

void depot_discard (depot_outputs_t *self, depot_order_t *order)
{
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT && *files_near (self, order->seq); stream++) {
        if (!(order->streams & 1 << stream))
            continue;
        discard_file (self, order, stream, false);
        discard_file (self, order, stream, true);
    }
}
