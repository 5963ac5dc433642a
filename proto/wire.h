/* wire.h - the shape of a msgpack frame, checked without allocating anything (the library trusts counts that a peer
 * names: an array of 2^26 items costs it 1.5 GiB before the first item is read). */
#ifndef GLEANER_WIRE_H
#define GLEANER_WIRE_H

#include "error.h"

/* Exactly one object, nested DEPTH_MAX deep at most, no count beyond the bytes that are there, no extension types.
 * Returns 0, BAD_MSGPACK, TOO_DEEP or TRAILING_BYTES. */
err_t wire_check (slice_t frame);

/* Length of the first object of a checked frame's rest. */
size_t wire_object_len (slice_t rest);

#endif
