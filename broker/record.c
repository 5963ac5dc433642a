#include "broker/record.h"

const char *job_state_name (job_state_t state)
{
    static const char *const names[] = {
        [JOB_PENDING] = "pending",
        [JOB_RUNNING] = "running",
        [JOB_COMPLETED] = "completed",
        [JOB_FAILED] = "failed",
    };
    return names[state];
}

bool job_output_gone (const job_record_t *job, int streams)
{
    /* The length of what an attempt without a result has printed is not known. */
    bool silent = true;
    for (int i = 0; i < STREAM_COUNT; i++)
        silent = silent && (job->bytes[i] == 0 || !(streams & 1 << i));
    return job->purged & PURGED_OUTPUT && !silent;
}
