/* job_internal.h - what the files of a job share: job.c (life, lease), job_fetch.c (download), job_run.c (extraction,
 * commands), job_limits.c, job_cgroup.c (what they may use, and have used), job_env.c (they and their environment, for
 * the keeper), job_artifacts.c, job_journal.c, job_report.c (output and result), job_spool.c (the result on the disk).
 */
#ifndef GLEANER_WORKER_JOB_INTERNAL_H
#define GLEANER_WORKER_JOB_INTERNAL_H

#include <nettle/sha2.h>

#include "worker/backoff.h"
#include "worker/child.h"
#include "worker/folders.h"
#include "worker/job.h"
#include "worker/journal.h"
#include "worker/mask.h"
#include "worker/output.h"
#include "worker/watch.h"

typedef enum {
    STATE_FETCH,
    STATE_EXTRACT,
    STATE_RUN,
    STATE_STRAYS,
    STATE_COLLECT,
    STATE_FLUSH,
    STATE_REPORT,
    STATE_RETURN,
    STATE_DONE,
} job_state_t;

enum { TEXT_MAX = 1024 };

/* How a keeper's commands ended; its last line. */
typedef struct {
    int exit_code;     /* 128 + N for signal N */
    int signal_number; /* 0: none */
    int start_errno;   /* of a shell that could not be started; 0: none */
    int left;          /* not 0: processes that did not die of KILL */
    int rests;         /* not 0: it can serve another job */
} keeper_report_t;

/* What became of a job's artifacts. `sha256` is empty when there are none; `note` says what is missing. */
typedef struct {
    char sha256[65];
    int64_t bytes;
    int64_t count;
    char note[1024];
} artifacts_t;

struct job_artifacts; /* job_limits.c */
/* What it asks for and what this worker gives. */
void job_limits_init (job_t *self, const msg_job_poll_ok_t *given);
/* The commands are about to be run. */
void job_limits_tell (job_t *self);
/* The limits that its keeper is to keep, as keeper_input.c reads them. */
void job_limits_text (const job_t *self, char text[LIMITS_TEXT_MAX]);
/* Takes what the keeper says of usage and limits. False: that line is of something else. */
bool job_limits_hear (job_t *self, const char *line);
/* The job uses too much of something. */
void job_limits_note_over (job_t *self, over_t what, int64_t used);
/* True when it was too much: then the job has failed, and why is said. */
bool job_limits_over (job_t *self);

/* job_artifacts.c */

struct job {
    const job_host_t *host;
    lease_t lease;
    int slot;
    job_state_t state;
    char *command;
    char *file_url;
    char *delta_url;   /* laid over that; NULL: none */
    char *env;         /* as lines; NULL: none */
    char *traceparent; /* NULL: it belongs to no trace */
    buf_t secrets;     /* as rows; wiped at the end */
    mask_t *mask;      /* of these; NULL: none */
    bool secrets_lost;
    bool goes_on; /* after a command that failed */
    bool network_none;
    char *image;        /* its commands run in a container of it; NULL: as usual */
    sandbox_t *sandbox; /* what runs it; NULL: nothing here can */
    int64_t timeout_ms;
    int64_t output_max; /* bytes kept of each stream */
    char *folder;
    char *spool;

    /* the lease */
    int64_t renew_sent_ms;
    call_id_t renew_call;
    loop_timer_t renew_timer;
    loop_timer_t lease_timer;
    backoff_t renew_backoff;
    bool asleep;

    /* download */
    call_id_t fetch;
    int archive_fd;
    struct sha256_ctx hash;
    int tries;
    bool in_delta;      /* the base is there, and it is the delta's turn */
    bool kept;          /* the base is one that was kept; */
    bool sure;          /* its bytes were held against its hash in this run; */
    bool anew;          /* the kept one was not what it should be: download it */
    bool spared;        /* its folder came unpacked: the delta goes over it */
    bool afresh;        /* and was no good: it is unpacked after all */
    int64_t extract_ms; /* when that was begun */
    loop_timer_t retry_timer;
    backoff_t backoff;

    /* processes */
    child_t child;
    bool in_command; /* one of the keeper's commands runs */
    bool begun;      /* the first one was */
    bool kept_again; /* by a second keeper: the first had died before that */
    bool reported;   /* by the keeper, that all is over */
    keeper_report_t report_of_keeper;
    buf_t refusal; /* what the extractor says */
    loop_timer_t timeout_timer;
    loop_timer_t kill_timer;
    bool stopping;
    job_stop_t why;
    child_t container; /* removes what a container of the job leaves; its pid is 0 when there is none */
    loop_fn *container_then;
    bool told;      /* the keeper has, of the end that waits for that */
    int disk_error; /* errno of what could not be written */
    int64_t strays_until_ms;

    /* outcome */
    output_t out[STREAM_COUNT];
    char sha256[STREAM_COUNT][SHA256_HEX + 1]; /* as last told */
    bool failed;                               /* job-fail instead of job-result */
    int exit_code;
    int signal_number;
    char reason[32];
    char text[TEXT_MAX];
    call_id_t report;
    bool spooled;
    bool unproven;       /* the broker does not get our output right: none is claimed */
    int mismatches;      /* results refused because its output was not ours */
    int artifact_losses; /* results refused because it did not have the artifacts */

    /* the journal */
    int64_t begun_ms; /* what its times count from */
    journal_t journal;
    loop_timer_t journal_timer;
    int64_t journal_lazy_ms; /* when what it holds is to be sent; -1: it holds nothing */
    bool journal_closed;     /* nothing comes any more */
    bool journal_unproven;   /* the broker does not get it right, or not at all: none is claimed */

    char *artifacts; /* patterns as lines; NULL: none */
    artifacts_t collected;
    limits_t limits;
    cgroup_job_t group; /* of its commands, where there are such */
    over_t over;
    int64_t over_used;
    msg_usage_t usage; /* `bytes_out` is told when it is sent */
    struct job_artifacts *collecting;
};

/* job.c */
void job_done (job_t *self);
/* Says that the job ends with job-fail, and why, in one sentence; nothing is sent yet. */
void job_failed (job_t *self, const char *reason, const char *format, ...) __attribute__ ((format (printf, 3, 4)));
/* Ends the job with job-fail. */
void job_fail (job_t *self, const char *reason, const char *format, ...) __attribute__ ((format (printf, 3, 4)));
/* Ends the job with job-fail because of `error`, an errno: disk-full, or worker-error. `what` begins the sentence. */
void job_fail_errno (job_t *self, int error, const char *what);
/* What was to end before the job stops has ended. */
void job_stopped (job_t *self);

/* job_fetch.c */
/* Downloads the project, unless it is kept, and its delta; then job_extract. */
void job_fetch (job_t *self);
/* The same once more, for what was kept of it was damaged. */
void job_fetch_anew (job_t *self);
void job_fetch_fini (job_t *self);
/* Makes the job's folder an empty one again. False: the job has failed. */
bool job_folder_anew (job_t *self);
/* Its folder, which is empty, becomes what its project is unpacked over or into: the spare, when there is one; else,
 * for a large archive, a folder apart. */
void job_prepare_folder (job_t *self);
/* That was no good, or the delta is not: what is the matter shows when all is unpacked in an empty folder. */
void job_extract_afresh (job_t *self);
/* Where the archive, or its delta, is put. */
void job_archive_path (const job_t *self, bool delta, char path[FOLDER_PATH_MAX + 320]);

/* job_env.c */
/* What the keeper reads (keeper.c): the job's commands and their environment, in memory; no command line shows them.
 * Returns 0 and a descriptor, which the caller closes, or an errno. */
int job_input_open (const job_t *self, int *fd);

/* job_cgroup.c: all of it does nothing where there are no control groups. */
/* Makes the group that the commands go into. Returns 0 or an errno. */
int job_group_begin (job_t *self);
/* True when the job was over a limit; then it is being ended. */
bool job_group_stops (job_t *self);
/* KILL to all in it. */
void job_group_kill (job_t *self);
/* The commands are over: takes up what they have used, and whether it was too much; the group is gone then. */
void job_group_end (job_t *self);

/* job_container.c: of a job with an image. */
/* Starts what removes its container when the job is over, or this program is. Returns 0 or an errno. */
int job_container_begin (job_t *self);
/* Has it removed; `then` is called when it is, or after 10 s. False when there is nothing to wait for. */
bool job_container_end (job_t *self, loop_fn *then);
void job_container_fini (job_t *self);
/* Appends the job's commands, each as one that runs it in the container, and the environment of the engine's client.
 * `env` is the job's own, as lines. Returns 0 or an errno. */
int job_container_input (const job_t *self, slice_t env, buf_t *input);

/* job_run.c */
void job_extract (job_t *self);
/* Runs the job when the worker has its project in memory; else false. */
bool job_reuse (job_t *self);
void job_run_stop_processes (job_t *self);
/* As that, without any grace; its keeper reports then. */
void job_run_kill_processes (job_t *self);
void job_run_fini (job_t *self);

/* job_artifacts.c */
/* Packs and sends what `artifacts` takes; job_artifacts_done is called once, not from inside. Never fails the job. */
void job_artifacts_begin (job_t *self);
/* Stops it, when it is under way. */
void job_artifacts_fini (job_t *self);

/* job_journal.c */
void job_journal_init (job_t *self);
void job_journal_fini (job_t *self);
/* As those of journal.h, now. */
void job_journal_phase (job_t *self, const char *phase);
void job_journal_begin (job_t *self, int64_t number);
void job_journal_end (job_t *self, int64_t number, int exit_code, int signal_number);
void job_journal_limits (job_t *self, const char *text);
void job_journal_use (job_t *self, int64_t cpu_ms, int64_t rss_bytes, int64_t processes);
void job_journal_printed (void *ctx, stream_t stream, const char *bytes, size_t len); /* output_events_t.kept */
/* What follows is the sending, which is its last entry. */
void job_journal_close (job_t *self);
/* The job goes on without one. */
void job_journal_give_up (job_t *self, const char *why);

/* job_report.c */
void job_outputs_init (job_t *self);
/* The commands have ended: artifacts, when they are wanted; then job_flush. */
void job_collect (job_t *self);
/* Called by job_artifacts.c. */
void job_artifacts_done (job_t *self, const artifacts_t *result);
/* Sends what is left of the output; then job_report. */
void job_flush (job_t *self);
/* Sends the result, or the failure, until the broker has answered; the job is done then. */
void job_report (job_t *self);

/* job_spool.c */
/* What goes inside the result, whole: one trip less. The output when nothing of it was sent yet; a short journal. */
bool job_goes_inline (const job_t *self, stream_t stream);
/* The message that tells how the job ended; it borrows from the job. `inlined` takes the bytes of streams that are part
 * of it; the caller frees them. */
void job_result_fill (job_t *self, message_t *message, buf_t inlined[STREAM_COUNT]);
/* Keeps that message on the disk: no outage, and no end of this program, loses it. */
void job_result_keep (job_t *self, const message_t *message);
/* Reads what was kept; it borrows from `decoder` and `frame`. False when there is nothing that can be read. */
bool job_result_read (const char *spool, decoder_t *decoder, buf_t *frame, message_t *message);
/* Takes up what that message says, and the files of the output. Where these are not what it says, the job has failed.
 */
void job_result_take (job_t *self, const message_t *message);

#endif
