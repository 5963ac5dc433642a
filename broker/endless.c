#include "broker/endless.h"

#include <dirent.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/limits.h"

enum {
    LOOK_MS = 200,
    SOON_MS = 20, /* where more than a frame has come since the last look: memory must not fill between two of them; */
    OPEN_A_MS = 100,           /* and one more for so many connections: looking at them takes a quarter of that */
    GROWTH = 32 * 1024 * 1024, /* bytes of memory since it was least: then connections are watched, */
    CALM_MS = 60 * 1000,       /* until it has not grown for so long; */
    MORE = 4 * 1024 * 1024,    /* and looked at when it has grown by that since they were */
    TURNS = 2,                 /* messages for each connection, of a socket that is never drained: all had their turn */
    UNENDED_MAX = FRAME_MAX + FRAME_MAX / 4, /* bytes: then it is none that will come to an end */
    FD_MAX = 1024 * 1024,
    ESTABLISHED = 1, /* the kernel's TCP_ESTABLISHED; its header and that of struct tcp_info exclude each other */
};

typedef struct {
    uint64_t round; /* in which it was last seen */
    uint64_t taken; /* bytes when a message last ended, or it was first seen */
    bool spoke;     /* since it was last seen */
    bool suspect;   /* it had sent too much then */
} seen_t;

struct endless {
    int64_t due_ms;
    int64_t last;    /* bytes of memory at the last look */
    int64_t looked;  /* the least since connections were looked at */
    int64_t floor;   /* the least since the last alarm */
    int64_t peak;    /* the most in this one */
    int64_t peak_ms; /* and when; 0: none is on */
    int64_t heard;   /* messages since connections were looked at */
    int64_t open;    /* descriptors then */
    uint64_t round;
    seen_t *seen; /* by descriptor */
    int count;
};

endless_t *endless_new (void)
{
    endless_t *self = xcalloc (1, sizeof *self);
    self->floor = INT64_MAX;
    return self;
}

void endless_destroy (endless_t **self_p)
{
    if (*self_p)
        free ((*self_p)->seen);
    free (*self_p);
    *self_p = NULL;
}

/* Resident bytes; 0 when they cannot be told. */
static int64_t memory (void)
{
    long long pages = 0;
    FILE *file = fopen ("/proc/self/statm", "re");
    if (file && fscanf (file, "%*s %lld", &pages) != 1)
        pages = 0;
    if (file)
        fclose (file);
    return (int64_t)pages * sysconf (_SC_PAGESIZE);
}

bool endless_watches (const endless_t *self)
{
    return self->peak_ms != 0;
}

static seen_t *seen_at (endless_t *self, int fd)
{
    if (fd < 0 || fd >= FD_MAX)
        return NULL;
    int count = self->count ? self->count : 64;
    while (count <= fd)
        count *= 2;
    if (count > self->count) {
        self->seen = xrealloc (self->seen, (size_t)count * sizeof *self->seen);
        for (int at = self->count; at < count; at++)
            self->seen[at] = (seen_t){ 0 };
        self->count = count;
    }
    return &self->seen[fd];
}

void endless_spoke (endless_t *self, int fd)
{
    seen_t *seen = seen_at (self, fd);
    self->heard++;
    if (seen)
        seen->spoke = true;
}

/* Bytes that libzmq has read from the connection; what a broker that stood still has left in the kernel is not yet a
 * part of anything. False when it is none, or is about to end. */
static bool bytes_taken (int fd, uint64_t *bytes)
{
    struct tcp_info info = { 0 };
    socklen_t size = sizeof info;
    int unread = 0;
    if (getsockopt (fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state != ESTABLISHED ||
        ioctl (fd, FIONREAD, &unread) != 0)
        return false;
    *bytes = info.tcpi_bytes_received - (uint64_t)unread;
    return true;
}

/* Whether the connection has sent more than a message can be since the last one ended. What had ended when it became
 * suspect has been taken by the next look. */
static bool is_endless (endless_t *self, int fd)
{
    uint64_t taken;
    seen_t *seen = bytes_taken (fd, &taken) ? seen_at (self, fd) : NULL;
    if (!seen)
        return false;
    bool known = seen->round == self->round - 1 && taken >= seen->taken;
    bool suspect = seen->suspect;
    seen->round = self->round;
    seen->suspect = known && !seen->spoke && taken - seen->taken > UNENDED_MAX;
    if (known && !seen->spoke)
        return suspect && seen->suspect;
    seen->spoke = false;
    seen->taken = taken;
    return false;
}

/* libzmq closes it, and gives back what it kept of the message; the peer is told by a reset. */
static bool cut (int fd)
{
    struct linger none = { .l_onoff = 1 };
    setsockopt (fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    return shutdown (fd, SHUT_RDWR) == 0;
}

static int end_endless (endless_t *self)
{
    int ended = 0;
    DIR *folder = opendir ("/proc/self/fd");
    self->round++;
    self->heard = self->open = 0;
    for (const struct dirent *entry; folder && (entry = readdir (folder));) {
        int fd = (int)strtol (entry->d_name, NULL, 10);
        self->open++;
        if (entry->d_name[0] != '.' && is_endless (self, fd) && cut (fd))
            ended++;
    }
    if (folder)
        closedir (folder);
    return ended;
}

/* Whether each peer's messages that had come to their end at the last look were taken since. libzmq asks its peers in
 * turn, a message each, and who comes later is asked before the next round. */
static bool all_were_heard (const endless_t *self, bool drained)
{
    return drained || self->heard >= TURNS * self->open;
}

int endless_turn (endless_t *self, int64_t now_ms, bool drained)
{
    if (now_ms < self->due_ms)
        return 0;
    int64_t bytes = memory ();
    int64_t soon = SOON_MS + self->open / OPEN_A_MS;
    self->due_ms = now_ms + (bytes > self->last + FRAME_MAX && soon < LOOK_MS ? soon : LOOK_MS);
    self->last = bytes;
    if (bytes < self->floor)
        self->floor = bytes;
    if (bytes < self->looked)
        self->looked = bytes;
    bool grown = bytes > self->floor + GROWTH;
    if (grown && bytes > self->peak + FRAME_MAX) {
        if (!endless_watches (self)) { /* what has come since the last alarm may have been messages */
            self->round++;
            self->looked = self->open = 0;
        }
        self->peak = bytes;
        self->peak_ms = now_ms;
    } else if (endless_watches (self) && now_ms - self->peak_ms > CALM_MS) {
        self->peak = self->peak_ms = 0;
        self->floor = bytes; /* it is in use, or malloc keeps it */
    }
    if (!endless_watches (self) || bytes <= self->looked + MORE || !all_were_heard (self, drained))
        return 0;
    self->looked = bytes;
    return end_endless (self);
}

int64_t endless_deadline (const endless_t *self)
{
    return self->due_ms;
}
