/* child.h - starts a process as data says: command, folder, environment; its own process group; its two streams on
 * pipes, or a socket to talk over.
 */
#ifndef GLEANER_WORKER_CHILD_H
#define GLEANER_WORKER_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/error.h"

typedef struct {
    const char *program;        /* absolute path */
    const char *const *argv;    /* NULL-terminated */
    const char *const *env;     /* NULL-terminated: the whole environment */
    const char *folder;         /* its current directory */
    bool talks;                 /* has `talk`, and nothing to print to */
    bool outlives;              /* is not killed when we die: the end of `talk` tells it */
    bool contains;              /* what it starts ends with it, by the kernel */
    bool complains;             /* with `talks`: its stderr is ours */
    int passed;                 /* a file that it reads as CHILD_PASSED_FD; 0: none */
    struct fork_server *server; /* of the program, which is asked first; NULL: none */
} child_spec_t;

enum {
    CHILD_TALK_FD = 3,   /* the other end of `talk` in the child */
    CHILD_PASSED_FD = 4, /* what is `passed` */
    CHILD_LINE_MAX = 96, /* of what it says there, with its end */
};

typedef struct {
    pid_t pid;  /* also its process group; 0: none */
    int pidfd;  /* readable when it has ended */
    int out[2]; /* what it prints: stdout, stderr; non-blocking; -1 when closed */
    int talk;   /* SOCK_SEQPACKET, non-blocking; else -1. While this is open, we live and want it to go on */
    bool contains;
    bool heard_all;
    size_t heard_len;
    char heard[CHILD_LINE_MAX * 8]; /* of what it said, not yet taken */
} child_t;

#define CHILD_PASSED_STRING "4"
#define CHILD_NONE          ((child_t){ .pidfd = -1, .out = { -1, -1 }, .talk = -1 })

/* Starts it with default signals, no core files, umask 077, /dev/null to read, every other descriptor closed, and
 * killed when this program dies. Returns 0 or an errno; then nothing was started. */
int child_start (const child_spec_t *spec, child_t *out);
/* Two pipes for what a child prints: the reading ends into `ours`, non-blocking, the others into `theirs`. Returns 0 or
 * an errno; the caller closes what is not -1. */
int child_pipes (int ours[2], int theirs[2]);
/* Sends a signal to the whole process group (kill(2)). */
void child_signal (const child_t *self, int number);
/* KILL at once: to its group, which is all when it contains what it started; one that outlives us is told to do so to
 * all that it started, and ends then. */
void child_kill (child_t *self);
/* The next line that it has said, without its end. False when there is none now; with `heard_all` set, none will come:
 * `talk` is not to be watched any more. */
bool child_hear (child_t *self, char line[CHILD_LINE_MAX]);
/* Reaps an ended child, which is not known any more: its exit code, or 128 + number with `*signal_number` set. Kills
 * what is left of its group. */
int child_reap (child_t *self, int *signal_number);
/* Closes what is still open. */
void child_close (child_t *self);
/* True for a child that was started here and is not yet reaped, or that child_know was told of; false for an orphan
 * that came to this program. */
bool child_is_known (pid_t pid);
void child_know (pid_t pid);

#endif
