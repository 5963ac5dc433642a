/* upload.h - the form that makes a job, and its way to the server. */
#ifndef GLEANER_CLI_UPLOAD_H
#define GLEANER_CLI_UPLOAD_H

#include "cli/client.h"
#include "cli/pack.h"
#include "cli/submit.h"

typedef struct {
    const submit_options_t *options;
    buf_t commands;
    json_t *fields; /* of texts: what the form says beside file and commands */
    char key[33];
    char *there;       /* path of what the server has: all of it, or the base of a delta; NULL: nothing */
    bool gone;         /* it has not, after all */
    const char *wrong; /* the field that could not be said */
} form_t;

/* Sends the form with the file of `pack`, if it has one; what breaks is tried again. The job's answer is the caller's
 * to free, in `job_p`; 0, or what to exit with after one sentence. With `gone` set nothing was said, and there is no
 * job. */
int upload_form (client_t *client, form_t *form, const pack_t *pack, json_t **job_p);

#endif
