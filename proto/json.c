#include "json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "lines.h"

enum { JSON_DEPTH_MAX = 32 }; /* unknown fields may nest; jansson alone goes to 2048 */

/* ---- before the parser ---- */

/* Nesting, so that the parser's recursion is bounded by us. Quotes are skipped; broken JSON is the parser's to refuse.
 */
static bool too_deep (slice_t body)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < body.len; i++) {
        char c = body.ptr[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

/* The value of a \uXXXX escape at `at`; -1 when there is none. */
static int escape_at (const char *at, const char *end)
{
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int value = 0;
    for (int i = 2; i < 6; i++) {
        char c = at[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* Old agents send output that is no text: bytes that are not UTF-8 and halves of surrogate pairs become U+FFFD. */
static void repair_body (slice_t body, buf_t *out)
{
    buf_t valid = { 0 };
    utf8_repair (body, &valid);
    const char *at = valid.ptr ? valid.ptr : "";
    const char *end = at + valid.len;
    buf_reserve (out, valid.len);
    while (at < end) {
        const char *next = memchr (at, '\\', (size_t)(end - at));
        buf_append (out, at, (size_t)((next ? next : end) - at));
        if (!next)
            break;
        int value = escape_at (next, end);
        int low = value >= 0xd800 && value <= 0xdbff ? escape_at (next + 6, end) : -1;
        size_t used = value >= 0 ? 6 : end - next >= 2 ? 2 : 1;
        if (low >= 0xdc00 && low <= 0xdfff)
            used = 12;
        if (used != 12 && value >= 0xd800 && value <= 0xdfff)
            buf_append (out, "\\ufffd", 6);
        else
            buf_append (out, next, used);
        at = next + used;
    }
    buf_fini (&valid);
}

static err_t parse_fault (const json_error_t *error, fault_t *fault)
{
    if (json_error_code (error) == json_error_duplicate_key)
        return fault_set (fault, ERR_DUPLICATE_KEY, NULL, "A field stands twice in the JSON body.");
    char text[100];
    return fault_set (fault, ERR_BAD_JSON, NULL, "The body is not valid JSON: line %d, column %d: %s.", error->line,
                      error->column, text_escape (slice_of (error->text), text, sizeof text));
}

err_t json_parse (slice_t body, int flags, json_t **object_p, fault_t *fault)
{
    *object_p = NULL;
    if (!body.len)
        return fault_set (fault, ERR_BAD_JSON, NULL, "The body is empty: a JSON object is needed.");
    if (too_deep (body))
        return fault_set (fault, ERR_TOO_DEEP, NULL, "The JSON body is nested more than %d deep.", JSON_DEPTH_MAX);
    bool repair = flags & JSON_REPAIR_TEXT;
    buf_t repaired = { 0 };
    if (repair) {
        repair_body (body, &repaired);
        body = buf_slice (&repaired);
    }
    json_error_t error;
    json_t *json = json_loadb (body.ptr, body.len, JSON_REJECT_DUPLICATES | (repair ? JSON_ALLOW_NUL : 0), &error);
    buf_fini (&repaired);
    if (!json)
        return parse_fault (&error, fault);
    if (!json_is_object (json)) {
        json_decref (json);
        return fault_set (fault, ERR_BAD_JSON, NULL, "The body must be a JSON object.");
    }
    *object_p = json;
    return ERR_NONE;
}

/* ---- JSON to message ---- */

static void *member_at (message_t *self, const field_spec_t *field)
{
    return (char *)message_body (self) + field->at;
}

static err_t wrong_type (const field_spec_t *field, const char *want, fault_t *fault)
{
    return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be %s.", field->name, want);
}

static err_t set_number (const json_t *value, int64_t *out, const field_spec_t *field, fault_t *fault)
{
    if (json_is_integer (value)) {
        *out = json_integer_value (value);
    } else if (json_is_real (value)) { /* some languages write 0 as 0.0 */
        double real = json_real_value (value);
        if (floor (real) != real || fabs (real) > 9007199254740992.0)
            return wrong_type (field, "a whole number", fault);
        *out = (int64_t)real;
    } else {
        return wrong_type (field, "a whole number", fault);
    }
    return *out == INT_ABSENT ? wrong_type (field, "a whole number", fault) : ERR_NONE;
}

static err_t set_decimal (const json_t *value, int64_t *out, const field_spec_t *field, fault_t *fault)
{
    if (json_is_integer (value))
        return field_take_whole (field, json_integer_value (value), out, fault);
    return json_is_real (value) ? field_take_real (field, json_real_value (value), out, fault)
                                : fault_type (fault, field);
}

static err_t set_list (const json_t *value, const field_spec_t *field, list_t *out, buf_t *raw, fault_t *fault)
{
    if (!json_is_array (value) || (!raw && json_array_size (value))) /* no lists within lists */
        return wrong_type (field, "a list", fault);
    if ((int64_t)json_array_size (value) > field->limit)
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must have %lld items at most.", field->name,
                          (long long)field->limit);
    *out = (list_t){ .raw = SLICE ("") };
    for (size_t i = 0; i < json_array_size (value); i++) {
        json_t *object = json_array_get (value, i);
        message_t item;
        if (!json_is_object (object))
            return wrong_type (field, "a list of objects", fault);
        err_t err = json_to_message (object, field->item, &item, NULL, fault);
        if (!err)
            err = message_check (&item, fault);
        if (err)
            return err;
        list_writer_add (out, raw, &item);
    }
    return ERR_NONE;
}

/* A scalar as an entry's text: numbers and booleans are taken at their word. */
static bool entry_text (const json_t *value, char number[32], slice_t *out)
{
    if (json_is_string (value))
        *out = slice_from (json_string_value (value), json_string_length (value));
    else if (json_is_boolean (value))
        *out = slice_of (json_is_true (value) ? "true" : "false");
    else if (json_is_integer (value))
        *out = slice_from (number, (size_t)snprintf (number, 32, "%lld", (long long)json_integer_value (value)));
    else
        return false;
    return true;
}

static err_t add_entries (const json_t *value, const field_spec_t *field, buf_t *lines, fault_t *fault)
{
    bool map = field->type == FIELD_MAP || field->type == FIELD_ROWS;
    const char *want = map ? "an object of texts" : "a list of texts";
    char number[32];
    slice_t text;
    err_t err = ERR_NONE;
    if (map) {
        if (!json_is_object (value))
            return wrong_type (field, want, fault);
        for (void *at = json_object_iter ((json_t *)(uintptr_t)value); at && !err;
             at = json_object_iter_next ((json_t *)(uintptr_t)value, at)) {
            if (!entry_text (json_object_iter_value (at), number, &text))
                return wrong_type (field, want, fault);
            err = field->type == FIELD_ROWS
                      ? field_add_row (field, lines, slice_of (json_object_iter_key (at)), text, fault)
                      : field_add_line (field, lines, slice_of (json_object_iter_key (at)), text, fault);
        }
        return err;
    }
    if (!json_is_array (value)) /* one entry stands for a list of one */
        return entry_text (value, number, &text) ? field_add_line (field, lines, text, SLICE_ABSENT, fault)
                                                 : wrong_type (field, want, fault);
    for (size_t i = 0; i < json_array_size (value) && !err; i++) {
        if (!entry_text (json_array_get (value, i), number, &text))
            return wrong_type (field, want, fault);
        err = field_add_line (field, lines, text, SLICE_ABSENT, fault);
    }
    return err;
}

/* The lines take the member's place in `object`: they live as long as it does. */
static err_t set_lines (json_t *object, const json_t *value, const field_spec_t *field, slice_t *out, fault_t *fault)
{
    buf_t lines = { 0 };
    err_t err = add_entries (value, field, &lines, fault);
    if (!err) {
        json_t *text = json_stringn_nocheck (lines.ptr ? lines.ptr : "", lines.len);
        json_object_set_new_nocheck (object, field->name, text);
        *out = slice_from (json_string_value (text), json_string_length (text));
    }
    buf_fini (&lines);
    return err;
}

static err_t set_json (message_t *self, const field_spec_t *field, json_t *object, const json_t *value, buf_t *raw,
                       fault_t *fault)
{
    void *at = member_at (self, field);
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        if (!json_is_string (value))
            return wrong_type (field, "text", fault);
        *(slice_t *)at = slice_from (json_string_value (value), json_string_length (value));
        return ERR_NONE;
    case FIELD_INT:
    case FIELD_UINT:
        return set_number (value, at, field, fault);
    case FIELD_DECIMAL:
        return set_decimal (value, at, field, fault);
    case FIELD_BOOL:
        if (!json_is_boolean (value))
            return wrong_type (field, "true or false", fault);
        *(int *)at = json_is_true (value);
        return ERR_NONE;
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        return set_lines (object, value, field, at, fault);
    case FIELD_LIST:
        return set_list (value, field, at, raw, fault);
    }
    return ERR_NONE;
}

err_t json_to_message (json_t *object, msg_type_t type, message_t *out, buf_t *raw, fault_t *fault)
{
    message_init (out, type);
    const message_spec_t *spec = message_spec (type);
    size_t from = raw ? raw->len : 0;
    err_t err = ERR_NONE;
    for (size_t i = 0; i < spec->field_count && !err; i++) {
        const json_t *value = json_object_get (object, spec->fields[i].name);
        if (value && !json_is_null (value))
            err = set_json (out, &spec->fields[i], object, value, raw, fault);
    }
    if (raw)
        list_writer_split (out, raw, from);
    return err;
}

/* A decimal number of at most 18 digits. */
static bool read_decimal (slice_t text, int64_t *out)
{
    size_t at = text.len && text.ptr[0] == '-';
    if (text.len == at || text.len - at > 18)
        return false;
    int64_t number = 0;
    for (size_t i = at; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        number = number * 10 + (text.ptr[i] - '0');
    }
    *out = at ? -number : number;
    return true;
}

/* The same with two decimals at most, as hundredths. */
static bool read_hundredths (slice_t text, int64_t *out)
{
    const char *point = memchr (text.ptr, '.', text.len);
    size_t decimals = point ? (size_t)(text.ptr + text.len - point) - 1 : 0;
    slice_t whole = slice_from (text.ptr, text.len - decimals - (point ? 1 : 0));
    int64_t part = 0;
    if (decimals > 2 || (point && !decimals) || whole.len > 12 || !read_decimal (whole, out) ||
        (point && (point[1] == '-' || !read_decimal (slice_from (point + 1, decimals), &part))))
        return false;
    part *= decimals == 1 ? 10 : 1;
    *out = *out * 100 + (text.ptr[0] == '-' ? -part : part);
    return true;
}

static err_t set_text (message_t *self, const field_spec_t *field, slice_t text, fault_t *fault)
{
    void *at = member_at (self, field);
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        *(slice_t *)at = text;
        return ERR_NONE;
    case FIELD_INT:
    case FIELD_UINT:
        return read_decimal (text, at) ? ERR_NONE : wrong_type (field, "a whole number", fault);
    case FIELD_DECIMAL:
        return read_hundredths (text, at) ? ERR_NONE : fault_type (fault, field);
    case FIELD_BOOL:
        *(int *)at = slice_eq_str (text, "true") || slice_eq_str (text, "1");
        if (*(int *)at || slice_eq_str (text, "false") || slice_eq_str (text, "0"))
            return ERR_NONE;
        return wrong_type (field, "true or false", fault);
    case FIELD_LIST:
        break;
    }
    return wrong_type (field, "a list", fault);
}

err_t message_set_text (message_t *self, slice_t name, slice_t text, fault_t *fault)
{
    const message_spec_t *spec = message_spec (self->type);
    for (size_t i = 0; i < spec->field_count; i++)
        if (slice_eq_str (name, spec->fields[i].name))
            return set_text (self, &spec->fields[i], text, fault);
    return ERR_NONE;
}

/* ---- message to JSON ---- */

static json_t *text_to_json (slice_t text)
{
    if (!text.ptr)
        return json_null ();
    if (utf8_valid (text))
        return json_stringn_nocheck (text.ptr, text.len);
    buf_t repaired = { 0 };
    utf8_repair (text, &repaired);
    json_t *json = json_stringn_nocheck (repaired.ptr ? repaired.ptr : "", repaired.len);
    buf_fini (&repaired);
    return json;
}

static json_t *list_to_json (const list_t *list, msg_type_t item_type)
{
    json_t *array = json_array ();
    for (uint32_t i = 0; list->objects && i < list->count; i++) {
        message_t item;
        fault_t fault;
        if (!message_list_item (list, item_type, i, &item, &fault))
            json_array_append_new (array, message_to_json (&item));
    }
    return array;
}

static json_t *lines_to_json (slice_t lines, bool map)
{
    if (!lines.ptr)
        return json_null ();
    json_t *out = map ? json_object () : json_array ();
    slice_t line, key, value;
    while (lines_next (&lines, &line)) {
        if (!map) {
            json_array_append_new (out, text_to_json (line));
            continue;
        }
        line_split (line, &key, &value);
        char *name = slice_dup (key);
        json_object_set_new (out, name, text_to_json (value.ptr ? value : SLICE ("")));
        free (name);
    }
    return out;
}

static json_t *rows_to_json (slice_t rows)
{
    if (!rows.ptr)
        return json_null ();
    json_t *out = json_object ();
    slice_t row, key, value;
    while (rows_next (&rows, &row)) {
        line_split (row, &key, &value);
        char *name = slice_dup (key);
        json_object_set_new (out, name, text_to_json (value));
        free (name);
    }
    return out;
}

static json_t *field_to_json (const void *at, const field_spec_t *field)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        return text_to_json (*(const slice_t *)at);
    case FIELD_INT:
    case FIELD_UINT:
        return *(const int64_t *)at == INT_ABSENT ? json_null () : json_integer (*(const int64_t *)at);
    case FIELD_DECIMAL: {
        int64_t value = *(const int64_t *)at;
        return value == INT_ABSENT ? json_null ()
               : value % 100       ? json_real ((double)value / 100)
                                   : json_integer (value / 100);
    }
    case FIELD_BOOL:
        return *(const int *)at == BOOL_ABSENT ? json_null () : json_boolean (*(const int *)at);
    case FIELD_MAP:
    case FIELD_TEXTS:
        return lines_to_json (*(const slice_t *)at, field->type == FIELD_MAP);
    case FIELD_ROWS:
        return rows_to_json (*(const slice_t *)at);
    case FIELD_LIST:
        return list_to_json (at, field->item);
    }
    return json_null ();
}

json_t *message_to_json (const message_t *self)
{
    const message_spec_t *spec = message_spec (self->type);
    json_t *object = json_object ();
    for (size_t i = 0; i < spec->field_count; i++) {
        const field_spec_t *field = &spec->fields[i];
        const char *at = (const char *)message_body_const (self) + field->at;
        json_object_set_new_nocheck (object, field->name, field_to_json (at, field));
    }
    return object;
}
