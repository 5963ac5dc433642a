/* log_journal.c - an event for journald, by the protocol that it documents for programs without its library: a datagram
 * of lines FIELD=value. Where stderr leads elsewhere, or journald is away, the level stands before the line
 * (sd-daemon(3)), and the time is left to who reads it. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "log_internal.h"

enum { FIELDS_SIZE = LOG_LINE_MAX + 256 };

static const struct sockaddr_un journald = { .sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket" };
static int journal_fd = -1; /* open: stderr is the journal's */
static atomic_bool stuck;   /* journald had no room for the last entry */

/* Of syslog(3). */
static const char priorities[] = {
    [LEVEL_DEBUG] = '7',
    [LEVEL_INFO] = '6',
    [LEVEL_WARN] = '4',
    [LEVEL_ERROR] = '3',
};

/* JOURNAL_STREAM is inherited by children whose stderr is another: it counts when it names this one. */
static bool stderr_is_journal (void)
{
    const char *stream = getenv ("JOURNAL_STREAM");
    struct stat info;
    char own[64];
    if (!stream || fstat (STDERR_FILENO, &info) != 0)
        return false;
    snprintf (own, sizeof own, "%llu:%llu", (unsigned long long)info.st_dev, (unsigned long long)info.st_ino);
    return strcmp (stream, own) == 0;
}

bool log_journal_open (void)
{
    if (journal_fd < 0 && stderr_is_journal ())
        journal_fd = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval wait = { .tv_usec = LOG_WAIT_MS * 1000 };
    if (journal_fd >= 0)
        setsockopt (journal_fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    return journal_fd >= 0;
}

static bool send_fields (const log_entry_t *entry)
{
    char fields[FIELDS_SIZE];
    if (journal_fd < 0)
        return false;
    int head =
        snprintf (fields, sizeof fields, "PRIORITY=%c\nSYSLOG_IDENTIFIER=gleaner-%s\nGLEANER_EVENT=%s\nMESSAGE=%s ",
                  priorities[entry->level], entry->program, entry->event, entry->event);
    size_t len = log_append_escaped (fields, (size_t)head, sizeof fields - 1, entry->text);
    fields[len++] = '\n';
    int how = MSG_NOSIGNAL | (atomic_load (&stuck) ? MSG_DONTWAIT : 0);
    bool sent = sendto (journal_fd, fields, len, how, (const struct sockaddr *)&journald, sizeof journald) >= 0;
    atomic_store (&stuck, !sent && errno == EAGAIN);
    return sent;
}

void log_journal (const log_entry_t *entry)
{
    char line[LOG_LINE_MAX];
    if (send_fields (entry))
        return;
    size_t len = (size_t)snprintf (line, sizeof line, "<%c>%s ", priorities[entry->level], entry->event);
    len = log_append_escaped (line, len, sizeof line - 1, entry->text);
    line[len++] = '\n';
    log_write (line, len);
}
