/* clients.h - the connections, looked at now and then: what is too slow is ended, and when there are as many as may be,
 * those that ask for nothing make room.
 *
 * libmicrohttpd ends a connection that has been silent, and none that drips. Here a request's head must come within
 * --header-timeout, its body within --body-timeout and as much longer as --slowest allows for what has come, and its
 * answer must be taken likewise. Nothing of this costs a request anything: every connection is looked at some times in
 * the shortest of these times, and the kernel is asked then how many bytes have passed. So what is late is ended up to
 * half of that time later.
 */
#ifndef GATEWAY_CLIENTS_H
#define GATEWAY_CLIENTS_H

#include <microhttpd.h>
#include <stdint.h>

struct gateway;
struct request;

typedef struct clients clients_t;

/* `limit`: connections at once. */
clients_t *clients_new (struct gateway *gateway, unsigned limit);
void clients_destroy (clients_t **self_p);

/* libmicrohttpd's MHD_OPTION_NOTIFY_CONNECTION; its closure is the gateway. */
void clients_notify (void *gateway, struct MHD_Connection *connection, void **client_p,
                     enum MHD_ConnectionNotificationCode what);
/* The first line of a request has come; its head is whole; it is over. */
void clients_begun (struct request *request);
void clients_asked (struct request *request);
void clients_done (struct request *request);

/* Looks at those whose turn it is. */
void clients_turn (clients_t *self, int64_t now_ms);
/* When it wants to be called next, monotonic ms; INT64_MAX: there are none. */
int64_t clients_deadline (const clients_t *self);

#endif
