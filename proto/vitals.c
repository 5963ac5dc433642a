#include "vitals.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

/* A file of /proc; empty when it cannot be read. */
static void read_file (const char *path, char *out, size_t size)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? 0 : read (fd, out, size - 1);
    if (fd >= 0)
        close (fd);
    out[len > 0 ? len : 0] = '\0';
}

static int64_t resident (void)
{
    char text[128];
    read_file ("/proc/self/statm", text, sizeof text);
    char *at = strchr (text, ' ');
    return at ? strtoll (at, NULL, 10) * sysconf (_SC_PAGESIZE) : -1;
}

/* Field 22 of /proc/self/stat, ticks since the boot; a program's name, field 2, may hold anything but ends with the
 * last parenthesis (proc(5)). */
static int64_t start_wall_ms (void)
{
    enum { AFTER_NAME = 20 };
    char text[1024];
    read_file ("/proc/self/stat", text, sizeof text);
    char *at = strrchr (text, ')');
    for (int field = 0; at && field < AFTER_NAME; field++)
        at = strchr (at + 1, ' ');
    if (!at)
        return -1;
    int64_t since_boot_ms = strtoll (at, NULL, 10) * 1000 / sysconf (_SC_CLK_TCK);
    return clock_wall_ms () - clock_mono_ms () + since_boot_ms;
}

static int64_t cpu (void)
{
    struct timespec used;
    if (clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
        return -1;
    return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

static int64_t open_fds (void)
{
    struct stat info;
    return stat ("/proc/self/fd", &info) == 0 && info.st_size > 0 ? info.st_size : -1;
}

void vitals_read (vitals_t *self)
{
    static int64_t start_ms; /* once: it must not move with the wall clock */
    if (!start_ms)
        start_ms = start_wall_ms ();
    *self = (vitals_t){ resident (), cpu (), open_fds (), start_ms };
}
