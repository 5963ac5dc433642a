/* sim.h - whole clusters in one process, from one seed: the broker's core on a store in memory, a network that delays,
 * drops, repeats and reorders, clients and workers that come and go, a broker that crashes at any point of its turn.
 *
 *   world.c    the broker's side: turns, crashes, the clock
 *   requests.c what actors send, as messages
 *   depot.c    output files, written by a thread of its own
 *   check.c    what must hold after each turn
 *   net.c      packets on their way
 *   actors.c   clients and workers
 *   trace.c    what happens, as a digest and as text
 */
#ifndef GLEANER_SIM_H
#define GLEANER_SIM_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

#include "broker/apply.h"
#include "broker/core.h"
#include "broker/heap.h"

enum {
    CLIENTS = 3,
    SLOTTED = 3,  /* workers that name slots and carry tokens */
    NAMED = 2,    /* old agents that say who they are when they poll */
    NAMELESS = 4, /* old agents that do not; they share two addresses */
    WORKERS = SLOTTED + NAMED + NAMELESS,
    ACTORS = CLIENTS + WORKERS,
    SLOTS = 2,
    JOBS_MAX = 64, /* a client stops submitting after these */
    TEXT = 40,
    OUTBOX_MAX = 512,
    ORDERS_MAX = 512,
};

#define MACHINE "the-machine" /* of all workers with slots: jobs in direct mode go to one of them */

/* Deliberate mistakes of the driver, to prove that the checks find them. */
typedef enum {
    BREAK_NOTHING,
    BREAK_REPLY_BEFORE_COMMIT,
    BREAK_LOSE_COMMIT,  /* a commit now and then does nothing, and says that it did */
    BREAK_FORGET_JOBS,  /* a restart does not rebuild the queue */
    BREAK_FORGET_TOKEN, /* writes are taken for the current attempt's */
    BREAK_TWO_LEASES,   /* a job goes to a bystander too */
    BREAK_NO_EXPIRY,    /* the core is not told that time has passed */
    BREAK_COUNT
} break_t;
extern const char *const break_names[BREAK_COUNT];

/* A request or an answer in transit; only the fields that its type needs are used. */
typedef struct packet {
    heap_node_t due;
    int actor;
    uint64_t call; /* the actor's number for the request */
    bool to_broker;
    msg_type_t type;
    err_t err;
    char job[TEXT]; /* of worker-drain and worker-resume: the worker */
    char token[TEXT];
    int64_t attempt;
    int64_t slot;
    int64_t wait;
    stream_t stream; /* job-output, and refusals that name one */
    int64_t offset;
    int64_t lengths[STREAM_COUNT]; /* a result's */
    int64_t exit_code;
    bool cancel;
    bool pinned;       /* job-create in direct mode */
    uint64_t wish;     /* job-create: what its options are made of */
    char key[TEXT];    /* job-create: idempotency key */
    job_state_t state; /* job-status-ok */
    bool inlined;      /* a result that holds its output */
    bool old;          /* without token */
    bool undelivered;  /* job-return: a gateway's */
    int keep;          /* register: leases kept, in kept[] */
    struct {
        char job[TEXT], token[TEXT];
        int64_t attempt;
    } kept[SLOTS];
} packet_t;

typedef enum { SLOT_IDLE, SLOT_POLLING, SLOT_RUNNING, SLOT_REPORTING } slot_state_t;

typedef struct {
    slot_state_t state;
    uint64_t call;
    int64_t until_ms; /* gives up waiting, or ends the work */
    char job[TEXT], token[TEXT];
    int64_t attempt;
    int64_t renewed_ms;
    int64_t sent[STREAM_COUNT]; /* bytes of its output */
    bool heard;                 /* a write about this lease was answered */
    msg_type_t report;
    int64_t exit_code;
    bool inlined;
} slot_t;

typedef struct {
    char id[TEXT];
    char addr[TEXT];
    bool slotted, nameless;
    bool registered;
    bool draining;        /* as the record says */
    int64_t next_ms;      /* acts again */
    int64_t heartbeat_ms; /* next */
    uint64_t calls;
    slot_t slots[SLOTS];
    int64_t cut_until_ms; /* nothing reaches it, and nothing of it arrives */
    /* clients */
    int submitted;
    packet_t create; /* sent until it is acknowledged */
    bool creating;
} actor_t;

/* What the record of a job is known to be. */
typedef struct {
    job_id_t id;
    bool acknowledged;
    job_state_t state;
    int64_t attempt, max_attempts;
    int64_t priority;
    bool picky;     /* requires a label that one worker has */
    int64_t due_ms; /* not handed out before this, as far as is known */
    int64_t skew;   /* of the wall clock when that was told */
    char key[TEXT];
    char token[TEXT];
    char worker[TEXT]; /* the holder; empty: a group, or nobody */
    char group[NAMELESS * TEXT];
    int64_t slot;
    char pinned[TEXT];
    /* what somebody was told: it must outlive every crash */
    int64_t handed;  /* attempt */
    int64_t settled; /* the last attempt whose end its worker was told to be recorded */
    bool returned;   /* a lease was given back */
    bool ended;
    bool seen; /* `told` is the final state that a job-status showed */
    job_state_t told;
} shadow_t;

/* Something for the depot to do, in order. */
typedef struct {
    effect_kind_t kind; /* EFFECT_APPEND, EFFECT_SEAL or EFFECT_DISCARD */
    uint64_t request;
    int64_t seq, attempt;
    int64_t due_ms;
    stream_t stream;
    int64_t offset, len;
    int64_t expected[STREAM_COUNT];
    int streams;
} order_t;

/* An output file. */
typedef struct {
    int64_t seq, attempt;
    stream_t stream;
    int64_t length;
} file_t;

typedef struct {
    uint64_t random;
    int64_t now_ms;
    int64_t skew_ms; /* of the broker's wall clock: it jumps */
    int64_t ticked_ms;
    core_t *core;
    store_t *store;
    effects_t effects;
    decoder_t *decoder;
    heap_t packets;
    actor_t actors[ACTORS];
    shadow_t *jobs;
    int job_count;
    /* this turn's */
    packet_t outbox[OUTBOX_MAX];
    int outbox_count;
    order_t discards[ORDERS_MAX]; /* wait for the commit */
    int discard_count;
    order_t orders[ORDERS_MAX];
    int order_count;
    file_t *files; /* what is on disk: crashes leave it */
    int file_count;
    const packet_t *current;                /* the request that is being handled */
    const msg_job_create_t *current_create; /* and what it says, when it is one */
    bool healed;
    break_t broken;
    uint64_t seed;
    int64_t steps;
    int crashes;
    int full;                 /* turns that found the disk full */
    int completed, job_total; /* at the end of the run */
    bool verbose;
    uint64_t digest; /* of all events and effects: the same for one seed, always */
    jmp_buf failed;
    char why[256];
} world_t;

/* What is longer stays in its file; the rest goes into the record. */
enum { INLINE_BYTES = 30 };

/* The label that picky jobs require, and its one worker. */
#define LABEL "gpu=yes\n"
enum { LABELLED = CLIENTS };
/* The wall clock of the broker. */
int64_t sim_wall_ms (const world_t *w);

/* requests.c: the message of a packet; lists are written to `raw`. */
void request_fill (world_t *w, const packet_t *packet, message_t *message, buf_t *raw);

/* depot.c */
void depot_carry (world_t *w, const effect_t *effect);
/* After the commit: files that the record has made superfluous may go now. */
void depot_discards (world_t *w);
/* The next order that is due, carried out but for its answer. False: none. */
bool depot_next (world_t *w, order_t *order);
int64_t depot_next_ms (const world_t *w);
/* Orders on their way may reach the disk or not. */
void depot_crash (world_t *w);
/* Length of one of an attempt's streams; -1: no such file. */
int64_t depot_length (const world_t *w, int64_t seq, int64_t attempt, stream_t stream);

/* trace.c */
void trace_event (world_t *w, const event_t *event);
void trace_crash (world_t *w);

/* net.c */
uint64_t sim_random (world_t *w);
bool sim_chance (world_t *w, int per_mille);
void net_send (world_t *w, const packet_t *packet);
/* The next packet that is due; the caller frees. NULL: none. */
packet_t *net_take (world_t *w);
int64_t net_next_ms (const world_t *w);

/* actors.c */
void actors_init (world_t *w);
void actor_act (world_t *w, int at);
void actor_receive (world_t *w, const packet_t *packet);
int64_t actors_next_ms (const world_t *w);

/* world.c: runs one seed; false when a check failed, `why` says which. */
bool world_run (world_t *w, uint64_t seed, int64_t steps);

/* check.c: end the run with what was violated. */
void sim_fail (world_t *w, const char *format, ...) __attribute__ ((format (printf, 2, 3), noreturn));
shadow_t *shadow_find (world_t *w, int64_t seq);
void check_effects (world_t *w);
void check_acknowledged (world_t *w);
void check_delivery (world_t *w, const packet_t *packet);
/* What an answer that leaves promises. */
void check_promise (world_t *w, const packet_t *packet);
void check_outputs (world_t *w);
/* A refused seal tells the true length of the stream that it names. */
void check_mismatch (world_t *w, const order_t *order);
/* A job goes to an actor. */
void check_handed (world_t *w, int actor, int64_t seq);
/* A refusal of the current request. */
void check_refusal (world_t *w, err_t err);
/* A lost answer must take nothing from who is at work. */
void check_still_running (world_t *w, const packet_t *packet);
/* A worker is lost by its connection: unless it sleeps, it holds nothing. */
void check_gone (world_t *w, const actor_t *worker);
/* A late result has left its trace, a repeated one its answer. */
void check_late (world_t *w, uint64_t request);
void check_all_final (world_t *w);
/* The shadow as the store says, after a crash has taken changes back. */
void shadow_reload (world_t *w);

#endif
