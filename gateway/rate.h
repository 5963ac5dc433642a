/* rate.h - how often one token, or one address, may ask: a bucket each, that fills again with time.
 *
 * The table is of one size. When it is full, the bucket that was used least lately gives way: whoever had it begins
 * with a full one.
 */
#ifndef GATEWAY_RATE_H
#define GATEWAY_RATE_H

#include "proto/buf.h"

typedef struct rate rate_t;

/* `per_s` requests a second, `burst` of them at once; 0 a second: as many as may come. The caller destroys it. */
rate_t *rate_new (int64_t per_s, int64_t burst);
void rate_destroy (rate_t **self_p);
/* Other limits from now on; what is left in a bucket stays, up to the new burst. */
void rate_set (rate_t *self, int64_t per_s, int64_t burst);
/* True when whoever `key` stands for may ask once more; that is counted. */
bool rate_take (rate_t *self, slice_t key, int64_t now_ms);
/* Likewise, and nothing is counted. */
bool rate_left (rate_t *self, slice_t key, int64_t now_ms);

#endif
