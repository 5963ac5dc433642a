#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

enum { STATUS_SIZE = 256 };

static struct {
    int fd;
    struct sockaddr_un to;
    socklen_t to_len;     /* 0: nobody asked */
    int64_t watchdog_ms;  /* between two signs of life; 0: none is asked for */
    int64_t alive_due_ms; /* the next one */
    int64_t status_due_ms;
    bool ready;
    bool stale; /* the loop has turned since the status was looked at */
    char status[STATUS_SIZE];
} self = { .fd = -1 };

/* A lost datagram is not worth a program's life, and nobody could be told. */
static void say (const char *text)
{
    if (self.to_len)
        (void)!sendto (self.fd, text, strlen (text), MSG_NOSIGNAL, (struct sockaddr *)&self.to, self.to_len);
}

static void read_watchdog (void)
{
    const char *every = getenv ("WATCHDOG_USEC");
    const char *whose = getenv ("WATCHDOG_PID");
    bool ours = !whose || strtoll (whose, NULL, 10) == (long long)getpid ();
    int64_t usec = every && ours ? strtoll (every, NULL, 10) : 0;
    if (usec > 0) {
        self.watchdog_ms = usec / 2000 > 0 ? usec / 2000 : 1;
        self.alive_due_ms = clock_mono_ms () + self.watchdog_ms;
    }
}

/* "/path", or "@name" of the abstract kind, whose first byte is then a NUL. */
static bool read_address (const char *address)
{
    size_t len = strlen (address);
    if ((address[0] != '/' && address[0] != '@') || len < 2 || len >= sizeof self.to.sun_path)
        return false;
    self.to.sun_family = AF_UNIX;
    memcpy (self.to.sun_path, address, len + 1);
    self.to_len = (socklen_t)(offsetof (struct sockaddr_un, sun_path) + len);
    if (address[0] == '@')
        self.to.sun_path[0] = '\0';
    else
        self.to_len++;
    return true;
}

bool notify_begin (char *problem, size_t problem_size)
{
    const char *address = getenv ("NOTIFY_SOCKET");
    bool good = true;
    if (address && *address) {
        self.fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        good = self.fd >= 0 && read_address (address);
    }
    if (!good)
        snprintf (problem, problem_size, "NOTIFY_SOCKET: '%.100s' is no address of a socket.", address);
    if (good && self.to_len)
        read_watchdog ();
    unsetenv ("NOTIFY_SOCKET");
    unsetenv ("WATCHDOG_USEC");
    unsetenv ("WATCHDOG_PID");
    return good;
}

void notify_end (void)
{
    if (self.fd >= 0)
        close (self.fd);
    memset (&self, 0, sizeof self);
    self.fd = -1;
}

void notify_ready (void)
{
    self.ready = true;
    say ("READY=1");
}

void notify_reloaded (void)
{
    if (self.ready)
        say ("READY=1");
}

void notify_reloading (void)
{
    char text[64];
    snprintf (text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_awake_us ());
    if (self.ready)
        say (text);
}

void notify_stopping (void)
{
    say ("STOPPING=1");
}

void notify_extend (int64_t ms)
{
    char text[64];
    snprintf (text, sizeof text, "EXTEND_TIMEOUT_USEC=%lld", (long long)ms * 1000);
    say (text);
}

bool notify_turn (void)
{
    if (!self.to_len)
        return false;
    int64_t now_ms = clock_mono_ms ();
    if (self.watchdog_ms && now_ms >= self.alive_due_ms) {
        say ("WATCHDOG=1");
        self.alive_due_ms = now_ms + self.watchdog_ms;
    }
    self.stale = now_ms < self.status_due_ms;
    if (self.stale)
        return false;
    self.status_due_ms = now_ms + NOTIFY_STATUS_MS;
    return true;
}

int64_t notify_deadline (void)
{
    int64_t due = self.watchdog_ms ? self.alive_due_ms : INT64_MAX;
    return self.stale && self.status_due_ms < due ? self.status_due_ms : due;
}

void notify_status (const char *format, ...)
{
    char status[STATUS_SIZE];
    char text[STATUS_SIZE + 16];
    va_list args;
    va_start (args, format);
    vsnprintf (status, sizeof status, format, args);
    va_end (args);
    for (char *at = status; *at; at++)
        if ((unsigned char)*at < ' ') /* a newline would begin another assignment */
            *at = ' ';
    if (!self.to_len || strcmp (status, self.status) == 0)
        return;
    memcpy (self.status, status, sizeof status);
    snprintf (text, sizeof text, "STATUS=%s", status);
    say (text);
}
