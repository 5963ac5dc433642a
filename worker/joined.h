/* joined.h - what joining has left in the work folder: whom this worker is for, and what it shows there. Secrets all
 * (secret.h); the last join's counts.
 *
 *   WORK_DIR/broker.key         over ZeroMQ: curve_keys.h
 *   WORK_DIR/gateway.key        over HTTP: lines server=URL, token=TOKEN, and pinned=yes with
 *   WORK_DIR/gateway.pem        the certificate that alone is trusted there
 *   WORK_DIR/...joining         of a try that was cut off: the same code goes on from there
 */
#ifndef GLEANER_WORKER_JOINED_H
#define GLEANER_WORKER_JOINED_H

#include "proto/curve_keys.h"
#include "worker/options.h"

typedef struct {
    curve_keys_t keys; /* has_broker: of the one to work for */
    char *token;       /* for options->server; NULL: none */
} joined_t;

/* Joins by --join when it is given, and fills `options` with the server or the broker to work for, unless they say.
 * False with one sentence in `problem`: there is none. */
bool joined_find (worker_options_t *options, const char *work_dir, const char *worker_id, joined_t *out, char *problem,
                  size_t problem_size);
void joined_fini (joined_t *self);

#endif
