#include "worker/projects.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/limits.h"

enum { SEEN_MAX = 64 /* hashes remembered of what came once, or is too large; then the oldest is forgotten */ };

typedef char hash_t[SHA256_HEX + 1]; /* empty: none */

typedef struct {
    char *path; /* below the folder */
    mode_t mode;
    bool is_folder;
    size_t at, len; /* its bytes */
    struct timespec changed;
} entry_t;

typedef struct {
    hash_t hash;
    uint64_t asked; /* when last, by projects_t.turn */
    entry_t *entries;
    size_t count;
    buf_t bytes;
} project_t;

struct projects {
    project_t kept[PROJECTS_MAX];
    hash_t seen[SEEN_MAX];
    hash_t large[SEEN_MAX];
    size_t seen_next, large_next;
    uint64_t turn;
};

projects_t *projects_new (void)
{
    return xcalloc (1, sizeof (projects_t));
}

static void project_fini (project_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->entries[i].path);
    free (self->entries);
    buf_fini (&self->bytes);
    *self = (project_t){ 0 };
}

void projects_destroy (projects_t **self_p)
{
    if (!*self_p)
        return;
    for (size_t i = 0; i < PROJECTS_MAX; i++)
        project_fini (&(*self_p)->kept[i]);
    free (*self_p);
    *self_p = NULL;
}

/* ---- what is kept ---- */

static project_t *find (projects_t *self, slice_t hash)
{
    for (size_t i = 0; i < PROJECTS_MAX; i++)
        if (hash.len && slice_eq_str (hash, self->kept[i].hash))
            return &self->kept[i];
    return NULL;
}

static bool among (const hash_t hashes[SEEN_MAX], slice_t hash)
{
    for (size_t i = 0; i < SEEN_MAX; i++)
        if (slice_eq_str (hash, hashes[i]))
            return true;
    return false;
}

static void remember (hash_t hashes[SEEN_MAX], size_t *next, slice_t hash)
{
    slice_copy (hash, hashes[*next], sizeof hashes[*next]);
    *next = (*next + 1) % SEEN_MAX;
}

static project_t *make_room (projects_t *self)
{
    project_t *oldest = &self->kept[0];
    for (size_t i = 1; i < PROJECTS_MAX; i++)
        if (self->kept[i].asked < oldest->asked)
            oldest = &self->kept[i];
    project_fini (oldest);
    return oldest;
}

/* ---- from a folder ---- */

/* Reads a file that should be `len` bytes long. */
static bool take_bytes (project_t *self, const char *path, size_t len)
{
    char bytes[16 * 1024];
    size_t taken = 0;
    ssize_t got = 1;
    int fd = open (path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    while (fd >= 0 && got > 0 && taken <= len) {
        got = read (fd, bytes, sizeof bytes);
        if (got > 0)
            buf_append (&self->bytes, bytes, (size_t)got);
        taken += got > 0 ? (size_t)got : 0;
    }
    if (fd >= 0)
        close (fd);
    return fd >= 0 && got == 0 && taken == len;
}

static bool take_entry (project_t *self, const FTSENT *at, const char *path)
{
    const struct stat *info = at->fts_statp;
    bool is_folder = at->fts_info == FTS_D;
    if (self->count == PROJECT_FILES_MAX || (!is_folder && at->fts_info != FTS_F) ||
        (!is_folder && info->st_size > PROJECT_BYTES_MAX - (off_t)self->bytes.len))
        return false;
    entry_t *entry = &self->entries[self->count++];
    *entry = (entry_t){
        .path = xstrdup (path),
        .mode = info->st_mode & 0777,
        .is_folder = is_folder,
        .at = self->bytes.len,
        .len = is_folder ? 0 : (size_t)info->st_size,
        .changed = info->st_mtim,
    };
    return is_folder || take_bytes (self, at->fts_accpath, entry->len);
}

/* False when it is too large, or could not be read. */
static bool take_folder (project_t *self, const char *folder)
{
    char *paths[] = { (char *)(uintptr_t)folder, NULL };
    const size_t skip = strlen (folder) + 1;
    self->entries = xcalloc (PROJECT_FILES_MAX, sizeof *self->entries);
    FTS *walk = fts_open (paths, FTS_PHYSICAL | FTS_XDEV, NULL);
    if (!walk)
        return false;
    bool whole = true;
    errno = 0;
    for (FTSENT *at = fts_read (walk); at && whole; at = whole ? fts_read (walk) : NULL)
        if (at->fts_level > FTS_ROOTLEVEL && at->fts_info != FTS_DP)
            whole = take_entry (self, at, at->fts_path + skip);
    whole = whole && errno == 0;
    fts_close (walk);
    return whole;
}

void projects_note (projects_t *self, slice_t sha256, const char *folder)
{
    if (sha256.len != SHA256_HEX || find (self, sha256) || among (self->large, sha256))
        return;
    if (!among (self->seen, sha256)) {
        remember (self->seen, &self->seen_next, sha256);
        return;
    }
    project_t *project = make_room (self);
    if (!take_folder (project, folder)) {
        project_fini (project);
        remember (self->large, &self->large_next, sha256);
        return;
    }
    slice_copy (sha256, project->hash, sizeof project->hash);
    project->asked = ++self->turn;
}

/* ---- into a folder ---- */

static int give_bytes (int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t written = write (fd, bytes, len);
        if (written < 0 && errno != EINTR)
            return errno;
        bytes += written > 0 ? written : 0;
        len -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

static int give_entry (const project_t *self, const entry_t *entry, int folder)
{
    if (entry->is_folder) {
        bool made = mkdirat (folder, entry->path, 0700) == 0;
        return made && fchmodat (folder, entry->path, entry->mode, 0) == 0 ? 0 : errno;
    }
    int fd = openat (folder, entry->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = give_bytes (fd, self->bytes.ptr + entry->at, entry->len);
    if (!error && fchmod (fd, entry->mode) != 0)
        error = errno;
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, entry->changed };
    if (!error && futimens (fd, times) != 0)
        error = errno;
    close (fd);
    return error;
}

int projects_give (projects_t *self, slice_t sha256, const char *folder, bool *known)
{
    project_t *project = find (self, sha256);
    *known = project;
    if (!project)
        return 0;
    project->asked = ++self->turn;
    int root = open (folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return errno;
    int error = 0;
    for (size_t i = 0; i < project->count && !error; i++)
        error = give_entry (project, &project->entries[i], root);
    close (root);
    return error;
}
