#include "worker/machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/limits.h"
#include "proto/message.h"

/* The bytes that a line `NAME: NUMBER kB` tells; INT_ABSENT when there is none. */
static int64_t bytes_of (const char *meminfo, const char *name)
{
    size_t len = strlen (name);
    for (const char *line = meminfo; line; line = strchr (line, '\n')) {
        line += *line == '\n';
        char *end = NULL;
        if (strncmp (line, name, len) != 0 || line[len] != ':')
            continue;
        long long kib = strtoll (line + len + 1, &end, 10);
        return end == line + len + 1 || kib < 0 || kib > OFFSET_MAX / 1024 ? INT_ABSENT : kib * 1024;
    }
    return INT_ABSENT;
}

void machine_parse (const char *loadavg, const char *meminfo, int64_t processors, machine_t *self)
{
    long long whole = 0;
    long long hundredths = 0;
    self->load_percent = INT_ABSENT;
    if (processors > 0 && sscanf (loadavg, "%6lld.%2lld", &whole, &hundredths) == 2 && whole >= 0 && hundredths >= 0) {
        int64_t percent = (whole * 100 + hundredths) / processors;
        self->load_percent = percent < LOAD_MAX ? percent : LOAD_MAX;
    }
    self->memory_bytes = bytes_of (meminfo, "MemTotal");
    self->memory_free_bytes = bytes_of (meminfo, "MemAvailable");
}

/* The file's text, or as much of it as there is room for. */
static void read_text (const char *path, char *text, size_t size)
{
    int file = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t len = file < 0 ? 0 : read (file, text, size - 1);
    text[len > 0 ? len : 0] = '\0';
    if (file >= 0)
        close (file);
}

void machine_read (machine_t *self)
{
    char loadavg[128] = "";
    char meminfo[4096] = "";
    read_text ("/proc/loadavg", loadavg, sizeof loadavg);
    read_text ("/proc/meminfo", meminfo, sizeof meminfo);
    machine_parse (loadavg, meminfo, sysconf (_SC_NPROCESSORS_ONLN), self);
}
