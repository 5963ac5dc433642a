/* core.h - the broker's rules as one pure state machine.
 *
 * core_step takes an event and says in effects what to store, what to answer and what to do with bytes. It owns no
 * socket, file, clock or thread: events carry the time, the seed makes all randomness, so that the same code runs
 * under the simulator. The driver carries the effects of a step out in their order: store effects into the open
 * transaction, replies kept back until that transaction is committed.
 */
#ifndef GLEANER_CORE_H
#define GLEANER_CORE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/arena.h"
#include "broker/record.h"
#include "proto/buf.h"
#include "proto/message.h"

typedef struct core core_t;

typedef struct {
    int64_t lease_ms;     /* a lease lives this long without renewal */
    int64_t offline_ms;   /* a worker is offline when not heard of for this long */
    int64_t heartbeat_ms; /* told to workers */
    int64_t grace_ms;     /* beyond a job's timeout before the broker ends the attempt itself */
    int64_t jobs_max;     /* pending and running jobs at once; one more is refused with BUSY */
    int64_t parked_max;   /* parked requests at once; one more is answered at once */
    int64_t
        queues_max; /* different sets of required labels among live jobs; a job with one more is refused with BUSY */
    int64_t backoff_ms;     /* before a second attempt, doubled with each further one; jittered down to half of it */
    int64_t backoff_max_ms; /* and no longer than this */
    int64_t sleep_max_ms;   /* a sleeping worker's leases are kept for this long at most */
    int64_t output_max;     /* told to workers: bytes kept of a printed stream */
    bool trace;             /* a job that comes without a trace begins one */
    uint8_t seed[32];
} core_config_t;

/* lease 60 s, offline 30 s, heartbeat 10 s, grace 30 s, 10,000,000 jobs, 200,000 parked, 1,000 queues, back-off 1 s to
 * 5 min, sleep 15 min, output 64 MiB; the seed stays zero. */
void core_config_default (core_config_t *config);

typedef enum {
    EVENT_REQUEST,     /* a message from a client */
    EVENT_SEALED,      /* the depot has carried out an EFFECT_SEAL */
    EVENT_UNDELIVERED, /* an EFFECT_REPLY_JOB could not be sent: nobody has the lease */
    EVENT_GONE,        /* a worker's connection was closed, and it has not come back */
    EVENT_WITHDRAWN,   /* who sent a poll may be given nothing any more: if it is parked, it is refused */
    EVENT_TICK,        /* core_deadline has passed */
} event_kind_t;

typedef struct {
    event_kind_t kind;
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since the epoch; no worker's clock is read (rule 11 of proto/README.md) */

    uint64_t request;             /* EVENT_REQUEST, EVENT_WITHDRAWN: the driver's handle for the answer */
    slice_t owner;                /* EVENT_REQUEST: name of who sends it; absent: nobody had to say */
    const message_t *message;     /* EVENT_REQUEST: one of the types that core_handles says */
    const job_record_t *stored;   /* EVENT_REQUEST: the record that core_lookup asks for; NULL when there is none */
    const attempt_record_t *past; /* EVENT_REQUEST: likewise */
    slice_t sealed;               /* EVENT_REQUEST, a job-create with secrets: they, encrypted, */
    slice_t mark;                 /* and what tells them from others; 32 bytes */
    bool blobs;                   /* EVENT_REQUEST, a job-create with a delta: its base and the delta are there */

    int64_t seq; /* EVENT_SEALED, EVENT_UNDELIVERED: the job */
    int64_t attempt;
    slice_t token;                 /* EVENT_UNDELIVERED */
    slice_t worker_id;             /* EVENT_GONE */
    err_t err;                     /* EVENT_SEALED: 0, OUTPUT_MISMATCH or DISK_FULL ... */
    slice_t data[STREAM_COUNT];    /* EVENT_SEALED: content up to STORE_INLINE_MAX; absent: it stays in its file */
    int64_t bytes[STREAM_COUNT];   /* EVENT_SEALED: lengths on disk */
    stream_t faulty_stream;        /* EVENT_SEALED, OUTPUT_MISMATCH */
    slice_t sha256[STREAM_COUNT];  /* EVENT_SEALED: of each stream, in hex */
    int64_t dropped[STREAM_COUNT]; /* EVENT_SEALED: bytes that were not kept, as far as the depot knows */
} event_t;

typedef enum {
    EFFECT_JOB_INSERT,    /* store: `job` is new */
    EFFECT_JOB_UPDATE,    /* store: the changing part of `job` */
    EFFECT_ATTEMPT_PUT,   /* store: `attempt_row` is new or changed */
    EFFECT_WORKER_PUT,    /* store: `worker` is new or changed */
    EFFECT_WORKER_DELETE, /* store: forget worker `worker.worker_id` */
    EFFECT_REPLY,         /* answer `request` with `message` */
    EFFECT_REPLY_JOB,     /* answer `request` with `message`, a job-poll-ok, after filling in the job's stored text */
    EFFECT_APPEND,      /* depot: append `message`'s bytes (a job-output) to job `seq`, `attempt`; answer `request` with
                         * job-output-ok or OUTPUT_GAP when done */
    EFFECT_SEAL,        /* depot: make the streams of `seq`, `attempt` durable, then say EVENT_SEALED */
    EFFECT_DISCARD,     /* depot: the output files of `seq`, `attempt` can go */
    EFFECT_JOB_CHANGED, /* job `seq` is in another state: wake those who follow it */
} effect_kind_t;

typedef struct {
    effect_kind_t kind;
    uint64_t request;
    int64_t seq;
    int64_t attempt;
    int64_t expected[STREAM_COUNT]; /* EFFECT_SEAL: lengths that the worker names; INT_ABSENT: whatever is there */
    slice_t sha256[STREAM_COUNT];   /* EFFECT_SEAL: hashes that it names; absent: whatever they are */
    slice_t artifacts;              /* EFFECT_SEAL: a blob that must be there; absent: none */
    int streams;                    /* EFFECT_DISCARD: bits 1 << stream */
    bool again;                     /* EFFECT_REPLY_JOB: an answer before has told of this lease (rule 17) */
    message_t message;
    union {
        job_record_t job;
        attempt_record_t attempt_row;
        worker_record_t worker;
    };
} effect_t;

/* Effects of one step, in the order to carry them out. Their slices point into the core, the event and `arena`: valid
 * until the next core_step. Zero-initialised is valid. */
typedef struct {
    effect_t *items;
    size_t count;
    size_t cap;
    arena_t arena;
} effects_t;

void effects_fini (effects_t *self);

/* The caller destroys it. The config is copied. */
core_t *core_new (const core_config_t *config);
void core_destroy (core_t **self_p);

/* Rebuild after a restart, before the first step, workers first. A job in a final state is refused by assertion. Each
 * running lease and each online worker gets a full new period from now_ms on. */
void core_load_worker (core_t *self, const worker_record_t *record, int64_t now_ms, int64_t wall_ms);
void core_load_job (core_t *self, const job_record_t *record, int64_t now_ms, int64_t wall_ms);
/* The highest seq ever given, so that ids go on above it. */
void core_load_last_seq (core_t *self, int64_t seq);

/* One event. `effects` is emptied first. */
void core_step (core_t *self, const event_t *event, effects_t *effects);

/* When core_step wants an EVENT_TICK, monotonic ms; INT64_MAX: never. */
int64_t core_deadline (const core_t *self);

/* True for the message types that core_step takes. */
bool core_handles (msg_type_t type);
/* What the core must be given of the record together with a message, since it keeps live jobs only. */
typedef struct {
    slice_t key; /* the owner's job with this idempotency key, as `stored`; absent: none */
    bool job;    /* the job `id`, as `stored` */
    bool past;   /* attempt `attempt` of job `id`, as `past` */
    job_id_t id;
    int64_t attempt;
} core_lookup_t;
core_lookup_t core_lookup (const core_t *self, const message_t *message);
/* True when the job is pending or running here. */
bool core_knows_job (const core_t *self, slice_t job_id);

/* Fills the salt of a live job's id. False when there is none. */
bool core_job_salt (const core_t *self, int64_t seq, char salt[JOB_SALT_LEN + 1]);

/* Whose a live job is; NULL: nobody's, or there is none. */
const char *core_job_owner (const core_t *self, int64_t seq);

/* Why a pending job waits: a stable code (static) and one sentence, written to `text`. NULL when it does not wait, or
 * when too many were asked about in this turn. */
const char *core_waiting (core_t *self, slice_t job_id, int64_t now_ms, buf_t *text);

/* Why pending jobs wait: core_waiting's codes, and WAIT_UNKNOWN of those whose requirements have not been held against
 * the workers yet. */
typedef enum {
    WAIT_UNKNOWN,
    WAIT_BACKING_OFF,
    WAIT_DELAYED,
    WAIT_NO_WORKER,
    WAIT_NO_MATCH,
    WAIT_ALL_DRAINING,
    WAIT_ALL_ASLEEP,
    WAIT_ALL_BUSY,
    WAITS,
} core_wait_t;
const char *core_wait_name (core_wait_t why);
/* How many pending jobs wait for what. O(workers + different requirements), no job is looked at; what requires the same
 * waits for the same. So many workers are looked at for so many requirements in one call (WAIT_LOOKS_MAX); of the other
 * requirements what the last look has found is told again, and it is their turn the next time. */
enum { WAIT_LOOKS_MAX = 20 * 1000 };
void core_waits (core_t *self, int64_t counts[WAITS]);

/* True when workers are online, and each of them can lay a delta over a project. O(workers). */
bool core_takes_deltas (const core_t *self);

/* For broker-info and tests. */
typedef struct {
    int64_t pending, running, parked, workers, online;
    int64_t delayed;   /* of the pending ones those whose time has not come */
    int64_t oldest_ms; /* since when the job waits that has waited for longest, monotonic; INT_ABSENT: none does */
} core_counts_t;
core_counts_t core_counts (const core_t *self);

/* Calls `fn` for each worker of the registry, in no order. `busy`: leases that it holds; `slots` INT_ABSENT: not
 * declared. */
typedef void core_worker_fn (void *ctx, slice_t worker_id, bool online, int64_t busy, int64_t slots);
void core_worker_each (const core_t *self, core_worker_fn *fn, void *ctx);

/* Walks everything and asserts the core's own invariants (at most one lease a job, queue order, counts). For tests. */
void core_check (const core_t *self);

#endif
