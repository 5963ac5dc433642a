#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "log_internal.h"
#include "message.h"

typedef void form_fn (const log_entry_t *entry);

static void log_text (const log_entry_t *entry);

static const char *program_name = "gleaner";
static form_fn *form = log_text;
static atomic_int lowest_level = LEVEL_INFO;
static atomic_llong lost_lines; /* since the last one that was written */

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

void log_init (const char *program, log_level_t lowest)
{
    program_name = program;
    log_level_set (lowest);
}

void log_level_set (log_level_t lowest)
{
    atomic_store_explicit (&lowest_level, (int)lowest, memory_order_relaxed);
}

void log_form (const char *word)
{
    bool journal = log_journal_open ();
    if (strcmp (word, "json") == 0)
        form = log_json;
    else if (strcmp (word, "journal") == 0 || (journal && strcmp (word, "auto") == 0))
        form = log_journal;
    else
        form = log_text;
}

void log_time (int64_t wall_ms, char out[LOG_TIME_SIZE])
{
    time_t now_s = (time_t)(wall_ms / 1000);
    struct tm utc;
    gmtime_r (&now_s, &utc);
    size_t len = strftime (out, LOG_TIME_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf (out + len, LOG_TIME_SIZE - len, ".%03dZ", (int)(wall_ms % 1000));
}

bool log_is_control (const char *text)
{
    unsigned char c = (unsigned char)text[0];
    return c < ' ' || c == 0x7f || (c == 0xc2 && (unsigned char)text[1] < 0xa0);
}

size_t log_append_escaped (char *line, size_t len, size_t max, const char *text)
{
    enum { LONGEST = 8 }; /* both bytes of a control character beyond ASCII */
    for (size_t left = strlen (text); left && len + LONGEST + 1 < max;) {
        size_t used = utf8_sequence (slice_from (text, left));
        bool shown = used && !log_is_control (text);
        used += used == 0;
        for (size_t at = 0; at < used; at++)
            if (shown)
                line[len++] = text[at];
            else
                len += (size_t)snprintf (line + len, max - len, "\\x%02x", (unsigned char)text[at]);
        text += used;
        left -= used;
    }
    return len;
}

/* Who reads stderr may have stopped: it is waited for once, and then no more until it reads again. */
static bool takes_line (void)
{
    struct pollfd reader = { .fd = STDERR_FILENO, .events = POLLOUT };
    return poll (&reader, 1, atomic_load (&lost_lines) ? 0 : LOG_WAIT_MS) != 0;
}

/* A log that cannot be written has nobody to tell. */
void log_write (const char *line, size_t len)
{
    if (!takes_line () || (write (STDERR_FILENO, line, len) < 0 && errno == EAGAIN))
        atomic_fetch_add (&lost_lines, 1);
}

static void tell_lost (void)
{
    if (!atomic_load (&lost_lines) || !takes_line ())
        return;
    char text[64];
    snprintf (text, sizeof text, "lines=%lld: nobody read them", atomic_exchange (&lost_lines, 0));
    const log_entry_t entry = {
        .level = LEVEL_WARN,
        .level_name = level_names[LEVEL_WARN],
        .program = program_name,
        .event = "log-lost",
        .text = text,
        .wall_ms = clock_wall_ms (),
    };
    form (&entry);
}

static void log_text (const log_entry_t *entry)
{
    char line[LOG_LINE_MAX];
    char time_text[LOG_TIME_SIZE];
    log_time (entry->wall_ms, time_text);
    size_t len = (size_t)snprintf (line, sizeof line, "%s %s %s %s ", time_text, entry->level_name, entry->program,
                                   entry->event);
    len = log_append_escaped (line, len, sizeof line - 1, entry->text);
    line[len++] = '\n';
    log_write (line, len);
}

void log_event (log_level_t level, const char *event, const char *format, ...)
{
    if ((int)level < atomic_load_explicit (&lowest_level, memory_order_relaxed))
        return;
    int saved_errno = errno; /* callers go on to look at theirs */
    char text[LOG_LINE_MAX];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    tell_lost ();
    const log_entry_t entry = {
        .level = level,
        .level_name = level_names[level],
        .program = program_name,
        .event = event,
        .text = text,
        .wall_ms = clock_wall_ms (),
    };
    form (&entry);
    errno = saved_errno;
}
