#include "gateway/apidoc_schema.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/apidoc.h"

json_t *schema_quoted (const char *text)
{
    char *copy = xstrdup (text);
    for (char *at = copy; *at; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads (copy, JSON_DECODE_ANY, NULL);
    assert (json);
    free (copy);
    return json;
}

void schema_add (json_t *object, const char *name, json_t *schema, bool needed)
{
    json_t *properties = json_object_get (object, "properties");
    if (!properties) {
        properties = json_object ();
        json_object_set_new (object, "properties", properties);
    }
    json_object_set_new (properties, name, schema);
    if (!needed)
        return;
    json_t *required = json_object_get (object, "required");
    if (!required) {
        required = json_array ();
        json_object_set_new (object, "required", required);
    }
    json_array_append_new (required, json_string (name));
}

/* "job-poll-ok" as "JobPollOk". */
static void component_name (msg_type_t type, buf_t *out)
{
    bool first = true;
    for (const char *at = message_spec (type)->wire; *at; at++) {
        char c = first ? (char)toupper ((unsigned char)*at) : *at;
        first = *at == '-';
        if (!first)
            buf_append (out, &c, 1);
    }
    buf_append (out, "", 1);
}

json_t *schema_ref (schema_set_t *set, msg_type_t type)
{
    buf_t name = { 0 };
    component_name (type, &name);
    set->used[type] = true;
    json_t *ref = json_pack ("{s:s+}", "$ref", "#/components/schemas/", name.ptr);
    buf_fini (&name);
    return ref;
}

/* ---- one field ---- */

static json_t *text_schema (const field_spec_t *field, place_t place)
{
    json_t *self = json_pack ("{s:s}", "type", "string");
    if (place != PLACE_ANSWER && field->need == REQUIRED && field->type == FIELD_STR)
        json_object_set_new (self, "minLength", json_integer (1));
    if (field->limit)
        json_object_set_new (self, "maxLength", json_integer (field->limit));
    return self;
}

/* Maps and lists of texts. To us a number or a truth value stands for its text. */
static json_t *entries_schema (const field_spec_t *field, place_t place)
{
    bool map = field->type != FIELD_TEXTS;
    json_t *self;
    if (place == PLACE_QUERY || place == PLACE_FORM)
        self = json_pack ("{s:s}", "type", "string");
    else if (place == PLACE_ANSWER)
        self = json_pack ("{s:s,s:{s:s}}", "type", map ? "object" : "array", map ? "additionalProperties" : "items",
                          "type", "string");
    else if (map)
        self = json_pack ("{s:s,s:{s:[s,s,s]}}", "type", "object", "additionalProperties", "type", "string", "integer",
                          "boolean");
    else
        self = json_pack ("{s:[s,s,s,s],s:{s:[s,s,s]}}", "type", "array", "string", "integer", "boolean", "items",
                          "type", "string", "integer", "boolean");
    if (field->limit)
        json_object_set_new (self, "x-max-bytes", json_integer (field->limit));
    return self;
}

static json_t *list_schema (schema_set_t *set, const field_spec_t *field, place_t place)
{
    if (place != PLACE_ANSWER)
        set->asked[field->item] = true;
    return json_pack ("{s:s,s:I,s:o}", "type", "array", "maxItems", (json_int_t)field->limit, "items",
                      schema_ref (set, field->item));
}

static json_t *bare_schema (schema_set_t *set, const field_spec_t *field, place_t place)
{
    json_int_t limit = field->limit;
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        return text_schema (field, place);
    case FIELD_INT:
        return json_pack ("{s:s,s:I,s:I}", "type", "integer", "minimum", -limit, "maximum", limit);
    case FIELD_UINT:
        if (!limit)
            return json_pack ("{s:s,s:i}", "type", "integer", "minimum", 0);
        return json_pack ("{s:s,s:i,s:I}", "type", "integer", "minimum", 0, "maximum", limit);
    case FIELD_DECIMAL:
        return json_pack ("{s:s,s:i,s:I}", "type", "number", "minimum", 0, "maximum", limit / 100);
    case FIELD_BOOL:
        return json_pack ("{s:s}", "type", "boolean");
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        return entries_schema (field, place);
    case FIELD_LIST:
        return list_schema (set, field, place);
    }
    return json_object ();
}

static void allow_null (json_t *schema)
{
    json_t *type = json_object_get (schema, "type");
    json_t *types = json_is_array (type) ? json_incref (type) : json_pack ("[O]", type);
    json_array_append_new (types, json_string ("null"));
    json_object_set_new (schema, "type", types);
}

json_t *schema_field (schema_set_t *set, const field_spec_t *field, place_t place)
{
    json_t *self = bare_schema (set, field, place);
    bool null = place == PLACE_ANSWER ? field->type != FIELD_LIST : place == PLACE_BODY;
    if (null && field->need != REQUIRED)
        allow_null (self);
    if (field->doc && field->doc[0])
        json_object_set_new (self, "description", json_string (field->doc));
    const doc_pair_t *example;
    for (size_t at = 0; place != PLACE_ANSWER && (example = doc_example_at (at)); at++)
        if (strcmp (example->name, field->name) == 0)
            json_object_set_new (self, "examples", json_pack ("[o]", schema_quoted (example->text)));
    return self;
}

/* ---- messages ---- */

static json_t *message_schema (schema_set_t *set, msg_type_t type)
{
    const message_spec_t *spec = message_spec (type);
    place_t place = set->asked[type] ? PLACE_BODY : PLACE_ANSWER;
    json_t *self = json_pack ("{s:s,s:s}", "type", "object", "description", spec->doc);
    for (size_t at = 0; at < spec->field_count; at++) {
        const field_spec_t *field = &spec->fields[at];
        schema_add (self, field->name, schema_field (set, field, place),
                    place == PLACE_ANSWER || field->need == REQUIRED);
    }
    return self;
}

json_t *schema_components (schema_set_t *set)
{
    json_t *made[MSG_COUNT] = { 0 };
    for (bool more = true; more;) { /* what one refers to may stand before it */
        more = false;
        for (int type = 0; type < MSG_COUNT; type++) {
            if (!set->used[type] || made[type])
                continue;
            made[type] = message_schema (set, (msg_type_t)type);
            more = true;
        }
    }
    json_t *self = json_object ();
    for (int type = 0; type < MSG_COUNT; type++) {
        buf_t name = { 0 };
        component_name ((msg_type_t)type, &name);
        if (made[type])
            json_object_set_new (self, name.ptr, made[type]);
        buf_fini (&name);
    }
    return self;
}
