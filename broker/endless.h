/* endless.h - connections that send a message without an end. libzmq keeps a message's frames until the last has come,
 * and has a limit for one frame only, so that a peer could fill all memory with frames of nothing. */
#ifndef BROKER_ENDLESS_H
#define BROKER_ENDLESS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct endless endless_t;

endless_t *endless_new (void);
void endless_destroy (endless_t **self_p);

/* While true, endless_spoke is to be told of every message that has come to its end. */
bool endless_watches (const endless_t *self);
/* `fd`: libzmq's descriptor that it came by (ZMQ_SRCFD). */
void endless_spoke (endless_t *self, int fd);

/* Looks whether memory grows, and if so ends the connections that are to blame. `drained`: all messages that libzmq had
 * were taken just now. Returns how many were ended. */
int endless_turn (endless_t *self, int64_t now_ms, bool drained);
/* When it wants to be called next, monotonic ms. */
int64_t endless_deadline (const endless_t *self);

#endif
