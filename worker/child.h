/* child.h - starts a process as data says: command, folder, environment; its own process group; its two streams on
 * pipes.
 */
#ifndef GLEANER_WORKER_CHILD_H
#define GLEANER_WORKER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/error.h"

typedef struct {
    const char *program;     /* absolute path */
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* NULL-terminated: the whole environment */
    const char *folder;      /* its current directory */
} child_spec_t;

typedef struct {
    pid_t pid;  /* also its process group; 0: none */
    int pidfd;  /* readable when it has ended */
    int out[2]; /* what it prints: stdout, stderr; non-blocking; -1 when closed */
} child_t;

/* Starts it with stdin from /dev/null, default signals, no core files, umask 077, every other descriptor closed, and
 * killed when this program dies. Returns 0 or an errno; then nothing was started. */
int child_start (const child_spec_t *spec, child_t *out);
/* Sends a signal to the whole process group (kill(2)). */
void child_signal (const child_t *self, int number);
/* Reaps an ended child: its exit code, or 128 + number with `*signal_number` set. Kills what is left of its group. */
int child_reap (child_t *self, int *signal_number);
/* Closes what is still open. */
void child_close (child_t *self);

#endif
