/* hygiene.h - what libmicrohttpd lets through and we do not. */
#ifndef GATEWAY_HYGIENE_H
#define GATEWAY_HYGIENE_H

#include <microhttpd.h>
#include <stdbool.h>

#include "proto/error.h"

/* Checks the raw request target: no control characters, and in its path no backslash, %00, and no dot, slash or
 * backslash in disguise. */
bool target_clean (const char *uri);

typedef struct {
    bool has_length;
    uint64_t length;
    bool chunked;
    bool expects; /* the client waits for 100 Continue */
} framing_t;

/* Reads the headers that say where the request ends. Returns 0, AMBIGUOUS_LENGTH, UNSUPPORTED_TE or BAD_HEADER; after
 * an error the connection cannot be trusted any more. */
err_t framing_read (struct MHD_Connection *connection, framing_t *out);

#endif
