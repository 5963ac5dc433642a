/* apidoc.h - the HTTP API, told: an OpenAPI 3.1 document from the tables that the code runs on (routes.c, messages.def,
 * errors.def, limits.h, roles.c) and from routes_doc.def, which says the rest.
 */
#ifndef GATEWAY_APIDOC_H
#define GATEWAY_APIDOC_H

#include <jansson.h>

#include "gateway/routes.h"
#include "proto/message.h"

typedef enum {
    DOC_IS_END,
    DOC_IS_QUERY,
    DOC_IS_PATH,
    DOC_IS_HEADER,
    DOC_IS_BODY,
    DOC_IS_HIDE,
    DOC_IS_REPLY,
    DOC_IS_ANSWER,
    DOC_IS_RAW,
    DOC_IS_EVENTS,
    DOC_IS_ALSO,
    DOC_IS_TOLD,
    DOC_IS_REFUSES,
    DOC_IS_OLD,
} doc_kind_t;

/* One line of an entry of routes_doc.def; see there. */
typedef struct {
    doc_kind_t kind;
    const char *name;
    const char *doc;
    field_type_t type;
    int64_t limit; /* of a field; an ALSO's status; a REFUSES' err_t */
    int need;
    const char *json;   /* a schema, with ' for "; NULL: none */
    msg_type_t message; /* of REPLY and EVENTS */
} doc_part_t;

typedef struct {
    unsigned method;
    const char *path;
    const char *tag;
    const char *summary;
    const char *doc;
    const doc_part_t *parts; /* up to DOC_IS_END */
} route_doc_t;

typedef struct {
    const char *name;
    const char *text;
} doc_pair_t;

/* The entries, in their order; NULL behind the last. Static. */
const route_doc_t *route_doc_at (size_t at);
/* The tags with their meaning, and the examples (JSON with ' for ") by name; NULL behind the last. Static. */
const doc_pair_t *doc_tag_at (size_t at);
const doc_pair_t *doc_example_at (size_t at);
/* The next part of that kind behind `after` (NULL: from the first); NULL when there is none. */
const doc_part_t *doc_next (const route_doc_t *doc, doc_kind_t kind, const doc_part_t *after);
/* Whether the field of the route's message means nothing there. */
bool doc_hides (const route_doc_t *doc, const char *field);
/* Appends a sentence for each route without an entry and each entry without a route; nothing when all is well. */
void apidoc_check (buf_t *faults);

/* The document, the caller's. Asserts that apidoc_check has nothing to say. The same for every call. */
json_t *apidoc_make (void);
/* The document as Markdown: the reference page. */
void apidoc_page (const json_t *document, buf_t *out);

#endif
