/* decode.c - msgpack to message: one frame, checked before and while it is read. */
#include <assert.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "field.h"
#include "lines.h"
#include "options.h"
#include "wire.h"

enum {
    PAIRS_MAX = 128, /* fields of one message, unknown ones too; more are refused */
    ZONE_CHUNK = 8 * 1024,
    TYPE_SHOWN_MAX = 64, /* characters of an unknown type in the refusal */
};

struct decoder {
    msgpack_zone zone;
};

decoder_t *decoder_new (void)
{
    decoder_t *self = xcalloc (1, sizeof *self);
    if (!msgpack_zone_init (&self->zone, ZONE_CHUNK))
        abort ();
    return self;
}

void decoder_destroy (decoder_t **self_p)
{
    if (!*self_p)
        return;
    msgpack_zone_destroy (&(*self_p)->zone);
    free (*self_p);
    *self_p = NULL;
}

static bool object_text (const msgpack_object *object, slice_t *out)
{
    if (object->type != MSGPACK_OBJECT_STR)
        return false;
    *out = slice_from (object->via.str.ptr, object->via.str.size);
    return true;
}

static bool object_number (const msgpack_object *object, int64_t *out)
{
    if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *out = object->via.i64;
        return *out != INT_ABSENT;
    }
    if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER || object->via.u64 > INT64_MAX)
        return false;
    *out = (int64_t)object->via.u64;
    return true;
}

static err_t decode_slice (const msgpack_object *object, void *body, const field_spec_t *field, fault_t *fault)
{
    slice_t text;
    if (field->type == FIELD_BYTES && object->type == MSGPACK_OBJECT_BIN)
        text = slice_from (object->via.bin.ptr, object->via.bin.size);
    else if (!object_text (object, &text))
        return fault_type (fault, field);
    *slice_at (body, field) = text;
    return field_check_text (field, text, fault);
}

/* Every item is checked here, so that a broken one is refused with its message and none is passed over later. */
static err_t decode_list (const msgpack_object *object, list_t *out, const field_spec_t *field, void *memory,
                          fault_t *fault)
{
    if (object->type != MSGPACK_OBJECT_ARRAY)
        return fault_type (fault, field);
    err_t err = field_check_list (field, object->via.array.size, fault);
    if (err)
        return err;
    *out = (list_t){ object->via.array.size, object->via.array.ptr, SLICE (""), memory };
    for (uint32_t i = 0; i < out->count && !err; i++) {
        message_t item;
        if (object->via.array.ptr[i].type != MSGPACK_OBJECT_MAP)
            return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be a list of maps.", field->name);
        err = message_list_item (out, field->item, i, &item, fault);
    }
    return err;
}

/* A scalar as an entry's text: numbers and booleans are taken at their word. */
static bool entry_text (const msgpack_object *object, char number[32], slice_t *out)
{
    int64_t value = 0;
    if (object_text (object, out))
        return true;
    if (object->type == MSGPACK_OBJECT_BOOLEAN)
        *out = slice_of (object->via.boolean ? "true" : "false");
    else if (object_number (object, &value))
        *out = slice_from (number, (size_t)snprintf (number, 32, "%lld", (long long)value));
    else
        return false;
    return true;
}

static err_t add_entries (const msgpack_object *object, const field_spec_t *field, buf_t *lines, fault_t *fault)
{
    char number[2][32];
    slice_t key, value;
    err_t err = ERR_NONE;
    if (field->type == FIELD_MAP || field->type == FIELD_ROWS) {
        if (object->type != MSGPACK_OBJECT_MAP)
            return fault_type (fault, field);
        for (uint32_t i = 0; i < object->via.map.size && !err; i++) {
            const msgpack_object_kv *pair = &object->via.map.ptr[i];
            if (!entry_text (&pair->key, number[0], &key) || !entry_text (&pair->val, number[1], &value))
                return fault_type (fault, field);
            err = field->type == FIELD_ROWS ? field_add_row (field, lines, key, value, fault)
                                            : field_add_line (field, lines, key, value, fault);
        }
        return err;
    }
    if (object->type != MSGPACK_OBJECT_ARRAY) /* one entry stands for a list of one */
        return entry_text (object, number[0], &key) ? field_add_line (field, lines, key, SLICE_ABSENT, fault)
                                                    : fault_type (fault, field);
    for (uint32_t i = 0; i < object->via.array.size && !err; i++) {
        if (!entry_text (&object->via.array.ptr[i], number[0], &key))
            return fault_type (fault, field);
        err = field_add_line (field, lines, key, SLICE_ABSENT, fault);
    }
    return err;
}

static err_t decode_lines (const msgpack_object *object, slice_t *out, const field_spec_t *field, void *memory,
                           fault_t *fault)
{
    buf_t lines = { 0 };
    err_t err = add_entries (object, field, &lines, fault);
    if (!err) {
        char *copy = msgpack_zone_malloc (memory, lines.len + 1);
        if (!copy)
            abort ();
        if (lines.len)
            memcpy (copy, lines.ptr, lines.len);
        *out = slice_from (copy, lines.len);
        err = field_check_text (field, *out, fault);
    }
    buf_fini (&lines);
    return err;
}

static err_t decode_decimal (const msgpack_object *object, int64_t *out, const field_spec_t *field, fault_t *fault)
{
    int64_t whole = 0;
    err_t err = ERR_NONE;
    if (object->type == MSGPACK_OBJECT_FLOAT32 || object->type == MSGPACK_OBJECT_FLOAT64)
        err = field_take_real (field, object->via.f64, out, fault);
    else if (object_number (object, &whole))
        err = field_take_whole (field, whole, out, fault);
    else
        return fault_type (fault, field);
    return err ? err : field_check_number (field, *out, fault);
}

static err_t decode_field (const msgpack_object *object, void *body, const field_spec_t *field, void *memory,
                           fault_t *fault)
{
    if (object->type == MSGPACK_OBJECT_NIL)
        return ERR_NONE;
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        return decode_slice (object, body, field, fault);
    case FIELD_INT:
    case FIELD_UINT:
        if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 > INT64_MAX)
            return fault_limit (fault, field, INT_ABSENT);
        if (!object_number (object, int_at (body, field)))
            return fault_type (fault, field);
        return field_check_number (field, *int_at (body, field), fault);
    case FIELD_DECIMAL:
        return decode_decimal (object, int_at (body, field), field, fault);
    case FIELD_BOOL:
        if (object->type != MSGPACK_OBJECT_BOOLEAN)
            return fault_type (fault, field);
        *bool_at (body, field) = object->via.boolean;
        return ERR_NONE;
    case FIELD_LIST:
        return decode_list (object, list_at (body, field), field, memory, fault);
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        return decode_lines (object, slice_at (body, field), field, memory, fault);
    }
    return ERR_NONE;
}

static const field_spec_t *field_find (const message_spec_t *spec, slice_t name)
{
    for (const field_spec_t *field = spec->fields; field->name; field++)
        if (field->name_len == name.len && memcmp (field->name, name.ptr, name.len) == 0)
            return field;
    return NULL;
}

/* The envelope's and the message's fields of one map into `out`, whose type is known. */
static err_t decode_map (const msgpack_object_map *map, message_t *out, void *memory, fault_t *fault)
{
    const message_spec_t *spec = message_spec (out->type);
    void *body = message_body (out);
    uint64_t seen[PAIRS_MAX / 64] = { 0 };
    for (uint32_t i = 0; i < map->size; i++) {
        slice_t name;
        if (!object_text (&map->ptr[i].key, &name))
            return fault_set (fault, ERR_BAD_MSGPACK, NULL, "A message's keys must be text.");
        const field_spec_t *field = field_find (spec, name);
        if (!field)
            continue; /* rule 7: unknown fields are ignored */
        size_t at = (size_t)(field - spec->fields);
        uint64_t bit = 1ULL << at % 64;
        assert (at < PAIRS_MAX);
        if (seen[at / 64] & bit) /* rule 9 */
            return fault_set (fault, ERR_DUPLICATE_KEY, field->name, "`%s` stands twice in the message.", field->name);
        seen[at / 64] |= bit;
        err_t err = decode_field (&map->ptr[i].val, body, field, memory, fault);
        if (err)
            return err;
    }
    for (size_t i = 0; i < spec->field_count; i++)
        if (spec->fields[i].need == REQUIRED && !field_present (body, &spec->fields[i]))
            return fault_missing (fault, &spec->fields[i]);
    return ERR_NONE;
}

typedef struct {
    const msgpack_object *version;
    const msgpack_object *type;
    slice_t id;
    slice_t auth;
    slice_t peer;
} envelope_t;

/* Byte range of value number `index` of the frame's map. */
static slice_t value_bytes (slice_t frame, uint32_t index)
{
    unsigned char first = (unsigned char)frame.ptr[0];
    size_t head = first == 0xde ? 3 : first == 0xdf ? 5 : 1;
    slice_t rest = slice_from (frame.ptr + head, frame.len - head);
    size_t len = wire_object_len (rest);
    for (uint32_t skip = 2 * index + 1; skip; skip--) {
        rest = slice_from (rest.ptr + len, rest.len - len);
        len = wire_object_len (rest);
    }
    return slice_from (rest.ptr, len);
}

static bool id_usable (const msgpack_object *id)
{
    return id->type == MSGPACK_OBJECT_POSITIVE_INTEGER || id->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ||
           (id->type == MSGPACK_OBJECT_STR && id->via.str.size <= ID_MAX);
}

/* An optional text of the envelope. `*twice`: it stands there again. Its value stands in no refusal. */
static err_t envelope_text (const msgpack_object *value, const char *name, size_t limit, slice_t *out, bool *twice,
                            fault_t *fault)
{
    *twice = out->ptr != NULL;
    if (value->type == MSGPACK_OBJECT_NIL)
        return ERR_NONE;
    if (!object_text (value, out) || out->len > limit || (out->len && memchr (out->ptr, '\0', out->len)) ||
        !utf8_valid (*out))
        return fault_set (fault, ERR_SCHEMA, name, "`%s` must be text of %zu bytes at most.", name, limit);
    return ERR_NONE;
}

static err_t read_envelope (slice_t frame, const msgpack_object_map *map, envelope_t *out, fault_t *fault)
{
    *out = (envelope_t){ 0 };
    for (uint32_t i = 0; i < map->size; i++) {
        slice_t name;
        if (!object_text (&map->ptr[i].key, &name))
            return fault_set (fault, ERR_BAD_MSGPACK, NULL, "A message's keys must be text.");
        const msgpack_object *value = &map->ptr[i].val;
        err_t err = ERR_NONE;
        bool twice = false;
        if (slice_eq_str (name, "v")) {
            twice = out->version != NULL;
            out->version = value;
        } else if (slice_eq_str (name, "type")) {
            twice = out->type != NULL;
            out->type = value;
        } else if (slice_eq_str (name, "id") && value->type != MSGPACK_OBJECT_NIL) {
            if (!id_usable (value))
                return fault_set (fault, ERR_SCHEMA, "id", "`id` must be a whole number or text of %d bytes at most.",
                                  ID_MAX);
            twice = out->id.ptr != NULL;
            out->id = value_bytes (frame, i);
        } else if (name.len == 4 && slice_eq_str (name, "auth")) {
            err = envelope_text (value, "auth", AUTH_MAX, &out->auth, &twice, fault);
        } else if (name.len == 4 && slice_eq_str (name, "peer")) {
            err = envelope_text (value, "peer", NAME_MAX_BYTES, &out->peer, &twice, fault);
        }
        if (err)
            return err;
        if (twice)
            return fault_set (fault, ERR_DUPLICATE_KEY, NULL, "`" SLICE_FMT "` stands twice in the message.",
                              SLICE_ARG (name));
    }
    return ERR_NONE;
}

/* Rule 8: neither another version nor a type that is not known is guessed at. */
static err_t check_version (const msgpack_object *version, fault_t *fault)
{
    int64_t number = 0;
    if (!version)
        return fault_set (fault, ERR_UNSUPPORTED, "v", "`v`, the protocol version, is missing: this is version %d.",
                          PROTOCOL_VERSION);
    if (!object_number (version, &number))
        return fault_set (fault, ERR_UNSUPPORTED, "v", "`v` must be the protocol version: this is version %d.",
                          PROTOCOL_VERSION);
    if (number != PROTOCOL_VERSION)
        return fault_set (fault, ERR_UNSUPPORTED, "v",
                          "Protocol version %lld is not known here, in " GLEANER_VERSION
                          ": this is version %d. Upgrade %s.",
                          (long long)number, PROTOCOL_VERSION, number > PROTOCOL_VERSION ? "this side" : "the sender");
    return ERR_NONE;
}

static err_t check_type (const msgpack_object *type, msg_type_t *out, fault_t *fault)
{
    slice_t name;
    char shown[TYPE_SHOWN_MAX];
    if (!type)
        return fault_set (fault, ERR_UNSUPPORTED, "type", "`type`, the message's type, is missing.");
    if (!object_text (type, &name))
        return fault_set (fault, ERR_UNSUPPORTED, "type", "`type` must be text: the message's type.");
    msg_type_t found = message_find (name);
    if (found == MSG_COUNT)
        return fault_set (fault, ERR_UNSUPPORTED, "type",
                          "The message type '%s' is not known here, in " GLEANER_VERSION
                          ": if it is not misspelt, upgrade this side.",
                          text_escape (name, shown, sizeof shown));
    *out = found;
    return ERR_NONE;
}

err_t message_decode (decoder_t *self, slice_t frame, size_t frame_max, message_t *out, fault_t *fault)
{
    message_init (out, MSG_ERROR);
    if (frame.len > frame_max)
        return fault_set (fault, ERR_TOO_LARGE, NULL, "A frame is %zu bytes at most.", frame_max);
    err_t err = frame.len ? wire_check (frame) : ERR_BAD_MSGPACK;
    if (err)
        return fault_set (fault, err, NULL, NULL);
    msgpack_zone_clear (&self->zone);
    msgpack_object object;
    size_t used = 0;
    if (msgpack_unpack (frame.ptr, frame.len, &used, &self->zone, &object) != MSGPACK_UNPACK_SUCCESS)
        return fault_set (fault, ERR_BAD_MSGPACK, NULL, NULL);
    if (object.type != MSGPACK_OBJECT_MAP)
        return fault_set (fault, ERR_BAD_MSGPACK, NULL, "A message is a msgpack map.");
    if (object.via.map.size > PAIRS_MAX)
        return fault_set (fault, ERR_SCHEMA, NULL, "A message has %d fields at most.", PAIRS_MAX);
    envelope_t envelope;
    err = read_envelope (frame, &object.via.map, &envelope, fault);
    msg_type_t type = MSG_ERROR;
    if (!err)
        err = check_version (envelope.version, fault);
    if (!err)
        err = check_type (envelope.type, &type, fault);
    message_init (out, type);
    out->id = envelope.id;
    out->auth = envelope.auth;
    out->peer = envelope.peer;
    return err ? err : decode_map (&object.via.map, out, &self->zone, fault);
}

err_t message_list_item (const list_t *list, msg_type_t item, uint32_t at, message_t *out, fault_t *fault)
{
    assert (at < list->count && list->objects);
    const msgpack_object *object = (const msgpack_object *)list->objects + at;
    message_init (out, item);
    if (object->type != MSGPACK_OBJECT_MAP || object->via.map.size > PAIRS_MAX)
        return fault_set (fault, ERR_SCHEMA, NULL, "An item of a list is a map of %d fields at most.", PAIRS_MAX);
    return decode_map (&object->via.map, out, list->memory, fault);
}

err_t message_decode_item (decoder_t *self, slice_t bytes, msg_type_t type, message_t *out, fault_t *fault)
{
    message_init (out, type);
    err_t err = bytes.len ? wire_check (bytes) : ERR_BAD_MSGPACK;
    msgpack_object object;
    size_t used = 0;
    msgpack_zone_clear (&self->zone);
    if (err || msgpack_unpack (bytes.ptr, bytes.len, &used, &self->zone, &object) != MSGPACK_UNPACK_SUCCESS ||
        object.type != MSGPACK_OBJECT_MAP || object.via.map.size > PAIRS_MAX)
        return fault_set (fault, ERR_BAD_MSGPACK, NULL, NULL);
    return decode_map (&object.via.map, out, &self->zone, fault);
}
