#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/glob.h"
#include "proto/message.h"
#include "worker/collect.h"

enum { NOTES_MAX = 900, SHOWN_MAX = 100 };

/* Why a file that a pattern takes is missing. */
typedef enum { SKIP_LINK, SKIP_SPECIAL, SKIP_NAME, SKIP_UNREADABLE, SKIP_SHORTENED, SKIP_LARGE, SKIP_REASONS } skip_t;

static const char *const skip_words[SKIP_REASONS] = {
    "a link",
    "no plain file",
    "a name that a ZIP cannot hold",
    "not readable",
    "shortened while it was read",
    "beyond the limit of 1 GiB in total",
};

typedef struct {
    const collect_order_t *order;
    collect_result_t *result;
    bool *matched; /* by pattern */
    int64_t bytes;
    int entries;
    bool too_many;
    bool too_deep;
    int64_t skipped[SKIP_REASONS];
    char first[SKIP_REASONS][SHOWN_MAX + 1]; /* the first one's path, printable */
    char path[COLLECT_PATH_MAX + 1];         /* below the folder, of what is looked at */
    char *problem;
    size_t problem_size;
} walk_t;

/* ---- notes ---- */

static void show (const char *text, char out[SHOWN_MAX + 1])
{
    size_t len = 0;
    for (; len < SHOWN_MAX && text[len]; len++)
        out[len] = text[len] < ' ' || text[len] > '~' ? '?' : text[len];
    out[len] = '\0';
}

static void skip (walk_t *self, skip_t why)
{
    if (!self->skipped[why]++)
        show (self->path, self->first[why]);
}

static void note (walk_t *self, const char *text)
{
    buf_t *notes = &self->result->notes;
    if (notes->len + strlen (text) < NOTES_MAX)
        buf_printf (notes, "%s%s", notes->len ? " " : "", text);
}

static void note_all (walk_t *self)
{
    char text[SHOWN_MAX + 160];
    char shown[SHOWN_MAX + 1];
    if (self->too_many)
        note (self, "There are more than 100,000 files: not all were looked at.");
    if (self->too_deep)
        note (self, "Folders are nested more than 32 deep: not all were looked at.");
    for (int why = 0; why < SKIP_REASONS; why++) {
        if (self->skipped[why] == 1)
            snprintf (text, sizeof text, "`%s` is missing or cut: %s.", self->first[why], skip_words[why]);
        else if (self->skipped[why])
            snprintf (text, sizeof text, "`%s` and %lld more are missing or cut: %s.", self->first[why],
                      (long long)self->skipped[why] - 1, skip_words[why]);
        if (self->skipped[why])
            note (self, text);
    }
    for (int i = 0; i < self->order->pattern_count; i++) {
        if (self->matched[i])
            continue;
        show (self->order->patterns[i], shown);
        snprintf (text, sizeof text, "Nothing matched `%s`.", shown);
        note (self, text);
    }
}

/* ---- files ---- */

static bool is_taken (walk_t *self)
{
    bool taken = false;
    for (int i = 0; i < self->order->pattern_count; i++) {
        if (glob_match (self->order->patterns[i], self->path)) {
            self->matched[i] = true;
            taken = true;
        }
    }
    return taken;
}

static bool name_fits (const char *path)
{
    if (!utf8_valid (slice_of (path)))
        return false;
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 0x7f || *at == '\\') /* on some systems it divides folders */
            return false;
    return true;
}

/* False when the ZIP cannot be written. */
static bool add_file (walk_t *self, int fd, const struct stat *info)
{
    if (info->st_size > COLLECT_BYTES_MAX - self->bytes) {
        skip (self, SKIP_LARGE);
        return true;
    }
    int status = zip_write_add (self->order->zip, self->path, info, fd, self->problem, self->problem_size);
    if (status < 0)
        return false;
    if (status > 0)
        skip (self, SKIP_SHORTENED);
    self->bytes += info->st_size;
    self->result->files++;
    return true;
}

/* What the job left running may still change things: only what is open counts. */
static bool take_file (walk_t *self, int folder, const char *name, mode_t mode)
{
    struct stat info;
    if (!is_taken (self))
        return true;
    skip_t why = S_ISLNK (mode) ? SKIP_LINK : S_ISREG (mode) ? SKIP_NAME : SKIP_SPECIAL;
    if (!S_ISREG (mode) || !name_fits (self->path)) {
        skip (self, why);
        return true;
    }
    int fd = openat (folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    bool written = true;
    if (fd < 0 || fstat (fd, &info) != 0 || !S_ISREG (info.st_mode))
        skip (self, SKIP_UNREADABLE);
    else
        written = add_file (self, fd, &info);
    if (fd >= 0)
        close (fd);
    return written;
}

/* ---- folders ---- */

static int by_bytes (const struct dirent **a, const struct dirent **b)
{
    return strcmp ((*a)->d_name, (*b)->d_name);
}

static int not_dots (const struct dirent *entry)
{
    return strcmp (entry->d_name, ".") != 0 && strcmp (entry->d_name, "..") != 0;
}

static bool walk (walk_t *self, int folder, int depth);

/* A folder that cannot be entered is missing only when something in it could have been wanted. */
static bool take_folder (walk_t *self, int parent, const char *name, int depth)
{
    if (depth >= COLLECT_DEPTH_MAX) {
        self->too_deep = true;
        return true;
    }
    int folder = openat (parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder < 0) {
        if (is_taken (self))
            skip (self, SKIP_UNREADABLE);
        return true;
    }
    bool written = walk (self, folder, depth + 1);
    close (folder);
    return written;
}

static bool take_entry (walk_t *self, int folder, const char *name, int depth)
{
    size_t len = strlen (self->path);
    int more = snprintf (self->path + len, sizeof self->path - len, "%s%s", len ? "/" : "", name);
    struct stat info;
    bool written = true;
    if (len + (size_t)more >= sizeof self->path)
        self->too_deep = true;
    else if (fstatat (folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        written = true; /* it is gone */
    else if (S_ISDIR (info.st_mode))
        written = take_folder (self, folder, name, depth);
    else
        written = take_file (self, folder, name, info.st_mode);
    self->path[len] = '\0';
    return written;
}

/* Folders are read whole and sorted: the order of the names decides the order in the ZIP, not the file system. */
static bool walk (walk_t *self, int folder, int depth)
{
    struct dirent **entries = NULL;
    int count = scandirat (folder, ".", &entries, not_dots, by_bytes);
    bool written = true;
    for (int i = 0; i < count; i++) {
        if (self->entries >= COLLECT_ENTRIES_MAX)
            self->too_many = true;
        else if (written) {
            self->entries++;
            written = take_entry (self, folder, entries[i]->d_name, depth);
        }
        free (entries[i]);
    }
    free (entries);
    return written;
}

bool collect (const collect_order_t *order, collect_result_t *result, char *problem, size_t problem_size)
{
    walk_t self = { .order = order, .result = result, .problem = problem, .problem_size = problem_size };
    *result = (collect_result_t){ 0 };
    self.matched = xcalloc ((size_t)order->pattern_count + 1, sizeof *self.matched);
    bool written = walk (&self, order->folder, 1);
    if (written)
        note_all (&self);
    free (self.matched);
    return written;
}
