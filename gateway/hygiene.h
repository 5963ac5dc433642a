/* hygiene.h - what libmicrohttpd lets through and we do not. */
#ifndef GATEWAY_HYGIENE_H
#define GATEWAY_HYGIENE_H

#include <microhttpd.h>
#include <stdbool.h>

#include "proto/message.h"

/* Checks the raw request target: no spaces and control characters, and in its path no backslash, %00, and no dot, slash
 * or backslash in disguise. */
bool target_clean (const char *uri);

typedef struct {
    bool has_length;
    uint64_t length;
    bool chunked;
    bool expects; /* the client waits for 100 Continue */
    slice_t host; /* absent: HTTP/1.0 needs none */
} framing_t;

/* A request's first line, as libmicrohttpd hands it out: pointers to where it lies in the connection's memory. */
typedef struct {
    const char *method;
    const char *target; /* as it came, of `target_len` bytes */
    size_t target_len;
    const char *version;
} first_line_t;

/* Reads the headers that say for whom the request is and where it ends. Returns 0, or AMBIGUOUS_LENGTH, UNSUPPORTED_TE
 * or BAD_HEADER in `fault`; after an error the connection cannot be trusted any more. */
err_t framing_read (struct MHD_Connection *connection, const first_line_t *line, framing_t *out, fault_t *fault);

#endif
