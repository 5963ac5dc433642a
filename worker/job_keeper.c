/* job_keeper.c - what a job's keeper says while its commands run (keeper.c), a line each. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/job_internal.h"

enum { TOLD_MAX = 256 }; /* a keeper's are shorter */

/* All that a command printed is taken before its end is noted; then the next one may begin. */
static void command_ended (job_t *self, long long command, int exit_code, int signal_number)
{
    for (int stream = 0; stream < STREAM_PRINTED_COUNT; stream++)
        if (self->child.out[stream] >= 0)
            job_take_pipe (self, (stream_t)stream);
    job_journal_command_ended (self, command, exit_code, signal_number);
    child_go_on (&self->child);
}

static void hear_line (job_t *self, const char *line)
{
    long long a = 0, b = 0, c = 0;
    child_report_t *ended = &self->ended;
    if (sscanf (line, "begin %lld", &a) == 1)
        job_journal_command_begins (self, a);
    else if (sscanf (line, "end %lld %lld %lld", &a, &b, &c) == 3)
        command_ended (self, a, (int)b, (int)c);
    else if (sscanf (line, "use %lld %lld %lld", &a, &b, &c) == 3)
        job_journal_use (self, a, b, c);
    else if (sscanf (line, "over %d %d %d %d", &ended->exit_code, &ended->signal_number, &ended->start_errno,
                     &ended->left) == 4)
        self->over = true;
}

static void hear_lines (job_t *self)
{
    char *end;
    size_t from = 0;
    while ((end = memchr (self->told.ptr + from, '\n', self->told.len - from))) {
        *end = '\0';
        hear_line (self, self->told.ptr + from);
        from = (size_t)(end + 1 - self->told.ptr);
    }
    memmove (self->told.ptr, self->told.ptr + from, self->told.len - from);
    self->told.len -= from;
    if (self->told.len > TOLD_MAX)
        self->told.len = 0; /* no keeper of ours */
}

void job_keeper_hear (job_t *self)
{
    char bytes[4096];
    ssize_t got = 1;
    while (self->child.report >= 0 && got > 0) {
        got = read (self->child.report, bytes, sizeof bytes);
        if (got <= 0)
            return;
        buf_append (&self->told, bytes, (size_t)got);
        hear_lines (self);
    }
}
