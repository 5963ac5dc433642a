#include "cli/bar.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "proto/clock.h"

enum {
    AFTER_MS = 500, /* what is quicker shows nothing */
    EVERY_MS = 100,
    LINE_SIZE = 160,
};

/* There is one terminal. */
static struct {
    int64_t due_ms; /* 0: never */
    int width;      /* of what is shown; 0: nothing is */
} bar;

void bar_begin (void)
{
    bar_wipe ();
    bar.due_ms = isatty (STDERR_FILENO) ? clock_mono_ms () + AFTER_MS : 0;
}

bool bar_due (bool last)
{
    return bar.due_ms && (clock_mono_ms () >= bar.due_ms || (last && bar.width));
}

void bar_show (const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;
    va_start (args, format);
    int width = vsnprintf (line, sizeof line, format, args);
    va_end (args);
    fprintf (stderr, "\r%-*s", bar.width, line);
    bar.width = width > bar.width ? width : bar.width;
    bar.due_ms = clock_mono_ms () + EVERY_MS;
}

void bar_wipe (void)
{
    if (bar.width)
        fprintf (stderr, "\r%*s\r", bar.width, "");
    bar.width = 0;
}
