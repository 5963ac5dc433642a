/* job_env.c - what a keeper is told: the limits, the commands, and the environment that they see: what tools need, the
 * job's own folder as home, who it is, and what it asked for; nothing else of the lender's. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proto/lines.h"
#include "proto/log.h"
#include "worker/job_internal.h"

enum { OURS_MAX = 24 };

typedef struct {
    char **rows;
    size_t count;
} env_t;

/* Takes the row over; it replaces one of the same name. */
static void put (env_t *env, char *row)
{
    size_t name = strcspn (row, "=") + 1;
    for (size_t i = 0; i < env->count; i++)
        if (strncmp (env->rows[i], row, name) == 0) {
            free (env->rows[i]);
            env->rows[i] = row;
            return;
        }
    env->rows[env->count++] = row;
}

static void put_text (env_t *env, const char *name, const char *value)
{
    buf_t row = { 0 };
    buf_printf (&row, "%s=%s", name, value);
    put (env, row.ptr);
}

static void put_ours (env_t *env, const job_t *self)
{
    static const char *const passed[] = { "PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME" };
    char attempt[32];
    if (!self->image) /* which has its own */
        put_text (env, "PATH", "/usr/local/bin:/usr/bin:/bin");
    for (size_t i = 0; i < sizeof passed / sizeof *passed && !self->image; i++)
        if (getenv (passed[i]))
            put_text (env, passed[i], getenv (passed[i]));
    snprintf (attempt, sizeof attempt, "%lld", (long long)self->lease.attempt);
    const char *folder = sandbox_folder (self->sandbox, self->folder);
    put_text (env, "HOME", folder);
    put_text (env, "PWD", folder);
    put_text (env, "TERM", "dumb");
    put_text (env, "CI", "true");
    put_text (env, "GLEANER_JOB_ID", self->lease.job_id);
    put_text (env, "GLEANER_ATTEMPT", attempt);
    put_text (env, "GLEANER_WORKER_ID", self->lease.worker_id);
    if (self->traceparent)
        put_text (env, "TRACEPARENT", self->traceparent);
}

static void put_wanted (env_t *env, const job_t *self, slice_t wanted)
{
    static const slice_t reserved = SLICE ("GLEANER_");
    for (slice_t line; lines_next (&wanted, &line);) {
        if (line.len >= reserved.len && slice_eq (slice_from (line.ptr, reserved.len), reserved))
            log_event (LEVEL_WARN, "env-refused", "job=%s sets a name that begins with GLEANER_", self->lease.job_id);
        else if (memchr (line.ptr, '=', line.len))
            put (env, slice_dup (line));
    }
}

static void put_secrets (env_t *env, slice_t rows)
{
    for (slice_t row; rows_next (&rows, &row);)
        put (env, slice_dup (row));
}

static int input_fill (const job_t *self, buf_t *input)
{
    int error = 0;
    slice_t wanted = slice_of (self->env ? self->env : "");
    env_t env = { xcalloc (OURS_MAX + lines_count (wanted) + rows_count (buf_slice (&self->secrets)), sizeof *env.rows),
                  0 };
    put_ours (&env, self);
    put_wanted (&env, self, wanted);
    put_secrets (&env, buf_slice (&self->secrets));
    char limits[LIMITS_TEXT_MAX];
    job_limits_text (self, limits);
    buf_append (input, limits, strlen (limits) + 1);
    buf_t lines = { 0 };
    if (!self->image)
        buf_append (input, self->command, strlen (self->command) + 1);
    for (size_t i = 0; i < env.count; i++) {
        if (self->image)
            buf_printf (&lines, "%s\n", env.rows[i]);
        else
            buf_append (input, env.rows[i], strlen (env.rows[i]) + 1);
        explicit_bzero (env.rows[i], strlen (env.rows[i]));
        free (env.rows[i]);
    }
    free (env.rows);
    if (self->image)
        error = job_container_input (self, buf_slice (&lines), input);
    buf_fini (&lines);
    return error;
}

int job_input_open (const job_t *self, int *fd)
{
    *fd = memfd_create ("gleaner-input", MFD_CLOEXEC);
    if (*fd < 0)
        return errno;
    buf_t input = { 0 };
    int error = input_fill (self, &input);
    ssize_t written = error ? 0 : pwrite (*fd, input.ptr, input.len, 0); /* it is read from its beginning */
    if (!error)
        error = written < 0 ? errno : written < (ssize_t)input.len ? ENOSPC : 0;
    if (input.ptr)
        explicit_bzero (input.ptr, input.len);
    buf_fini (&input);
    return error;
}
