/* apidoc_schema.h - fields and messages as JSON Schema (draft 2020-12). */
#ifndef GATEWAY_APIDOC_SCHEMA_H
#define GATEWAY_APIDOC_SCHEMA_H

#include <jansson.h>

#include "proto/message.h"

/* Where a value stands, which says how it is written and what may be left out. */
typedef enum {
    PLACE_ANSWER, /* JSON from us: what is absent is null, but a list, which is empty */
    PLACE_BODY,   /* JSON to us: what is absent may be null */
    PLACE_QUERY,  /* text */
    PLACE_FORM,   /* text; maps and lists as JSON or as lines */
} place_t;

/* Which messages the document refers to, so that they are told in its components. */
typedef struct {
    bool used[MSG_COUNT];
    bool asked[MSG_COUNT]; /* it stands in what is sent to us */
} schema_set_t;

/* All: a new object, the caller's. `limit` 0 of a text or a number: none is said. */
json_t *schema_field (schema_set_t *set, const field_spec_t *field, place_t place);
/* {"$ref": ...} to a message of an answer. */
json_t *schema_ref (schema_set_t *set, msg_type_t type);
/* The components of all that `set` has, and of what they refer to. */
json_t *schema_components (schema_set_t *set);
/* JSON text that has ' for ". Asserts that it is valid: it is ours. */
json_t *schema_quoted (const char *text);
/* Adds a property, and its name to `required` when it is to be there. Consumes `schema`. */
void schema_add (json_t *object, const char *name, json_t *schema, bool needed);

#endif
