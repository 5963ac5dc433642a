/* health.h - what a probe asks: whether this gateway lives, and whether its broker answers.
 *
 * Probes show no token and are not counted by --rate: a crowd behind their address must not make them fail. So what
 * they cost is bounded here: the broker is asked once in READY_MS at most, whoever asks how often.
 */
#ifndef GATEWAY_HEALTH_H
#define GATEWAY_HEALTH_H

#include "gateway/http.h"

enum {
    READY_MS = 500,       /* an answer of the broker counts for so long */
    READY_WAIT_MS = 1000, /* the broker's patience */
    READY_WAITING = 64,   /* probes that wait for the broker; one more is told what was known last */
};

/* Zero-initialised is valid: nothing is known, and that is not ready. */
typedef struct {
    int64_t until_ms; /* what is known counts until then, monotonic */
    bool ready;       /* the broker has answered */
    bool asking;
    request_t *waiting[READY_WAITING];
    size_t count;
} ready_t;

#endif
