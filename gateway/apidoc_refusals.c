#include "gateway/apidoc_refusals.h"

#include <stdio.h>
#include <string.h>

#include "proto/error.h"
#include "proto/roles.h"

typedef struct {
    bool may[ERR_COUNT];
} codes_t;

/* What has nothing to do with the call itself. */
static void add_common (codes_t *self)
{
    static const err_t common[] = { ERR_BAD_HEADER, ERR_AMBIGUOUS_LENGTH, ERR_BAD_PATH,     ERR_REQUEST_TIMEOUT,
                                    ERR_TOO_LARGE,  ERR_BAD_HOST,         ERR_INTERNAL,     ERR_UNSUPPORTED_TE,
                                    ERR_BUSY,       ERR_SHUTTING_DOWN,    ERR_RATE_LIMITED, ERR_UNAUTHORIZED,
                                    ERR_FORBIDDEN,  ERR_NO_ROLE,          ERR_UNSUPPORTED,  ERR_BROKER_UNAVAILABLE };
    for (size_t at = 0; at < sizeof common / sizeof common[0]; at++)
        self->may[common[at]] = true;
}

/* A call that asks the broker nothing is open to all. */
static void drop_broker (codes_t *self)
{
    static const err_t asked[] = { ERR_RATE_LIMITED, ERR_UNAUTHORIZED, ERR_FORBIDDEN,
                                   ERR_NO_ROLE,      ERR_UNSUPPORTED,  ERR_BROKER_UNAVAILABLE };
    for (size_t at = 0; at < sizeof asked / sizeof asked[0]; at++)
        self->may[asked[at]] = false;
}

static void add_input (codes_t *self, const route_t *route)
{
    bool json = route->method != METHOD_GET && !(route->flags & (ROUTE_CHUNK | ROUTE_FORM)) && route->type != MSG_COUNT;
    if (route->type != MSG_COUNT)
        self->may[ERR_SCHEMA] = self->may[ERR_MISSING_FIELD] = self->may[ERR_BAD_UTF8] = true;
    if (json)
        self->may[ERR_BAD_JSON] = self->may[ERR_TOO_DEEP] = self->may[ERR_DUPLICATE_KEY] = true;
    if (route->method != METHOD_GET || route->flags & ROUTE_WORKER)
        self->may[ERR_CROSS_SITE] = true;
    if (self->may[ERR_CROSS_SITE] && route->type != MSG_COUNT)
        self->may[ERR_NO_PAGE_KEY] = true;
    if (route->type != MSG_COUNT && route->flags & (ROUTE_WORKER | ROUTE_PEER))
        self->may[ERR_WORKER_TOKEN_BOUND] = true;
}

static codes_t codes_of (const route_t *route, const route_doc_t *doc)
{
    codes_t self = { 0 };
    const doc_part_t *part = NULL;
    add_common (&self);
    if (route->type == MSG_COUNT)
        drop_broker (&self);
    add_input (&self, route);
    while ((part = doc_next (doc, DOC_IS_REFUSES, part)))
        self.may[part->limit] = true;
    return self;
}

/* The codes of one status; an empty list when there are none. */
static json_t *codes_with (const codes_t *self, int status, bool *retryable)
{
    json_t *codes = json_array ();
    *retryable = false;
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++) {
        const error_row_t *row = error_row ((err_t)err);
        if (!self->may[err] || row->http_status != status)
            continue;
        json_array_append_new (codes, json_string (row->code));
        *retryable = *retryable || (row->retryable && err != ERR_INTERNAL);
    }
    return codes;
}

static json_t *header (const char *doc)
{
    return json_pack ("{s:s,s:{s:s}}", "description", doc, "schema", "type", "string");
}

static json_t *headers_of (int status, bool retryable)
{
    json_t *headers = json_object ();
    if (retryable)
        json_object_set_new (headers, "Retry-After", header ("seconds; not of a code that is not to be tried again"));
    if (status == 401)
        json_object_set_new (headers, "WWW-Authenticate", header ("`Bearer`"));
    if (status == 416)
        json_object_set_new (headers, "Content-Range", header ("`bytes */LENGTH`"));
    return headers;
}

/* Consumes `codes`. */
static json_t *response (int status, bool retryable, json_t *codes)
{
    buf_t text = { 0 };
    for (size_t at = 0; at < json_array_size (codes); at++)
        buf_printf (&text, "%s`%s`", at ? ", " : "", json_string_value (json_array_get (codes, at)));
    json_t *schema = json_pack ("{s:[{s:s},{s:{s:{s:o}}}]}", "allOf", "$ref", "#/components/schemas/Error",
                                "properties", "code", "enum", codes);
    json_t *self = json_pack ("{s:s%,s:{s:{s:o}}}", "description", text.ptr, text.len, "content", "application/json",
                              "schema", schema);
    buf_fini (&text);
    json_t *headers = headers_of (status, retryable);
    if (json_object_size (headers))
        json_object_set (self, "headers", headers);
    json_decref (headers);
    return self;
}

enum { STATUS_FIRST = 400, STATUS_END = 600 };

void refusals_add (const route_t *route, const route_doc_t *doc, json_t *responses)
{
    codes_t mine = codes_of (route, doc);
    codes_t common = { 0 };
    bool retryable, ignored;
    char key[16], ref[64];
    add_common (&common);
    for (int status = STATUS_FIRST; status < STATUS_END; status++) {
        json_t *codes = codes_with (&mine, status, &retryable);
        json_t *usual = codes_with (&common, status, &ignored);
        snprintf (key, sizeof key, "%d", status);
        snprintf (ref, sizeof ref, "#/components/responses/refused-%d", status);
        if (json_array_size (codes) && json_equal (codes, usual))
            json_object_set_new (responses, key, json_pack ("{s:s}", "$ref", ref));
        else if (json_array_size (codes))
            json_object_set_new (responses, key, response (status, retryable, json_incref (codes)));
        json_decref (codes);
        json_decref (usual);
    }
}

json_t *refusals_components (void)
{
    codes_t common = { 0 };
    json_t *self = json_object ();
    bool retryable;
    char key[24];
    add_common (&common);
    for (int status = STATUS_FIRST; status < STATUS_END; status++) {
        json_t *codes = codes_with (&common, status, &retryable);
        snprintf (key, sizeof key, "refused-%d", status);
        if (json_array_size (codes))
            json_object_set_new (self, key, response (status, retryable, json_incref (codes)));
        json_decref (codes);
    }
    return self;
}

json_t *refusals_schema (void)
{
    json_t *codes = json_array ();
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++)
        json_array_append_new (codes, json_string (error_row ((err_t)err)->code));
    return json_pack (
        "{s:s,s:s,s:{s:{s:s,s:s},s:{s:s,s:s,s:o},s:{s:s,s:s},s:{s:s,s:s,s:i},s:{s:s,s:s}},s:[s,s]}", "type", "object",
        "description", "The call was refused.", "properties", "error", "type", "string", "description",
        "one sentence that a person can act on", "code", "type", "string", "description", "stable; match this", "enum",
        codes, "field", "type", "string", "description", "the field at fault", "offset", "type", "integer",
        "description", "OUTPUT_GAP, OUTPUT_MISMATCH: the stream's length at the broker", "minimum", 0, "stream", "type",
        "string", "description", "OUTPUT_GAP, OUTPUT_MISMATCH: which stream", "required", "error", "code");
}
