/* range.h - the one kind of Range header that is served: bytes, one range (RFC 9110, section 14). */
#ifndef GATEWAY_RANGE_H
#define GATEWAY_RANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/buf.h"

typedef struct {
    int64_t from; /* -1: the last `to` bytes */
    int64_t to;   /* the last byte, included; INT64_MAX: to the end */
} range_t;

/* False when the header is absent or not one that is served: then the whole is answered. */
bool range_parse (slice_t header, range_t *out);
/* Sets the first byte and how many for a body of `length`. False when there are none: 416. */
bool range_resolve (const range_t *self, int64_t length, int64_t *from, int64_t *count);
/* The value of a Content-Range header. */
void range_format (int64_t from, int64_t count, int64_t length, char *out, size_t size);

#endif
