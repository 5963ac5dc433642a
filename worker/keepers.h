/* keepers.h - the worker's keepers (keeper.c): one a running job. One whose job has ended well serves the next: a
 * program started anew, or forked, would cost a small job as much as its command. */
#ifndef GLEANER_WORKER_KEEPERS_H
#define GLEANER_WORKER_KEEPERS_H

#include "worker/child.h"
#include "worker/sandbox.h"

/* The first byte of what a keeper is told. */
enum {
    KEEPER_RUN = 'r',    /* then the job's folder; with it come stdout, stderr, the input and, maybe, its group */
    KEEPER_RUN_ON = 'c', /* the same; a command that fails does not end the job */
    KEEPER_GO_ON = '.',  /* what an ended command printed has been read */
    KEEPER_STOP = 's',   /* the job is to end: TERM, and later KILL */
    KEEPER_KILL = 'k',   /* KILL at once */
    KEEPER_RESTING_MAX = 64,
};

/* The first argument of one that is a sandbox's first process; after it come the folders that stay writable. */
#define KEEPER_CONTAINED "--contained"
/* Likewise; it only finds out whether that works. */
#define KEEPER_CHECK "--check"

typedef struct {
    sandbox_t *sandbox;
    sandbox_job_t wants;
    int input;    /* the commands, and their environment: see keeper.c */
    int group;    /* that the commands go into (cgroup_job_t, `procs`); -1: none */
    bool goes_on; /* after a command that failed */
} keeper_job_t;

/* Those that have no job; zeroed: none. */
typedef struct {
    child_t resting[KEEPER_RESTING_MAX];
    int count;
} keepers_t;

/* Has a keeper run a job: one that rests, or one that is started anew, as in a sandbox of one job. `out` is the job's
 * child from then on. Returns 0 or an errno. */
int keepers_run (keepers_t *self, const keeper_job_t *job, child_t *out);
/* Takes back one that has told the end of its job, with nothing left of it; what is in its pipes was read. */
void keepers_rest (keepers_t *self, child_t *keeper);
/* Ends them. */
void keepers_fini (keepers_t *self);

/* Sends one of the words above, without more. One that stands still does not hear it. */
void keeper_tell (const child_t *keeper, char word);

#endif
