/* apidoc_refusals.h - which errors a call may be refused with, as the responses of an OpenAPI document. */
#ifndef GATEWAY_APIDOC_REFUSALS_H
#define GATEWAY_APIDOC_REFUSALS_H

#include <jansson.h>

#include "gateway/apidoc.h"

/* Adds a response for each HTTP status of the route's errors. What any call may answer is referred to. */
void refusals_add (const route_t *route, const route_doc_t *doc, json_t *responses);
/* Those that are referred to: the document's components/responses. */
json_t *refusals_components (void);
/* The schema of an error's body. */
json_t *refusals_schema (void);

#endif
