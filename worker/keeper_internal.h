/* keeper_internal.h - what the files of gleaner-keeper share: keeper.c (one job after another), keeper_input.c (what it
 * is given), keeper_run.c (a job's phases), keeper_command.c (its commands), keeper_say.c (what the worker is told). */
#ifndef GLEANER_WORKER_KEEPER_INTERNAL_H
#define GLEANER_WORKER_KEEPER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "worker/own_limits.h"
#include "worker/watch.h"

typedef enum { PHASE_RUN, PHASE_ASK, PHASE_KILL } phase_t;

typedef struct {
    phase_t phase;
    int64_t until_ms; /* ASK, KILL: their end */
    bool stopped;
    bool more;     /* children may be waiting to be reaped */
    bool deserted; /* the worker is gone, or wants the end */
    int signal_fd;
    bool goes_on; /* after a command that failed */
    char *next;   /* in the commands */
    char *line;   /* the command to be run now; NULL: none */
    char **env;
    pid_t command;     /* 0: none runs */
    int64_t number;    /* of the command that was begun last */
    int64_t ends_told; /* ends of commands of which the worker knows */
    int64_t ends_seen; /* and for which it said: go on */
    int64_t go_on_ms;  /* when that is not waited for any more */
    int64_t began_ms;
    int64_t use_ms;        /* when usage is to be told next */
    int64_t cpu_ms;        /* what was told of it: it never decreases */
    int64_t cpu_before_ms; /* of earlier jobs */
    const own_limits_t *own;
    int group; /* where its commands go, as cgroup_job_t has it; -1: nowhere */
    watch_t watch;
    bool over_told;
    size_t said_len;
    char said[512]; /* lines that are yet to be written */
    int exit_code;
    int signal_number;
    int start_errno;
    bool left; /* something that does not die of KILL */
    bool contained;
} keeper_t;

/* keeper_input.c */
/* Reads the job's limits, commands and environment from `fd`, and keeps them until they are wiped. Returns 0 or an
 * errno. */
int keeper_take_input (keeper_t *self, int fd);
void keeper_wipe_input (void);

/* keeper_run.c */
/* Runs the commands; nothing of them is left then, or `left` is set. */
void keeper_run (keeper_t *self);
/* Takes the signals that have come. True when one of them asks for the end. */
bool keeper_take_signals (const keeper_t *self);

/* keeper_command.c */
/* The next line that is not blank; NULL when there is none. */
char *keeper_take_line (keeper_t *self);
/* Starts one as `command`. Returns 0 or an errno. */
int keeper_start (keeper_t *self, char *line);
/* `command` has ended, with this status of wait(2): the worker is told, and `line` is what comes next. */
void keeper_command_ended (keeper_t *self, int status);

/* keeper_say.c */
/* Adds a line to what the worker is to be told. */
void keeper_say (keeper_t *self, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
/* Sends what was said. False when it did not go. */
bool keeper_send (keeper_t *self, int flags);
/* CPU time of all that this program has reaped. */
int64_t keeper_reaped_ms (void);
/* With `any_left`, what runs now is looked at, too. */
void keeper_say_usage (keeper_t *self, bool any_left);
void keeper_say_usage_in_time (keeper_t *self);
/* Once. */
void keeper_say_if_over (keeper_t *self);

#endif
