#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

enum { LINE_MAX_BYTES = 4096 }; /* a longer line is cut */

static const char *program_name = "gleaner";
static log_level_t lowest_level = LEVEL_INFO;

void log_init (const char *program, log_level_t lowest)
{
    program_name = program;
    lowest_level = lowest;
}

static const char *const level_names[] = {
    [LEVEL_DEBUG] = "debug",
    [LEVEL_INFO] = "info",
    [LEVEL_WARN] = "warn",
    [LEVEL_ERROR] = "error",
};

log_level_t log_level_find (const char *word)
{
    int level = LEVEL_DEBUG;
    while (level < LEVEL_ERROR && strcmp (word, level_names[level]) != 0)
        level++;
    return (log_level_t)level;
}

/* Appends `text` with control bytes escaped, so that nobody can forge a line. Returns the new length. */
static size_t append_escaped (char *line, size_t len, const char *text)
{
    for (; *text && len + 6 < LINE_MAX_BYTES; text++) {
        unsigned char c = (unsigned char)*text;
        if (c < ' ' || c == 0x7f)
            len += (size_t)snprintf (line + len, LINE_MAX_BYTES - len, "\\x%02x", c);
        else
            line[len++] = (char)c;
    }
    return len;
}

void log_event (log_level_t level, const char *event, const char *format, ...)
{
    if (level < lowest_level)
        return;
    int saved_errno = errno; /* callers go on to look at theirs */
    int64_t now_ms = clock_wall_ms ();
    time_t now_s = (time_t)(now_ms / 1000);
    struct tm utc;
    gmtime_r (&now_s, &utc);
    char line[LINE_MAX_BYTES];
    size_t len = strftime (line, sizeof line, "%Y-%m-%dT%H:%M:%S", &utc);
    len += (size_t)snprintf (line + len, sizeof line - len, ".%03dZ %s %s %s ", (int)(now_ms % 1000),
                             level_names[level], program_name, event);
    char text[LINE_MAX_BYTES];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    len = append_escaped (line, len, text);
    line[len++] = '\n';
    /* One write a line: lines of several processes do not mix. A log that cannot be written has nobody to tell. */
    ssize_t written = write (STDERR_FILENO, line, len);
    (void)written;
    errno = saved_errno;
}
