/* job_internal.h - what the files of a job share: job.c (life, lease), job_run.c (download, extraction, commands),
 * job_report.c (output and result). */
#ifndef GLEANER_WORKER_JOB_INTERNAL_H
#define GLEANER_WORKER_JOB_INTERNAL_H

#include <sodium.h>

#include "worker/backoff.h"
#include "worker/child.h"
#include "worker/folders.h"
#include "worker/job.h"
#include "worker/output.h"

typedef enum { STATE_FETCH, STATE_EXTRACT, STATE_RUN, STATE_FLUSH, STATE_REPORT, STATE_DONE } job_state_t;

enum { STREAMS = 2, TEXT_MAX = 1024 };

struct job {
    const job_host_t *host;
    lease_t lease;
    int slot;
    job_state_t state;
    char *command;
    char *next_command; /* in `command` */
    char *file_url;
    int64_t timeout_ms;
    char *folder;
    char *spool;

    /* the lease */
    int64_t renew_sent_ms;
    call_id_t renew_call;
    loop_timer_t renew_timer;
    loop_timer_t lease_timer;
    backoff_t renew_backoff;

    /* download */
    call_id_t fetch;
    int archive_fd;
    crypto_hash_sha256_state hash;
    int tries;
    loop_timer_t retry_timer;
    backoff_t backoff;

    /* processes */
    child_t child;
    buf_t refusal; /* what the extractor says */
    loop_timer_t timeout_timer;
    loop_timer_t kill_timer;
    bool stopping;
    job_stop_t why;
    int disk_error;

    /* outcome */
    output_t out[STREAMS];
    bool failed; /* job-fail instead of job-result */
    int exit_code;
    int signal_number;
    char reason[32];
    char text[TEXT_MAX];
    call_id_t report;
    bool spooled;
};

/* job.c */
void job_done (job_t *self);
/* Ends the job with job-fail. */
void job_fail (job_t *self, const char *reason, const char *format, ...) __attribute__ ((format (printf, 3, 4)));

/* job_run.c */
void job_fetch (job_t *self);
void job_run_stop_processes (job_t *self);
void job_run_fini (job_t *self);

/* job_report.c */
void job_outputs_init (job_t *self);
void job_flush (job_t *self);
void job_report (job_t *self);

#endif
