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
