#include "cli/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/ignore.h"
#include "cli/temporary.h"
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
    int64_t files;
    int64_t left; /* links and the like */
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
    close (fd);
    bool good = len >= 0 && len < PATTERNS_BYTES_MAX;
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

static bool add_open (walk_t *self, const char *path, int fd)
{
    struct stat info;
    char problem[PROBLEM_SIZE];
    if (fstat (fd, &info) != 0 || !S_ISREG (info.st_mode)) {
        leave_at_home (self, path);
        return true;
    }
    if (++self->files > PACK_FILES_MAX)
        return cli_say (0, "there are more than %d files: leave some out in .gleanerignore.", PACK_FILES_MAX);
    int status = zip_write_add (self->zip, path, &info, fd, problem, sizeof problem);
    if (status < 0)
        return cli_say (0, "%s", problem);
    return status == 0 || cli_say (0, "'%s' cannot be read to its end, or changed meanwhile: try again.", path);
}

/* cli_say returns its status, which is 0 here: false. */
static bool add_file (walk_t *self, const FTSENT *entry)
{
    const char *path = inner (self, entry);
    if (!utf8_valid (slice_of (path)) || strlen (path) > NAME_BYTES_MAX)
        return cli_say (0,
                        "the name of '%.300s' is not UTF-8, or over %d bytes: rename it, or name it in .gleanerignore.",
                        path, NAME_BYTES_MAX);
    if (strchr (path, '\\') || !lines_plain (slice_of (path)))
        return cli_say (
            0, "'%.300s' has a backslash or a control character in its name: rename it, or name it in .gleanerignore.",
            path);
    int fd = open (entry->fts_accpath, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return cli_say (0, "cannot read '%s': %s.", entry->fts_path, strerror (errno));
    bool good = add_open (self, path, fd);
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
    bool good = fd >= 0 && add_open (self, path, fd);
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

static bool walk (walk_t *self, char *path)
{
    char *const paths[] = { path, NULL };
    FTS *fts = fts_open (paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, by_name);
    bool good = fts;
    size_t len = strlen (path);
    self->prefix = len + (path[len - 1] != '/');
    for (FTSENT *entry; good && (errno = 0, entry = fts_read (fts));)
        good = take_entry (self, fts, entry);
    if (good && errno)
        good = cli_say (0, "cannot read '%s': %s.", path, strerror (errno));
    if (fts)
        fts_close (fts);
    return good;
}

static bool pack_folder (walk_t *self, const char *path, pack_t *out)
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
    bool good = walk (self, root);
    /* What is given up is ended, too, for the library frees nothing otherwise; the file has no name, and goes. */
    bool ended = zip_write_end (&self->zip, true, problem, sizeof problem);
    if (good && !ended)
        return cli_say (0, "%s", problem);
    if (good && self->files == 0)
        return cli_say (0, "there is no file in '%s' to send.", path);
    out->files = self->files;
    snprintf (root, sizeof root, "%s", self->top);
    snprintf (out->name, sizeof out->name, "%.200s.zip", strcmp (root, "/") == 0 ? "root" : basename (root));
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

int pack_project (const char *path, bool all, pack_t *out)
{
    struct stat info;
    *out = (pack_t){ .fd = -1 };
    if (stat (path, &info) != 0)
        return cli_say (STATUS_LOCAL, "cannot read '%s': %s.", path, strerror (errno));
    if (!S_ISDIR (info.st_mode) && !S_ISREG (info.st_mode))
        return cli_say (STATUS_LOCAL, "'%s' is neither a folder nor a ZIP.", path);
    walk_t walk = { .all = all, .ignore = ignore_new () };
    bool good = S_ISDIR (info.st_mode) ? pack_folder (&walk, path, out) : open_zip (path, out);
    ignore_destroy (&walk.ignore);
    if (good && fstat (out->fd, &info) == 0) {
        out->bytes = info.st_size;
        if (walk.left)
            cli_say (0, "left at home: '%s'%s, for links and special files do not travel.", walk.first_left,
                     walk.left > 1 ? " and others" : "");
        return 0;
    }
    if (out->fd >= 0)
        close (out->fd);
    out->fd = -1;
    return STATUS_LOCAL;
}
