/* submit.h - a project and commands become a job: the options of `run` and `submit`, and the upload. */
#ifndef GLEANER_CLI_SUBMIT_H
#define GLEANER_CLI_SUBMIT_H

#include <stddef.h>

#include "cli/client.h"

typedef struct {
    common_t common;
    const char *project; /* folder or ZIP */
    const char *on;      /* lines: K=V or a label's name that the worker must have */
    const char *artifact;
    const char *env;
    const char *secret;
    const char *label;
    const char *name;
    int64_t timeout_ms;
    int64_t attempts;
    int64_t priority;
    int64_t memory;
    const char *cpus;
    bool no_network;
    bool all;
    bool full;
    bool keep_going;
    bool raw; /* of `run` */
    const char *image;
    const char *key;
    options_rest_t commands;
} submit_options_t;

/* Packs and sends. The job's answer is the caller's to free, in `job_p`; 0, or what to exit with after one sentence:
 * then there is no job, or it is said that this is not known. */
int submit (client_t *client, const submit_options_t *options, json_t **job_p);

#endif
