/* session_internal.h - what the files of a session share: session.c (registration, slots, stopping), session_sleep.c,
 * session_spare.c, session_notify.c.
 */
#ifndef GLEANER_WORKER_SESSION_INTERNAL_H
#define GLEANER_WORKER_SESSION_INTERNAL_H

#include "worker/backoff.h"
#include "worker/job.h"
#include "worker/session.h"
#include "worker/sleep.h"

enum {
    RESUMED_MAX = 1024, /* unsent results of earlier runs that are taken up; the rest when these are sent */
};

/* A slot asks for a job, or runs one. */
typedef struct slot {
    session_t *session;
    int number;
    call_id_t poll;
    int64_t asked_ms;
    loop_timer_t timer;
    backoff_t backoff;
    job_t *job;
    char token[TOKEN_MAX + 1]; /* of the last lease that was taken up here */
    int unsent_ticks;          /* while stopping: how long its result has been waiting to be sent */
} slot_t;

struct session {
    session_config_t config;
    job_host_t host;
    limits_t limits;
    strays_t *strays;
    keepers_t keepers;
    fork_server_t extractors;
    projects_t *projects;
    archives_t *archives;
    spare_t *spare;
    slot_t *slots;
    int slot_count;
    job_t *resumed[RESUMED_MAX];
    int resumed_count;
    call_id_t registering;
    call_id_t heartbeat;
    call_id_t sleep_call;
    int64_t sleep_sent_ms;
    sleep_watch_t *sleep;
    loop_timer_t register_timer;
    loop_timer_t heartbeat_timer;
    loop_timer_t unsent_timer;
    loop_timer_t notify_timer;
    loop_timer_t extend_timer;
    loop_timer_t stop_timer;
    backoff_t backoff;
    int64_t heartbeat_ms;
    int64_t load_told_ms; /* when load and memory were last told */
    bool registered;
    bool was_ready;
    bool told_ready; /* the service manager */
    bool stopping;
    bool leaving; /* goodbye is on its way */
    int status;
    char machine[64];
    buf_t labels; /* as lines */
};

/* session.c; each does nothing while the session sleeps, or when it is not its time */
void session_register (void *ctx);
void session_heartbeat (void *ctx);
void session_poll (void *slot);
/* All jobs there are: those of earlier runs, then the slots', where NULL is a free one. */
int session_job_count (const session_t *self);
job_t *session_job_at (const session_t *self, int i);

/* session_sleep.c */
void session_sleep_init (session_t *self);
void session_sleep_fini (session_t *self);

/* session_spare.c */
void session_spare_init (session_t *self);
/* No job may be running any more: looks whether that is so. */
void session_idle (session_t *self);
/* A job has come; it needs all that there is. */
void session_busy (session_t *self);

/* session_notify.c */
/* Something may be another than it was; also says that the loop turns, and sees to it that it does. */
void session_tell (void *ctx);
/* The worker does what it can: it is registered, or its server is away and it goes on trying. */
void session_tell_ready (session_t *self);
/* No more jobs. Those that run may go on for --stop-wait. */
void session_tell_stopping (session_t *self);
void session_notify_fini (session_t *self);

#endif
