/* options.h - the worker's options. */
#ifndef GLEANER_WORKER_OPTIONS_H
#define GLEANER_WORKER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"

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
    bool once;
    const char *log_level;
} worker_options_t;

/* As options_parse and options_fini; also checks the labels, and that just one of --server and --broker is given. */
int worker_options_parse (int argc, char **argv, worker_options_t *options);
void worker_options_fini (worker_options_t *options);
/* Appends the worker's labels as lines (proto/lines.h): --label, and `os` and `arch` of this machine unless they are
 * given. False and one sentence in `problem` when they cannot be used. */
bool worker_options_labels (const worker_options_t *options, buf_t *lines, char *problem, size_t problem_size);

#endif
