#include "worker/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/buf.h"
#include "worker/archive_delta.h"

enum { BLOCK = 64 * 1024, DISK_BLOCK = 4096 };

typedef struct {
    struct archive *zip;
    int folder;
    bool unpacked; /* the base is in there */
    int64_t archive_bytes;
    int64_t bytes; /* written so far */
    const archive_limits_t *limits;
    archive_refusal_t *refusal;
} extract_t;

static bool refuse_entry (const extract_t *self, const char *code, const zip_entry_t *entry, const char *why)
{
    return archive_refuse_entry (self->refusal, code, entry->path, why);
}

static bool damaged (const extract_t *self)
{
    const char *why = archive_error_string (self->zip);
    return archive_refuse (self->refusal, "CORRUPT_ZIP", "it is damaged or not readable: %.200s.",
                           why ? why : "it ends too early");
}

/* Only the ZIP reader is switched on: what cannot be read cannot be attacked. */
static bool open_zip (extract_t *self, int fd)
{
    if (lseek (fd, 0, SEEK_SET) != 0)
        return archive_refuse_errno (self->refusal);
    self->zip = archive_read_new ();
    archive_read_support_format_zip_seekable (self->zip);
    return archive_read_open_fd (self->zip, fd, BLOCK) == ARCHIVE_OK || damaged (self);
}

static void close_zip (extract_t *self)
{
    archive_read_free (self->zip);
    self->zip = NULL;
}

/* ---- the second pass ---- */

/* O_PATH: it must be found, and cannot be read. */
static int open_folder (int parent, const char *name)
{
    if (mkdirat (parent, name, 0755) != 0 && errno != EEXIST)
        return -1;
    return openat (parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static void close_folder (const extract_t *self, int folder)
{
    if (folder >= 0 && folder != self->folder)
        close (folder);
}

/* The folder that holds the last part of `path`, made on the way, for close_folder; `*last` is that part. -1 on
 * failure. */
static int open_parent (const extract_t *self, char *path, char **last)
{
    int folder = self->folder;
    char *at = path;
    for (char *slash = strchr (at, '/'); slash && folder >= 0; slash = strchr (at, '/')) {
        *slash = '\0';
        int next = open_folder (folder, at);
        close_folder (self, folder);
        folder = next;
        at = slash + 1;
    }
    *last = at;
    return folder;
}

static bool within_bounds (extract_t *self, int64_t more)
{
    const archive_limits_t *limits = self->limits;
    self->bytes += more;
    if (self->bytes > limits->bytes)
        return archive_refuse (self->refusal, "ARCHIVE_LIMIT", "it becomes more than %lld bytes.",
                               (long long)limits->bytes);
    if (self->bytes > ARCHIVE_RATIO_FREE && self->bytes / limits->ratio > self->archive_bytes)
        return archive_refuse (self->refusal, "ARCHIVE_LIMIT", "it grows to more than %lld times its size.",
                               (long long)limits->ratio);
    return true;
}

static bool write_all (const extract_t *self, int fd, const char *bytes, ssize_t len)
{
    while (len > 0) {
        ssize_t written = write (fd, bytes, (size_t)len);
        if (written < 0 && errno != EINTR)
            return archive_refuse_errno (self->refusal);
        bytes += written > 0 ? written : 0;
        len -= written > 0 ? written : 0;
    }
    return true;
}

static bool write_data (extract_t *self, const zip_entry_t *entry, int fd)
{
    static char bytes[BLOCK];
    int64_t left = entry->bytes;
    for (;;) {
        ssize_t got = archive_read_data (self->zip, bytes, sizeof bytes);
        if (got < 0)
            return damaged (self);
        left -= got;
        if (got == 0 ? left > 0 : left < 0)
            return refuse_entry (self, "CORRUPT_ZIP", entry, "does not have the size that it says");
        if (got == 0)
            return true;
        if (!within_bounds (self, got) || !write_all (self, fd, bytes, got))
            return false;
    }
}

/* Files keep their times, or `make` would take what was built before the last edit for up to date. A file without one,
 * and one whose time the file system does not take, has that of its unpacking. */
static void keep_time (struct archive_entry *found, int fd)
{
    time_t when = archive_entry_mtime_is_set (found) ? archive_entry_mtime (found) : 0;
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = when } };
    if (when > 0)
        futimens (fd, times);
}

static bool write_file (extract_t *self, struct archive_entry *found, const zip_entry_t *entry, int folder,
                        const char *name)
{
    /* Only the owner's x bit is taken from the archive: never setuid, never more than 0755. */
    int fd = openat (folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, entry->runs ? 0755 : 0644);
    bool good = fd >= 0 ? write_data (self, entry, fd) : archive_refuse_errno (self->refusal);
    if (good)
        keep_time (found, fd);
    if (fd >= 0)
        close (fd);
    return good;
}

static bool write_entry (extract_t *self, struct archive_entry *found, const zip_entry_t *entry)
{
    char *path = xstrdup (entry->path);
    char *last = NULL;
    int folder = open_parent (self, path, &last);
    bool good = folder >= 0 || archive_refuse_errno (self->refusal);
    if (good && entry->is_folder) {
        int made = open_folder (folder, last);
        good = made >= 0 || archive_refuse_errno (self->refusal);
        close_folder (self, made);
    } else if (good) {
        good = write_file (self, found, entry, folder, last);
    }
    close_folder (self, folder);
    free (path);
    return good;
}

/* The library must find the entry that the index has. */
static bool check_entry (const extract_t *self, struct archive_entry *found, const zip_entry_t *entry)
{
    const char *path = archive_entry_pathname_utf8 (found);
    if (!path)
        path = archive_entry_pathname (found);
    size_t len = path ? strlen (path) : 0;
    if (!len)
        return refuse_entry (self, "BAD_NAME", entry, "has no readable name");
    len -= path[len - 1] == '/';
    if (!archive_name_same (slice_from (path, len), slice_of (entry->path)))
        return refuse_entry (self, "BAD_NAME", entry, "has two names");
    if (archive_entry_filetype (found) != (entry->is_folder ? AE_IFDIR : AE_IFREG) || archive_entry_symlink (found) ||
        archive_entry_hardlink (found))
        return refuse_entry (self, "UNSAFE_TYPE", entry, "is a link, a device or another special file");
    return true;
}

static bool write_entries (extract_t *self, const zip_index_t *index)
{
    struct archive_entry *found = NULL;
    for (size_t i = 0; i < index->count; i++) {
        if (archive_read_next_header (self->zip, &found) != ARCHIVE_OK)
            return damaged (self);
        if (!check_entry (self, found, &index->entries[i]) ||
            (!index->entries[i].gone && !write_entry (self, found, &index->entries[i])))
            return false;
    }
    return archive_read_next_header (self->zip, &found) == ARCHIVE_EOF || damaged (self);
}

static bool add_length (extract_t *self, int fd)
{
    struct stat info;
    if (fstat (fd, &info) != 0)
        return archive_refuse_errno (self->refusal);
    self->archive_bytes += info.st_size;
    return true;
}

static bool write_all_of (extract_t *self, int fd, const zip_index_t *index)
{
    if (!index->count) /* the library does not take a ZIP without entries for one */
        return true;
    bool good = open_zip (self, fd) && write_entries (self, index);
    close_zip (self);
    return good;
}

/* ---- a delta ---- */

static bool read_list (extract_t *self, const zip_entry_t *entry, buf_t *out)
{
    struct archive_entry *found = NULL;
    if (entry->bytes > DELTA_REMOVED_MAX)
        return archive_refuse (self->refusal, "ARCHIVE_LIMIT", "its list of what is to be removed is too long.");
    if (archive_read_next_header (self->zip, &found) != ARCHIVE_OK)
        return damaged (self);
    if (!check_entry (self, found, entry))
        return false;
    buf_reserve (out, (size_t)entry->bytes + 1);
    for (ssize_t got = 1; got > 0 && (int64_t)out->len <= entry->bytes; out->len += got > 0 ? (size_t)got : 0) {
        got = archive_read_data (self->zip, out->ptr + out->len, (size_t)entry->bytes + 1 - out->len);
        if (got < 0)
            return damaged (self);
    }
    return (int64_t)out->len == entry->bytes ||
           refuse_entry (self, "CORRUPT_ZIP", entry, "does not have the size that it says");
}

/* The paths that the delta removes, one a line; empty: none. */
static bool read_removed (extract_t *self, int fd, const zip_index_t *delta, buf_t *out)
{
    if (!delta->count || !delta->entries[0].gone)
        return true;
    bool good = open_zip (self, fd) && read_list (self, &delta->entries[0], out);
    close_zip (self);
    return good;
}

/* ---- where the base is unpacked already ---- */

/* By its path: there is no link in a folder that only this program has written in. A folder may have gone with what was
 * in it, and others are there only because of what goes. */
static bool remove_entry (const extract_t *self, const zip_entry_t *entry)
{
    bool gone = unlinkat (self->folder, entry->path, entry->is_folder ? AT_REMOVEDIR : 0) == 0;
    if (!gone && (!entry->is_folder || (errno != ENOENT && errno != ENOTEMPTY)))
        return archive_refuse_errno (self->refusal);
    char *path = xstrdup (entry->path);
    for (char *slash = strrchr (path, '/'); slash; slash = strrchr (path, '/')) {
        *slash = '\0';
        if (unlinkat (self->folder, path, AT_REMOVEDIR) != 0)
            break;
    }
    free (path);
    return true;
}

static bool remove_gone (const extract_t *self, const zip_index_t *index)
{
    for (size_t i = 0; i < index->count; i++)
        if (index->entries[i].gone && !remove_entry (self, &index->entries[i]))
            return false;
    return true;
}

/* The folders on the way to an entry; those on the way to `last`, the one before, have had their turn. */
static bool touch_folders (const extract_t *self, const zip_entry_t *entry, const char *last)
{
    bool good = !entry->is_folder || utimensat (self->folder, entry->path, NULL, AT_SYMLINK_NOFOLLOW) == 0;
    char *path = xstrdup (entry->path);
    for (char *slash = strrchr (path, '/'); slash && good; slash = strrchr (path, '/')) {
        slash[1] = '\0';
        if (strncmp (path, last, (size_t)(slash + 1 - path)) == 0)
            break;
        *slash = '\0';
        good = utimensat (self->folder, path, NULL, AT_SYMLINK_NOFOLLOW) == 0;
    }
    free (path);
    return good || archive_refuse_errno (self->refusal);
}

/* What is left of the base is there, but for folders of its own that were emptied. */
static bool keep_left (extract_t *self, const zip_index_t *index)
{
    const char *last = "";
    bool good = utimensat (self->folder, ".", NULL, 0) == 0 || archive_refuse_errno (self->refusal);
    for (size_t i = 0; i < index->count && good; i++) {
        const zip_entry_t *entry = &index->entries[i];
        if (entry->gone)
            continue;
        good = (!entry->is_folder || write_entry (self, NULL, entry)) && touch_folders (self, entry, last) &&
               within_bounds (self, entry->bytes);
        last = entry->path;
    }
    return good;
}

static bool write_base (extract_t *self, int archive, const zip_index_t *index)
{
    return self->unpacked ? remove_gone (self, index) && keep_left (self, index) : write_all_of (self, archive, index);
}

static bool extract_one (extract_t *self, int archive)
{
    zip_index_t index = { 0 };
    bool good = add_length (self, archive) && zip_index_read (&index, archive, self->limits, self->refusal) &&
                write_base (self, archive, &index);
    zip_index_fini (&index);
    return good;
}

static bool extract_two (extract_t *self, int archive, int delta)
{
    zip_index_t base = { 0 };
    zip_index_t over = { 0 };
    buf_t removed = { 0 };
    bool good =
        add_length (self, archive) && add_length (self, delta) &&
        zip_index_read_part (&base, archive, PART_BASE, self->refusal) &&
        zip_index_read_part (&over, delta, PART_DELTA, self->refusal) && read_removed (self, delta, &over, &removed) &&
        archive_delta_apply (&base, &over, buf_slice (&removed), &self->archive_bytes, self->limits, self->refusal) &&
        write_base (self, archive, &base) && write_all_of (self, delta, &over);
    buf_fini (&removed);
    zip_index_fini (&base);
    zip_index_fini (&over);
    return good;
}

bool archive_extract (int archive, int folder, const archive_limits_t *limits, archive_refusal_t *refusal)
{
    extract_t self = { .folder = folder, .limits = limits, .refusal = refusal };
    return extract_one (&self, archive);
}

bool archive_extract_delta (int archive, int delta, int folder, const archive_limits_t *limits,
                            archive_refusal_t *refusal)
{
    extract_t self = { .folder = folder, .limits = limits, .refusal = refusal };
    return extract_two (&self, archive, delta);
}

bool archive_extract_over (int archive, int delta, int folder, const archive_limits_t *limits,
                           archive_refusal_t *refusal)
{
    extract_t self = { .folder = folder, .unpacked = true, .limits = limits, .refusal = refusal };
    return delta < 0 ? extract_one (&self, archive) : extract_two (&self, archive, delta);
}

int64_t archive_room (int archive, const archive_limits_t *limits)
{
    archive_refusal_t ignored;
    zip_index_t index = { 0 };
    int64_t bytes = zip_index_read (&index, archive, limits, &ignored) ? 0 : -1;
    for (size_t i = 0; i < index.count && bytes >= 0; i++)
        bytes += (index.entries[i].bytes / DISK_BLOCK + 1) * DISK_BLOCK;
    zip_index_fini (&index);
    return bytes;
}

void archive_warm (void)
{
    /* One entry, "ä", that holds "a". Deflated. */
    static const char zip[] = "PK\3\4\24\0\0\10\10\0\0\0!\0C\276\267\350\3\0\0\0\1\0\0\0\2\0\0\0\303\244K\4\0"
                              "PK\1\2\24\3\24\0\0\10\10\0\0\0!\0C\276\267\350\3\0\0\0\1\0\0\0\2\0\0\0"
                              "\0\0\0\0\0\0\0\0\244\201\0\0\0\0\303\244"
                              "PK\5\6\0\0\0\0\1\0\1\0000\0\0\0#\0\0\0\0\0";
    struct archive *reader = archive_read_new ();
    struct archive_entry *entry = NULL;
    char byte;
    archive_read_support_format_zip_seekable (reader);
    if (archive_read_open_memory (reader, zip, sizeof zip - 1) == ARCHIVE_OK &&
        archive_read_next_header (reader, &entry) == ARCHIVE_OK && archive_entry_pathname_utf8 (entry))
        archive_read_data (reader, &byte, 1);
    archive_read_free (reader);
}
