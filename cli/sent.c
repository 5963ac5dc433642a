#include "cli/sent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/pack.h"
#include "proto/buf.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/lines.h"

enum { FILE_BYTES_MAX = 192 * 1024 * 1024, HASH_HEX = 2 * SENT_HASH, NUMBERS = 7 };
static const char magic[] = "gleaner index 2";

static int64_t ns_of (const struct timespec *time)
{
    return (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static void hash_of (const char *bytes, size_t len, char hex[HASH_HEX + 1])
{
    unsigned char digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx hash;
    sha256_init (&hash);
    sha256_update (&hash, len, (const uint8_t *)bytes);
    sha256_digest (&hash, sizeof digest, digest);
    hex_format (digest, sizeof digest, hex);
}

sent_t *sent_new (void)
{
    struct timespec now;
    sent_t *self = xcalloc (1, sizeof *self);
    clock_gettime (CLOCK_REALTIME, &now);
    self->taken_ns = ns_of (&now);
    return self;
}

void sent_destroy (sent_t **self_p)
{
    sent_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        free (self->files[i].path);
    free (self->files);
    free (self);
}

/* ---- files ---- */

static int compare (const void *a, const void *b)
{
    return strcmp (((const sent_file_t *)a)->path, ((const sent_file_t *)b)->path);
}

sent_file_t *sent_find (const sent_t *self, const char *path)
{
    size_t from = 0;
    size_t to = self->count;
    while (from < to) {
        size_t at = (from + to) / 2;
        int order = strcmp (path, self->files[at].path);
        if (order == 0)
            return &self->files[at];
        if (order < 0)
            to = at;
        else
            from = at + 1;
    }
    return NULL;
}

bool sent_is_same (const sent_t *self, const sent_file_t *file, const struct stat *info)
{
    int64_t mtime_ns = ns_of (&info->st_mtim);
    int64_t ctime_ns = ns_of (&info->st_ctim);
    int64_t sure_ns = self->taken_ns - (int64_t)SENT_RACY_MS * 1000000;
    return file->size == info->st_size && file->mtime_ns == mtime_ns && file->ctime_ns == ctime_ns &&
           file->inode == info->st_ino && file->device == info->st_dev && file->runs == !!(info->st_mode & S_IXUSR) &&
           mtime_ns < sure_ns && ctime_ns < sure_ns;
}

/* A lease is not given while there are writers; one who comes meanwhile waits until it is given back. */
bool sent_is_written (int fd)
{
    signal (SIGIO, SIG_IGN); /* sent when one comes */
    if (fcntl (fd, F_SETLEASE, F_RDLCK) != 0)
        return errno == EAGAIN;
    fcntl (fd, F_SETLEASE, F_UNLCK);
    return false;
}

void sent_note (sent_file_t *file, const struct stat *info, bool written)
{
    file->size = info->st_size;
    file->mtime_ns = ns_of (&info->st_mtim);
    file->ctime_ns = ns_of (&info->st_ctim);
    file->inode = written ? 0 : info->st_ino;
    file->device = info->st_dev;
    file->runs = info->st_mode & S_IXUSR;
}

static sent_file_t *append (sent_t *self)
{
    if (self->count == self->room) {
        self->room = self->room ? 2 * self->room : 256;
        self->files = xrealloc (self->files, self->room * sizeof *self->files);
    }
    sent_file_t *file = &self->files[self->count++];
    *file = (sent_file_t){ 0 };
    return file;
}

void sent_add (sent_t *self, const char *path, const struct stat *info, bool written,
               const unsigned char sha256[SENT_HASH])
{
    sent_file_t *file = append (self);
    file->path = xstrdup (path);
    memcpy (file->sha256, sha256, SENT_HASH);
    file->zip_s = info->st_mtim.tv_sec;
    sent_note (file, info, written);
}

/* ---- where ---- */

/* False: the user has no home, or it would be a part of the project itself. */
static bool path_of (const char *server, const char *folder, buf_t *out)
{
    char name[HASH_HEX + 1];
    buf_t what = { 0 };
    const char *cache = getenv ("XDG_CACHE_HOME");
    const char *home = getenv ("HOME");
    buf_printf (&what, "%s\n%s", server, folder);
    hash_of (what.ptr, what.len, name);
    buf_fini (&what);
    if (cache && cache[0] == '/')
        buf_printf (out, "%s/gleaner/%s", cache, name);
    else if (home && home[0] == '/')
        buf_printf (out, "%s/.cache/gleaner/%s", home, name);
    size_t len = strlen (folder);
    bool inside = len < 2 || (out->len > len && strncmp (out->ptr, folder, len) == 0 && out->ptr[len] == '/');
    return out->len && !inside;
}

static void make_folders (char *path)
{
    for (char *slash = strchr (path + 1, '/'); slash; slash = strchr (slash + 1, '/')) {
        *slash = '\0';
        mkdir (path, 0700);
        *slash = '/';
    }
}

/* ---- reading ---- */

static bool read_file (const char *path, buf_t *out)
{
    struct stat info;
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    bool good = fd >= 0 && fstat (fd, &info) == 0 && S_ISREG (info.st_mode) && info.st_uid == geteuid () &&
                info.st_size > 0 && info.st_size <= FILE_BYTES_MAX;
    if (good)
        buf_reserve (out, (size_t)info.st_size);
    ssize_t got = 1;
    while (good && got > 0 && (int64_t)out->len < info.st_size) {
        got = read (fd, out->ptr + out->len, (size_t)info.st_size - out->len);
        out->len += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close (fd);
    return good && (int64_t)out->len == info.st_size;
}

/* Takes the hash of all before it from the file's end. False: it is another one. */
static bool take_sum (slice_t *text)
{
    char hex[HASH_HEX + 1];
    if (text->len < HASH_HEX + 1)
        return false;
    text->len -= HASH_HEX + 1;
    hash_of (text->ptr, text->len, hex);
    return memcmp (text->ptr + text->len, hex, HASH_HEX) == 0;
}

static bool take_hash (const char *hex, unsigned char out[SENT_HASH])
{
    if (!hex_valid (slice_from (hex, HASH_HEX), HASH_HEX))
        return false;
    for (size_t i = 0; i < SENT_HASH; i++) {
        const char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };
        out[i] = (unsigned char)strtoul (digits, NULL, 16);
    }
    return true;
}

/* "SIZE MTIME CTIME INODE DEVICE RUNS ZIPTIME SHA256 PATH". */
static bool take_file (sent_t *self, slice_t line)
{
    uint64_t numbers[NUMBERS];
    char *text = slice_dup (line);
    char *at = text;
    bool good = true;
    for (int i = 0; i < NUMBERS && good; i++) {
        char *end = at;
        numbers[i] = strtoull (at, &end, 10);
        good = end > at && *end == ' ';
        at = end + 1;
    }
    sent_file_t *file = append (self);
    good = good && strlen (at) > HASH_HEX + 1 && at[HASH_HEX] == ' ' && take_hash (at, file->sha256);
    file->path = xstrdup (good ? at + HASH_HEX + 1 : "");
    if (good) {
        file->size = (int64_t)numbers[0];
        file->mtime_ns = (int64_t)numbers[1];
        file->ctime_ns = (int64_t)numbers[2];
        file->inode = numbers[3];
        file->device = numbers[4];
        file->runs = numbers[5] == 1;
        file->zip_s = (int64_t)numbers[6];
        good = self->count < 2 || compare (file - 1, file) < 0;
    }
    free (text);
    return good;
}

static bool take_all (sent_t *self, slice_t text, const char *server, const char *folder)
{
    slice_t line;
    long long bytes = 0;
    long long taken = 0;
    size_t count = 0;
    if (!take_sum (&text) || !lines_next (&text, &line) || !slice_eq_str (line, magic) || !lines_next (&text, &line) ||
        !slice_eq_str (line, server) || !lines_next (&text, &line) || !slice_eq_str (line, folder) ||
        !lines_next (&text, &line))
        return false;
    char *head = slice_dup (line);
    bool good = sscanf (head, "%64s %lld %lld %zu", self->base, &bytes, &taken, &count) == 4 &&
                hex_valid (slice_of (self->base), SHA256_HEX) && count <= ARCHIVE_FILES_DEFAULT;
    free (head);
    self->base_bytes = bytes;
    self->taken_ns = taken;
    while (good && lines_next (&text, &line))
        good = self->count < count && take_file (self, line);
    return good && self->count == count;
}

sent_t *sent_load (const char *server, const char *folder)
{
    buf_t path = { 0 };
    buf_t text = { 0 };
    sent_t *self = sent_new ();
    if (!path_of (server, folder, &path) || !read_file (path.ptr, &text) ||
        !take_all (self, buf_slice (&text), server, folder))
        sent_destroy (&self);
    buf_fini (&text);
    buf_fini (&path);
    return self;
}

/* ---- writing ---- */

static void put_all (const sent_t *self, const char *server, const char *folder, buf_t *out)
{
    char hex[HASH_HEX + 1];
    buf_printf (out, "%s\n%s\n%s\n%s %" PRId64 " %" PRId64 " %zu\n", magic, server, folder, self->base,
                self->base_bytes, self->taken_ns, self->count);
    for (size_t i = 0; i < self->count; i++) {
        const sent_file_t *file = &self->files[i];
        hex_format (file->sha256, SENT_HASH, hex);
        buf_printf (out, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %d %" PRId64 " %s %s\n",
                    file->size, file->mtime_ns, file->ctime_ns, file->inode, file->device, file->runs, file->zip_s, hex,
                    file->path);
    }
    hash_of (out->ptr, out->len, hex);
    buf_printf (out, "%s\n", hex);
}

static bool write_all (int fd, slice_t text)
{
    while (text.len) {
        ssize_t put = write (fd, text.ptr, text.len);
        if (put < 0 && errno != EINTR)
            return false;
        text = slice_from (text.ptr + (put > 0 ? put : 0), text.len - (put > 0 ? (size_t)put : 0));
    }
    return true;
}

/* Removes the one that was written longest ago, when there are too many. What is left of a write that was cut off is
 * one of them. */
static void drop_oldest (const char *path)
{
    char oldest[NAME_MAX + 1] = "";
    struct timespec when = { 0 };
    int count = 0;
    char *folder = slice_dup (slice_from (path, (size_t)(strrchr (path, '/') - path)));
    DIR *dir = opendir (folder);
    for (struct dirent *entry; dir && (entry = readdir (dir));) {
        struct stat info;
        if (fstatat (dirfd (dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG (info.st_mode))
            continue;
        if (!count++ || ns_of (&info.st_mtim) < ns_of (&when)) {
            snprintf (oldest, sizeof oldest, "%s", entry->d_name);
            when = info.st_mtim;
        }
    }
    if (count > SENT_MAX)
        unlinkat (dirfd (dir), oldest, 0);
    if (dir)
        closedir (dir);
    free (folder);
}

void sent_save (sent_t *self, const char *server, const char *folder)
{
    buf_t path = { 0 };
    buf_t temporary = { 0 };
    buf_t text = { 0 };
    if (self->count)
        qsort (self->files, self->count, sizeof *self->files, compare);
    if (!strchr (server, '\n') && !strchr (folder, '\n') && path_of (server, folder, &path)) {
        make_folders (path.ptr);
        put_all (self, server, folder, &text);
        buf_printf (&temporary, "%s.XXXXXX", path.ptr);
        int fd = mkostemp (temporary.ptr, O_CLOEXEC);
        bool written = fd >= 0 && write_all (fd, buf_slice (&text));
        if (fd >= 0 && (close (fd) != 0 || !written || rename (temporary.ptr, path.ptr) != 0))
            unlink (temporary.ptr);
        drop_oldest (path.ptr);
    }
    buf_fini (&text);
    buf_fini (&temporary);
    buf_fini (&path);
}
