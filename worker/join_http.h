/* join_http.h - joining over HTTP: a token of this worker's own becomes known at the gateway of a join code. */
#ifndef GLEANER_WORKER_JOIN_HTTP_H
#define GLEANER_WORKER_JOIN_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/message.h"

/* Joins by `code` (a JOIN_CODE with a `server`), and keeps what joined.h says in the work folder; takes some seconds at
 * most. Where the code has a fingerprint, the server must show that certificate, before it is shown the code. False
 * with one sentence in `problem`, which never holds the code. */
bool join_http (const message_t *code, const char *work_dir, const char *worker_id, char *problem, size_t problem_size);

#endif
