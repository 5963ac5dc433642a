/* job.h - one job on this machine, from its lease to its accepted result.
 *
 *   FETCH --> EXTRACT --> RUN (each command) --> FLUSH (output) --> REPORT --> DONE
 *     |          |          |                       ^
 *     +----------+----------+-- failed, timed out --+      told to stop, lease lost: DONE without a report
 */
#ifndef GLEANER_WORKER_JOB_H
#define GLEANER_WORKER_JOB_H

#include "worker/lease.h"
#include "worker/loop.h"
#include "worker/transport.h"

typedef struct job job_t;

typedef struct {
    loop_t *loop;
    transport_t *transport;
    const char *worker_id;
    const char *work_dir;
    const char *extractor;                /* path of gleaner-extract */
    void (*done) (void *ctx, job_t *job); /* the owner destroys it */
    void *ctx;
} job_host_t;

typedef enum {
    STOP_CANCELLED,  /* the broker says so: nothing to report */
    STOP_LEASE_LOST, /* another attempt may run: nothing to report */
    STOP_WORKER,     /* this worker ends: the lease goes back */
    STOP_TIMEOUT,    /* reported as failed */
} job_stop_t;

/* Starts the job that a job-poll-ok carries, in `slot`. The host outlives it. The caller destroys it when done. */
job_t *job_start (const job_host_t *host, const msg_job_poll_ok_t *given, int slot);
/* Takes up the unsent result in a spool folder of an earlier run; NULL when there is none that can be read. */
job_t *job_resume (const job_host_t *host, const char *spool);
void job_destroy (job_t **self_p);

/* Ends its processes (TERM to the group, KILL after 5 s) and then itself. */
void job_stop (job_t *self, job_stop_t why);
/* KILL at once. */
void job_kill (job_t *self);

const lease_t *job_lease (const job_t *self);
/* The slot; -1 for a resumed one. */
int job_slot (const job_t *self);
/* True when only its result is still to be sent, and that is on disk. */
bool job_is_spooled (const job_t *self);

#endif
