/* listen.h - where the broker's socket listens: --listen, or a socket that the service manager passes. */
#ifndef GLEANER_BROKER_LISTEN_H
#define GLEANER_BROKER_LISTEN_H

#include "broker/broker.h"

enum { LISTEN_ENDPOINT_SIZE = 256 };

/* Whether `endpoint` is one, and may be listened on: in clear text (`curve` not given) what other machines can reach
 * needs --insecure. False and one sentence in `problem`. */
bool listen_check (const broker_options_t *options, const char *endpoint, char *problem, size_t problem_size);
/* True when no other machine can reach it. */
bool listen_is_loopback (const char *endpoint);
/* Listens on --listen; on `passed` instead (activate.h, consumed) unless that is -1. False and one sentence in
 * `problem`. */
bool listen_bind (void *router, const broker_options_t *options, int passed, char *problem, size_t problem_size);

#endif
