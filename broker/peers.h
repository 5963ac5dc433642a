/* peers.h - native workers and the connections that they are heard of by: who closes his is lost at once (rule 18).
 *
 * A worker that a gateway speaks for has no connection of its own here, and is not known to this.
 */
#ifndef GLEANER_PEERS_H
#define GLEANER_PEERS_H

#include <zmq.h>

#include "proto/message.h"

/* The kernel gives a connection up that was silent for so long, seconds. */
enum { PEER_SILENCE_S = 15 };

typedef struct peers peers_t;

/* Watches the connections of a bound ROUTER socket, which outlives it. NULL, with errno, when that cannot be done. */
peers_t *peers_new (void *router);
void peers_destroy (peers_t **self_p);
/* A socket to poll: it is readable when peers_take has something to do. */
void *peers_monitor (const peers_t *self);

/* `message` has come, in the frame `body`. */
void peers_heard (peers_t *self, zmq_msg_t *body, const message_t *message, int64_t now_ms);

/* Called with each worker that closed its connection and has not come back. */
typedef void peers_gone_fn (void *ctx, slice_t worker_id);
/* When the monitor is readable or the deadline has come: after all messages that were taken in the turn. True: there is
 * more. */
bool peers_take (peers_t *self, int64_t now_ms, peers_gone_fn *fn, void *ctx);
/* When peers_take is to be called at the latest; INT64_MAX: no need. */
int64_t peers_deadline (const peers_t *self);

#endif
