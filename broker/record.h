/* record.h - what the store keeps of jobs and workers; the words that core and store share. */
#ifndef GLEANER_RECORD_H
#define GLEANER_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/id.h"
#include "proto/message.h"
#include "proto/stream.h"

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
    int64_t created_ms;    /* wall */
    slice_t pinned;        /* worker that alone may run it (direct mode); absent: any */
    slice_t options;       /* a job-options item, encoded; absent: none */
    slice_t labels;        /* of the options, as lines: what lists look for. Written, not read back */
    slice_t delta;         /* of the options: the blob that is laid over the archive, SHA-256. Written, not read back */
    slice_t brief_options; /* the options without env, when they have one. Written; brief lists read it as `options` */
    slice_t idempotency_key;
    slice_t request_hash; /* of the job-create that came with the key; REQUEST_HASH bytes */
    slice_t owner;        /* name of who submitted it; absent: nobody had to say */

    /* change with each transition */
    job_state_t state;
    int64_t attempt;       /* attempts started; 0 before the first */
    slice_t worker_id;     /* holder of the last attempt; absent before, and while a group holds it */
    slice_t group;         /* ids of the candidates of an unbound group lease, one a line; absent: no group */
    slice_t token;         /* fencing token of the last attempt */
    int64_t slot;          /* the lease's slot or SLOT_NONE */
    int64_t started_ms;    /* wall, of the last attempt; 0: not yet */
    int64_t completed_ms;  /* wall; 0: not yet */
    int64_t not_before_ms; /* wall; 0: at once. Set at creation and by a back-off */
    int64_t exit_code;     /* INT_ABSENT: none */
    int64_t signal;        /* INT_ABSENT: none */
    slice_t reason;        /* stable code of how it ended */
    slice_t error_message;
    slice_t data[STREAM_COUNT];  /* a finished stream up to STORE_INLINE_MAX; absent: read the attempt's output file */
    int64_t bytes[STREAM_COUNT]; /* length of the stream; INT_ABSENT: as long as the attempt's output file is */
    slice_t receipt;             /* a receipt item, encoded: hashes, what was dropped and used; absent: none */
    slice_t artifacts;           /* blob of the job's artifacts, SHA-256 in hex; absent: none */
    int64_t purged;              /* PURGED_ bits: what housekeeping has removed */
} job_record_t;

/* The streams of an attempt that has no result, in job_record_t's `bytes`. */
#define BYTES_UNKNOWN                                                                                                  \
    {                                                                                                                  \
        INT_ABSENT, INT_ABSENT, INT_ABSENT                                                                             \
    }

enum { PURGED_OUTPUT = 1, PURGED_ARTIFACTS = 2, PURGE_HEAVY = 4 };
enum { PURGE_LOOKS = 1000 }; /* jobs a call looks at: it runs within a turn */

/* True when one of these streams (bits 1 << stream) had something that housekeeping has removed. */
bool job_output_gone (const job_record_t *job, int streams);
/* True when it is that owner's; absent: nobody's. */
bool job_owned (const job_record_t *job, slice_t owner);
/* A time of the record, as messages have it: absent where the record has 0. */
int64_t known_ms (int64_t ms);
/* What of it is told wherever a job is told of: its state and end, what it asked for, what is known of its output. Not
 * its commands, nor its archive. The texts of `status` (a job-status-ok) are the record's, or the decoders'. */
void job_tell (const job_record_t *job, decoder_t *options, decoder_t *receipts, message_t *status);
/* True when its id, command, filename or name holds the text; A to Z are as a to z. `options`: decodes them. */
bool job_holds_text (const job_record_t *job, slice_t text, decoder_t *options);
enum { REQUEST_HASH = 32 };

/* An attempt that is over and whose job is not told by it: another came after it, or the job ended without its result.
 * The attempt that made the job's end stands in the job itself. */
typedef struct {
    int64_t seq;
    int64_t attempt;
    slice_t worker_id;
    slice_t token;
    int accepted; /* its worker's own word ended it: the same word again gets the same answer */
    slice_t reason;
    slice_t error_message;
    int64_t exit_code; /* INT_ABSENT: none */
    int64_t signal;    /* INT_ABSENT: none */
    int64_t started_ms;
    int64_t completed_ms;
    slice_t data[STREAM_COUNT]; /* as in job_record_t */
    int64_t late_ms;            /* wall, when a result came too late; 0: none did */
    int64_t late_exit_code;
    slice_t late_reason; /* how that result says that it ended; absent: well */
    slice_t usage;       /* a usage item, encoded; absent: its worker told of none */
} attempt_record_t;

/* A receiver that is still to be told that the job is over. */
typedef struct {
    job_id_t id;
    slice_t url;
    int64_t ended_ms; /* wall */
} hook_record_t;

/* What a list of jobs is narrowed to. */
typedef struct {
    int64_t before_seq; /* INT64_MAX: from the newest */
    int64_t since_ms;   /* created then or later, wall; 0: any */
    int state;          /* job_state_t; -1: any */
    slice_t worker;     /* absent: any */
    slice_t owner;      /* absent: any */
    slice_t label;      /* KEY or KEY=VALUE; absent: any */
    slice_t text;       /* as in job_holds_text; absent: any */
    bool brief;         /* its output and env are not needed, and read as absent where that costs less */
} job_filter_t;

typedef struct {
    slice_t worker_id;
    slice_t hostname;
    slice_t os;
    slice_t version;
    slice_t machine;
    slice_t remote_addr;
    slice_t labels;          /* as lines; absent: none */
    int64_t cpu_count;       /* INT_ABSENT: not told */
    int64_t slots;           /* INT_ABSENT: not told: an old agent */
    int64_t registered_ms;   /* wall */
    int64_t last_seen_ms;    /* wall; as of the last stored change */
    int64_t asleep_until_ms; /* wall; 0: awake */
    int draining;            /* it is given no new job */
    int online;              /* 0: said goodbye or was not heard of */
} worker_record_t;

#endif
