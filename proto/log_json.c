/* log_json.c - an event as one JSON object (RFC 8259) on a line of its own. Nothing is allocated: a program that is out
 * of memory can still say so. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "log_internal.h"
#include "message.h"

/* Appends at most `max - len` bytes, whole characters only. What is not UTF-8 becomes U+FFFD a byte. */
static size_t append_string (char *line, size_t len, size_t max, const char *text)
{
    enum { LONGEST = 6 };
    for (size_t left = strlen (text); left && len + LONGEST < max;) {
        size_t used = utf8_sequence (slice_from (text, left));
        unsigned char c = (unsigned char)*text;
        if (!used)
            len += (size_t)snprintf (line + len, max - len, "\\ufffd");
        else if (log_is_control (text)) /* a C1 is the second byte of its two */
            len += (size_t)snprintf (line + len, max - len, "\\u%04x", used == 2 ? (unsigned char)text[1] : c);
        else if (c == '"' || c == '\\')
            len += (size_t)snprintf (line + len, max - len, "\\%c", c);
        else
            for (size_t at = 0; at < used; at++)
                line[len++] = text[at];
        used += used == 0;
        text += used;
        left -= used;
    }
    return len;
}

void log_json (const log_entry_t *entry)
{
    enum { TAIL = 32 }; /* the pid, and what closes the object */
    char line[LOG_LINE_MAX];
    char time_text[LOG_TIME_SIZE];
    log_time (entry->wall_ms, time_text);
    /* All but the text are words of ours, without anything to escape. */
    size_t len = (size_t)snprintf (line, sizeof line,
                                   "{\"time\":\"%s\",\"level\":\"%s\",\"program\":\"%s\",\"event\":\"%s\",\"text\":\"",
                                   time_text, entry->level_name, entry->program, entry->event);
    len = append_string (line, len, sizeof line - TAIL, entry->text);
    len += (size_t)snprintf (line + len, sizeof line - len, "\",\"pid\":%ld}\n", (long)getpid ());
    log_write (line, len);
}
