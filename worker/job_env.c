/* job_env.c - the environment that a job sees: what tools need, its own folder as home, who it is, and what it asked
 * for; nothing else of the lender's. */
#include <stdlib.h>
#include <string.h>

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
    put_text (env, "PATH", "/usr/local/bin:/usr/bin:/bin");
    for (size_t i = 0; i < sizeof passed / sizeof *passed; i++)
        if (getenv (passed[i]))
            put_text (env, passed[i], getenv (passed[i]));
    snprintf (attempt, sizeof attempt, "%lld", (long long)self->lease.attempt);
    put_text (env, "HOME", self->folder);
    put_text (env, "PWD", self->folder);
    put_text (env, "TERM", "dumb");
    put_text (env, "CI", "true");
    put_text (env, "GLEANER_JOB_ID", self->lease.job_id);
    put_text (env, "GLEANER_ATTEMPT", attempt);
    put_text (env, "GLEANER_WORKER_ID", self->lease.worker_id);
}

char **job_env_new (const job_t *self, size_t head)
{
    static const slice_t reserved = SLICE ("GLEANER_");
    slice_t wanted = slice_of (self->env ? self->env : "");
    char **rows = xcalloc (head + OURS_MAX + lines_count (wanted) + 1, sizeof *rows);
    env_t env = { rows + head, 0 };
    put_ours (&env, self);
    for (slice_t line; lines_next (&wanted, &line);) {
        if (line.len >= reserved.len && slice_eq (slice_from (line.ptr, reserved.len), reserved))
            log_event (LEVEL_WARN, "env-refused", "job=%s sets a name that begins with GLEANER_", self->lease.job_id);
        else if (memchr (line.ptr, '=', line.len))
            put (&env, slice_dup (line));
    }
    return rows;
}

void job_env_free (char ***env_p, size_t head)
{
    for (char **row = *env_p + head; *row; row++)
        free (*row);
    free (*env_p);
    *env_p = NULL;
}
