/* broker.h - what the files of the running broker share: the loop's state and the ways to answer.
 *
 *   main.c      options, start and stop
 *   listen.c    where the socket listens
 *   loop.c      one turn: take what is ready, step the core, commit once, send
 *   socket.c    frames in and out
 *   auth.c      whose a message is
 *   issuer.c    likewise, by the word of another that signs it
 *   admit.c     whether it may be sent by them
 *   curve.c join.c   whose a connection is, and how it comes to be known
 *   tokens.c    likewise tokens, by an admin's word
 *   requests.c  who asked what, until it is answered
 *   peers.c     whose connection is closed
 *   carry.c     effects of the core and outcomes of the depot
 *   disk.c      a full disk: going on without what is new
 *   endless.c   connections that send a message without an end
 *   events.c    what changes, as a stream
 *   keep.c      housekeeping: what is too old, or too much, goes
 *   snapshot.c  copies of the record for backups
 *   query.c     job-status, job-list, broker-info: reads of the record
 *   measure.c   statistics: what feeds them, and how they are kept
 *   measure_read.c   stats-read, worker-activity, gateway-hello
 *   metrics_read.c   metrics-read
 *   usage.c     usage-read
 *   follow.c    job-follow: output as it grows
 *   bytes.c     blobs
 *   secrets.c   the key of the jobs' secrets
 *   courier.c   HTTP POSTs, in a thread of their own
 *   webhooks.c  who is told of a job's end, and whether they know
 *   traces.c    spans, to a collector
 */
#ifndef GLEANER_BROKER_H
#define GLEANER_BROKER_H

#include <zmq.h>

#include "broker/activity.h"
#include "broker/audit.h"
#include "broker/auth.h"
#include "broker/core.h"
#include "broker/courier.h"
#include "broker/curve.h"
#include "broker/depot.h"
#include "broker/endless.h"
#include "broker/gateways.h"
#include "broker/metrics.h"
#include "broker/peers.h"
#include "broker/requests.h"
#include "broker/secrets.h"
#include "broker/stats.h"
#include "broker/store.h"
#include "broker/webhook.h"
#include "proto/options.h"
#include "proto/refusals.h"
#include "proto/reload.h"

enum {
    TURN_MAX = 1024, /* messages, and depot outcomes, taken in one turn */
    FRAMES_MAX = 5,  /* a message with more is dropped without an answer */
    JOIN_SLOTS = 256,
    PEER_SIZE = 128,                  /* an address as text */
    PAGE_BYTES_MAX = 2 * 1024 * 1024, /* a job-list answer is cut into pages at about this size */
};

typedef struct {
    const char *listen;
    const char *data;
    int64_t lease_ms;
    int64_t offline_ms;
    int64_t heartbeat_ms;
    int64_t grace_ms;
    int64_t backoff_ms;
    int64_t backoff_max_ms;
    int64_t sleep_max_ms;
    int64_t output_max;
    int64_t keep_jobs_ms;
    int64_t keep_output_ms;
    int64_t keep_artifacts_ms;
    int64_t keep_uploads_ms;
    int64_t data_max;
    const char *secrets_key;
    const char *backup;
    bool check;
    const char *auth;
    issuer_config_t jwt; /* `key` NULL: none */
    bool insecure;
    bool curve;
    webhook_options_t webhook;
    const char *otlp;
    const char *otlp_headers;
    const char *tariff_run_hour, *tariff_cpu_hour, *tariff_gib_hour, *tariff_gib_in, *tariff_gib_out; /* tariff.h */
    const char *currency;
    const char *log_level, *log_format;
} broker_options_t;

/* An answer that waits for the turn's commit. */
typedef struct {
    zmq_msg_t routing;
    zmq_msg_t body;
    uint64_t request;
    int64_t seq; /* of a job-poll answer that carries a job; 0: none */
    int64_t attempt;
    bool again; /* it was sent before */
    char token[TOKEN_MAX + 1];
} reply_t;

typedef struct followers followers_t;
typedef struct events events_t;
typedef struct measure measure_t;
typedef struct webhooks webhooks_t;
typedef struct traces traces_t;
typedef struct usage usage_t;

/* What housekeeping remembers between its rounds. */
typedef struct {
    int64_t due_ms;
    ended_place_t output_after; /* jobs that were over up to this one have been looked at */
    ended_place_t artifacts_after;
    ended_place_t size_after;
    int64_t told_ms;
    int64_t jobs_gone; /* since then */
    int64_t blobs_gone;
} keep_t;

/* Codes that were refused of late, counted by the address that they came from. */
typedef struct {
    int64_t since_ms;
    unsigned char secret[16]; /* another one each time, so that nobody knows who shares a counter with whom */
    uint8_t refused[JOIN_SLOTS];
} joins_t;

typedef struct {
    const broker_options_t *options;
    reload_t *reload;
    void *router; /* the ZeroMQ socket */
    int signals;  /* signalfd */
    bool stopping;
    bool again; /* the turn left something to commit: the next one must not wait */
    decoder_t *decoder;
    auth_t *auth;
    audit_t *audit;
    curve_t *curve; /* NULL: none */
    int curve_fd;   /* -1: likewise */
    joins_t joins;
    const who_t *who;     /* who sent the message that is being handled; NULL: nobody has to say */
    const char *changing; /* the identity that this message changes; NULL: none */
    bool auth_moved;      /* there may be news of identities */
    int64_t auth_due_ms;
    int64_t unauthorized, forbidden;         /* messages refused so */
    int64_t refusals_second, refusals_count; /* of those that are logged */
    core_t *core;
    store_t *store;
    depot_t *depot;
    requests_t *requests;
    peers_t *peers;
    endless_t *endless;
    int router_fd, monitor_fd; /* of their sockets (ZMQ_FD) */
    bool peers_changed;        /* there is news of connections */
    int64_t gathered_us;       /* when a crowd's messages were last let gather */
    followers_t *followers;
    events_t *events;
    measure_t *measure;
    usage_t *usage;
    gateways_t gateways;
    courier_t *courier;   /* NULL: nobody is told anything by HTTP */
    webhooks_t *webhooks; /* NULL: none */
    traces_t *traces;     /* NULL: likewise */
    const char *folder;   /* the data directory */
    decoder_t *items;     /* of stored options */
    decoder_t *receipts;  /* and receipts */
    decoder_t *usages;    /* and what attempts have used */
    buf_t attempts;
    secrets_t secrets;
    buf_t sealed;   /* of the job that is being created */
    buf_t opened;   /* of the one that is being handed out; wiped at once */
    bool lost;      /* the open transaction cannot be committed: the disk is full */
    bool disk_full; /* nothing new is taken */
    bool room_held; /* for when the disk is full */
    int64_t disk_due_ms;
    int64_t disk_bytes, disk_free_bytes; /* of the data directory's file system, when last looked at; 0: not known */
    keep_t keep;
    uint64_t snapshot; /* the request for the one under way; 0: none */
    effects_t effects;
    buf_t encoded;
    buf_t list;
    reply_t *outbox;
    size_t outbox_count, outbox_cap;
    depot_order_t *returned; /* orders that the depot had no room for, to be taken as failed */
    depot_order_t *discards; /* to be submitted after the commit */
    int64_t removals;        /* of these, with the depot */
    int64_t started_ms;
    int64_t now_ms;  /* the turn's time, monotonic */
    int64_t wall_ms; /* and since the epoch */
    int64_t refused_frames;
    refusals_t refusals;
    int64_t listed_ms;  /* the turn of the last job-list, */
    int64_t listing_ms; /* and the time that lists have taken in it */
} broker_t;

/* options.c: as options_parse and options_fini. */
extern const option_table_t broker_option_table;
int broker_options_parse (int argc, char **argv, broker_options_t *options);
void broker_options_fini (broker_options_t *options);

/* loop.c: returns when the broker has been told to stop. */
void broker_run (broker_t *self);
/* Ends the program at once without another answer: what the open transaction holds is unknown (store.h). */
void broker_die (err_t err) __attribute__ ((noreturn));

/* socket.c */
/* Takes up to TURN_MAX messages and handles each. True when there are no more. */
bool socket_take (broker_t *self);
/* Puts an answer into the outbox and forgets the request: each has one (rule 6 of proto/README.md). A message with job
 * text is a job-poll-ok. `lease`: the EFFECT_REPLY_JOB that it is; NULL: it is none. */
void broker_reply (broker_t *self, uint64_t request, message_t *message, const effect_t *lease);
void broker_reply_error (broker_t *self, uint64_t request, err_t err);
/* The turn's writes are lost: each answer that tells of one becomes a refusal. */
void broker_outbox_refuse (broker_t *self, err_t err);
/* Sends the outbox. After the commit only. */
void socket_send (broker_t *self);

/* admit.c */
/* Whether the message may be handled, in a broker that asks for identities; names the worker of a worker's token where
 * the message does not. Returns 0 and `who`, or UNAUTHORIZED, FORBIDDEN, WORKER_TOKEN_BOUND, NO_SUCH_JOB with `fault`.
 */
err_t admit (broker_t *self, message_t *message, zmq_msg_t *body, who_t *who, fault_t *fault);
/* Keeps with the request who sent the message. */
void admit_keep (broker_t *self, uint64_t request, message_t *message, zmq_msg_t *body, const who_t *who);
/* The request has its answer: into the audit log, where it belongs there. */
void admit_answered (broker_t *self, const request_t *request, const message_t *answer);
void admit_check (broker_t *self, uint64_t request);
void admit_audit (broker_t *self, uint64_t request, const msg_audit_read_t *in);
/* Where the message comes from, as far as is known; points into the message, or to `room`. */
slice_t admit_from (const message_t *message, zmq_msg_t *body, char room[PEER_SIZE]);
/* True: one more refusal may be told of in this second. */
bool admit_tells (broker_t *self);
/* Looks whether identities have changed. */
void admit_tick (broker_t *self);
int64_t admit_deadline (const broker_t *self);
void admit_begin (broker_t *self);
/* Whose jobs alone the sender of the message may see; absent: all. */
slice_t admit_only (const broker_t *self);

/* join.c */
/* A join or a join-token. */
void join_request (broker_t *self, uint64_t request, const message_t *message, zmq_msg_t *frame);

/* tokens.c */
/* A token-create, token-list or token-revoke. */
void tokens_request (broker_t *self, uint64_t request, const message_t *message);

/* carry.c */
/* Steps the core and carries the effects out. `frame`: the message that the event came in, may be taken over. */
void broker_step (broker_t *self, const event_t *event, zmq_msg_t *frame);
void broker_take_outcomes (broker_t *self);
/* Submits the order; when the depot has no room it comes back as an outcome with BUSY. */
void broker_order (broker_t *self, depot_order_t *order);
void broker_submit_discards (broker_t *self);
/* Moves the frame into the order, and `data` with it. */
void order_take_frame (depot_order_t *order, zmq_msg_t *frame, slice_t data);

/* disk.c */
/* Refuses what would need more room, while the disk is full. True when it did. */
bool disk_refuses (broker_t *self, uint64_t request);
/* The turn's transaction could not be written: forgets it, and goes on from what is on the disk. */
void disk_recover (broker_t *self);
/* After a write of our own has failed: little room is left. With `give`, what was held back for such a word is given
 * up, and `*given` says whether it is worth another try. */
bool disk_is_full (broker_t *self, bool give, bool *given);
void disk_tick (broker_t *self);
/* Makes a fresh core from the record. 0 or the store's error. */
err_t broker_load_core (broker_t *self);

/* events.c */
events_t *events_new (int64_t wall_ms);
void events_destroy (events_t **self_p);
void events_job (broker_t *self, const job_record_t *job);
void events_worker (broker_t *self, const worker_record_t *worker);
void events_output (broker_t *self, int64_t seq, int64_t attempt, stream_t stream, int64_t bytes);
void events_read (broker_t *self, uint64_t request, const msg_events_read_t *in);
/* The turn is committed (or lost): its events are shown (or forgotten). */
void events_publish (broker_t *self);
void events_forget (broker_t *self);
void events_tick (broker_t *self);
int64_t events_deadline (const broker_t *self);

/* keep.c */
void keep_tick (broker_t *self);
/* The turn's changes were lost. */
void keep_forget (broker_t *self);

/* snapshot.c */
#define SNAPSHOT_FILE "snapshot.db"
#define BACKUP_LOCK   "backup.lock" /* held by `gleaner-broker --backup` */
void snapshot_begin (broker_t *self, uint64_t request);
/* After a commit: some more pages. */
void snapshot_tick (broker_t *self);

/* backup.c: `gleaner-broker --backup FILE`. `running`: another process holds the folder. Returns the exit status. */
int backup_run (const broker_options_t *options, const char *folder, bool running);

/* check.c: `gleaner-broker --check`. Returns 0 when all is sound, 1 when not; says on stdout what it found. */
int check_run (const char *folder, store_t *store);

/* query.c */
void query_status (broker_t *self, uint64_t request, slice_t job_id);
void query_status_read (broker_t *self, depot_order_t *order);
void query_list (broker_t *self, uint64_t request, const msg_job_list_t *in);
void query_info (broker_t *self, uint64_t request);

/* measure.c */
measure_t *measure_new (void);
void measure_destroy (measure_t **self_p);
const stats_t *measure_stats (const measure_t *self);
const activity_t *measure_activity (const measure_t *self);
metrics_t *measure_metrics (const measure_t *self);
/* What the store kept. Rows that cannot be read are left out (logged). */
void measure_load (broker_t *self);
/* Notes what a step has done. */
void measure_step (broker_t *self, const effects_t *effects);
/* The turn is committed (or lost): what it has done counts (or not). */
void measure_publish (broker_t *self);
void measure_forget (broker_t *self);
void measure_tick (broker_t *self);
int64_t measure_deadline (const broker_t *self);
/* After the last turn: keeps what is not yet kept. */
void measure_stop (broker_t *self);

/* measure_read.c */
void measure_read (broker_t *self, uint64_t request, const msg_stats_read_t *in);
void measure_read_activity (broker_t *self, uint64_t request);
void gateway_hello (broker_t *self, uint64_t request, const msg_gateway_hello_t *in);
/* Those that are there; `raw` keeps their bytes. */
list_t gateway_list (broker_t *self, buf_t *raw);

/* usage.c */
usage_t *usage_new (void);
void usage_destroy (usage_t **self_p);
/* Begins a query; it is answered by some later turn. */
void usage_begin (broker_t *self, uint64_t request, const msg_usage_read_t *in);
/* After the answers have left: goes on with those that there are. */
void usage_tick (broker_t *self);

/* metrics_read.c */
void metrics_read (broker_t *self, uint64_t request);

/* follow.c */
followers_t *followers_new (void);
void followers_destroy (followers_t **self_p);
void follow_begin (broker_t *self, uint64_t request, const msg_job_follow_t *in);
/* The depot has read for a follower. */
void follow_read (broker_t *self, depot_order_t *order);
/* Job `seq` has more of some streams (bits 1 << stream), or, with all of them, another state. */
void follow_wake (broker_t *self, int64_t seq, int streams);
void follow_tick (broker_t *self);
int64_t follow_deadline (const broker_t *self);

/* webhooks.c */
/* From the options. False with one sentence in `problem`. */
bool webhooks_open (broker_t *self, char *problem, size_t problem_size);
/* After SIGHUP: reads the secrets again. A file that cannot be used leaves those that there are, and is logged. */
void webhooks_reload (broker_t *self);
void webhooks_destroy (webhooks_t **self_p);
/* Those that a broker before this one had not told yet. */
void webhooks_load (broker_t *self);
/* 0, or WEBHOOK_REFUSED for a job's own URL that is not allowed. */
err_t webhooks_check (const broker_t *self, const msg_job_create_t *in);
/* A step's effects are in the open transaction: who is to be told of jobs that have ended goes there, too. */
void webhooks_step (broker_t *self);
/* The turn is committed (or lost): they are told (or not). */
void webhooks_publish (broker_t *self);
void webhooks_forget (broker_t *self);
void webhooks_tick (broker_t *self);
void webhooks_outcome (broker_t *self, post_t *post);
int64_t webhooks_deadline (const broker_t *self);
void webhooks_info (const broker_t *self, msg_broker_info_ok_t *out);

/* traces.c: likewise. */
bool traces_open (broker_t *self, char *problem, size_t problem_size);
void traces_destroy (traces_t **self_p);
void traces_step (broker_t *self);
void traces_publish (broker_t *self);
void traces_forget (broker_t *self);
void traces_tick (broker_t *self);
void traces_outcome (broker_t *self, post_t *post);
int64_t traces_deadline (const broker_t *self);
void traces_info (const broker_t *self, msg_broker_info_ok_t *out);
/* After the last turn: sends what is left, within a few seconds. */
void traces_stop (broker_t *self);

/* bytes.c */
void bytes_request (broker_t *self, uint64_t request, const message_t *message, zmq_msg_t *frame);
void bytes_outcome (broker_t *self, depot_order_t *order);

#endif
