#include "worker/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = 64 * 1024 };

typedef struct {
    struct archive *zip;
    int folder;
    int64_t archive_bytes;
    int64_t bytes; /* written so far */
    int entries;
    char *problem;
    size_t size;
    int error; /* errno of what could not be written */
} extract_t;

static bool refuse (extract_t *self, const char *why)
{
    snprintf (self->problem, self->size, "%s", why);
    return false;
}

static bool refuse_entry (extract_t *self, const char *path, const char *why)
{
    return archive_refuse_entry (path, why, self->problem, self->size);
}

/* What the system says; `path` NULL: of no entry. */
static bool refuse_errno (extract_t *self, const char *path)
{
    self->error = errno;
    return path ? refuse_entry (self, path, strerror (self->error)) : refuse (self, strerror (self->error));
}

/* Only the ZIP reader is switched on: what cannot be read cannot be attacked. */
static bool open_zip (extract_t *self, const char *path)
{
    self->zip = archive_read_new ();
    archive_read_support_format_zip_seekable (self->zip);
    if (archive_read_open_filename (self->zip, path, BLOCK) == ARCHIVE_OK)
        return true;
    return refuse (self, "it is not a ZIP archive, or it is damaged.");
}

static void close_zip (extract_t *self)
{
    archive_read_free (self->zip);
    self->zip = NULL;
}

static bool damaged (extract_t *self)
{
    const char *why = archive_error_string (self->zip);
    snprintf (self->problem, self->size, "it is damaged or not readable: %.200s.", why ? why : "unknown format");
    return false;
}

/* ---- the first pass: nothing is written ---- */

static bool check_entry (extract_t *self, archive_names_t *names, struct archive_entry *entry)
{
    const char *path = archive_entry_pathname_utf8 (entry);
    if (!path)
        path = archive_entry_pathname (entry);
    if (!path)
        return refuse (self, "an entry has no readable name.");
    mode_t type = archive_entry_filetype (entry);
    if (type != AE_IFREG && type != AE_IFDIR)
        return refuse_entry (self, path, "is a link, a device or another special file");
    if (archive_entry_symlink (entry) || archive_entry_hardlink (entry))
        return refuse_entry (self, path, "is a link");
    if (archive_entry_is_encrypted (entry))
        return refuse_entry (self, path, "is encrypted");
    if (archive_entry_size_is_set (entry) && archive_entry_size (entry) > ARCHIVE_BYTES_MAX)
        return refuse_entry (self, path, "is larger than an archive may hold");
    return archive_path_check (names, path, type == AE_IFDIR, self->problem, self->size);
}

static bool check_all (extract_t *self)
{
    archive_names_t names = { 0 };
    struct archive_entry *entry = NULL;
    bool good = true;
    int code = archive_read_next_header (self->zip, &entry);
    for (; code == ARCHIVE_OK && good; code = archive_read_next_header (self->zip, &entry)) {
        if (++self->entries > ARCHIVE_ENTRIES_MAX)
            good = refuse (self, "it has more than 10000 entries.");
        else
            good = check_entry (self, &names, entry);
        if (!good)
            break;
    }
    archive_names_fini (&names);
    return good && code != ARCHIVE_EOF ? damaged (self) : good;
}

/* ---- the second pass ---- */

static int open_folder (int parent, const char *name)
{
    if (mkdirat (parent, name, 0755) != 0 && errno != EEXIST)
        return -1;
    return openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The folder that holds the last part of `path`, made on the way; `*last` is that part. -1 on failure. */
static int open_parent (extract_t *self, char *path, char **last)
{
    int folder = dup (self->folder);
    char *at = path;
    for (char *slash = strchr (at, '/'); slash && slash[1] && folder >= 0; slash = strchr (at, '/')) {
        *slash = '\0';
        int next = open_folder (folder, at);
        close (folder);
        folder = next;
        at = slash + 1;
    }
    size_t len = strlen (at);
    if (len && at[len - 1] == '/')
        at[len - 1] = '\0';
    *last = at;
    return folder;
}

static bool within_bounds (extract_t *self, int64_t more)
{
    self->bytes += more;
    if (self->bytes > ARCHIVE_BYTES_MAX)
        return refuse (self, "it holds more than 1 GiB.");
    if (self->bytes > ARCHIVE_RATIO_FREE && self->bytes / ARCHIVE_RATIO_MAX > self->archive_bytes)
        return refuse (self, "it grows to more than 100 times its size.");
    return true;
}

static bool write_data (extract_t *self, int fd)
{
    static char bytes[BLOCK];
    for (;;) {
        ssize_t got = archive_read_data (self->zip, bytes, sizeof bytes);
        if (got == 0)
            return true;
        if (got < 0)
            return damaged (self);
        if (!within_bounds (self, got))
            return false;
        for (ssize_t at = 0; at < got;) {
            ssize_t written = write (fd, bytes + at, (size_t)(got - at));
            if (written < 0 && errno != EINTR)
                return refuse_errno (self, NULL);
            at += written > 0 ? written : 0;
        }
    }
}

static bool write_entry (extract_t *self, struct archive_entry *entry)
{
    char path[ARCHIVE_PATH_MAX + 1];
    char *last = NULL;
    const char *name = archive_entry_pathname_utf8 (entry);
    snprintf (path, sizeof path, "%s", name ? name : archive_entry_pathname (entry));
    int folder = open_parent (self, path, &last);
    if (folder < 0) {
        self->error = errno;
        return refuse_entry (self, path, "cannot be put into its folder");
    }
    bool good = true;
    if (archive_entry_filetype (entry) == AE_IFDIR) {
        int made = open_folder (folder, last);
        good = made >= 0 || refuse_errno (self, last);
        if (made >= 0)
            close (made);
    } else {
        /* Only the owner's x bit is taken from the archive: never setuid, never more than 0755. */
        mode_t mode = archive_entry_perm (entry) & 0100 ? 0755 : 0644;
        int fd = openat (folder, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        good = fd >= 0 ? write_data (self, fd) : refuse_errno (self, last);
        if (fd >= 0)
            close (fd);
    }
    close (folder);
    return good;
}

static bool write_all (extract_t *self)
{
    struct archive_entry *entry = NULL;
    int code = archive_read_next_header (self->zip, &entry);
    for (; code == ARCHIVE_OK; code = archive_read_next_header (self->zip, &entry))
        if (!write_entry (self, entry))
            return false;
    return code == ARCHIVE_EOF || damaged (self);
}

/* A ZIP without entries is its end record alone, which the library does not take for an archive. */
static bool is_empty_zip (const char *path, int64_t bytes)
{
    char head[4] = { 0 };
    int fd = bytes == 22 ? open (path, O_RDONLY | O_CLOEXEC) : -1;
    bool empty = fd >= 0 && read (fd, head, sizeof head) == sizeof head && memcmp (head, "PK\5\6", 4) == 0;
    if (fd >= 0)
        close (fd);
    return empty;
}

bool archive_extract (const char *archive, const char *folder, char *problem, size_t problem_size)
{
    extract_t self = { .problem = problem, .size = problem_size };
    struct stat info;
    bool good = stat (archive, &info) == 0 || refuse (&self, strerror (errno));
    self.archive_bytes = good ? info.st_size : 0;
    if (good && is_empty_zip (archive, info.st_size))
        return true;
    self.folder = good ? open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (good && self.folder < 0)
        good = refuse (&self, strerror (errno));
    if (good) {
        good = open_zip (&self, archive) && check_all (&self);
        close_zip (&self);
    }
    if (good) {
        good = open_zip (&self, archive) && write_all (&self);
        close_zip (&self);
    }
    if (self.folder >= 0)
        close (self.folder);
    errno = self.error;
    return good;
}

void archive_warm (void)
{
    /* One entry, "a", that holds "a". Stored. */
    static const char zip[] = "PK\3\4\n\0\0\0\0\0\0\0!\0C\276\267\350\1\0\0\0\1\0\0\0\1\0\0\0aa"
                              "PK\1\2\36\3\n\0\0\0\0\0\0\0!\0C\276\267\350\1\0\0\0\1\0\0\0\1\0\0\0"
                              "\0\0\0\0\0\0\0\0\244\201\0\0\0\0a"
                              "PK\5\6\0\0\0\0\1\0\1\0/\0\0\0 \0\0\0\0\0";
    extract_t self = { .zip = archive_read_new () };
    archive_names_t names = { 0 };
    struct archive_entry *entry = NULL;
    char problem[256];
    char byte;
    self.problem = problem;
    self.size = sizeof problem;
    archive_read_support_format_zip_seekable (self.zip);
    if (archive_read_open_memory (self.zip, zip, sizeof zip - 1) == ARCHIVE_OK &&
        archive_read_next_header (self.zip, &entry) == ARCHIVE_OK && check_entry (&self, &names, entry))
        archive_read_data (self.zip, &byte, 1);
    archive_names_fini (&names);
    close_zip (&self);
}
