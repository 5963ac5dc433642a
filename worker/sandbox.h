/* sandbox.h - what keeps a job to itself: a row of operations a kind (sandbox_bwrap.c, sandbox_none.c,
 * sandbox_engine.c: docker and podman, for jobs that name an image).
 *
 * A keeper (keeper.c) runs a job's commands in any case. `bwrap` starts that keeper inside, as the first process of the
 * job's own namespaces; `none` starts it as it is; an engine has it run each command in a container. */
#ifndef GLEANER_WORKER_SANDBOX_H
#define GLEANER_WORKER_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/argv.h"
#include "worker/folders.h"
#include "worker/limits.h"

/* Where a job finds its folder in a sandbox. */
#define SANDBOX_FOLDER "/job"

enum { SANDBOX_PROBLEM_SIZE = 1024 };

typedef struct {
    const char *keeper;   /* path of gleaner-keeper */
    const char *work_dir; /* the worker's own folder; absolute */
    const char *expose;   /* folders of this machine that jobs may read, too; separated by commas; NULL: none */
    int64_t tmp_max;      /* bytes of a job's /tmp, and of its /dev/shm */
    bool network;         /* false: no job has one */
} sandbox_config_t;

/* What a job asks for. */
typedef struct {
    const char *folder; /* its own; absolute */
    bool network_none;
    const char *image;      /* engines: of the container */
    const char *name;       /* engines: of the container; no other runs under it */
    const char *env_file;   /* engines: the commands' environment */
    const limits_t *limits; /* engines: the container's; NULL: none */
} sandbox_job_t;

typedef struct sandbox sandbox_t;

typedef struct {
    const char *name;   /* the worker's label says it */
    bool one_job;       /* a keeper serves one job, and what it started ends with it, by the kernel */
    bool cuts_network;  /* it can run a job without a network */
    const char *folder; /* where the job finds its folder; NULL: at its own path */
    /* Finds out whether it works here, by running it, and keeps what it needs. False and one sentence in `problem`
     * (SANDBOX_PROBLEM_SIZE). May wait some seconds. */
    bool (*open) (sandbox_t *self, char *problem);
    /* The vector whose program becomes the job's keeper; absolute path first. */
    void (*keeper) (sandbox_t *self, const sandbox_job_t *job, argv_t *argv);
    /* The vector that runs one of its commands; NULL: the keeper does it by /bin/sh. */
    void (*command) (const sandbox_t *self, const sandbox_job_t *job, const char *line, argv_t *argv);
} sandbox_ops_t;

struct sandbox {
    const sandbox_ops_t *ops;
    sandbox_config_t config; /* its parts outlive this */
    char program[FOLDER_PATH_MAX];
    argv_t begin;        /* bwrap: what is the same for all jobs */
    bool nested_refused; /* bwrap: whether it refuses further user namespaces by itself */
    int64_t look_ms;     /* bwrap: when the system is looked at again; 0: it was not yet */
    int filter_fd;       /* bwrap: the system calls that are refused; -1: none */
};

extern const sandbox_ops_t sandbox_bwrap_ops;
extern const sandbox_ops_t sandbox_none_ops;
extern const sandbox_ops_t sandbox_docker_ops;
extern const sandbox_ops_t sandbox_podman_ops;

/* Opens one kind. False and one sentence in `problem` when it does not work on this machine. */
bool sandbox_open (sandbox_t *self, const sandbox_ops_t *ops, const sandbox_config_t *config, char *problem);
void sandbox_close (sandbox_t *self);

/* The path of a program in this process's PATH, or in the usual folders. False when there is none. */
bool sandbox_find_program (const char *name, char path[FOLDER_PATH_MAX]);
/* Runs a vector to its end, `within_ms` at most, in an environment (NULL: an empty one); a file `passed` (0: none) is
 * CHILD_PASSED_FD there. True when its exit status is 0; else one sentence with what it has printed to stderr last in
 * `why`. */
bool sandbox_try (const argv_t *argv, const argv_t *env, int passed, int within_ms, char why[SANDBOX_PROBLEM_SIZE]);
/* The folder as the job sees it. */
const char *sandbox_folder (const sandbox_t *self, const char *folder);

/* sandbox_engine.c: appends what the engine's client needs of this program's environment. */
void sandbox_engine_env (argv_t *env);

/* sandbox_seccomp.c: a descriptor with the system calls that are refused in a sandbox, as a BPF program in memory; the
 * caller closes it. -1 and errno when it cannot be made. */
int sandbox_filter_open (void);

/* sandbox_private.c: bwrap's arguments that hide a file or a folder. */
void sandbox_hide_file (argv_t *argv, const char *path);
void sandbox_hide_folder (argv_t *argv, const char *path);
/* Those that hide, at and below `root`, what other users of this machine cannot read, sockets and pipes. False when
 * there is too much to look at, or to hide. */
bool sandbox_private_find (const char *root, argv_t *argv);

#endif
