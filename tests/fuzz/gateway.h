/* gateway.h - the whole gateway in the process, without sockets of the network and without a broker: a client's bytes
 * go through libmicrohttpd to the handlers, and their calls are answered by a stub. */
#ifndef GLEANER_TESTS_FUZZ_GATEWAY_H
#define GLEANER_TESTS_FUZZ_GATEWAY_H

#include <stdbool.h>

#include "proto/buf.h"

typedef struct {
    int fd;
    bool answered; /* something came back */
} fuzz_client_t;

/* Once. */
void fuzz_gateway_start (void);
void fuzz_gateway_open (fuzz_client_t *self);
/* Sends bytes, and lets the gateway do what it can. */
void fuzz_gateway_send (fuzz_client_t *self, slice_t bytes);
/* The client goes away. CHECKs that the gateway then holds nothing of it any more. */
void fuzz_gateway_close (fuzz_client_t *self);

#endif
