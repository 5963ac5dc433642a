/* fork_server.h - a program that is started once, and then forks itself for each use: what its libraries take to be
 * loaded is paid once.
 *
 * Each use gets a process of its own, which is a child of the worker and not of the fork server: it is waited for,
 * signalled and told from strays as if it had been started anew. When the fork server is not there, or does not
 * answer, the program is started anew, and the fork server too, with a pause that grows. */
#ifndef GLEANER_WORKER_FORK_SERVER_H
#define GLEANER_WORKER_FORK_SERVER_H

#include <stdint.h>

#include "worker/backoff.h"
#include "worker/child.h"

/* The only argument of a program that is to be one (fork_serve.h). */
#define FORK_SERVER_ARGUMENT "--fork-server"

typedef struct fork_server {
    const char *program;
    child_t child;
    backoff_t backoff;
    int64_t again_ms; /* not started before */
} fork_server_t;

/* What a new process answers, before all else. */
typedef struct {
    pid_t pid; /* 0: none was made */
    int error; /* an errno; 0: it runs */
} fork_answer_t;

/* Starts it, for `program`, which outlives it. */
void fork_server_init (fork_server_t *self, const char *program);
/* Ends it. */
void fork_server_fini (fork_server_t *self);
/* Has it start what `spec` says, but for the environment, which is its own: as good as empty. The
 * child prints to `out`. Waits for
 * the answer, a second at most. Returns 0, or an errno: then nothing was started, and the caller does it in the plain
 * way. */
int fork_server_start (fork_server_t *self, const child_spec_t *spec, const int out[2], pid_t *pid);

#endif
