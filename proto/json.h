/* json.h - messages as JSON objects, field by field from the tables of messages.def (jansson underneath).
 *
 * STR and BYTES are strings, INT and UINT numbers, BOOL true/false, MAP an object of strings, TEXTS an array of
 * strings, LIST an array. In JSON made from a message every declared field is there: null where the message has none.
 * BYTES that are not UTF-8 are repaired with U+FFFD.
 */
#ifndef GLEANER_JSON_H
#define GLEANER_JSON_H

#include <jansson.h>

#include "message.h"

enum {
    JSON_REPAIR_TEXT = 1, /* old agents: lone surrogates and invalid bytes become U+FFFD, \u0000 is allowed in BYTES */
};

/* Parses a body: an object, no duplicate keys, 32 levels at most, checked before parsing. The caller owns
 * `*object_p` (json_decref) on 0. Returns BAD_JSON, TOO_DEEP or DUPLICATE_KEY with `fault` filled. */
err_t json_parse (slice_t body, int flags, json_t **object_p, fault_t *fault);

/* Fields of `object` into `out` (message_init'ed to the wanted type here). Unknown fields are ignored, null counts as
 * absent. Slices point into `object`, whose MAP and TEXTS members are replaced by their lines. A LIST needs `raw` to
 * hold its encoded items (may be NULL when the type has no list). Does not check for missing ones: fill from elsewhere
 * first, then message_check. Returns 0 or SCHEMA. */
err_t json_to_message (json_t *object, msg_type_t type, message_t *out, buf_t *raw, fault_t *fault);

/* One field from text (MAP, TEXTS: lines; a query parameter, a form field, a header), by wire name. Unknown names are
 * ignored (returns 0). The text must outlive the message. Returns 0 or SCHEMA when a number or bool cannot be read. */
err_t message_set_text (message_t *self, slice_t name, slice_t text, fault_t *fault);

/* A decoded or built message as a new JSON object, the caller's. Lists: only of decoded messages. */
json_t *message_to_json (const message_t *self);

#endif
