/* gateways.h - which gateways are there: those that have said so lately. Never stored: they say it again. */
#ifndef GLEANER_GATEWAYS_H
#define GLEANER_GATEWAYS_H

#include "proto/message.h"

enum { GATEWAY_FORGET_MS = 60 * 1000 }; /* they are heard of every 10 s */

typedef struct {
    char id[ID_MAX + 1];
    char listen[NAME_MAX_BYTES + 1];
    char version[NAME_MAX_BYTES + 1];
    int64_t uptime_ms, connections;
    int64_t seen_wall_ms;
    int64_t heard_ms; /* monotonic */
} gateway_seen_t;

/* Zero-initialised is empty. 45 KB. */
typedef struct {
    gateway_seen_t items[GATEWAYS_MAX];
    size_t count;
} gateways_t;

/* False when GATEWAYS_MAX others are there. */
bool gateways_heard (gateways_t *self, const msg_gateway_hello_t *in, int64_t now_ms, int64_t wall_ms);
/* Drops those that have been silent for GATEWAY_FORGET_MS. */
void gateways_forget (gateways_t *self, int64_t now_ms);

#endif
