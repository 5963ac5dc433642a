#include "gateway/jsonout.h"

#include <stdio.h>
#include <string.h>

#include "proto/lines.h"

static void escape (buf_t *out, unsigned char byte)
{
    static const char hex[] = "0123456789abcdef";
    switch (byte) {
    case '"':
        buf_append (out, "\\\"", 2);
        return;
    case '\\':
        buf_append (out, "\\\\", 2);
        return;
    case '\n':
        buf_append (out, "\\n", 2);
        return;
    case '\r':
        buf_append (out, "\\r", 2);
        return;
    case '\t':
        buf_append (out, "\\t", 2);
        return;
    default:
        buf_append (out, "\\u00", 4);
        buf_append (out, (char[]){ hex[byte >> 4], hex[byte & 15] }, 2);
        return;
    }
}

void jsonout_text (buf_t *out, slice_t text)
{
    buf_reserve (out, text.len + 2);
    buf_append (out, "\"", 1);
    size_t from = 0;
    for (size_t at = 0; at < text.len; at++) {
        unsigned char byte = (unsigned char)text.ptr[at];
        if (byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7f)
            continue;
        buf_append (out, text.ptr + from, at - from);
        escape (out, byte);
        from = at + 1;
    }
    if (text.len > from)
        buf_append (out, text.ptr + from, text.len - from);
    buf_append (out, "\"", 1);
}

void jsonout_bytes (buf_t *out, slice_t bytes)
{
    if (utf8_valid (bytes)) {
        jsonout_text (out, bytes);
        return;
    }
    buf_t repaired = { 0 };
    utf8_repair (bytes, &repaired);
    jsonout_text (out, buf_slice (&repaired));
    buf_fini (&repaired);
}

static void append_int (buf_t *out, int64_t value)
{
    char digits[24];
    char *end = digits + sizeof digits;
    char *at = end;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do
        *--at = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        *--at = '-';
    buf_append (out, at, (size_t)(end - at));
}

static void append_decimal (buf_t *out, int64_t hundredths)
{
    if (hundredths == INT_ABSENT) {
        buf_append (out, "null", 4);
        return;
    }
    append_int (out, hundredths / 100);
    int64_t part = hundredths % 100;
    if (part)
        buf_printf (out, part % 10 ? ".%02d" : ".%d", (int)(part % 10 ? part : part / 10));
}

static void append_list (buf_t *out, const list_t *list, msg_type_t item_type)
{
    buf_append (out, "[", 1);
    bool first = true;
    for (uint32_t at = 0; at < list->count; at++) {
        message_t item;
        fault_t fault;
        if (message_list_item (list, item_type, at, &item, &fault) != 0)
            continue; /* the broker's mistake costs one row, not the page */
        buf_append (out, first ? "{" : ",{", first ? 1 : 2);
        jsonout_fields (out, &item);
        buf_append (out, "}", 1);
        first = false;
    }
    buf_append (out, "]", 1);
}

static void append_string (buf_t *out, const void *member, field_type_t type)
{
    const slice_t *text = member;
    if (!text->ptr)
        buf_append (out, "null", 4);
    else if (type == FIELD_BYTES)
        jsonout_bytes (out, *text);
    else
        jsonout_text (out, *text);
}

static void append_lines (buf_t *out, slice_t lines, bool map)
{
    if (!lines.ptr) {
        buf_append (out, "null", 4);
        return;
    }
    slice_t line, key, value;
    const char *comma = "";
    buf_append (out, map ? "{" : "[", 1);
    for (; lines_next (&lines, &line); comma = ",") {
        buf_append_str (out, comma);
        if (!map) {
            jsonout_text (out, line);
            continue;
        }
        line_split (line, &key, &value);
        jsonout_text (out, key);
        buf_append (out, ":", 1);
        jsonout_text (out, value.ptr ? value : SLICE (""));
    }
    buf_append (out, map ? "}" : "]", 1);
}

static void append_rows (buf_t *out, slice_t rows)
{
    if (!rows.ptr) {
        buf_append (out, "null", 4);
        return;
    }
    slice_t row, key, value;
    const char *comma = "";
    buf_append (out, "{", 1);
    for (; rows_next (&rows, &row); comma = ",") {
        buf_append_str (out, comma);
        line_split (row, &key, &value);
        jsonout_text (out, key);
        buf_append (out, ":", 1);
        jsonout_text (out, value);
    }
    buf_append (out, "}", 1);
}

static void append_value (buf_t *out, const field_spec_t *field, const void *member)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        append_string (out, member, field->type);
        return;
    case FIELD_INT:
    case FIELD_UINT:
        if (*(const int64_t *)member == INT_ABSENT)
            buf_append (out, "null", 4);
        else
            append_int (out, *(const int64_t *)member);
        return;
    case FIELD_DECIMAL:
        append_decimal (out, *(const int64_t *)member);
        return;
    case FIELD_BOOL:
        buf_append_str (out, *(const int *)member == BOOL_ABSENT ? "null" : *(const int *)member ? "true" : "false");
        return;
    case FIELD_MAP:
    case FIELD_TEXTS:
        append_lines (out, *(const slice_t *)member, field->type == FIELD_MAP);
        return;
    case FIELD_ROWS:
        append_rows (out, *(const slice_t *)member);
        return;
    case FIELD_LIST:
        append_list (out, member, field->item);
        return;
    }
}

void jsonout_fields (buf_t *out, const message_t *message)
{
    const message_spec_t *spec = message_spec (message->type);
    const char *body = message_body_const (message);
    for (size_t at = 0; at < spec->field_count; at++) {
        const field_spec_t *field = &spec->fields[at];
        buf_append (out, at ? ",\"" : "\"", at ? 2 : 1);
        buf_append_str (out, field->name);
        buf_append (out, "\":", 2);
        append_value (out, field, body + field->at);
    }
}
