#include "worker/tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PROCESSES_MAX = 65536, /* looked at in one call */
    PASSES_MAX = 32,       /* parents have mostly lower numbers than their children, so that one pass finds most */
    STATE_FIELD = 3,       /* of /proc/PID/stat, see proc(5) */
    PARENT_FIELD = 4,
    UTIME_FIELD = 14, /* of itself, then of what it has reaped; ticks */
    STIME_FIELD = 15,
    CUTIME_FIELD = 16,
    CSTIME_FIELD = 17,
    THREADS_FIELD = 20,
    STARTED_FIELD = 22,
    RSS_FIELD = 24, /* pages */
};

typedef struct {
    pid_t pid;
    pid_t parent;
    unsigned long long started; /* with the pid, what tells a process from a later one */
    long long ticks;            /* of CPU time */
    long long rss_pages;
    long long threads;
    bool ended;
    bool ours;
} process_t;

/* Untouched pages of it cost nothing. */
static process_t table[PROCESSES_MAX];
static size_t looked_at; /* of it, by tree_usage */

static void take_field (int field, const char *at, process_t *process)
{
    switch (field) {
    case STATE_FIELD:
        process->ended = *at == 'Z' || *at == 'X';
        break;
    case PARENT_FIELD:
        process->parent = (pid_t)strtol (at, NULL, 10);
        break;
    case UTIME_FIELD:
        process->ticks = 0;
        __attribute__ ((fallthrough));
    case STIME_FIELD:
    case CUTIME_FIELD:
    case CSTIME_FIELD:
        process->ticks += strtoll (at, NULL, 10);
        break;
    case THREADS_FIELD: /* one whose first thread has ended is shown as a zombie, and may run on */
        process->threads = strtoll (at, NULL, 10);
        process->ended = process->ended && process->threads <= 1;
        break;
    case STARTED_FIELD:
        process->started = strtoull (at, NULL, 10);
        break;
    case RSS_FIELD:
        process->rss_pages = strtoll (at, NULL, 10);
        break;
    default:
        break;
    }
}

/* "PID (NAME) STATE PARENT ..."; NAME may hold anything. */
static bool parse (const char *text, process_t *process)
{
    const char *at = strrchr (text, ')');
    for (int field = STATE_FIELD; at && field <= RSS_FIELD; field++) {
        at = strchr (at, ' ');
        if (!at)
            return false;
        at++;
        take_field (field, at, process);
    }
    return at;
}

static bool look (pid_t pid, process_t *process)
{
    char path[32];
    char text[1024];
    snprintf (path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read (fd, text, sizeof text - 1);
    close (fd);
    if (got <= 0)
        return false;
    text[got] = '\0';
    process->pid = pid;
    process->ours = false;
    return parse (text, process);
}

static size_t look_at_all (void)
{
    size_t count = 0;
    DIR *proc = opendir ("/proc");
    if (!proc)
        return 0;
    for (struct dirent *entry = readdir (proc); entry && count < PROCESSES_MAX; entry = readdir (proc)) {
        char *end;
        long pid = strtol (entry->d_name, &end, 10);
        if (pid > 0 && !*end && look ((pid_t)pid, &table[count]))
            count++;
    }
    closedir (proc);
    return count;
}

static int by_pid (const void *a, const void *b)
{
    pid_t left = ((const process_t *)a)->pid;
    pid_t right = ((const process_t *)b)->pid;
    return (left > right) - (left < right);
}

static bool parent_is_ours (const process_t *process, size_t count, tree_spared_fn *spared)
{
    const process_t key = { .pid = process->parent };
    if (process->parent == getpid ())
        return !spared || !spared (process->pid);
    const process_t *parent = bsearch (&key, table, count, sizeof key, by_pid);
    return parent && parent->ours && parent->started <= process->started; /* else its number is another's by now */
}

/* Fills the table. Returns how many processes there are. */
static size_t find_ours (tree_spared_fn *spared)
{
    size_t count = look_at_all ();
    bool changed = true;
    qsort (table, count, sizeof *table, by_pid);
    for (int pass = 0; pass < PASSES_MAX && changed; pass++) {
        changed = false;
        for (size_t i = 0; i < count; i++) {
            if (table[i].ours || !parent_is_ours (&table[i], count, spared))
                continue;
            table[i].ours = changed = true;
        }
    }
    return count;
}

/* By a descriptor that stands for just this process: its number may be another's by now. */
static bool signal_one (const process_t *process, int number)
{
    int pidfd = (int)syscall (SYS_pidfd_open, process->pid, 0U);
    if (pidfd < 0)
        return false;
    process_t now;
    bool sent = look (process->pid, &now) && now.started == process->started &&
                syscall (SYS_pidfd_send_signal, pidfd, number, NULL, 0U) == 0;
    close (pidfd);
    return sent;
}

int tree_signal (int number, tree_spared_fn *spared)
{
    int sent = 0;
    size_t count = find_ours (spared);
    for (size_t i = 0; i < count; i++)
        if (table[i].ours && !table[i].ended && signal_one (&table[i], number))
            sent++;
    return sent;
}

int tree_reap (tree_spared_fn *spared)
{
    int left = 0;
    size_t count = find_ours (spared);
    for (size_t i = 0; i < count; i++)
        if (table[i].ours && (table[i].parent != getpid () || waitpid (table[i].pid, NULL, WNOHANG) != table[i].pid))
            left++;
    return left;
}

tree_usage_t tree_usage (void)
{
    const long ticks_per_second = sysconf (_SC_CLK_TCK);
    const long page_bytes = sysconf (_SC_PAGESIZE);
    tree_usage_t usage = { 0 };
    size_t count = find_ours (NULL);
    for (size_t i = 0; i < count; i++) {
        if (!table[i].ours)
            continue;
        usage.cpu_ms += table[i].ticks * 1000 / ticks_per_second;
        usage.rss_bytes += table[i].rss_pages * page_bytes;
        usage.processes += !table[i].ended;
        usage.tasks += table[i].ended ? 0 : table[i].threads;
    }
    looked_at = count;
    return usage;
}

/* Its share of what it uses (PSS), of /proc/PID/smaps_rollup; -1 when that is not shown to us. */
static int64_t share_of (pid_t pid)
{
    char path[40];
    char text[1024];
    snprintf (path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read (fd, text, sizeof text - 1);
    close (fd);
    text[got > 0 ? got : 0] = '\0';
    const char *line = strstr (text, "\nPss:");
    return line ? strtoll (line + strlen ("\nPss:"), NULL, 10) * 1024 : -1;
}

int64_t tree_memory_bytes (void)
{
    const long page_bytes = sysconf (_SC_PAGESIZE);
    int64_t bytes = 0;
    for (size_t i = 0; i < looked_at; i++) {
        if (!table[i].ours || table[i].ended)
            continue;
        int64_t share = share_of (table[i].pid);
        bytes += share >= 0 ? share : table[i].rss_pages * page_bytes;
    }
    return bytes;
}

void tree_each_child (void (*fn) (pid_t child))
{
    size_t count = look_at_all ();
    for (size_t i = 0; i < count; i++)
        if (table[i].parent == getpid ())
            fn (table[i].pid);
}
