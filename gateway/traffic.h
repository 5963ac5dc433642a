/* traffic.h - what this gateway counts of its requests: each is an addition, and the tables have a place for each
 * route, method and status, whatever clients ask for.
 */
#ifndef GATEWAY_TRAFFIC_H
#define GATEWAY_TRAFFIC_H

#include "gateway/http.h"
#include "proto/metrics.h"

typedef struct traffic traffic_t;

traffic_t *traffic_new (void);
void traffic_destroy (traffic_t **self_p);

/* The first line of a request has come; it is over. */
void traffic_begun (traffic_t *self, request_t *request);
void traffic_done (traffic_t *self, const request_t *request);
/* Bytes have passed on a connection. */
void traffic_bytes (traffic_t *self, uint64_t received, uint64_t sent);
/* A file was asked for. `hit`: it was in the cache. */
void traffic_cache (traffic_t *self, bool hit);

/* Writes all that was counted. */
void traffic_write (const traffic_t *self, const metrics_writer_t *writer);

#endif
