/* options.h - the worker's options. */
#ifndef GLEANER_WORKER_OPTIONS_H
#define GLEANER_WORKER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"
#include "proto/options.h"
#include "worker/archive_limits.h"
#include "worker/limits.h"
#include "worker/sandbox.h"

typedef struct {
    const char *server;
    const char *ca; /* NULL: the system's */
    const char *broker;
    const char *join; /* NULL: none */
    const char *id;
    const char *hostname;
    const char *work_dir;
    const char *token_file;
    const char *label;
    int64_t slots;
    int64_t poll_wait_ms;
    int64_t max_memory;
    const char *max_cpus;
    int64_t max_disk;
    int64_t max_pids;
    archive_limits_t archive;
    int64_t cache_max;
    bool once;
    bool check;
    bool unsafe_no_sandbox;
    const char *network;
    int64_t tmp_max;
    const char *expose;
    const char *engine;
    const char *cgroup;
    int64_t stop_wait_ms;
    const char *log_level, *log_format;
} worker_options_t;

extern const option_table_t worker_option_table;

/* As options_parse and options_fini; also checks the labels, and that just one of --server and --broker is given. */
int worker_options_parse (int argc, char **argv, worker_options_t *options);
void worker_options_fini (worker_options_t *options);
/* Appends the worker's labels as lines (proto/lines.h): --label, `os` and `arch` of this machine unless they are given,
 * those of its sandbox and its engine, when there are such to tell of, and `limits`: cgroup when jobs are `grouped` by
 * control groups, else watch. False and one sentence in `problem` when
 * they cannot be used.
 */
bool worker_options_labels (const worker_options_t *options, const sandbox_t *sandbox, const sandbox_t *engine,
                            bool grouped, buf_t *lines, char *problem, size_t problem_size);
/* What a job gets at most. False and one sentence in `problem` when --max-cpus is no number of processors. */
bool worker_options_limits (const worker_options_t *options, limits_t *limits, char *problem, size_t problem_size);

#endif
