/* core_internal.h - what the core's own files share. Nobody else includes it.
 *
 *   core.c           the machine: events in, effects out, timers, rebuild
 *   core_worker.c    the registry: register, heartbeat, goodbye, offline
 *   core_job.c       submitting and cancelling jobs, their end
 *   core_queue.c     pending jobs: in their queues, or waiting for their time
 *   core_options.c   what a job asks for, and whether it may
 *   core_dispatch.c  polls, parked or not: who gets which job
 *   core_lease.c     leases: begin, renewal, end, who may write under them
 *   core_group.c     leases of old agents that do not say who they are
 *   core_result.c    output and results
 *   core_attempt.c   attempts that did not make the job's end: kept, and tried again
 *   core_explain.c   why a job waits
 */
#ifndef GLEANER_CORE_INTERNAL_H
#define GLEANER_CORE_INTERNAL_H

#include "broker/core.h"
#include "broker/heap.h"
#include "broker/list.h"
#include "broker/map.h"

enum { TOKEN_LEN = 32 };

typedef enum { TIMER_LEASE, TIMER_PARKED, TIMER_WORKER, TIMER_JOB } timer_kind_t;

/* Putting a timer off is only a write to `due_ms`: the heap is brought up to date when the old time comes. So a renewal
 * costs the same however many leases there are. */
typedef struct {
    heap_node_t node;
    int64_t due_ms;
    timer_kind_t kind;
} core_timer_t;

typedef struct job job_t;
typedef struct lease lease_t;
typedef struct worker worker_t;
typedef struct place place_t;
typedef struct parked parked_t;
typedef struct queue queue_t;

/* What a job-result and a job-fail say in the same words. Slices are borrowed from the message. */
typedef struct {
    msg_type_t type; /* MSG_JOB_RESULT or MSG_JOB_FAIL */
    slice_t job_id, worker_id, token;
    int64_t attempt;
    int64_t exit_code, signal;
    slice_t reason, error_message;
    slice_t data[STREAM_COUNT]; /* a stream that came with the result; absent: what was appended */
    int64_t expected[STREAM_COUNT];
    slice_t sha256[STREAM_COUNT];
    int64_t dropped[STREAM_COUNT];
    slice_t artifacts, artifacts_note;
    int64_t artifacts_bytes, artifacts_count;
    msg_usage_t usage;
} claim_t;

/* A result that waits for its output to be sealed. Its claim's slices point into `texts`. */
typedef struct {
    uint64_t request;
    claim_t claim;
    char *texts;
} result_t;

/* What a job asks for that the core decides by; most jobs have none. */
typedef struct {
    int64_t priority;
    int64_t backoff_ms;  /* INT_ABSENT: the broker's */
    char *retry_on_exit; /* lines; NULL: none */
} job_options_t;

/* Jobs that the same workers may run, the next one first: by priority, then by age. */
struct queue {
    link_t link;     /* in core->queues; not a worker's own */
    char *requires;  /* labels that a worker must have, as lines; NULL: none */
    heap_t jobs;     /* those whose time has come */
    size_t users;    /* live jobs that belong here */
    core_wait_t why; /* they wait, when workers were last looked at for them */
};

/* A pending job whose time has not come. */
typedef struct {
    core_timer_t timer;
    job_t *job;
    bool backing_off;
} delay_t;

struct lease {
    core_timer_t timer;
    int64_t hard_ms;  /* the job's timeout and grace: no renewal after the timeout goes beyond */
    int64_t heard_ms; /* when it was last renewed */
    worker_t *worker; /* NULL: a group's, not yet bound */
    link_t worker_link;
    int64_t slot;
    int64_t started_wall_ms;
    char token[TOKEN_LEN + 1];
    bool claimed;          /* its holder has written under it: it did get the job */
    int handed;            /* answers that told of it */
    int appended;          /* streams whose output files may exist: bits 1 << stream */
    parked_t *renew;       /* at most one parked job-renew */
    result_t *result;      /* being sealed */
    worker_t **candidates; /* of a group; owned */
    size_t candidate_count;
    place_t *place; /* of a group */
    link_t place_link;
    job_t *job;
};

struct job {
    int64_t seq;
    char salt[JOB_SALT_LEN + 1];
    int32_t attempt;
    int32_t max_attempts;
    int64_t timeout_ms;
    worker_t *pinned;
    queue_t *queue;         /* where it belongs: its requirements', or its pinned worker's */
    heap_node_t node;       /* in the queue, while pending and its time has come */
    link_t ready_link;      /* likewise, in core->ready */
    int64_t ready_ms;       /* since when */
    delay_t *delay;         /* while pending and it has not */
    lease_t *lease;         /* NULL while pending */
    job_options_t *options; /* NULL: none */
    char *owner;            /* NULL: nobody's */
};

struct worker {
    char *id;
    char *hostname;
    char *os;
    char *version;
    char *machine;
    int64_t cpu_count;
    int64_t slots; /* INT_ABSENT: an old agent */
    int64_t registered_wall_ms;
    int64_t seen_wall_ms;
    bool online;
    core_timer_t timer;
    list_head_t leases;
    list_head_t polls;       /* parked */
    queue_t pinned;          /* pending jobs that only it may run */
    char *labels;            /* lines; NULL: none */
    int64_t asleep_since_ms; /* monotonic; INT_ABSENT: awake */
    int64_t asleep_until_wall_ms;
    bool draining;        /* it is given no new job */
    int64_t load_percent; /* INT_ABSENT: not told; likewise */
    int64_t memory_bytes;
    int64_t memory_free_bytes;
    place_t *place; /* where it was last heard of; stays while it is a candidate somewhere */
    link_t place_link;
    size_t group_count; /* groups that it is a candidate of */
};

/* Workers whose last register or heartbeat came from one address. */
struct place {
    char *addr;
    list_head_t workers;
    list_head_t groups; /* unbound leases */
};

/* A request that waits: a job-poll (worker, slot) or a job-renew (lease). */
struct parked {
    core_timer_t timer;
    uint64_t request;
    worker_t *worker;
    int64_t slot;
    link_t worker_link;
    link_t poll_link;
    lease_t *lease; /* a renew's */
};

struct core {
    core_config_t config;
    int64_t now_ms;
    int64_t wall_ms;
    effects_t *out;
    int64_t last_seq;
    map_t jobs;         /* by seq */
    map_t workers;      /* by id */
    map_t places;       /* by address */
    queue_t any;        /* jobs that require nothing */
    list_head_t queues; /* the other queues */
    list_head_t polls;  /* parked polls, longest waiting first */
    list_head_t ready;  /* jobs in queues, longest waiting first */
    heap_t timers;
    int64_t pending;
    int64_t backing_off; /* of the pending ones */
    int64_t parked;
    int64_t online;        /* workers */
    buf_t list;            /* items of a list answer */
    int64_t explained_ms;  /* core_explain.c's: the turn, */
    int64_t explain_looks; /* and how many workers it has looked at in it */
    uint64_t random_count;
    decoder_t *decoder; /* of stored options */
};

/* core.c */
effect_t *core_effect (core_t *self, effect_kind_t kind);
/* An EFFECT_REPLY with a message of `type`, to be filled in. */
message_t *core_reply (core_t *self, uint64_t request, msg_type_t type);
void core_refuse (core_t *self, uint64_t request, err_t err, const char *text);
/* Names the field at fault; `field` is static. */
void core_refuse_field (core_t *self, uint64_t request, err_t err, const char *field, const char *text);
/* A copy that lives as long as this step's effects. */
slice_t core_keep (core_t *self, slice_t bytes);
uint64_t core_random (core_t *self);
void core_timer_set (core_t *self, core_timer_t *timer, timer_kind_t kind, int64_t due_ms);
void core_timer_stop (core_t *self, core_timer_t *timer);
job_t *core_find_job (const core_t *self, slice_t job_id);
slice_t core_job_id_text (core_t *self, const job_t *job);
job_t *core_job_new (core_t *self, const job_id_t *id);
void core_job_free (core_t *self, job_t *job);
/* Undoes core_job_new, before the job has a queue. */
void core_job_forget (core_t *self, job_t *job);

/* core_worker.c */
void core_on_worker_register (core_t *self, const event_t *event);
void core_on_worker_heartbeat (core_t *self, const event_t *event);
void core_on_worker_goodbye (core_t *self, const event_t *event);
void core_on_worker_gone (core_t *self, const event_t *event);
void core_on_worker_list (core_t *self, const event_t *event);
void core_on_worker_sleep (core_t *self, const event_t *event);
void core_on_worker_drain (core_t *self, const event_t *event);
void core_on_worker_resume (core_t *self, const event_t *event);
worker_t *core_find_worker (const core_t *self, slice_t worker_id);
/* Heard of: online from now on for offline_ms. */
void core_worker_seen (core_t *self, worker_t *worker);
void core_worker_offline (core_t *self, worker_t *worker);
/* Answers its parked polls with nothing: whoever waited there has gone, or will ask again. */
void core_worker_answer_polls (core_t *self, worker_t *worker);
void core_worker_free (core_t *self, worker_t *worker);
void core_place_drop_if_empty (core_t *self, place_t *place);
worker_t *core_worker_load (core_t *self, const worker_record_t *record);

/* core_job.c */
void core_on_job_create (core_t *self, const event_t *event);
/* Rule 27. */
void core_on_job_cancel (core_t *self, const event_t *event);
void core_on_job_check_cancel (core_t *self, const event_t *event);
/* The one final transition: records it, wakes followers, frees the job. `how` has state, reason and what else is known;
 * its id, attempt and worker are filled in here. `keep_token`: the record stands for an accepted result. */
void core_job_finish (core_t *self, job_t *job, job_record_t *how, bool keep_token);
/* Fails it with a reason and a sentence. */
void core_job_fail (core_t *self, job_t *job, const char *reason, slice_t text);
/* Fills the changing part of a record from the job as it stands. */
void core_job_record (core_t *self, const job_t *job, job_record_t *record);
/* True when the record says that it was cancelled. */
bool core_stored_cancelled (const job_record_t *stored);

/* core_dispatch.c */
void core_on_job_poll (core_t *self, const event_t *event);
void core_on_poll_withdrawn (core_t *self, const event_t *event);
void core_poll_answer_empty (core_t *self, parked_t *parked);
void core_parked_free (core_t *self, parked_t *parked);
parked_t *core_park (core_t *self, uint64_t request, int64_t wait_ms);
bool core_may_park (const core_t *self, int64_t wait_ms);
/* Hands a job whose time has come to a parked poll that fits. False when there is none. */
bool core_dispatch_parked (core_t *self, job_t *job);
/* Hands queued jobs to the worker's parked polls, which could be given none before. */
void core_dispatch_worker (core_t *self, worker_t *worker);
/* Answers a poll with the lease's job. */
void core_reply_job (core_t *self, uint64_t request, job_t *job);

/* core_queue.c */
/* The queue for a set of requirements (lines); NULL when there are too many different ones. The job that is given it
 * keeps it alive. */
queue_t *core_queue_find (core_t *self, slice_t requires);
void core_queue_enter (job_t *job, queue_t *queue);
/* The job is no longer alive. */
void core_queue_leave (core_t *self, job_t *job);
/* A pending job: queued at the place that priority and seq give it, or handed to a parked poll at once. */
void core_queue_put (core_t *self, job_t *job);
/* After a restart: a job that was put there has waited since then. */
void core_queue_since (core_t *self, job_t *job, int64_t ready_ms);
/* A pending job that waits until `due_ms` first. */
void core_queue_delay (core_t *self, job_t *job, int64_t due_ms, bool backing_off);
void core_queue_due (core_t *self, delay_t *delay);
/* Takes a pending job out, queued or waiting. */
void core_queue_remove (core_t *self, job_t *job);
/* The next job for a worker (its pinned ones first; NULL: an agent without labels), taken out; NULL: none. */
job_t *core_queue_take (core_t *self, worker_t *worker);
/* True when the worker has all that the queue's jobs require. */
bool core_queue_fits (const queue_t *queue, const worker_t *worker);

/* core_options.c */
/* 0, or the code of what a job-create asks for and may not; `field` and `text` then say which and why (static). */
err_t core_options_check (const msg_job_create_t *in, const char **field, const char **text);
/* Likewise of what it says of a delta: what blobs there are the driver has looked up. */
err_t core_options_check_delta (const event_t *event, const char **field, const char **text);
/* True for a worker that can do what the job's `network`, `image` and `deltaUrl` ask for. */
bool core_options_possible (const worker_t *worker, const msg_job_create_t *in);
/* Adds to `requires` what other options need of a worker. */
void core_options_imply (core_t *self, msg_job_options_t *options);
/* Encodes them for the store; absent when there are none. Lives as long as this step's effects. */
slice_t core_options_encode (core_t *self, const message_t *create);
/* The names of a job-create's secrets, as lines; absent when it has none. Lives likewise. */
slice_t core_options_secret_names (core_t *self, const msg_job_create_t *in);
/* The same without env and secrets; absent when they have none. */
slice_t core_options_brief (core_t *self, const message_t *options);
/* Gives a job its queue and what the core keeps of its options. False when there are too many queues. */
bool core_options_take (core_t *self, job_t *job, const msg_job_options_t *options);
bool core_options_retry (const job_t *job, int64_t exit_code);

/* core_attempt.c */
typedef struct {
    slice_t reason;
    slice_t text;
    int64_t exit_code;          /* INT_ABSENT: none */
    int64_t signal;             /* INT_ABSENT: none */
    bool accepted;              /* by its worker's own word */
    bool at_once;               /* the next one needs no back-off */
    slice_t data[STREAM_COUNT]; /* streams that are in no file; absent: in files, if anywhere */
    slice_t usage;              /* a usage item, encoded; absent: none was told */
} attempt_end_t;
/* Records how the running attempt ended. */
void core_attempt_record (core_t *self, const job_t *job, const attempt_end_t *end);
/* Whether the job may be started once more. */
bool core_attempt_left (const job_t *job);
/* The longest pause between two attempts of the job, ms. */
int64_t core_backoff_max (const core_t *self, const job_t *job);
/* Records it, and queues the job again after a back-off. */
void core_attempt_retry (core_t *self, job_t *job, const attempt_end_t *end);
/* A result of an attempt that is over: the same once more is answered as before, any other is noted and refused. */
void core_attempt_late (core_t *self, const event_t *event, const claim_t *claim);

/* core_lease.c */
/* A new attempt, which is a lease (rule 19): the job is running. With worker NULL it is a group's. */
lease_t *core_lease_begin (core_t *self, job_t *job, worker_t *worker, int64_t slot);
void core_lease_bind (core_t *self, lease_t *lease, worker_t *worker);
/* A lease without effects: for begin and for the rebuild. */
lease_t *core_lease_new (core_t *self, job_t *job, worker_t *worker, int64_t slot);
void core_lease_renew (core_t *self, lease_t *lease);
/* Its holder has been heard of after the job's timeout: it lives, and has not ended the job. */
bool core_lease_overrun (const core_t *self, const lease_t *lease);
/* Detaches and frees it; what is parked on it is answered. */
void core_lease_free (core_t *self, job_t *job, bool cancelled);
/* The attempt is over without a result: again after a back-off (`at_once`: without one, its worker has given it back),
 * or failed for good. */
void core_lease_lost (core_t *self, job_t *job, const char *reason, slice_t text, bool at_once);
/* Given back before anything was started: the attempt does not count (rule 26). */
void core_lease_return (core_t *self, job_t *job);
/* May this message write under the job's lease (rules 20 to 23)? Binds a group. Returns 0 or the refusal's code. */
err_t core_lease_claim (core_t *self, job_t *job, slice_t worker_id, int64_t attempt, slice_t token);
/* The lost answer was the only one that told of the lease, and nobody has written under it: nobody has it. */
bool core_lease_unheard (const lease_t *lease);
void core_on_job_renew (core_t *self, const event_t *event);
void core_on_job_return (core_t *self, const event_t *event);

/* core_group.c */
void core_poll_anonymous (core_t *self, const event_t *event);
bool core_group_has (const lease_t *lease, const worker_t *worker);
/* It restarted, or holds another job: it cannot hold this one. */
void core_group_drop (core_t *self, worker_t *worker, const lease_t *but, bool restarted);
void core_group_offline (core_t *self, worker_t *worker);
void core_group_leave (core_t *self, lease_t *lease);
void core_group_join (core_t *self, lease_t *lease, place_t *place, worker_t **candidates, size_t count);
slice_t core_group_text (core_t *self, const lease_t *lease);

/* core_result.c */
void core_on_job_output (core_t *self, const event_t *event);
void core_on_job_result (core_t *self, const event_t *event);
void core_on_job_fail (core_t *self, const event_t *event);
void core_on_sealed (core_t *self, const event_t *event);
void core_result_free (result_t **self_p);
/* The stable code of how the result says that the attempt ended; absent: well. */
slice_t core_result_reason (const claim_t *claim);
/* What it says was used, encoded for the store; absent: nothing. Lives as long as this step's effects. */
slice_t core_result_usage (core_t *self, const claim_t *claim);
/* Says that the result is recorded. */
void core_result_reply (core_t *self, uint64_t request, msg_type_t type, slice_t job_id);

#endif
