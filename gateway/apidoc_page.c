/* apidoc_page.c - the OpenAPI document as Markdown, for people. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/apidoc.h"
#include "proto/error.h"

static const char intro[] =
    "# The HTTP API\n\n"
    "Made by `gleaner-api page` from the tables that the gateway runs on; a test compares it. The same as OpenAPI 3.1: "
    "`GET /api/openapi.json`.\n\n";

static const char *text_of (const json_t *object, const char *name)
{
    const char *text = json_string_value (json_object_get (object, name));
    return text ? text : "";
}

/* Text within a table's cell. */
static void add_cell (buf_t *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        if (*at == '|' || *at == '*')
            buf_append (out, "\\", 1);
        buf_append (out, *at == '\n' ? " " : at, 1);
    }
}

/* In letters of one size, A to Z or a to z. */
static void add_cased (buf_t *out, const char *text, int (*cased) (int))
{
    for (const char *at = text; *at; at++) {
        char c = (char)cased ((unsigned char)*at);
        buf_append (out, &c, 1);
    }
}

/* ---- schemas ---- */

static void add_ref (buf_t *out, const char *ref)
{
    const char *name = strrchr (ref, '/') + 1;
    buf_printf (out, "[%s](#", name);
    add_cased (out, name, tolower);
    buf_append_str (out, ")");
}

static void add_type (buf_t *out, const json_t *schema)
{
    const json_t *type = json_object_get (schema, "type");
    const json_t *always = json_object_get (schema, "const");
    const json_t *items = json_object_get (schema, "items");
    const char *ref = text_of (schema, "$ref");
    if (ref[0]) {
        add_ref (out, ref);
    } else if (always) {
        char *value = json_dumps (always, JSON_ENCODE_ANY);
        buf_printf (out, "`%s`", value);
        free (value);
    } else if (items && json_object_get (items, "$ref")) {
        buf_append_str (out, "list of ");
        add_ref (out, text_of (items, "$ref"));
    } else if (json_is_string (type)) {
        buf_append_str (out, json_string_value (type));
    }
    for (size_t at = 0;
         json_is_array (type) && !(items && json_object_get (items, "$ref")) && at < json_array_size (type); at++)
        buf_printf (out, "%s%s", at ? " or " : "", json_string_value (json_array_get (type, at)));
}

static void add_limit (buf_t *out, const json_t *schema)
{
    static const struct {
        const char *name;
        const char *unit;
    } rows[] = { { "maxLength", " bytes" }, { "x-max-bytes", " bytes" }, { "maxItems", " items" } };
    for (size_t at = 0; at < sizeof rows / sizeof rows[0]; at++) {
        const json_t *value = json_object_get (schema, rows[at].name);
        if (value)
            buf_printf (out, "%lld%s", (long long)json_integer_value (value), rows[at].unit);
    }
    const json_t *from = json_object_get (schema, "minimum");
    const json_t *to = json_object_get (schema, "maximum");
    if (from && !to)
        buf_printf (out, "from %lld", (long long)json_integer_value (from));
    if (from && to)
        buf_printf (out, "%lld to %lld", (long long)json_integer_value (from), (long long)json_integer_value (to));
    const json_t *values = json_object_get (schema, "enum");
    for (size_t at = 0; at < json_array_size (values); at++)
        buf_printf (out, "%s`%s`", at ? ", " : "", json_string_value (json_array_get (values, at)));
}

/* Of a schema that adds something to what it refers to: what it adds. */
static const json_t *own_part (const json_t *schema)
{
    const json_t *both = json_object_get (schema, "allOf");
    return both ? json_array_get (both, 1) : schema;
}

static bool is_required (const json_t *schema, const char *name)
{
    const json_t *list = json_object_get (schema, "required");
    for (size_t at = 0; at < json_array_size (list); at++)
        if (strcmp (json_string_value (json_array_get (list, at)), name) == 0)
            return true;
    return false;
}

static void add_row (buf_t *out, const char *name, const json_t *schema, const char *more, const char *doc)
{
    buf_printf (out, "| `%s` | ", name);
    add_type (out, schema);
    buf_append_str (out, " | ");
    add_limit (out, schema);
    buf_printf (out, " | %s | ", more);
    add_cell (out, doc);
    buf_append_str (out, " |\n");
}

/* The properties of an object; in what is sent, which are needed. */
static void add_properties (buf_t *out, const json_t *schema, bool sent)
{
    const char *name;
    json_t *property;
    json_t *properties = json_object_get (schema, "properties");
    if (!json_object_size (properties))
        return;
    buf_printf (out, "\n| field | type | limit | %s | meaning |\n|---|---|---|---|---|\n",
                sent ? "needed" : "may be null");
    json_object_foreach (properties, name, property)
    {
        const json_t *type = json_object_get (property, "type");
        const char *last = json_string_value (json_array_get (type, json_array_size (type) - 1));
        bool null = last && strcmp (last, "null") == 0;
        add_row (out, name, property,
                 sent   ? is_required (schema, name) ? "yes" : ""
                 : null ? "yes"
                        : "",
                 text_of (property, "description"));
    }
}

/* ---- one call ---- */

static void add_parameters (buf_t *out, const json_t *call)
{
    size_t at;
    json_t *one;
    json_t *list = json_object_get (call, "parameters");
    if (!json_array_size (list))
        return;
    buf_append_str (out, "\n| parameter | type | limit | where | meaning |\n|---|---|---|---|---|\n");
    json_array_foreach (list, at, one)
    {
        char where[64] = "";
        strncat (where, text_of (one, "in"), 20);
        if (json_is_true (json_object_get (one, "required")))
            strncat (where, ", needed", 20);
        add_row (out, text_of (one, "name"), json_object_get (one, "schema"), where, text_of (one, "description"));
    }
}

static void add_body (buf_t *out, const json_t *call)
{
    const char *type;
    json_t *media;
    json_object_foreach (json_object_get (json_object_get (call, "requestBody"), "content"), type, media)
    {
        buf_printf (out, "\nBody: `%s`\n", type);
        add_properties (out, json_object_get (media, "schema"), true);
    }
}

static void add_answer (buf_t *out, const char *status, const json_t *response)
{
    const char *type, *header;
    json_t *media, *one;
    buf_printf (out, "\n**%s** %s\n", status, text_of (response, "description"));
    json_object_foreach (json_object_get (response, "content"), type, media)
    {
        const json_t *schema = json_object_get (media, "schema");
        const json_t *both = json_object_get (schema, "allOf");
        const char *ref = text_of (both ? json_array_get (both, 0) : schema, "$ref");
        const char *data = text_of (json_object_get (schema, "x-event-data"), "$ref");
        buf_printf (out, "\n`%s`", type);
        if (ref[0] || data[0]) {
            buf_append_str (out, ref[0] ? ": the fields of " : "; an event's data is ");
            add_ref (out, ref[0] ? ref : data);
            buf_append_str (out, both ? ", and" : "");
        } else if (text_of (schema, "description")[0])
            buf_printf (out, ": %s", text_of (schema, "description"));
        buf_append_str (out, "\n");
        add_properties (out, own_part (schema), false);
    }
    size_t count = 0;
    json_object_foreach (json_object_get (response, "headers"), header, one)
    {
        buf_printf (out, "%s`%s`: %s", count++ ? "; " : "\nHeaders: ", header, text_of (one, "description"));
    }
    buf_append_str (out, count ? ".\n" : "");
}

static bool has_code (const json_t *response, const json_t *code)
{
    const json_t *media = json_object_get (json_object_get (response, "content"), "application/json");
    const json_t *property =
        json_object_get (json_object_get (own_part (json_object_get (media, "schema")), "properties"), "code");
    const json_t *codes = json_object_get (property, "enum");
    for (size_t at = 0; at < json_array_size (codes); at++)
        if (json_equal (json_array_get (codes, at), code))
            return true;
    return false;
}

/* Those that not any call may be refused for. */
static void add_refusals (buf_t *out, const json_t *call, const json_t *common)
{
    size_t count = 0;
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++) {
        const error_row_t *row = error_row ((err_t)err);
        char status[24], name[32];
        snprintf (status, sizeof status, "%d", row->http_status);
        snprintf (name, sizeof name, "refused-%s", status);
        json_t *code = json_string (row->code);
        if (has_code (json_object_get (json_object_get (call, "responses"), status), code) &&
            !has_code (json_object_get (common, name), code))
            buf_printf (out, "%s`%s` (%s)", count++ ? ", " : "\nErrors of its own: ", row->code, status);
        json_decref (code);
    }
    buf_append_str (out, count ? ".\n" : "");
}

/* ---- an example of it ---- */

static const json_t *example_of (const json_t *schema)
{
    return json_array_get (json_object_get (schema, "examples"), 0);
}

static void add_query (buf_t *out, const json_t *call)
{
    size_t at;
    json_t *one;
    char mark = '?';
    json_array_foreach (json_object_get (call, "parameters"), at, one)
    {
        const json_t *value = example_of (json_object_get (one, "schema"));
        if (strcmp (text_of (one, "in"), "query") != 0 || !json_is_true (json_object_get (one, "required")) || !value)
            continue;
        buf_printf (out, "%c%s=", mark, text_of (one, "name"));
        if (json_is_string (value))
            buf_append_str (out, json_string_value (value));
        else
            buf_printf (out, "%lld", (long long)json_integer_value (value));
        mark = '&';
    }
}

static void add_json_example (buf_t *out, const json_t *schema)
{
    const char *name;
    json_t *property;
    json_t *body = json_object ();
    json_object_foreach (json_object_get (schema, "properties"), name, property)
    {
        const json_t *value = example_of (property);
        if (value && (is_required (schema, name) || !json_object_get (schema, "required")))
            json_object_set (body, name, (json_t *)(uintptr_t)value);
    }
    char *text = json_dumps (body, JSON_COMPACT);
    buf_printf (out, " \\\n  -H 'Content-Type: application/json' -d '%s'", text);
    free (text);
    json_decref (body);
}

static void add_curl (buf_t *out, const char *method, const char *path, const json_t *call)
{
    const json_t *content = json_object_get (json_object_get (call, "requestBody"), "content");
    const json_t *answers = json_object_get (json_object_get (json_object_get (call, "responses"), "200"), "content");
    const char *name = strchr (path, '{');
    buf_append_str (out, "\n```text\ncurl ");
    if (json_object_get (answers, "text/event-stream"))
        buf_append_str (out, "-N ");
    if (strcmp (method, "get") != 0 && strcmp (method, "post") != 0) {
        buf_append_str (out, "-X ");
        add_cased (out, method, toupper);
        buf_append_str (out, " ");
    } else if (strcmp (method, "post") == 0 && !content) {
        buf_append_str (out, "-X POST ");
    }
    buf_printf (out, "'http://localhost:3000%.*s", (int)(name ? (size_t)(name - path) : strlen (path)), path);
    if (name)
        buf_append_str (out, json_string_value (example_of (json_object_get (
                                 json_array_get (json_object_get (call, "parameters"), 0), "schema"))));
    add_query (out, call);
    buf_append_str (out, "'");
    if (json_object_get (content, "application/octet-stream"))
        buf_append_str (out, " --data-binary @FILE");
    else if (json_object_get (content, "multipart/form-data"))
        buf_append_str (out, " \\\n  -F file=@project.zip -F commands='make test' -F mode=distributed");
    else if (json_object_get (content, "application/json"))
        add_json_example (out, json_object_get (json_object_get (content, "application/json"), "schema"));
    buf_append_str (out, "\n```\n");
}

static void add_roles (buf_t *out, const json_t *call)
{
    size_t at;
    json_t *role;
    json_t *list = json_object_get (call, "x-roles");
    buf_append_str (out, list ? "\nRoles: " : "\nOpen to everybody.\n");
    json_array_foreach (list, at, role)
    {
        buf_printf (out, "%s%s", at ? ", " : "", json_string_value (role));
    }
    buf_append_str (out, list ? ".\n" : "");
}

static void add_call (buf_t *out, const json_t *document, const char *path, const char *method, const json_t *call)
{
    const char *status;
    json_t *response;
    buf_append_str (out, "\n### ");
    add_cased (out, method, toupper);
    buf_printf (out, " %s\n\n%s.\n", path, text_of (call, "summary"));
    if (text_of (call, "description")[0])
        buf_printf (out, "\n%s\n", text_of (call, "description"));
    add_roles (out, call);
    add_parameters (out, call);
    add_body (out, call);
    json_object_foreach (json_object_get (call, "responses"), status, response)
    {
        if (status[0] < '4')
            add_answer (out, status, response);
    }
    add_refusals (out, call, json_object_get (json_object_get (document, "components"), "responses"));
    add_curl (out, method, path, call);
}

/* ---- the page ---- */

static void add_tag (buf_t *out, const json_t *document, const json_t *tag)
{
    const char *path, *method;
    json_t *item, *call;
    buf_printf (out, "\n## %s\n\n%s\n", text_of (tag, "name"), text_of (tag, "description"));
    json_object_foreach (json_object_get (document, "paths"), path, item)
    {
        json_object_foreach (item, method, call)
        {
            const char *of = json_string_value (json_array_get (json_object_get (call, "tags"), 0));
            if (strcmp (of, text_of (tag, "name")) == 0)
                add_call (out, document, path, method, call);
        }
    }
}

static void add_common_refusals (buf_t *out, const json_t *components)
{
    const char *name;
    json_t *response;
    buf_append_str (out, "\n## What any call may be refused for\n\nErrors are an [Error](#error), and the status is "
                         "its code's. Those of a "
                         "call itself stand there; these may come from any:\n\n");
    json_object_foreach (json_object_get (components, "responses"), name, response)
    {
        buf_printf (out, "- %s %s\n", strrchr (name, '-') + 1, text_of (response, "description"));
    }
}

static void add_errors (buf_t *out)
{
    buf_append_str (out, "\n## Error codes\n\n| code | status | again later? | sentence |\n|---|---|---|---|\n");
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++) {
        const error_row_t *row = error_row ((err_t)err);
        buf_printf (out, "| `%s` | %d | %s | %s |\n", row->code, row->http_status, row->retryable ? "yes" : "",
                    row->text);
    }
}

void apidoc_page (const json_t *document, buf_t *out)
{
    size_t at;
    const char *name;
    json_t *tag, *schema;
    const json_t *components = json_object_get (document, "components");
    buf_printf (out, "%s%s\n", intro, text_of (json_object_get (document, "info"), "description"));
    json_array_foreach (json_object_get (document, "tags"), at, tag)
    {
        add_tag (out, document, tag);
    }
    add_common_refusals (out, components);
    buf_append_str (out, "\n## Objects\n");
    json_object_foreach (json_object_get (components, "schemas"), name, schema)
    {
        bool error = strcmp (name, "Error") == 0;
        buf_printf (out, "\n### %s\n\n%s\n", name, text_of (schema, "description"));
        if (error)
            buf_append_str (out, "\n`error`, one sentence; `code`, stable, one of those below; `field`, the field at "
                                 "fault, where one is; "
                                 "`offset` and `stream` of `OUTPUT_GAP` and `OUTPUT_MISMATCH`.\n");
        else
            add_properties (out, schema, strcmp (name, "HeldLease") == 0);
    }
    add_errors (out);
}
