/* faults.c - preloaded into a program under test: makes its disk fail, kills it at an exact point, moves its clocks.
 *
 * GLEANER_FAULTS names a folder. A file `sync` in it holds "WHAT PATH": at the next fsync or fdatasync of a file whose
 * path holds PATH ("PATH$": ends with it), `eio` fails it, `before` and `after` end the process then, as a kill -9
 * would. The file is removed first, so that it happens once. Files `wall` and `boot` hold milliseconds that
 * CLOCK_REALTIME and CLOCK_BOOTTIME are ahead by; `statfs` the hexadecimal number of a kind of file system that every
 * folder is on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* What the folder's file holds; empty when there is none. Raw system calls: this is called from within libc's own. */
static size_t look (const char *name, char *text, size_t size)
{
    char path[512];
    const char *folder = getenv ("GLEANER_FAULTS");
    text[0] = '\0';
    if (!folder)
        return 0;
    snprintf (path, sizeof path, "%s/%s", folder, name);
    int fd = (int)syscall (SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    long got = syscall (SYS_read, fd, text, size - 1);
    syscall (SYS_close, fd);
    text[got > 0 ? got : 0] = '\0';
    return strlen (text);
}

/* "WHERE$": the path ends with WHERE. */
static bool holds (const char *path, char *where)
{
    size_t len = strlen (where);
    if (!len || where[len - 1] != '$')
        return strstr (path, where) != NULL;
    where[--len] = '\0';
    return strlen (path) >= len && strcmp (path + strlen (path) - len, where) == 0;
}

static int sync_with_faults (int fd, long number)
{
    char text[256];
    char link[64];
    char path[512];
    int saved = errno;
    bool struck = false;
    snprintf (link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink (link, path, sizeof path - 1);
    path[len > 0 ? len : 0] = '\0';
    char *where = look ("sync", text, sizeof text) ? strchr (text, ' ') : NULL;
    if (where) {
        *where++ = '\0';
        struck = holds (path, where);
    }
    errno = saved;
    if (struck) {
        snprintf (path, sizeof path, "%s/sync", getenv ("GLEANER_FAULTS"));
        unlink (path);
    }
    if (struck && strcmp (text, "eio") == 0) {
        errno = EIO;
        return -1;
    }
    if (struck && strcmp (text, "before") == 0)
        raise (SIGKILL);
    int result = (int)syscall (number, fd);
    if (struck)
        raise (SIGKILL);
    return result;
}

int fsync (int fd)
{
    return sync_with_faults (fd, SYS_fsync);
}

int fdatasync (int fd)
{
    return sync_with_faults (fd, SYS_fdatasync);
}

int statfs (const char *path, struct statfs *out)
{
    char text[64];
    int result = (int)syscall (SYS_statfs, path, out);
    if (result == 0 && look ("statfs", text, sizeof text))
        out->f_type = (__typeof__ (out->f_type))strtoul (text, NULL, 16);
    return result;
}

int clock_gettime (clockid_t id, struct timespec *out)
{
    char text[64];
    int result = (int)syscall (SYS_clock_gettime, id, out);
    const char *name = id == CLOCK_REALTIME ? "wall" : id == CLOCK_BOOTTIME ? "boot" : NULL;
    if (result == 0 && name && look (name, text, sizeof text)) {
        long long ahead_ms = strtoll (text, NULL, 10);
        out->tv_sec += ahead_ms / 1000;
        out->tv_nsec += ahead_ms % 1000 * 1000000;
        while (out->tv_nsec >= 1000000000) {
            out->tv_nsec -= 1000000000;
            out->tv_sec++;
        }
        while (out->tv_nsec < 0) {
            out->tv_nsec += 1000000000;
            out->tv_sec--;
        }
    }
    return result;
}
