/* upload.h - POST /api/execute: a form whose file flows through to the broker as it comes.
 *
 *   RECEIVING --body's end--> FLUSHING --all pieces written--> COMMITTING --on disk--> CREATING --> answered
 *
 * Memory is one piece being filled and some in flight, 2 MiB of one upload and 8 MiB of all together; beyond that the
 * connection is suspended.
 */
#ifndef GATEWAY_UPLOAD_H
#define GATEWAY_UPLOAD_H

#include "gateway/http.h"

typedef struct upload upload_t;

enum { UPLOADS_MAX = 64 /* at once; one more is BUSY */ };

/* Begins the upload of `request`, whose body is `length` bytes (0: not told), or refuses it. */
void upload_begin (request_t *request, uint64_t length);
/* The next bytes of the body. May park or refuse the request. */
void upload_take (upload_t *self, const char *data, size_t size);
/* The request is over. An upload that did not get to its end is forgotten by the broker too. */
void upload_detach (upload_t *self);

#endif
