#include "worker/backoff.h"

#include <sodium.h>

int64_t backoff_next_ms (backoff_t *self)
{
    uint32_t step_ms = BACKOFF_FIRST_MS;
    for (unsigned at = 0; at < self->failures && step_ms < BACKOFF_LAST_MS; at++)
        step_ms *= 2;
    if (step_ms > BACKOFF_LAST_MS)
        step_ms = BACKOFF_LAST_MS;
    self->failures++;
    return step_ms / 2 + randombytes_uniform (step_ms / 2 + 1);
}

void backoff_reset (backoff_t *self)
{
    self->failures = 0;
}
