#include "worker/limits.h"

#include <stdio.h>
#include <string.h>

static int64_t lower (int64_t a, int64_t b)
{
    return !a || (b && b < a) ? b : a;
}

limits_t limits_lower (const limits_t *job, const limits_t *worker)
{
    return (limits_t){
        .memory_bytes = lower (job->memory_bytes, worker->memory_bytes),
        .disk_bytes = lower (job->disk_bytes, worker->disk_bytes),
        .pids = lower (job->pids, worker->pids),
        .cpus = lower (job->cpus, worker->cpus),
    };
}

static void add (char text[LIMITS_TEXT_MAX], const char *name, int64_t whole, int hundredths)
{
    size_t len = strlen (text);
    const char *space = len ? " " : "";
    if (whole || hundredths)
        snprintf (text + len, LIMITS_TEXT_MAX - len, hundredths ? "%s%s=%lld.%02d" : "%s%s=%lld", space, name,
                  (long long)whole, hundredths);
}

void limits_text (const limits_t *self, char text[LIMITS_TEXT_MAX])
{
    text[0] = '\0';
    add (text, "memory", self->memory_bytes, 0);
    add (text, "cpus", self->cpus / 100, (int)(self->cpus % 100));
    add (text, "disk", self->disk_bytes, 0);
    add (text, "pids", self->pids, 0);
    if (!text[0])
        snprintf (text, LIMITS_TEXT_MAX, "none");
}
