/* session.h - the worker at its server: registered, heard of, a parked request for a job in each free slot. */
#ifndef GLEANER_WORKER_SESSION_H
#define GLEANER_WORKER_SESSION_H

#include "worker/cgroup.h"
#include "worker/loop.h"
#include "worker/options.h"
#include "worker/sandbox.h"
#include "worker/sweeper.h"
#include "worker/transport.h"

typedef struct session session_t;

typedef struct {
    const worker_options_t *options;
    loop_t *loop;
    transport_t *transport;
    const char *worker_id;
    const char *token; /* NULL: none */
    const char *hostname;
    const char *work_dir;
    sweeper_t *sweeper;    /* of that */
    const char *extractor; /* path of gleaner-extract */
    const char *collector; /* path of gleaner-collect */
    sandbox_t *sandbox;
    sandbox_t *engine; /* of jobs with an image; NULL: none */
    cgroup_t *cgroup;  /* NULL: none */
} session_config_t;

/* Registers as soon as the loop runs. The config's parts outlive it. The caller destroys it. */
session_t *session_new (const session_config_t *config);
void session_destroy (session_t **self_p);
/* First call: no more jobs, running ones end, goodbye, then loop_stop. Second: running ones are stopped first. */
void session_stop (session_t *self);
/* The machine goes to sleep, or is awake again, as somebody says; by itself the session hears it from sleep.h. */
void session_sleep (session_t *self);
void session_wake (session_t *self);
/* The options have changed: those that are live count from now on, for jobs that begin. */
void session_reload (session_t *self);
/* 0; 1 when the server refused the worker. */
int session_status (const session_t *self);

#endif
