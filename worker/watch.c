#include "worker/watch.h"

#include <fts.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "proto/clock.h"

enum {
    FIRST_MS = 50,
    COUNT_MS = 20,    /* between questions for the number of all tasks */
    NEAR_MS = 20,     /* at half of a limit or more */
    FAR_MS = 100,     /* below that */
    PIDS_MS = 250,    /* likewise where processes alone are limited: they do no harm as quickly */
    FAR_COST = 25,    /* a look takes no more than one part in so many of the time */
    NEAR_COST = 5,    /* likewise, near a limit */
    DISK_MS = 250,    /* between looks at the folder */
    BLOCK_BYTES = 512 /* of st_blocks */
};

static int64_t all_tasks (void)
{
    struct sysinfo info;
    return sysinfo (&info) == 0 ? info.procs : 0; /* 16 bits: where there are more, only time tells */
}

void watch_signal (pid_t command, int number)
{
    if (getpid () == 1)
        kill (-1, number);
    else if (command > 0)
        kill (-command, number);
}

void watch_begin (watch_t *self, const limits_t *limits, int64_t now_ms)
{
    *self = (watch_t){ .limits = *limits, .over = OVER_NOTHING };
    self->due_ms = limits->memory_bytes || limits->pids ? now_ms + FIRST_MS : INT64_MAX;
    self->count_ms = limits->pids ? now_ms + COUNT_MS : INT64_MAX;
    self->all_tasks = all_tasks ();
    self->disk_due_ms = limits->disk_bytes ? now_ms + FIRST_MS : INT64_MAX;
}

int64_t watch_due_ms (const watch_t *self)
{
    int64_t due_ms = self->due_ms < self->count_ms ? self->due_ms : self->count_ms;
    return due_ms < self->disk_due_ms ? due_ms : self->disk_due_ms;
}

static void compare (watch_t *self, over_t what, int64_t used, int64_t limit)
{
    if (self->over != OVER_NOTHING || !limit || used <= limit)
        return;
    self->over = what;
    self->over_used = used;
}

static void note_memory (watch_t *self, int64_t bytes)
{
    if (bytes > self->memory_peak_bytes)
        self->memory_peak_bytes = bytes;
    compare (self, OVER_MEMORY, bytes, self->limits.memory_bytes);
}

void watch_note (watch_t *self, const tree_usage_t *usage)
{
    int64_t bytes = usage->rss_bytes;
    /* What several of them share was counted for each: looked at closely only when it matters. */
    if (self->limits.memory_bytes && bytes > self->limits.memory_bytes && usage->processes > 1)
        bytes = tree_memory_bytes ();
    note_memory (self, bytes);
    if (usage->tasks > self->pids_peak)
        self->pids_peak = usage->tasks;
    compare (self, OVER_PIDS, usage->tasks, self->limits.pids);
}

void watch_note_reaped (watch_t *self, const struct rusage *usage)
{
    note_memory (self, (int64_t)usage->ru_maxrss * 1024);
}

static bool is_near (int64_t used, int64_t limit)
{
    return limit && used > limit / 2;
}

static void look_at_processes (watch_t *self)
{
    const limits_t *limits = &self->limits;
    int64_t began_ms = clock_mono_ms ();
    tree_usage_t usage = tree_usage ();
    watch_note (self, &usage);
    self->tasks = usage.tasks;
    self->all_tasks = all_tasks ();
    int64_t now_ms = clock_mono_ms ();
    bool near = is_near (usage.rss_bytes, limits->memory_bytes) || is_near (usage.tasks, limits->pids);
    int64_t pause_ms = near ? NEAR_MS : limits->memory_bytes ? FAR_MS : PIDS_MS;
    int64_t cost_ms = (now_ms - began_ms) * (near ? NEAR_COST : FAR_COST);
    self->due_ms = now_ms + (pause_ms > cost_ms ? pause_ms : cost_ms);
}

/* ---- the folder ---- */

static int64_t folder_bytes (void)
{
    static char here[] = ".";
    char *paths[] = { here, NULL };
    int64_t bytes = 0;
    FTS *walk = fts_open (paths, FTS_PHYSICAL | FTS_XDEV, NULL);
    if (!walk)
        return 0;
    for (FTSENT *entry = fts_read (walk); entry; entry = fts_read (walk)) {
        const struct stat *info = entry->fts_statp;
        bool told = entry->fts_info == FTS_D || entry->fts_info == FTS_F || entry->fts_info == FTS_DEFAULT ||
                    entry->fts_info == FTS_SL || entry->fts_info == FTS_SLNONE;
        if (!told)
            continue;
        bool shared = entry->fts_info == FTS_F && info->st_nlink > 1; /* a part for each of its names */
        bytes += (int64_t)info->st_blocks * BLOCK_BYTES / (shared ? (int64_t)info->st_nlink : 1);
    }
    fts_close (walk);
    return bytes;
}

static int64_t free_bytes (void)
{
    struct statvfs info;
    return statvfs (".", &info) == 0 ? (int64_t)info.f_bfree * (int64_t)info.f_frsize : 0;
}

static void look_at_folder (watch_t *self)
{
    int64_t began_ms = clock_mono_ms ();
    self->disk_free_bytes = free_bytes ();
    self->disk_used_bytes = folder_bytes ();
    self->disk_looked_ms = clock_mono_ms ();
    self->disk_look_ms = self->disk_looked_ms - began_ms;
    compare (self, OVER_DISK, self->disk_used_bytes, self->limits.disk_bytes);
}

/* A folder of very many files is looked at seldom, unless its disk has lost so much since that it may be over. */
static bool folder_is_due (const watch_t *self, int64_t now_ms)
{
    int64_t room = self->limits.disk_bytes - self->disk_used_bytes;
    bool filling = self->disk_free_bytes - free_bytes () > room / 2;
    return now_ms - self->disk_looked_ms >= self->disk_look_ms * (filling ? NEAR_COST : FAR_COST);
}

/* Whatever has come since the last look could be the job's. */
static void count (watch_t *self, pid_t command)
{
    self->count_ms = clock_mono_ms () + COUNT_MS;
    if (self->tasks + all_tasks () - self->all_tasks <= self->limits.pids)
        return;
    watch_signal (command, SIGSTOP);
    look_at_processes (self);
    if (self->over == OVER_NOTHING)
        watch_signal (command, SIGCONT);
}

void watch_look (watch_t *self, pid_t command)
{
    int64_t now_ms = clock_mono_ms ();
    if (now_ms >= self->count_ms)
        count (self, command);
    if (now_ms >= self->due_ms)
        look_at_processes (self);
    if (now_ms < self->disk_due_ms)
        return;
    if (folder_is_due (self, now_ms))
        look_at_folder (self);
    self->disk_due_ms = clock_mono_ms () + DISK_MS;
}

void watch_look_last (watch_t *self)
{
    if (self->limits.disk_bytes && self->over == OVER_NOTHING)
        look_at_folder (self);
}
