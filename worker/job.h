/* job.h - one job on this machine, from its lease to its accepted result.
 *
 *   FETCH --> EXTRACT --> RUN (a keeper) --> COLLECT (artifacts) --> FLUSH (output) --> REPORT --> DONE
 *     |  |       |  |        |                 ^  ^                     ^                  |
 *     |  |       |  |        +-- timed out ----+  +-- the broker does not have them -------+
 *     +--|-------+--|-- failed -----------------------------------------+
 *        +----------+-- the worker ends: RETURN (the lease) --> DONE
 *
 * A keeper that is killed: RUN --> STRAYS (what it kept is ended) --> FLUSH, as failed.
 *
 * Told to stop, or the lease lost: RETURN (what it has used, once a command has begun) --> DONE. */
#ifndef GLEANER_WORKER_JOB_H
#define GLEANER_WORKER_JOB_H

#include "worker/archive_limits.h"
#include "worker/archives.h"
#include "worker/cgroup.h"
#include "worker/fork_server.h"
#include "worker/keepers.h"
#include "worker/lease.h"
#include "worker/limits.h"
#include "worker/loop.h"
#include "worker/projects.h"
#include "worker/spare.h"
#include "worker/strays.h"
#include "worker/sweeper.h"
#include "worker/transport.h"

typedef struct job job_t;

typedef struct {
    loop_t *loop;
    strays_t *strays;
    keepers_t *keepers;
    fork_server_t *extractors; /* of gleaner-extract */
    projects_t *projects;
    archives_t *archives;
    spare_t *spare;
    sweeper_t *sweeper;
    transport_t *transport;
    const limits_t *limits; /* that this worker gives a job at most */
    cgroup_t *cgroup;       /* by which the kernel keeps them; NULL: they are watched */
    const char *worker_id;
    const char *work_dir;
    const char *extractor; /* path of gleaner-extract */
    const char *collector; /* path of gleaner-collect */
    sandbox_t *sandbox;
    sandbox_t *engine;                    /* of jobs with an image; NULL: none */
    const archive_limits_t *archive;      /* of what is extracted */
    void (*done) (void *ctx, job_t *job); /* the owner destroys it */
    void *ctx;
} job_host_t;

typedef enum {
    STOP_CANCELLED,  /* the broker says so: no result */
    STOP_LEASE_LOST, /* another attempt may run: no result */
    STOP_WORKER,     /* this worker ends: the lease goes back, at once when no command has begun */
    STOP_TIMEOUT,    /* reported as failed */
} job_stop_t;

/* Starts the job that a job-poll-ok carries, in `slot`. The host outlives it. The caller destroys it when done. */
job_t *job_start (const job_host_t *host, const msg_job_poll_ok_t *given, int slot);
/* The same lease once more, which this worker has taken up and lost: a broker that stood still does not know. The
 * attempt is not begun twice; it is reported as failed. */
job_t *job_decline (const job_host_t *host, const msg_job_poll_ok_t *given, int slot);
/* Takes up the unsent result in a spool folder of an earlier run; NULL when there is none that can be read. */
job_t *job_resume (const job_host_t *host, const char *spool);
void job_destroy (job_t **self_p);

/* Ends its processes (TERM to all that its commands started, KILL after 4 s) and then itself. */
void job_stop (job_t *self, job_stop_t why);
/* The worker is to end: as STOP_WORKER while no command has begun; otherwise the job goes on to its end. */
void job_leave (job_t *self);
/* KILL at once. */
void job_kill (job_t *self);

/* The machine goes to sleep: nothing is sent while its commands run. With `for_ms` > 0 the broker keeps the lease until
 * `sent_ms` + `for_ms` (clock_mono_ms); 0: it has not yet said so, and the lease ends when it would have. */
void job_asleep (job_t *self, int64_t sent_ms, int64_t for_ms);
/* It is awake again: the lease is renewed at once. */
void job_awake (job_t *self);

const lease_t *job_lease (const job_t *self);
/* The slot; -1 for a resumed one. */
int job_slot (const job_t *self);
/* True when only its result is still to be sent, and that is on disk. */
bool job_is_spooled (const job_t *self);

#endif
