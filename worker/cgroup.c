#include "worker/cgroup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/log.h"

enum {
    TEXT_SIZE = 4096,
    DEPTH_MAX = 16, /* of groups that a job without a sandbox has made */
    SWEEP_MS_MAX = 1000,
    SWEEP_TICK_MS = 10,
    PERIOD_US = 100 * 1000, /* of cpu.max, the kernel's own */
};

#define LEAF     "worker"
#define JOB_NAME "job-"

/* ---- files ---- */

/* False when that is too long. */
static bool path_of (char path[CGROUP_PATH_MAX], const char *folder, const char *name)
{
    return snprintf (path, CGROUP_PATH_MAX, "%s/%s", folder, name) < CGROUP_PATH_MAX;
}

static int open_in (const char *folder, const char *name, int flags)
{
    char path[CGROUP_PATH_MAX];
    if (path_of (path, folder, name))
        return open (path, flags | O_CLOEXEC);
    errno = ENAMETOOLONG;
    return -1;
}

/* Returns 0 or an errno. */
static int put (const char *folder, const char *name, const char *text)
{
    int fd = open_in (folder, name, O_WRONLY);
    if (fd < 0)
        return errno;
    int error = write (fd, text, strlen (text)) < 0 ? errno : 0;
    close (fd);
    return error;
}

static int put_number (const char *folder, const char *name, int64_t number)
{
    char text[32];
    snprintf (text, sizeof text, "%lld", (long long)number);
    return put (folder, name, text);
}

/* From its beginning. What cannot be read is empty. */
static void read_fd (int fd, char text[TEXT_SIZE])
{
    ssize_t got = fd < 0 ? 0 : pread (fd, text, TEXT_SIZE - 1, 0);
    text[got > 0 ? got : 0] = '\0';
}

static void read_in (const char *folder, const char *name, char text[TEXT_SIZE])
{
    int fd = open_in (folder, name, O_RDONLY);
    read_fd (fd, text);
    if (fd >= 0)
        close (fd);
}

/* Of a file with lines "KEY NUMBER"; 0 where there is none. */
static int64_t number_of (const char *text, const char *key)
{
    size_t len = strlen (key);
    for (const char *at = text; *at; at += strcspn (at, "\n"), at += *at == '\n')
        if (strncmp (at, key, len) == 0 && at[len] == ' ')
            return strtoll (at + len, NULL, 10);
    return 0;
}

static int64_t number_in (const char *folder, const char *name)
{
    char text[TEXT_SIZE];
    read_in (folder, name, text);
    return strtoll (text, NULL, 10);
}

static bool has_word (const char *text, const char *word)
{
    size_t len = strlen (word);
    for (const char *at = text; *at; at += strcspn (at, " \n"), at += strspn (at, " \n"))
        if (strncmp (at, word, len) == 0 && strchr (" \n", at[len]))
            return true;
    return false;
}

/* ---- removing ---- */

/* With the groups in it. Returns 0, or an errno: EBUSY when something in it has not ended. */
static int remove_group (const char *path, int depth)
{
    char inner[CGROUP_PATH_MAX];
    DIR *folder = depth < DEPTH_MAX ? opendir (path) : NULL;
    for (struct dirent *entry = folder ? readdir (folder) : NULL; entry; entry = readdir (folder)) {
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && path_of (inner, path, entry->d_name))
            remove_group (inner, depth + 1);
    }
    if (folder)
        closedir (folder);
    return rmdir (path) == 0 || errno == ENOENT ? 0 : errno;
}

/* Tries again what could not be removed before. */
static void remove_behind (cgroup_t *self)
{
    size_t left = 0;
    for (size_t i = 0; i < self->behind_count; i++)
        if (remove_group (self->behind[i], 0) == EBUSY)
            self->behind[left++] = self->behind[i];
        else
            free (self->behind[i]);
    self->behind_count = left;
}

static void leave_behind (cgroup_t *self, char *path)
{
    self->behind = xrealloc (self->behind, (self->behind_count + 1) * sizeof *self->behind);
    self->behind[self->behind_count++] = path;
}

/* Of a worker that was killed. */
static void sweep (cgroup_t *self)
{
    char path[CGROUP_PATH_MAX];
    int count = 0;
    DIR *folder = opendir (self->root);
    for (struct dirent *entry = folder ? readdir (folder) : NULL; entry; entry = readdir (folder)) {
        if (strncmp (entry->d_name, JOB_NAME, strlen (JOB_NAME)) != 0 || !path_of (path, self->root, entry->d_name))
            continue;
        put (path, "cgroup.kill", "1");
        leave_behind (self, xstrdup (path));
        count++;
    }
    if (folder)
        closedir (folder);
    for (int waited_ms = 0; self->behind_count && waited_ms < SWEEP_MS_MAX; waited_ms += SWEEP_TICK_MS) {
        remove_behind (self);
        if (self->behind_count)
            poll (NULL, 0, SWEEP_TICK_MS);
    }
    if (count)
        log_event (LEVEL_INFO, "cgroups-swept", "%d groups of earlier jobs", count);
}

/* ---- the worker's own ---- */

static bool is_alone (const char *root)
{
    char text[TEXT_SIZE];
    char *end;
    read_in (root, "cgroup.procs", text);
    long pid = strtol (text, &end, 10);
    return pid == (long)getpid () && end[strspn (end, "\n")] == '\0';
}

/* Whether it can be taken over, and nothing is changed by asking. */
static bool may_open (const char *root, bool *cpu, char why[CGROUP_WHY_SIZE])
{
    char text[TEXT_SIZE];
    read_in (root, "cgroup.controllers", text);
    const char *missing = !has_word (text, "memory") ? "memory" : !has_word (text, "pids") ? "pids" : NULL;
    *cpu = has_word (text, "cpu");
    if (missing)
        snprintf (why, CGROUP_WHY_SIZE, "%s has no %s controller (Delegate=memory pids cpu in its unit)", root,
                  missing);
    else if (!is_alone (root))
        snprintf (why, CGROUP_WHY_SIZE, "%s has other processes in it: start the worker as a unit of its own", root);
    else
        return true;
    return false;
}

/* Goes into `leaf`, and lets groups beside it be limited. Returns 0 or an errno; then it is back. */
static int move (const char *root, const char *leaf, bool cpu)
{
    int error = put (leaf, "cgroup.procs", "0");
    if (error)
        return error;
    error = put (root, "cgroup.subtree_control", cpu ? "+memory +pids +cpu" : "+memory +pids");
    if (error)
        put (root, "cgroup.procs", "0");
    return error;
}

bool cgroup_open (cgroup_t *self, const char *root, char why[CGROUP_WHY_SIZE])
{
    char leaf[CGROUP_PATH_MAX];
    *self = (cgroup_t){ 0 };
    if (!may_open (root, &self->cpu, why))
        return false;
    int error = !path_of (leaf, root, LEAF) ? ENAMETOOLONG : mkdir (leaf, 0755) != 0 && errno != EEXIST ? errno : 0;
    int kill_fd = open_in (leaf, "cgroup.kill", O_WRONLY);
    bool kills = kill_fd >= 0;
    if (kills)
        close (kill_fd);
    if (!error && kills)
        error = move (root, leaf, self->cpu);
    if (error)
        snprintf (why, CGROUP_WHY_SIZE, "%s cannot be taken over: %s", root, strerror (error));
    else if (!kills)
        snprintf (why, CGROUP_WHY_SIZE, "this kernel has no cgroup.kill, as Linux has from 5.14 on");
    if (error || !kills) {
        rmdir (leaf);
        return false;
    }
    snprintf (self->root, sizeof self->root, "%s", root);
    sweep (self);
    return true;
}

void cgroup_close (cgroup_t *self)
{
    remove_behind (self);
    for (size_t i = 0; i < self->behind_count; i++)
        free (self->behind[i]);
    free (self->behind);
    *self = (cgroup_t){ 0 };
}

/* ---- an attempt's ---- */

static int limit (const cgroup_t *self, const char *path, const limits_t *limits)
{
    char cpu_max[64];
    int error = put (path, "memory.oom.group", "1"); /* half a job is none */
    if (!error && limits->memory_bytes)
        error = put_number (path, "memory.max", limits->memory_bytes);
    if (!error && limits->memory_bytes) {
        error = put (path, "memory.swap.max", "0");
        error = error == ENOENT ? 0 : error; /* a kernel without swap */
    }
    if (!error && limits->pids)
        error = put_number (path, "pids.max", limits->pids);
    if (error || !limits->cpus || !self->cpu)
        return error;
    snprintf (cpu_max, sizeof cpu_max, "%lld %d", (long long)limits->cpus * PERIOD_US / 100, PERIOD_US);
    return put (path, "cpu.max", cpu_max);
}

int cgroup_job_open (cgroup_t *self, const char *name, const limits_t *limits, cgroup_job_t *out)
{
    char path[CGROUP_PATH_MAX];
    *out = CGROUP_JOB_NONE;
    remove_behind (self);
    int len = snprintf (path, sizeof path, "%s/" JOB_NAME "%s", self->root, name);
    assert (len < (int)sizeof path); /* a job's id is short */
    if (mkdir (path, 0755) != 0 && errno != EEXIST)
        return errno;
    out->path = xstrdup (path);
    int error = limit (self, path, limits);
    out->procs = open_in (path, "cgroup.procs", O_WRONLY);
    out->memory_events = open_in (path, "memory.events", O_RDONLY);
    out->pids_events = open_in (path, "pids.events", O_RDONLY);
    if (!error && (out->procs < 0 || out->memory_events < 0 || out->pids_events < 0))
        error = errno;
    if (error)
        cgroup_job_close (self, out);
    return error;
}

void cgroup_job_count (const cgroup_job_t *self, cgroup_counts_t *out)
{
    char text[TEXT_SIZE];
    read_in (self->path, "cpu.stat", text);
    out->cpu_ms = number_of (text, "usage_usec") / 1000;
    out->memory_peak_bytes = number_in (self->path, "memory.peak");
    out->pids_peak = number_in (self->path, "pids.peak");
    read_fd (self->memory_events, text);
    /* `oom`: at this group's own limit, and not at one above it or for want of memory in the machine */
    out->memory_kills = number_of (text, "oom") ? number_of (text, "oom_kill") : 0;
    read_fd (self->pids_events, text);
    out->pids_refused = number_of (text, "max");
}

void cgroup_job_kill (const cgroup_job_t *self)
{
    if (self->path)
        put (self->path, "cgroup.kill", "1");
}

void cgroup_job_close (cgroup_t *self, cgroup_job_t *job)
{
    const int fds[] = { job->procs, job->memory_events, job->pids_events };
    for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
        if (fds[i] >= 0)
            close (fds[i]);
    cgroup_job_kill (job);
    if (job->path && remove_group (job->path, 0) == EBUSY)
        leave_behind (self, job->path);
    else
        free (job->path);
    *job = CGROUP_JOB_NONE;
}
