/* jsonout.h - messages written straight as JSON text: the way of every answer, without a tree in between. */
#ifndef GATEWAY_JSONOUT_H
#define GATEWAY_JSONOUT_H

#include "proto/message.h"

/* A JSON string of valid UTF-8. */
void jsonout_text (buf_t *out, slice_t text);
/* A JSON string of any bytes: what is not UTF-8 becomes U+FFFD. */
void jsonout_bytes (buf_t *out, slice_t bytes);
/* The declared fields of a decoded or listless message as `"a":1,"b":null`, without braces; absent ones are null. */
void jsonout_fields (buf_t *out, const message_t *message);

#endif
