/* translate.h - HTTP requests as messages: by the field tables of messages.def, without code for each call. */
#ifndef GATEWAY_TRANSLATE_H
#define GATEWAY_TRANSLATE_H

#include "gateway/http.h"
#include "gateway/link.h"
#include "proto/json.h"

/* What the slices of a translated message may point into. Zero-initialised is empty. */
typedef struct {
    json_t *object; /* NULL: the message came from the query */
    buf_t raw;      /* encoded list items */
    char peer[PEER_MAX];
} source_t;

void source_fini (source_t *self);

/* Parses the body into `self->object`. Returns 0, or the fault of the body. */
err_t source_parse (source_t *self, request_t *request, fault_t *fault);

/* The request as a message of `type`: from the body's JSON (parsed here unless it was), or from the query for GET and
 * for a raw body, which is its `data`; then X-Worker-Id and the client's address where the route says so. Nothing is
 * checked yet: see translate_check. Returns 0, or the code in `fault`. */
err_t translate_request (source_t *self, request_t *request, msg_type_t type, message_t *out, fault_t *fault);

/* The header Idempotency-Key, into a job-create. Returns 0, or SCHEMA when there are two, or the message names
 * another one. */
err_t translate_key (request_t *request, message_t *out, fault_t *fault);
/* The header traceparent, into a job-create that names none itself. One that does not count is passed over, as W3C
 * Trace Context wants it; so is tracestate, which it allows to drop. */
void translate_trace (request_t *request, message_t *out);

/* Presence (an empty text is a missing one), limits, UTF-8. Returns 0, MISSING_FIELD, SCHEMA or BAD_UTF8. */
err_t translate_check (const message_t *message, fault_t *fault);

/* Sends the request as the row's message, and parks it until `done` answers it (its ctx is the request). What cannot be
 * sent is refused at once. */
void translate_call (request_t *request, link_done_fn *done);

/* Route handler: the row's message to the broker, its reply as the answer. */
void translate_handle (request_t *request);

/* Puts the answer to the call that a parked request waits for into that request: the row's `success` and `message`, or
 * the error. A link_done_fn with a request_t as its ctx. */
void translate_answer (void *request, link_end_t end, const message_t *reply);

#endif
