/* door.h - who may come in: a request is turned away before its body is read.
 *
 * The broker decides, by `auth-check`; what it said of a token is remembered for a second, and it is asked again about
 * every message, since it alone knows whose a job is. While it asks nobody who they are, all of this is one comparison.
 */
#ifndef GATEWAY_DOOR_H
#define GATEWAY_DOOR_H

#include "gateway/http.h"

typedef struct door door_t;

typedef enum {
    ENTER_IN,
    ENTER_NO,   /* `door_err` says why */
    ENTER_WAIT, /* the request is parked until the broker has said; then `door_err` tells */
} enter_t;

/* `guarded`: while the broker asks nobody who they are, nobody comes in either. While it does ask, `rate` requests a
 * second come in by one token (or one subject of JWTs) and from one address, `burst` at once. The caller destroys it.
 */
door_t *door_new (bool guarded, int64_t rate, int64_t burst);
void door_destroy (door_t **self_p);
/* Other limits from now on. */
void door_set_rate (door_t *self, int64_t rate, int64_t burst);

/* The headers are there. Sets the request's `auth` and `peer` where it matters who it is. */
enter_t door_enter (request_t *request);
/* The broker has said whether it asks. */
void door_told (struct gateway *gateway, bool asks);
/* A message that came in has been refused for want of a token. */
void door_doubt (struct gateway *gateway);

#endif
