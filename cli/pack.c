#include "cli/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <libgen.h>
#include <limits.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bar.h"
#include "cli/cli.h"
#include "cli/ignore.h"
#include "cli/print.h"
#include "cli/temporary.h"
#include "proto/limits.h"
#include "proto/lines.h"
#include "proto/message.h"
#include "proto/zip_write.h"

enum { PROBLEM_SIZE = 512, PATTERNS_BYTES_MAX = 256 * 1024, NAME_BYTES_MAX = 1024 };

typedef struct {
    char top[PATH_MAX]; /* the folder's real path */
    size_t prefix;      /* of fts's paths, before what stands in the ZIP */
    bool all;
    ignore_t *ignore;
    zip_write_t *zip;
    sent_t *index; /* filled with what is packed; NULL: none is wanted */
    sent_t *since; /* what was sent before: nothing is packed, but what differs goes into `differs`; NULL: all is */
    struct sha256_ctx hash;
    buf_t differs;   /* rows PATH NUL FILE NUL */
    int64_t changed; /* files in it */
    int64_t changed_bytes;
    buf_t touched; /* likewise, with the bytes that were sent and another time */
    int64_t touched_count, touched_bytes;
    int64_t files;
    int64_t bytes;                 /* that were read of them */
    int64_t folders;               /* that they lie in */
    char last[NAME_BYTES_MAX + 1]; /* the path before this one, of those that travel */
    int64_t left;                  /* links and the like */
    char first_left[256];
} walk_t;

static int by_name (const FTSENT **a, const FTSENT **b)
{
    return strcmp ((*a)->fts_name, (*b)->fts_name);
}

/* "a/b" of an entry; "" for the top. */
static const char *inner (const walk_t *self, const FTSENT *entry)
{
    return entry->fts_pathlen <= self->prefix ? "" : entry->fts_path + self->prefix;
}

static bool read_patterns (walk_t *self, const char *folder, const char *inside, const char *name)
{
    char path[PATH_MAX + 32];
    snprintf (path, sizeof path, "%s/%s", folder, name);
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || cli_say (0, "cannot read '%s': %s.", path, strerror (errno));
    char *text = xcalloc (1, PATTERNS_BYTES_MAX + 1);
    ssize_t len = read (fd, text, PATTERNS_BYTES_MAX);
    bool good = len < PATTERNS_BYTES_MAX && (len >= 0 || errno == EISDIR); /* a folder has no rules, as git has it */
    close (fd);
    if (good)
        ignore_read (self->ignore, inside, text);
    free (text);
    if (!good)
        return cli_say (0, "cannot read '%s' as a text of at most 256 KiB.", path);
    return !ignore_full (self->ignore) ||
           cli_say (0, "with '%s' there are more than %d ignore rules.", path, IGNORE_RULES_MAX);
}

static void leave_at_home (walk_t *self, const char *path)
{
    if (self->left++ == 0)
        snprintf (self->first_left, sizeof self->first_left, "%s", path);
}

static void show_bar (const walk_t *self)
{
    char read[32];
    if (!bar_due (false))
        return;
    bytes_format (self->bytes, read, sizeof read);
    bar_show ("%s %lld files, %s read ", self->since ? "looking at" : "packing", (long long)self->files, read);
}

static void on_bytes (void *ctx, const void *bytes, size_t len)
{
    walk_t *self = ctx;
    if (self->index)
        sha256_update (&self->hash, len, bytes);
    self->bytes += (int64_t)len;
    show_bar (self);
}

static bool hash_file (walk_t *self, int fd, int64_t bytes, unsigned char out[SENT_HASH])
{
    static unsigned char piece[64 * 1024];
    ssize_t got;
    sha256_init (&self->hash);
    while ((got = read (fd, piece, sizeof piece)) > 0) {
        sha256_update (&self->hash, (size_t)got, piece);
        self->bytes += got;
        show_bar (self);
        bytes -= got;
    }
    sha256_digest (&self->hash, SENT_HASH, out);
    return got == 0 && bytes == 0;
}

static void add_row (buf_t *rows, const char *path, const char *file)
{
    buf_append (rows, path, strlen (path) + 1);
    buf_append (rows, file, strlen (file) + 1);
}

/* Its bytes need not travel. Its time may have to: a source that is as it was before is newer than what was built of
 * what it was meanwhile. */
static void take_same (walk_t *self, const sent_file_t *sent, const char *file, const struct stat *info)
{
    if (sent->zip_s == info->st_mtim.tv_sec)
        return;
    self->touched_count++;
    self->touched_bytes += info->st_size;
    add_row (&self->touched, sent->path, file);
}

/* Looks whether a file differs from what was sent, and notes it if so. */
static bool compare_open (walk_t *self, const char *path, const char *file, int fd, const struct stat *info)
{
    unsigned char sha256[SENT_HASH];
    sent_file_t *sent = sent_find (self->since, path);
    if (sent)
        sent->here = true;
    if (sent && sent_is_same (self->since, sent, info)) {
        take_same (self, sent, file, info);
        return true;
    }
    if (sent && sent->runs == !!(info->st_mode & S_IXUSR) && sent->size == info->st_size) {
        bool written = sent_is_written (fd);
        if (!hash_file (self, fd, info->st_size, sha256))
            return cli_say (0, "'%s' cannot be read to its end, or changed meanwhile: try again.", path);
        if (memcmp (sha256, sent->sha256, SENT_HASH) == 0) {
            sent_note (sent, info, written);
            self->since->stale = true;
            take_same (self, sent, file, info);
            return true;
        }
    }
    if (sent) /* what its times say is of no use any more: with these it may have had other bytes */
        sent->inode = 0;
    self->changed++;
    self->changed_bytes += info->st_size;
    add_row (&self->differs, path, file);
    return true;
}

/* Workers refuse others, once all has been sent. cli_say returns its status, which is 0 here: false. */
static bool check_name (const char *path)
{
    if (!utf8_valid (slice_of (path)) || strlen (path) > NAME_BYTES_MAX)
        return cli_say (0,
                        "the name of '%.300s' is not UTF-8, or over %d bytes: rename it, or name it in .gleanerignore.",
                        path, NAME_BYTES_MAX);
    if (strchr (path, '\\') || !lines_plain (slice_of (path)))
        return cli_say (
            0, "'%.300s' has a backslash or a control character in its name: rename it, or name it in .gleanerignore.",
            path);
    int depth = 0;
    for (const char *at = path; (at = strchr (at, '/')); at++)
        depth++;
    return depth < ARCHIVE_DEPTH_DEFAULT ||
           cli_say (0, "'%.300s' lies more than %d folders deep: leave it out in .gleanerignore.", path,
                    ARCHIVE_DEPTH_DEFAULT - 1);
}

/* Files, and the folders on the way to them. A folder's files come one after the other: what a path does not share with
 * the one before it has not come yet. */
static bool count_path (walk_t *self, const char *path)
{
    size_t same = 0;
    while (path[same] && path[same] == self->last[same])
        same++;
    for (const char *at = path + same; (at = strchr (at, '/')); at++)
        self->folders++;
    snprintf (self->last, sizeof self->last, "%s", path);
    self->files++;
    show_bar (self);
    return self->files + self->folders <= ARCHIVE_FILES_DEFAULT ||
           cli_say (
               0,
               "there are more than %d files and folders, and workers take no more: leave some out in .gleanerignore.",
               ARCHIVE_FILES_DEFAULT);
}

/* `file` is where it is. */
static bool add_open (walk_t *self, const char *path, const char *file, int fd)
{
    struct stat info;
    char problem[PROBLEM_SIZE];
    unsigned char sha256[SENT_HASH];
    if (fstat (fd, &info) != 0 || !S_ISREG (info.st_mode)) {
        leave_at_home (self, path);
        return true;
    }
    if (!check_name (path) || !count_path (self, path))
        return false;
    if (self->since)
        return compare_open (self, path, file, fd, &info);
    bool written = self->index && sent_is_written (fd);
    sha256_init (&self->hash);
    int status = zip_write_add (self->zip, path, &info, fd, problem, sizeof problem);
    if (status < 0)
        return cli_say (0, "%s", problem);
    sha256_digest (&self->hash, SENT_HASH, sha256);
    if (self->index)
        sent_add (self->index, path, &info, written, sha256);
    return status == 0 || cli_say (0, "'%s' cannot be read to its end, or changed meanwhile: try again.", path);
}

static bool add_file (walk_t *self, const FTSENT *entry)
{
    const char *path = inner (self, entry);
    int fd = open (entry->fts_accpath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return cli_say (0, "cannot read '%s': %s.", entry->fts_path, strerror (errno));
    bool good = add_open (self, path, entry->fts_accpath, fd);
    close (fd);
    return good;
}

/* What lies at that path below the top stays at home, or one of the folders above it does. Rules that stand in another
 * branch of the tree are not known here. */
static bool target_stays (const walk_t *self, char *path)
{
    bool taken = false;
    for (char *slash = strchr (path, '/'); !self->all && !taken; slash = strchr (slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        const char *name = strrchr (path, '/') ? strrchr (path, '/') + 1 : path;
        taken = strcmp (name, ".git") == 0 || ignore_takes (self->ignore, path, slash);
        if (!slash)
            break;
        *slash = '/';
    }
    return taken;
}

/* Workers refuse links. One to a file that travels anyway is told by that file's bytes. */
static bool add_link (walk_t *self, const FTSENT *entry)
{
    char real[PATH_MAX];
    size_t len = strlen (self->top);
    const char *path = inner (self, entry);
    if (!realpath (entry->fts_accpath, real) || strncmp (real, self->top, len) != 0 || real[len] != '/' ||
        target_stays (self, real + len + 1)) {
        leave_at_home (self, path);
        return true;
    }
    int fd = open (real, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool good = fd >= 0 && add_open (self, path, real, fd);
    if (fd < 0)
        leave_at_home (self, path);
    else
        close (fd);
    return good || fd < 0;
}

static bool stays (const walk_t *self, const FTSENT *entry)
{
    if (entry->fts_level == FTS_ROOTLEVEL || self->all)
        return false;
    return strcmp (entry->fts_name, ".git") == 0 ||
           ignore_takes (self->ignore, inner (self, entry), entry->fts_info == FTS_D);
}

static bool enter_folder (walk_t *self, FTS *fts, FTSENT *entry)
{
    if (stays (self, entry)) {
        fts_set (fts, entry, FTS_SKIP);
        return true;
    }
    if (entry->fts_level > PACK_DEPTH_MAX)
        return cli_say (0, "'%.300s' lies more than %d folders deep: leave it out in .gleanerignore.",
                        inner (self, entry), PACK_DEPTH_MAX);
    return self->all || (read_patterns (self, entry->fts_accpath, inner (self, entry), ".gitignore") &&
                         read_patterns (self, entry->fts_accpath, inner (self, entry), ".gleanerignore"));
}

static bool take_entry (walk_t *self, FTS *fts, FTSENT *entry)
{
    switch (entry->fts_info) {
    case FTS_D:
        return enter_folder (self, fts, entry);
    case FTS_DP:
        if (entry->fts_level > FTS_ROOTLEVEL)
            ignore_leave (self->ignore, inner (self, entry));
        return true;
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return cli_say (0, "cannot read '%s': %s.", entry->fts_path, strerror (entry->fts_errno));
    case FTS_F:
        return stays (self, entry) || add_file (self, entry);
    case FTS_SL:
        return stays (self, entry) || add_link (self, entry);
    default:
        if (!stays (self, entry))
            leave_at_home (self, inner (self, entry));
        return true;
    }
}

static bool walk_folder (walk_t *self, char *path)
{
    char *const paths[] = { path, NULL };
    FTS *fts = fts_open (paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    bool good = fts;
    size_t len = strlen (path);
    self->prefix = len + (path[len - 1] != '/');
    bar_begin ();
    for (FTSENT *entry; good && (errno = 0, entry = fts_read (fts));)
        good = take_entry (self, fts, entry);
    if (good && errno)
        good = cli_say (0, "cannot read '%s': %s.", path, strerror (errno));
    if (fts)
        fts_close (fts);
    bar_wipe ();
    return good;
}

static void name_after (const char *top, pack_t *out)
{
    char root[PATH_MAX];
    snprintf (root, sizeof root, "%s", top);
    snprintf (out->name, sizeof out->name, "%.200s.zip", strcmp (root, "/") == 0 ? "root" : basename (root));
}

static void tell_left (const walk_t *self)
{
    if (self->left)
        cli_say (0, "left at home: '%s'%s, for links and special files do not travel.", self->first_left,
                 self->left > 1 ? " and others" : "");
}

static bool pack_all (walk_t *self, const char *path, pack_t *out)
{
    char problem[PROBLEM_SIZE];
    char root[PATH_MAX];
    snprintf (root, sizeof root, "%s", path);
    if (!realpath (path, self->top))
        return cli_say (0, "cannot read '%s': %s.", path, strerror (errno));
    out->fd = temporary_file ();
    if (out->fd < 0)
        return false;
    self->zip = zip_write_new (out->fd, problem, sizeof problem);
    if (!self->zip)
        return cli_say (0, "%s", problem);
    zip_write_tap (self->zip, on_bytes, self);
    bool good = walk_folder (self, root);
    /* What is given up is ended, too, for the library frees nothing otherwise; the file has no name, and goes. */
    bool ended = zip_write_end (&self->zip, true, problem, sizeof problem);
    if (good && !ended)
        return cli_say (0, "%s", problem);
    if (good && self->files == 0)
        return cli_say (0, "there is no file in '%s' to send.", path);
    out->files = self->files;
    name_after (self->top, out);
    return good;
}

static bool open_zip (const char *path, pack_t *out)
{
    char copy[PATH_MAX];
    snprintf (copy, sizeof copy, "%s", path);
    out->fd = open (path, O_RDONLY | O_CLOEXEC);
    if (out->fd < 0)
        return cli_say (0, "cannot read '%s': %s.", path, strerror (errno));
    snprintf (out->name, sizeof out->name, "%.250s", basename (copy));
    return true;
}

static int pack (walk_t *walk, const char *path, pack_t *out)
{
    struct stat info;
    *out = (pack_t){ .fd = -1, .changed = -1 };
    if (stat (path, &info) != 0)
        return cli_say (STATUS_LOCAL, "cannot read '%s': %s.", path, strerror (errno));
    if (!S_ISDIR (info.st_mode) && !S_ISREG (info.st_mode))
        return cli_say (STATUS_LOCAL, "'%s' is neither a folder nor a ZIP.", path);
    walk->ignore = ignore_new ();
    bool good = S_ISDIR (info.st_mode) ? pack_all (walk, path, out) : open_zip (path, out);
    ignore_destroy (&walk->ignore);
    if (good && fstat (out->fd, &info) == 0) {
        out->bytes = info.st_size;
        tell_left (walk);
        return 0;
    }
    if (out->fd >= 0)
        close (out->fd);
    out->fd = -1;
    return STATUS_LOCAL;
}

int pack_project (const char *path, bool all, pack_t *out)
{
    walk_t walk = { .all = all };
    return pack (&walk, path, out);
}

int pack_folder (const char *path, bool all, sent_t *index, pack_t *out)
{
    walk_t walk = { .all = all, .index = index };
    return pack (&walk, path, out);
}

/* ---- what has changed ---- */

static int64_t delta_max (const sent_t *since)
{
    int64_t share = since->base_bytes / PACK_DELTA_SHARE;
    return share < PACK_DELTA_MAX ? share : PACK_DELTA_MAX;
}

/* The list of what is gone, in the order of the index. Returns its length, in files. */
static int64_t list_removed (sent_t *since, buf_t *out)
{
    int64_t count = 0;
    for (size_t i = 0; i < since->count; i++) {
        if (since->files[i].here)
            continue;
        since->files[i].inode = 0; /* was not looked at in this walk */
        buf_append_str (out, since->files[i].path);
        buf_append (out, "\n", 1);
        count++;
    }
    return count;
}

static bool add_list (walk_t *self, slice_t list)
{
    char problem[PROBLEM_SIZE];
    int fd = memfd_create ("removed", MFD_CLOEXEC);
    struct stat info = { .st_mode = S_IFREG | 0644, .st_size = (off_t)list.len };
    bool good = fd >= 0 && write (fd, list.ptr, list.len) == (ssize_t)list.len && lseek (fd, 0, SEEK_SET) == 0 &&
                zip_write_add (self->zip, "./removed", &info, fd, problem, sizeof problem) == 0;
    if (fd >= 0)
        close (fd);
    return good;
}

static bool add_changed (walk_t *self, int zip, int64_t bytes_max)
{
    char problem[PROBLEM_SIZE];
    bool good = true;
    for (size_t at = 0; good && at < self->differs.len;) {
        const char *path = self->differs.ptr + at;
        const char *file = path + strlen (path) + 1;
        at = (size_t)(file + strlen (file) + 1 - self->differs.ptr);
        struct stat info;
        int fd = open (file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        good = fd >= 0 && fstat (fd, &info) == 0 && S_ISREG (info.st_mode) &&
               zip_write_add (self->zip, path, &info, fd, problem, sizeof problem) == 0 &&
               lseek (zip, 0, SEEK_CUR) <= bytes_max;
        if (fd >= 0)
            close (fd);
    }
    return good;
}

/* Consumes nothing; `out->fd` is the ZIP. 0, STATUS_LOCAL after one sentence, or PACK_WHOLE. */
static int write_delta (walk_t *self, slice_t removed, int64_t bytes_max, pack_t *out)
{
    char problem[PROBLEM_SIZE];
    out->fd = temporary_file ();
    if (out->fd < 0)
        return STATUS_LOCAL; /* nor could the whole be written */
    self->zip = zip_write_new (out->fd, problem, sizeof problem);
    if (!self->zip)
        return PACK_WHOLE;
    bool good = (!removed.len || add_list (self, removed)) && add_changed (self, out->fd, bytes_max);
    bool ended = zip_write_end (&self->zip, true, problem, sizeof problem); /* what is given up, too: see pack_all */
    out->bytes = lseek (out->fd, 0, SEEK_END);
    return good && ended && out->bytes <= bytes_max ? 0 : PACK_WHOLE;
}

/* Where many were touched, by a checkout, say, bytes are what counts. */
static void add_touched (walk_t *self, int64_t bytes_max)
{
    if (self->touched_bytes > PACK_TOUCHED_MAX || self->touched_bytes > bytes_max / 2)
        return;
    buf_append (&self->differs, self->touched.ptr, self->touched.len);
    self->changed += self->touched_count;
    self->changed_bytes += self->touched_bytes;
}

/* The delta of a walk that went well, as write_delta. */
static int finish_delta (walk_t *self, pack_t *out)
{
    enum { PACKED_AT_MOST = 10 }; /* what is longer than so many times the bound is not tried */
    buf_t removed = { 0 };
    int64_t bytes_max = delta_max (self->since);
    add_touched (self, bytes_max);
    out->changed = self->changed + list_removed (self->since, &removed);
    out->files = self->files;
    name_after (self->top, out);
    bool good = self->files && self->changed_bytes / PACKED_AT_MOST <= bytes_max && removed.len <= PACK_REMOVED_MAX;
    int status = good ? 0 : PACK_WHOLE;
    if (good && out->changed)
        status = write_delta (self, buf_slice (&removed), bytes_max, out);
    buf_fini (&removed);
    if (!status || out->fd < 0)
        return status;
    close (out->fd);
    out->fd = -1;
    return status;
}

int pack_delta (const char *path, bool all, sent_t *since, pack_t *out)
{
    walk_t walk = { .all = all, .since = since, .ignore = ignore_new () };
    char root[PATH_MAX];
    sent_t *now = sent_new ();
    *out = (pack_t){ .fd = -1, .changed = -1 };
    snprintf (root, sizeof root, "%s", path);
    bool walked = realpath (path, walk.top) && walk_folder (&walk, root);
    int status = walked ? finish_delta (&walk, out) : STATUS_LOCAL;
    if (!status) {
        tell_left (&walk);
        since->taken_ns = now->taken_ns;
    }
    ignore_destroy (&walk.ignore);
    sent_destroy (&now);
    buf_fini (&walk.differs);
    buf_fini (&walk.touched);
    return status;
}
