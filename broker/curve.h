/* curve.h - CURVE on the broker's socket: its key, and the handler that says who may connect (ZAP,
 * rfc.zeromq.org/spec/27).
 *
 * Rule 40 of proto/README.md. libzmq asks when a connection shakes hands, and then never again. So the handler only
 * keeps strangers out, and names each connection by its key (the User-Id of its messages): what a key may do is looked
 * up for every message, and one that is taken back ceases to count on a connection that is open.
 */
#ifndef GLEANER_CURVE_H
#define GLEANER_CURVE_H

#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

#include "proto/buf.h"
#include "proto/curve_keys.h"

typedef struct curve curve_t;

/* Reads the broker's keys from broker.key in `folder`; makes them when they are missing. False with one sentence. */
bool curve_keys_ensure (const char *folder, curve_keys_t *out, char *problem, size_t problem_size);

/* Takes over the handshakes of `router`: what it binds to from now on is CURVE's, what it has bound to before stays as
 * it is. NULL with one sentence in `problem`. */
curve_t *curve_new (void *router, const curve_keys_t *keys, char *problem, size_t problem_size);
void curve_destroy (curve_t **self_p);

/* The descriptor of the handshakes' socket (ZMQ_FD: edge-triggered). */
int curve_fd (const curve_t *self);

/* True when who has that key (hex) may connect. */
typedef bool curve_admit_fn (void *ctx, slice_t key);
/* Answers the handshakes that wait. True: there may be more. */
bool curve_turn (curve_t *self, int64_t now_ms, curve_admit_fn *admit, void *ctx);
/* How many connections have been refused. */
int64_t curve_refused (const curve_t *self);

/* The key (hex) of the connection that a message came by; absent: it came by another socket than CURVE's. */
slice_t curve_sender (zmq_msg_t *body);

#endif
