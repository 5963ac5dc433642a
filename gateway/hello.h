/* hello.h - tells the broker, now and then, that this gateway is there. */
#ifndef GATEWAY_HELLO_H
#define GATEWAY_HELLO_H

#include <stdint.h>

struct gateway;

/* Makes the gateway's id; the first hello is due at once. `listen`: where it serves, borrowed. */
void hello_init (struct gateway *gateway, const char *listen);
/* Says it when it is due, of so many HTTP connections. Nobody waits for the answer. */
void hello_turn (struct gateway *gateway, unsigned connections);
/* When it is due again, monotonic ms. */
int64_t hello_deadline (const struct gateway *gateway);

#endif
