#include "gateway/apidoc.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "gateway/apidoc_refusals.h"
#include "gateway/apidoc_schema.h"
#include "gateway/parts.h"
#include "proto/options.h"
#include "proto/roles.h"

typedef struct {
    const route_t *route;
    const route_doc_t *doc;
    schema_set_t *set;
} call_t;

static const char about[] =
    "Bodies are JSON unless said. Times are whole milliseconds since the epoch. Unknown fields of a JSON body are "
    "ignored, and more fields and calls may be added: a client passes over what it does not know. `maxLength` counts "
    "bytes of UTF-8 here, `x-max-bytes` those of a map or a list as lines KEY=VALUE. HEAD is taken where GET is, "
    "unless "
    "the GET changes something or never ends; OPTIONS is answered with Allow, another method with 405. A head that is "
    "too long is 431 or 414, without a code. Rules are those of proto/README.md.\n\n"
    "Whether anybody is asked who he is, the broker decides (GET /api/session tells). Where it does, a call needs a "
    "token or the page's cookie, and the token's role must be among the call's `x-roles`.";

static field_spec_t part_field (const doc_part_t *part)
{
    return (field_spec_t){ .name = part->name,
                           .name_len = strlen (part->name),
                           .type = part->type,
                           .need = part->need,
                           .limit = part->limit,
                           .item = MSG_COUNT,
                           .doc = part->doc };
}

/* ---- what is sent ---- */

static bool in_query (const call_t *self)
{
    return self->route->method == METHOD_GET || self->route->flags & ROUTE_CHUNK;
}

/* X-Worker-Id may say it instead. */
static bool is_needed (const call_t *self, const field_spec_t *field)
{
    return field->need == REQUIRED && !(self->route->flags & ROUTE_WORKER && strcmp (field->name, "workerId") == 0);
}

/* `schema` is consumed; its description goes to the parameter. */
static void add_parameter (json_t *list, const char *name, const char *in, bool needed, json_t *schema)
{
    json_t *self = json_pack ("{s:s,s:s}", "name", name, "in", in);
    json_t *doc = json_incref (json_object_get (schema, "description"));
    json_object_del (schema, "description");
    if (needed)
        json_object_set_new (self, "required", json_true ());
    if (doc)
        json_object_set_new (self, "description", doc);
    json_object_set_new (self, "schema", schema);
    json_array_append_new (list, self);
}

static void add_field_parameters (const call_t *self, json_t *list)
{
    if (!in_query (self) || self->route->type == MSG_COUNT)
        return;
    const message_spec_t *spec = message_spec (self->route->type);
    for (size_t at = 0; at < spec->field_count; at++) {
        const field_spec_t *field = &spec->fields[at];
        bool body = self->route->flags & ROUTE_CHUNK && strcmp (field->name, "data") == 0;
        if (!body && !doc_hides (self->doc, field->name))
            add_parameter (list, field->name, "query", is_needed (self, field),
                           schema_field (self->set, field, PLACE_QUERY));
    }
}

static void add_part_parameters (const call_t *self, json_t *list, doc_kind_t kind, const char *in)
{
    const doc_part_t *part = NULL;
    while ((part = doc_next (self->doc, kind, part))) {
        field_spec_t field = part_field (part);
        add_parameter (list, part->name, in, part->need == REQUIRED, schema_field (self->set, &field, PLACE_QUERY));
    }
}

static json_t *text_with (const char *doc)
{
    return json_pack ("{s:s,s:s}", "type", "string", "description", doc);
}

static json_t *parameters (const call_t *self)
{
    json_t *list = json_array ();
    add_part_parameters (self, list, DOC_IS_PATH, "path");
    add_field_parameters (self, list);
    add_part_parameters (self, list, DOC_IS_QUERY, "query");
    if (self->route->flags & ROUTE_WORKER)
        add_parameter (list, "X-Worker-Id", "header", false, text_with ("The worker, when `workerId` does not say."));
    if (self->route->flags & ROUTE_KEY) {
        add_parameter (list, "Idempotency-Key", "header", false, text_with ("As `idempotencyKey`."));
        add_parameter (list, "traceparent", "header", false, text_with ("As `traceparent`, where that is absent."));
    }
    add_part_parameters (self, list, DOC_IS_HEADER, "header");
    return list;
}

static json_t *json_body (const call_t *self)
{
    const message_spec_t *spec = self->route->type == MSG_COUNT ? NULL : message_spec (self->route->type);
    json_t *schema = json_pack ("{s:s}", "type", "object");
    for (size_t at = 0; spec && at < spec->field_count; at++) {
        field_spec_t field = spec->fields[at];
        if (doc_hides (self->doc, field.name))
            continue;
        if (self->route->flags & ROUTE_LARGE && field.type == FIELD_BYTES)
            field.limit = 0; /* what is too long for one message goes ahead in pieces */
        schema_add (schema, field.name, schema_field (self->set, &field, PLACE_BODY), is_needed (self, &field));
    }
    const doc_part_t *part = NULL;
    while ((part = doc_next (self->doc, DOC_IS_BODY, part))) {
        field_spec_t field = part_field (part);
        schema_add (schema, part->name, schema_field (self->set, &field, PLACE_BODY), part->need == REQUIRED);
    }
    if (json_object_get (schema, "properties"))
        return schema;
    json_decref (schema);
    return NULL;
}

static json_t *form_body (const call_t *self)
{
    json_t *schema = json_pack ("{s:s,s:b}", "type", "object", "additionalProperties", false);
    const message_spec_t *spec = message_spec (self->route->type);
    schema_add (schema, part_name (PART_FILE),
                json_pack ("{s:s}", "description",
                           "a ZIP: the project, or with `fileUrl` what has changed since; needed without it"),
                false);
    schema_add (schema, part_name (PART_COMMANDS),
                json_pack ("{s:s,s:i,s:i,s:s}", "type", "string", "minLength", 1, "maxLength", COMMAND_MAX,
                           "description", "shell commands, one a line, run in order until one fails"),
                true);
    schema_add (schema, part_name (PART_MODE),
                json_pack ("{s:s,s:[s,s],s:s}", "type", "string", "enum", "direct", "distributed", "description",
                           "default direct"),
                false);
    for (size_t at = 0; at < spec->field_count; at++)
        if (part_find (spec->fields[at].name) >= 0)
            schema_add (schema, spec->fields[at].name, schema_field (self->set, &spec->fields[at], PLACE_FORM), false);
    return schema;
}

static json_t *request_body (const call_t *self)
{
    const char *type = "application/json";
    json_t *schema = NULL;
    if (self->route->flags & ROUTE_CHUNK) {
        type = "application/octet-stream";
        schema = json_pack ("{s:i}", "maxLength", CHUNK_MAX);
    } else if (self->route->flags & ROUTE_FORM) {
        type = "multipart/form-data";
        schema = form_body (self);
    } else if (self->route->method != METHOD_GET) {
        schema = json_body (self);
    }
    bool needed = schema && self->route->method != METHOD_DELETE;
    return schema ? json_pack ("{s:b,s:{s:{s:o}}}", "required", needed, "content", type, "schema", schema) : NULL;
}

/* ---- what is answered ---- */

/* The -ok of a request; MSG_COUNT when there is none. */
static msg_type_t reply_of (const call_t *self)
{
    const doc_part_t *said = doc_next (self->doc, DOC_IS_REPLY, NULL);
    if (said || self->route->type == MSG_COUNT || doc_next (self->doc, DOC_IS_EVENTS, NULL))
        return said ? said->message : MSG_COUNT;
    char wire[64];
    snprintf (wire, sizeof wire, "%s-ok", message_spec (self->route->type)->wire);
    return message_find (slice_of (wire));
}

static json_t *described (json_t *schema, const char *doc)
{
    if (doc && doc[0] && json_object_get (schema, "$ref") == NULL)
        json_object_set_new (schema, "description", json_string (doc));
    return schema;
}

/* NULL when no JSON is answered. */
static json_t *answer_schema (const call_t *self)
{
    msg_type_t reply = reply_of (self);
    const route_t *route = self->route;
    json_t *own = json_pack ("{s:s}", "type", "object");
    if (reply != MSG_COUNT && route->flags & ROUTE_SUCCESS)
        schema_add (own, "success", json_pack ("{s:b}", "const", true), true);
    if (reply != MSG_COUNT && route->flags & ROUTE_SUCCESS && route->message)
        schema_add (own, "message", text_with ("a sentence for people"), true);
    const doc_part_t *part = NULL;
    while ((part = doc_next (self->doc, DOC_IS_ANSWER, part))) {
        field_spec_t field = part_field (part);
        schema_add (own, part->name,
                    part->json ? described (schema_quoted (part->json), part->doc)
                               : schema_field (self->set, &field, PLACE_ANSWER),
                    true);
    }
    if (json_object_get (own, "properties"))
        return reply == MSG_COUNT ? own : json_pack ("{s:[o,o]}", "allOf", schema_ref (self->set, reply), own);
    json_decref (own);
    return reply == MSG_COUNT ? NULL : schema_ref (self->set, reply);
}

static json_t *headers (const call_t *self, bool ranged)
{
    json_t *list = json_object ();
    const doc_part_t *part = NULL;
    while ((part = doc_next (self->doc, DOC_IS_TOLD, part)))
        json_object_set_new (list, part->name,
                             json_pack ("{s:s,s:{s:s}}", "description", part->doc, "schema", "type", "string"));
    if (ranged)
        json_object_set_new (list, "Content-Range",
                             json_pack ("{s:s,s:{s:s}}", "description", "which bytes", "schema", "type", "string"));
    return list;
}

/* The response of that status, begun when it is not there yet. Borrowed. */
static json_t *response_at (const call_t *self, json_t *responses, int status, const char *doc)
{
    char key[16];
    snprintf (key, sizeof key, "%d", status);
    json_t *response = json_object_get (responses, key);
    if (response)
        return response;
    response = json_pack ("{s:s}", "description", doc);
    json_t *told = headers (self, status == 206);
    if (json_object_size (told))
        json_object_set (response, "headers", told);
    json_decref (told);
    json_object_set_new (responses, key, response);
    return response;
}

static void add_content (json_t *response, const char *type, json_t *schema)
{
    json_t *content = json_object_get (response, "content");
    if (!content) {
        content = json_object ();
        json_object_set_new (response, "content", content);
    }
    json_object_set_new (content, type, json_pack ("{s:o}", "schema", schema));
}

static json_t *responses (const call_t *self)
{
    json_t *list = json_object ();
    msg_type_t reply = reply_of (self);
    json_t *schema = answer_schema (self);
    if (schema)
        add_content (response_at (self, list, 200, reply == MSG_COUNT ? "Done." : message_spec (reply)->doc),
                     "application/json", schema);
    const doc_part_t *part = NULL;
    while ((part = doc_next (self->doc, DOC_IS_RAW, part)))
        add_content (response_at (self, list, 200, part->doc), part->name,
                     strcmp (part->name, "application/json") == 0 ? json_pack ("{s:s}", "type", "object")
                                                                  : json_pack ("{s:s}", "description", part->doc));
    while ((part = doc_next (self->doc, DOC_IS_EVENTS, part))) {
        json_t *events =
            json_pack ("{s:s,s:o}", "type", "string", "x-event-data", schema_ref (self->set, part->message));
        add_content (response_at (self, list, 200, part->doc), "text/event-stream", events);
    }
    while ((part = doc_next (self->doc, DOC_IS_ALSO, part))) {
        json_t *response = response_at (self, list, (int)part->limit, part->doc);
        if (part->name[0])
            add_content (response, part->name, part->json[0] ? schema_quoted (part->json) : json_object ());
    }
    refusals_add (self->route, self->doc, list);
    return list;
}

/* ---- the call ---- */

/* "GET /api/jobs/get-job" as "getJobsGetJob". */
static json_t *operation_id (const call_t *self)
{
    char method[16];
    buf_t name = { 0 };
    methods_format (self->route->method, method, sizeof method);
    for (const char *at = method; *at; at++) {
        char c = (char)tolower ((unsigned char)*at);
        buf_append (&name, &c, 1);
    }
    const char *path = strncmp (self->route->path, "/api/", 5) == 0 ? self->route->path + 4 : self->route->path;
    bool first = false;
    for (const char *at = path; *at; at++) {
        char c = first ? (char)toupper ((unsigned char)*at) : *at;
        first = !isalnum ((unsigned char)*at);
        if (!first)
            buf_append (&name, &c, 1);
    }
    json_t *text = json_stringn (name.ptr, name.len);
    buf_fini (&name);
    return text;
}

static bool open_to_all (const call_t *self)
{
    return self->route->type == MSG_COUNT || role_may (ROLE_NONE, self->route->type);
}

static json_t *roles (const call_t *self)
{
    json_t *list = json_array ();
    for (role_t role = ROLE_VIEWER; role < ROLE_COUNT; role++)
        if (role != ROLE_GATEWAY && role_may (role, self->route->type))
            json_array_append_new (list, json_string (role_name (role)));
    return list;
}

/* {}: where nobody is asked. */
static json_t *security (const call_t *self)
{
    if (open_to_all (self))
        return json_array ();
    bool changes = self->route->method != METHOD_GET || self->route->flags & ROUTE_WORKER;
    json_t *page = changes ? json_pack ("{s:[],s:[]}", "session", "pageKey") : json_pack ("{s:[]}", "session");
    return json_pack ("[{s:[]},o,{}]", "bearer", page);
}

static json_t *operation (const call_t *self)
{
    const message_spec_t *spec = self->route->type == MSG_COUNT ? NULL : message_spec (self->route->type);
    const doc_part_t *old = doc_next (self->doc, DOC_IS_OLD, NULL);
    buf_t text = { 0 };
    if (old)
        buf_printf (&text, "Kept for old clients: others call %s.", old->doc);
    bool plain = spec && !doc_next (self->doc, DOC_IS_REPLY, NULL) && !doc_next (self->doc, DOC_IS_EVENTS, NULL);
    if (plain)
        buf_printf (&text, "%s%s", text.len ? " " : "", spec->doc);
    if (self->doc->doc[0])
        buf_printf (&text, "%s%s", text.len ? " " : "", self->doc->doc);
    json_t *op = json_pack ("{s:o,s:[s],s:s}", "operationId", operation_id (self), "tags", self->doc->tag, "summary",
                            self->doc->summary);
    if (text.len)
        json_object_set_new (op, "description", json_stringn (text.ptr, text.len));
    buf_fini (&text);
    if (old)
        json_object_set_new (op, "deprecated", json_true ());
    json_object_set_new (op, "security", security (self));
    if (!open_to_all (self))
        json_object_set_new (op, "x-roles", roles (self));
    json_t *list = parameters (self);
    if (json_array_size (list))
        json_object_set (op, "parameters", list);
    json_decref (list);
    json_t *body = request_body (self);
    if (body)
        json_object_set_new (op, "requestBody", body);
    json_object_set_new (op, "responses", responses (self));
    return op;
}

/* ---- the whole ---- */

static const route_t *route_of (const route_doc_t *doc)
{
    for (size_t at = 0; at + 1 < routes_count (); at++)
        if (route_at (at)->method == doc->method && strcmp (route_at (at)->path, doc->path) == 0)
            return route_at (at);
    return NULL;
}

static json_t *paths (schema_set_t *set)
{
    json_t *self = json_object ();
    const route_doc_t *doc;
    for (size_t at = 0; (doc = route_doc_at (at)); at++) {
        char method[16];
        char path[128];
        call_t call = { route_of (doc), doc, set };
        assert (call.route);
        const doc_part_t *name = doc_next (doc, DOC_IS_PATH, NULL);
        snprintf (path, sizeof path, name ? "%s{%s}" : "%s", doc->path, name ? name->name : "");
        methods_format (doc->method, method, sizeof method);
        for (char *c = method; *c; c++)
            *c = (char)tolower ((unsigned char)*c);
        json_t *item = json_object_get (self, path);
        if (!item) {
            item = json_object ();
            json_object_set_new (self, path, item);
        }
        json_object_set_new (item, method, operation (&call));
    }
    return self;
}

static json_t *tags (void)
{
    json_t *list = json_array ();
    const doc_pair_t *tag;
    for (size_t at = 0; (tag = doc_tag_at (at)); at++)
        json_array_append_new (list, json_pack ("{s:s,s:s}", "name", tag->name, "description", tag->text));
    return list;
}

static json_t *schemes (void)
{
    return json_pack ("{s:{s:s,s:s,s:s},s:{s:s,s:s,s:s,s:s},s:{s:s,s:s,s:s,s:s}}", "bearer", "type", "http", "scheme",
                      "bearer", "description",
                      "A token of `gleaner-broker token create`, or a JWT where the broker has an issuer.", "session",
                      "type", "apiKey", "in", "cookie", "name", "gleaner", "description",
                      "The page's login (POST /api/session); over HTTPS its name is `__Host-gleaner`.", "pageKey",
                      "type", "apiKey", "in", "header", "name", "X-Gleaner-Key", "description",
                      "The `key` of GET /api/session: by a cookie, what changes something needs it too.");
}

json_t *apidoc_make (void)
{
    buf_t faults = { 0 };
    schema_set_t set = { 0 };
    apidoc_check (&faults);
    assert (!faults.len);
    set.used[MSG_JOB_POLL_OK] = set.used[MSG_REFUSAL_ENTRY] = true; /* named in routes_doc.def */
    json_t *calls = paths (&set);
    json_t *schemas = json_pack ("{s:o}", "Error", refusals_schema ());
    json_t *messages = schema_components (&set);
    json_object_update (schemas, messages);
    json_decref (messages);
    return json_pack ("{s:s,s:{s:s,s:s,s:s},s:[{s:s}],s:o,s:o,s:{s:o,s:o,s:o}}", "openapi", "3.1.0", "info", "title",
                      "Gleaner", "version", GLEANER_VERSION, "description", about, "servers", "url", "/", "tags",
                      tags (), "paths", calls, "components", "schemas", schemas, "responses", refusals_components (),
                      "securitySchemes", schemes ());
}
