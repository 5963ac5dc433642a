/* record.h - what the store keeps of jobs and workers; the words that core and store share. */
#ifndef GLEANER_RECORD_H
#define GLEANER_RECORD_H

#include <stdint.h>

#include "proto/id.h"
#include "proto/message.h"

/*   pending --poll--> running --result, failure, cancel, no attempts left--> completed | failed
 *      ^                 |
 *      +-- lease ended --+            pending --cancel--> failed                                     */
typedef enum { JOB_PENDING, JOB_RUNNING, JOB_COMPLETED, JOB_FAILED } job_state_t;

/* "pending", "running", "completed" or "failed". Static. */
const char *job_state_name (job_state_t state);

enum { SLOT_NONE = -1 }; /* a lease that was handed out without a slot: to an old agent */

/* A stored job. Absent slices are NULL in the store. Which parts change is said where they stand. */
typedef struct {
    /* set at creation */
    job_id_t id;
    slice_t command;
    slice_t file_url;
    slice_t filename;
    int64_t timeout_ms;
    int64_t max_attempts;
    int64_t created_ms; /* wall */
    slice_t pinned;     /* worker that alone may run it (direct mode); absent: any */

    /* change with each transition */
    job_state_t state;
    int64_t attempt;      /* attempts started; 0 before the first */
    slice_t worker_id;    /* holder of the last attempt; absent before, and while a group holds it */
    slice_t group;        /* ids of the candidates of an unbound group lease, one a line; absent: no group */
    slice_t token;        /* fencing token of the last attempt */
    int64_t slot;         /* the lease's slot or SLOT_NONE */
    int64_t started_ms;   /* wall, of the last attempt; 0: not yet */
    int64_t completed_ms; /* wall; 0: not yet */
    int64_t exit_code;    /* INT_ABSENT: none */
    slice_t reason;       /* stable code of how it ended */
    slice_t error_message;
    slice_t stdout_data; /* a finished stream up to STORE_INLINE_MAX; absent: read the attempt's output file */
    slice_t stderr_data;
    int64_t stdout_bytes; /* length of the stream; INT_ABSENT: as long as the attempt's output file is */
    int64_t stderr_bytes;
} job_record_t;

typedef struct {
    slice_t worker_id;
    slice_t hostname;
    slice_t os;
    slice_t version;
    slice_t machine;
    slice_t remote_addr;
    int64_t cpu_count;     /* INT_ABSENT: not told */
    int64_t slots;         /* INT_ABSENT: not told: an old agent */
    int64_t registered_ms; /* wall */
    int64_t last_seen_ms;  /* wall; as of the last stored change */
    int online;            /* 0: said goodbye or was not heard of */
} worker_record_t;

#endif
