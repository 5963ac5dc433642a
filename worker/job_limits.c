/* job_limits.c - what a job may use, and what it has used. */
#include <stdio.h>

#include "proto/log.h"
#include "worker/job_internal.h"

enum { MIB = 1024 * 1024 };

static int64_t asked (int64_t number, int64_t unit)
{
    return number == INT_ABSENT ? 0 : number * unit;
}

void job_limits_init (job_t *self, const msg_job_poll_ok_t *given)
{
    const limits_t wanted = {
        .memory_bytes = asked (given->memory_mb, MIB),
        .disk_bytes = asked (given->disk_mb, MIB),
        .pids = asked (given->pids, 1),
        .cpus = asked (given->cpus, 1),
    };
    self->limits = limits_lower (&wanted, self->host->limits);
    self->over = OVER_NOTHING;
}

void job_limits_tell (job_t *self)
{
    char text[LIMITS_TEXT_MAX];
    limits_text (&self->limits, text);
    job_journal_limits (self, text);
}

void job_limits_text (const job_t *self, char text[LIMITS_TEXT_MAX])
{
    limits_t limits = self->limits;
    if (self->group.path) /* by which the kernel keeps these */
        limits.memory_bytes = limits.pids = 0;
    snprintf (text, LIMITS_TEXT_MAX, "%lld %lld %lld %lld", (long long)limits.memory_bytes,
              (long long)limits.disk_bytes, (long long)limits.pids, (long long)limits.cpus);
}

static void note_peak (int64_t *peak, int64_t number)
{
    if (number > 0 && number > *peak) /* INT_ABSENT is below all */
        *peak = number;
}

void job_limits_note_over (job_t *self, over_t what, int64_t used)
{
    if (self->over != OVER_NOTHING)
        return;
    self->over = what;
    self->over_used = used;
    log_event (LEVEL_INFO, "job-over-limit", "job=%s attempt=%lld uses too much %s", self->lease.job_id,
               (long long)self->lease.attempt,
               what == OVER_MEMORY ? "memory"
               : what == OVER_DISK ? "disk"
                                   : "processes");
}

bool job_limits_hear (job_t *self, const char *line)
{
    long long a;
    long long b;
    long long c;
    char what;
    if (sscanf (line, "use %lld %lld %lld", &a, &b, &c) == 3) {
        self->usage.cpu_ms = a;
        note_peak (&self->usage.memory_peak_bytes, b);
        job_journal_use (self, a, b, c);
    } else if (sscanf (line, "peak %lld %lld", &a, &b) == 2) {
        note_peak (&self->usage.memory_peak_bytes, a);
        note_peak (&self->usage.pids_peak, b);
    } else if (sscanf (line, "over %c %lld", &what, &a) == 2) {
        job_limits_note_over (self, (over_t)what, a);
    } else {
        return false;
    }
    return true;
}

/* Rounded up, so that what is over a limit is told as more. */
static long long mib (int64_t bytes)
{
    return (bytes + MIB - 1) / MIB;
}

bool job_limits_over (job_t *self)
{
    const limits_t *limits = &self->limits;
    switch (self->over) {
    case OVER_NOTHING:
        break;
    case OVER_MEMORY:
        job_failed (self, "out-of-memory", "The job used %lld MB of its %lld MB of memory and was stopped.",
                    mib (self->over_used), mib (limits->memory_bytes));
        break;
    case OVER_DISK:
        job_failed (self, "disk-limit", "The job's folder took %lld MB of its %lld MB of disk and the job was stopped.",
                    mib (self->over_used), mib (limits->disk_bytes));
        break;
    case OVER_PIDS:
        job_failed (self, "too-many-processes",
                    "The job ran %lld processes and threads at once, of its %lld, and was stopped.",
                    (long long)self->over_used, (long long)limits->pids);
        break;
    }
    return self->over != OVER_NOTHING;
}
