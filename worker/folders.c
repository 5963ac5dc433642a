#include "worker/folders.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/id.h"
#include "proto/limits.h"
#include "proto/log.h"

int file_write (const char *path, slice_t content)
{
    char temporary[FOLDER_PATH_MAX + 8];
    snprintf (temporary, sizeof temporary, "%s.part", path);
    int fd = open (temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    int error = 0;
    while (content.len && !error) {
        ssize_t written = write (fd, content.ptr, content.len);
        if (written < 0)
            error = errno == EINTR ? 0 : errno;
        else
            content = slice_from (content.ptr + written, content.len - (size_t)written);
    }
    if (close (fd) != 0 && !error)
        error = errno;
    if (!error && rename (temporary, path) != 0)
        error = errno;
    if (error)
        unlink (temporary);
    return error;
}

int file_read (const char *path, size_t max, buf_t *out)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = 0;
    ssize_t got = 1;
    while (got > 0 && out->len <= max) {
        buf_reserve (out, 64 * 1024);
        got = read (fd, out->ptr + out->len, 64 * 1024);
        if (got > 0)
            out->len += (size_t)got;
        if (got < 0)
            error = errno;
    }
    close (fd);
    return error ? error : out->len > max ? EFBIG : 0;
}

int folder_make_apart (const char *path)
{
    char parent[FOLDER_PATH_MAX + 320];
    int flags = 0; /* an int, whatever the ioctl's number says */
    snprintf (parent, sizeof parent, "%s", path);
    char *slash = strrchr (parent, '/');
    if (slash)
        *slash = '\0';
    int fd = open (slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool known = fd >= 0 && ioctl (fd, FS_IOC_GETFLAGS, &flags) == 0;
    int apart = flags | FS_TOPDIR_FL;
    bool changed = known && apart != flags && ioctl (fd, FS_IOC_SETFLAGS, &apart) == 0;
    int error = mkdir (path, 0700) == 0 ? 0 : errno;
    if (changed)
        ioctl (fd, FS_IOC_SETFLAGS, &flags); /* small folders stay together: that takes a third of the time */
    if (fd >= 0)
        close (fd);
    return error;
}

void folder_remove (const char *path)
{
    if (rmdir (path) == 0 || errno == ENOENT)
        return; /* as before most jobs */
    char *paths[] = { (char *)(uintptr_t)path, NULL };
    FTS *walk = fts_open (paths, FTS_PHYSICAL, NULL);
    if (!walk)
        return;
    for (FTSENT *entry = fts_read (walk); entry; entry = fts_read (walk)) {
        if (entry->fts_info == FTS_D)
            chmod (entry->fts_accpath, 0700); /* a job may have shut it */
        else if (entry->fts_info == FTS_DP || entry->fts_info == FTS_DNR)
            rmdir (entry->fts_accpath);
        else
            unlink (entry->fts_accpath);
    }
    fts_close (walk);
}

static bool default_path (char path[FOLDER_PATH_MAX])
{
    const char *state = getenv ("XDG_STATE_HOME");
    const char *home = getenv ("HOME");
    if (state && *state)
        snprintf (path, FOLDER_PATH_MAX, "%s/gleaner-worker", state);
    else if (home && *home)
        snprintf (path, FOLDER_PATH_MAX, "%s/.local/state/gleaner-worker", home);
    else
        return false;
    return true;
}

static bool make_folders (const char *wanted, char path[FOLDER_PATH_MAX])
{
    char given[FOLDER_PATH_MAX];
    if (wanted)
        snprintf (given, sizeof given, "%s", wanted);
    else if (!default_path (given))
        return false;
    for (char *slash = strchr (given + 1, '/'); slash; slash = strchr (slash + 1, '/')) {
        *slash = '\0';
        mkdir (given, 0755);
        *slash = '/';
    }
    if (mkdir (given, 0700) != 0 && errno != EEXIST)
        return false;
    if (!realpath (given, path) || access (path, R_OK | W_OK | X_OK) != 0)
        return false;
    char sub[FOLDER_PATH_MAX + 8];
    snprintf (sub, sizeof sub, "%s/jobs", path);
    bool good = mkdir (sub, 0700) == 0 || errno == EEXIST;
    snprintf (sub, sizeof sub, "%s/spool", path);
    return good && (mkdir (sub, 0700) == 0 || errno == EEXIST);
}

bool folders_open (const char *wanted, char path[FOLDER_PATH_MAX], char *problem, size_t problem_size)
{
    if (!make_folders (wanted, path)) {
        snprintf (problem, problem_size, "cannot use work directory '%.900s': %s.", wanted ? wanted : "~/.local/state",
                  strerror (errno));
        return false;
    }
    char lock[FOLDER_PATH_MAX + 8];
    snprintf (lock, sizeof lock, "%s/lock", path);
    int fd = open (lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0)
        return true; /* the descriptor stays open: it is the lock */
    snprintf (problem, problem_size, "another worker uses work directory '%.900s': give this one another --work-dir.",
              path);
    return false;
}

static char *id_from_file (const char *file)
{
    buf_t text = { 0 };
    char *id = NULL;
    if (!file_read (file, ID_MAX + 1, &text)) {
        slice_t line = buf_slice (&text);
        while (line.len && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r'))
            line.len--;
        if (worker_id_safe (line))
            id = slice_dup (line);
    }
    buf_fini (&text);
    return id;
}

/* The host's name makes the id readable; the random part makes it unique. */
static char *id_make (const char *hostname)
{
    char random[33];
    random_id_make (random);
    buf_t id = { 0 };
    for (const char *at = hostname; *at && id.len < 40; at++)
        if ((*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || (*at >= '0' && *at <= '9') || *at == '-')
            buf_append (&id, at, 1);
    buf_printf (&id, "-%.12s", random);
    return id.ptr;
}

char *folders_worker_id (const char *path, const char *wanted, const char *hostname, char *problem, size_t problem_size)
{
    if (wanted && !worker_id_safe (slice_of (wanted))) {
        snprintf (problem, problem_size, "--id must be 1 to %d printable characters.", ID_MAX);
        return NULL;
    }
    if (wanted)
        return xstrdup (wanted);
    char file[FOLDER_PATH_MAX + 16];
    snprintf (file, sizeof file, "%s/worker-id", path);
    char *id = id_from_file (file);
    if (id)
        return id;
    id = id_make (hostname);
    int error = file_write (file, slice_of (id));
    if (!error)
        return id;
    snprintf (problem, problem_size, "cannot write '%.900s': %s.", file, strerror (error));
    free (id);
    return NULL;
}

int folders_keep_id (const char *path, const char *id)
{
    char file[FOLDER_PATH_MAX + 16];
    snprintf (file, sizeof file, "%s/worker-id", path);
    return file_write (file, slice_of (id));
}

static void each_in (const char *path, const char *sub, void (*fn) (void *ctx, const char *folder), void *ctx)
{
    char folder[FOLDER_PATH_MAX + 8];
    snprintf (folder, sizeof folder, "%s/%s", path, sub);
    DIR *dir = opendir (folder);
    if (!dir)
        return;
    for (struct dirent *entry = readdir (dir); entry; entry = readdir (dir)) {
        char inside[FOLDER_PATH_MAX + 300];
        if (entry->d_name[0] == '.')
            continue;
        snprintf (inside, sizeof inside, "%s/%s", folder, entry->d_name);
        fn (ctx, inside);
    }
    closedir (dir);
}

static void sweep_job (void *ctx, const char *folder)
{
    sweeper_take (ctx, folder);
}

static void sweep_spool (void *ctx, const char *spool)
{
    char result[FOLDER_PATH_MAX + 320];
    snprintf (result, sizeof result, "%s/result", spool);
    if (access (result, F_OK) != 0)
        sweeper_take (ctx, spool);
}

void folders_sweep (const char *path, sweeper_t *sweeper)
{
    each_in (path, "jobs", sweep_job, sweeper);
    each_in (path, "spool", sweep_spool, sweeper);
}

void folders_each_spool (const char *path, void (*fn) (void *ctx, const char *spool), void *ctx)
{
    each_in (path, "spool", fn, ctx);
}
