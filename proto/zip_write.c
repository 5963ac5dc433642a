#include "zip_write.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"

enum { BLOCK = 64 * 1024 };

struct zip_write {
    struct archive *archive;
    zip_tap_fn *tap; /* NULL: none */
    void *tap_ctx;
};

static bool cannot_write (const zip_write_t *self, char *problem, size_t size)
{
    int error = archive_errno (self->archive);
    const char *why = archive_error_string (self->archive);
    snprintf (problem, size, "The ZIP could not be written: %.300s.",
              error > 0 ? strerror (error)
              : why     ? why
                        : "unknown error");
    return false;
}

static void zip_free (zip_write_t *self)
{
    archive_write_free (self->archive);
    free (self);
}

zip_write_t *zip_write_new (int fd, char *problem, size_t problem_size)
{
    zip_write_t *self = xcalloc (1, sizeof *self);
    self->archive = archive_write_new ();
    archive_write_set_format_zip (self->archive);
    archive_write_set_options (self->archive, "zip:compression=deflate,zip:hdrcharset=UTF-8");
    if (archive_write_open_fd (self->archive, fd) == ARCHIVE_OK)
        return self;
    cannot_write (self, problem, problem_size);
    zip_free (self);
    return NULL;
}

static bool add_header (zip_write_t *self, const char *name, const struct stat *info)
{
    struct archive_entry *entry = archive_entry_new ();
    archive_entry_set_pathname (entry, name);
    archive_entry_set_mode (entry, S_IFREG | (info->st_mode & S_IXUSR ? 0755 : 0644));
    archive_entry_set_size (entry, info->st_size);
    archive_entry_set_mtime (entry, info->st_mtim.tv_sec, 0);
    bool written = archive_write_header (self->archive, entry) == ARCHIVE_OK;
    archive_entry_free (entry);
    return written;
}

int zip_write_add (zip_write_t *self, const char *name, const struct stat *info, int fd, char *problem,
                   size_t problem_size)
{
    static char block[BLOCK];
    int64_t left = info->st_size;
    if (!add_header (self, name, info))
        return cannot_write (self, problem, problem_size) - 1;
    while (left > 0) {
        ssize_t got = read (fd, block, left < BLOCK ? (size_t)left : BLOCK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (archive_write_data (self->archive, block, (size_t)got) != got)
            return cannot_write (self, problem, problem_size) - 1;
        if (self->tap)
            self->tap (self->tap_ctx, block, (size_t)got);
        left -= got;
    }
    if (archive_write_finish_entry (self->archive) != ARCHIVE_OK)
        return cannot_write (self, problem, problem_size) - 1;
    return left > 0;
}

void zip_write_tap (zip_write_t *self, zip_tap_fn *fn, void *ctx)
{
    self->tap = fn;
    self->tap_ctx = ctx;
}

bool zip_write_end (zip_write_t **self_p, bool keep, char *problem, size_t problem_size)
{
    zip_write_t *self = *self_p;
    *self_p = NULL;
    bool done = true;
    if (keep && archive_write_close (self->archive) != ARCHIVE_OK)
        done = cannot_write (self, problem, problem_size);
    if (!keep)
        archive_write_fail (self->archive); /* or it would still write what it holds */
    zip_free (self);
    return done;
}
