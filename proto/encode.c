/* encode.c - message to msgpack. */
#include <assert.h>
#include <msgpack.h>
#include <string.h>

#include "field.h"
#include "lines.h"

static int write_to_buf (void *ctx, const char *bytes, size_t len)
{
    buf_append (ctx, bytes, len);
    return 0;
}

static void pack_text (msgpack_packer *pk, const char *text, size_t len)
{
    msgpack_pack_str (pk, len);
    msgpack_pack_str_body (pk, text, len);
}

static void pack_list (msgpack_packer *pk, buf_t *out, const list_t *list)
{
    msgpack_pack_array (pk, list->count);
    if (list->raw.len) {
        buf_append (out, list->raw.ptr, list->raw.len);
        return;
    }
    /* A decoded list goes on as it came. */
    const msgpack_object *objects = list->objects;
    for (uint32_t i = 0; objects && i < list->count; i++)
        msgpack_pack_object (pk, objects[i]);
}

static void pack_lines (msgpack_packer *pk, slice_t lines, bool map)
{
    slice_t line, key, value;
    if (map)
        msgpack_pack_map (pk, lines_count (lines));
    else
        msgpack_pack_array (pk, lines_count (lines));
    while (lines_next (&lines, &line)) {
        if (!map) {
            pack_text (pk, line.ptr, line.len);
            continue;
        }
        line_split (line, &key, &value);
        pack_text (pk, key.ptr, key.len);
        pack_text (pk, value.ptr ? value.ptr : "", value.len);
    }
}

static void pack_rows (msgpack_packer *pk, slice_t rows)
{
    slice_t row, key, value;
    msgpack_pack_map (pk, rows_count (rows));
    while (rows_next (&rows, &row)) {
        line_split (row, &key, &value);
        pack_text (pk, key.ptr, key.len);
        pack_text (pk, value.ptr, value.len);
    }
}

static void pack_field (msgpack_packer *pk, buf_t *out, void *body, const field_spec_t *field)
{
    pack_text (pk, field->name, field->name_len);
    switch (field->type) {
    case FIELD_STR:
        pack_text (pk, slice_at (body, field)->ptr, slice_at (body, field)->len);
        break;
    case FIELD_BYTES:
        msgpack_pack_bin (pk, slice_at (body, field)->len);
        msgpack_pack_bin_body (pk, slice_at (body, field)->ptr, slice_at (body, field)->len);
        break;
    case FIELD_INT:
    case FIELD_UINT:
        msgpack_pack_int64 (pk, *int_at (body, field));
        break;
    case FIELD_DECIMAL:
        if (*int_at (body, field) % 100)
            msgpack_pack_double (pk, (double)*int_at (body, field) / 100);
        else
            msgpack_pack_int64 (pk, *int_at (body, field) / 100);
        break;
    case FIELD_BOOL:
        if (*bool_at (body, field))
            msgpack_pack_true (pk);
        else
            msgpack_pack_false (pk);
        break;
    case FIELD_MAP:
    case FIELD_TEXTS:
        pack_lines (pk, *slice_at (body, field), field->type == FIELD_MAP);
        break;
    case FIELD_ROWS:
        pack_rows (pk, *slice_at (body, field));
        break;
    case FIELD_LIST:
        pack_list (pk, out, list_at (body, field));
        break;
    }
}

static void pack_optional (msgpack_packer *pk, const char *name, slice_t text)
{
    if (!text.ptr)
        return;
    pack_text (pk, name, strlen (name));
    pack_text (pk, text.ptr, text.len);
}

/* `extra`: entries of the envelope; 0: without one. */
static void pack_fields (msgpack_packer *pk, buf_t *out, const message_t *message, size_t extra)
{
    const message_spec_t *spec = message_spec (message->type);
    void *body = (void *)(uintptr_t)message_body_const (message);
    size_t count = extra;
    for (size_t i = 0; i < spec->field_count; i++) {
        bool present = field_present (body, &spec->fields[i]);
        assert (present || spec->fields[i].need == OPTIONAL);
        count += present;
    }
    msgpack_pack_map (pk, count);
    if (extra) {
        pack_text (pk, "v", 1);
        msgpack_pack_int (pk, PROTOCOL_VERSION);
        pack_text (pk, "type", 4);
        pack_text (pk, spec->wire, spec->wire_len);
        if (message->id.ptr) {
            pack_text (pk, "id", 2);
            buf_append (out, message->id.ptr, message->id.len);
        }
        pack_optional (pk, "auth", message->auth);
        pack_optional (pk, "peer", message->peer);
    }
    for (size_t i = 0; i < spec->field_count; i++)
        if (field_present (body, &spec->fields[i]))
            pack_field (pk, out, body, &spec->fields[i]);
}

void message_encode (const message_t *self, buf_t *out)
{
    msgpack_packer pk;
    msgpack_packer_init (&pk, out, write_to_buf);
    size_t optional = (self->id.ptr != NULL) + (size_t)(self->auth.ptr != NULL) + (self->peer.ptr != NULL);
    pack_fields (&pk, out, self, 2 + optional);
}

void message_encode_item (const message_t *item, buf_t *out)
{
    msgpack_packer pk;
    msgpack_packer_init (&pk, out, write_to_buf);
    pack_fields (&pk, out, item, 0);
}

void list_writer_add (list_t *list, buf_t *raw, const message_t *item)
{
    message_encode_item (item, raw);
    list->count++;
    list->raw = buf_slice (raw);
}

void list_writer_split (message_t *self, const buf_t *raw, size_t from)
{
    const message_spec_t *spec = message_spec (self->type);
    for (size_t i = 0; i < spec->field_count; i++) {
        list_t *list = (list_t *)(void *)((char *)message_body (self) + spec->fields[i].at);
        if (spec->fields[i].type != FIELD_LIST || !list->count)
            continue;
        size_t end = list->raw.len; /* `raw` was as long after its last item */
        list->raw = slice_from (raw->ptr + from, end - from);
        from = end;
    }
}
