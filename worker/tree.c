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
    CPU_FIRST_FIELD = 14, /* user, system, and both of children that were waited for */
    CPU_LAST_FIELD = 17,
    THREADS_FIELD = 20,
    STARTED_FIELD = 22,
    MEMORY_FIELD = 24, /* pages */
};

typedef struct {
    pid_t pid;
    pid_t parent;
    unsigned long long started; /* with the pid, what tells a process from a later one */
    long long cpu;              /* clock ticks */
    long long memory;           /* pages */
    bool ended;
    bool ours;
} process_t;

/* Untouched pages of it cost nothing. */
static process_t table[PROCESSES_MAX];

/* "PID (NAME) STATE PARENT ... THREADS ... STARTED ..."; NAME may hold anything. */
static bool parse (const char *text, process_t *process)
{
    const char *at = strrchr (text, ')');
    char state = '\0';
    process->cpu = 0;
    for (int field = STATE_FIELD; at && field <= MEMORY_FIELD; field++) {
        at = strchr (at, ' ');
        if (!at)
            return false;
        at++;
        if (field == STATE_FIELD)
            state = *at;
        else if (field == PARENT_FIELD)
            process->parent = (pid_t)strtol (at, NULL, 10);
        else if (field == THREADS_FIELD) /* one whose first thread has ended is shown as a zombie, and may run on */
            process->ended = (state == 'Z' || state == 'X') && strtol (at, NULL, 10) <= 1;
        else if (field == STARTED_FIELD)
            process->started = strtoull (at, NULL, 10);
        else if (field == MEMORY_FIELD)
            process->memory = strtoll (at, NULL, 10);
        else if (field >= CPU_FIRST_FIELD && field <= CPU_LAST_FIELD)
            process->cpu += strtoll (at, NULL, 10);
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

void tree_use (tree_use_t *out)
{
    int64_t ticks = 0, pages = 0;
    size_t count = find_ours (NULL);
    *out = (tree_use_t){ 0 };
    for (size_t i = 0; i < count; i++) {
        if (!table[i].ours)
            continue;
        ticks += table[i].cpu;
        pages += table[i].memory;
        out->processes += !table[i].ended;
    }
    out->cpu_ms = ticks * 1000 / sysconf (_SC_CLK_TCK);
    out->memory_bytes = pages * sysconf (_SC_PAGESIZE);
}

void tree_each_child (void (*fn) (pid_t child))
{
    size_t count = look_at_all ();
    for (size_t i = 0; i < count; i++)
        if (table[i].parent == getpid ())
            fn (table[i].pid);
}
