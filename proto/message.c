#include "message.h"

#include <assert.h>
#include <msgpack.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* ---- the tables ---- */

#define MSG_BEGIN(ENUM, msg, text, about) static const field_spec_t fields_##msg[] = {
#define MSG_FIELD(msg, kind, member, text, max, must, about)                                                           \
    { .name = text,                                                                                                    \
      .name_len = sizeof (text) - 1,                                                                                   \
      .type = FIELD_##kind,                                                                                            \
      .need = must,                                                                                                    \
      .limit = max,                                                                                                    \
      .at = offsetof (msg_##msg##_t, member),                                                                          \
      .item = MSG_COUNT,                                                                                               \
      .doc = about },
#define MSG_LIST(msg, items, member, text, max, must, about)                                                           \
    { .name = text,                                                                                                    \
      .name_len = sizeof (text) - 1,                                                                                   \
      .type = FIELD_LIST,                                                                                              \
      .need = must,                                                                                                    \
      .limit = max,                                                                                                    \
      .at = offsetof (msg_##msg##_t, member),                                                                          \
      .item = MSG_##items,                                                                                             \
      .doc = about },
#define MSG_END(msg)                                                                                                   \
    {                                                                                                                  \
        .name = NULL                                                                                                   \
    }                                                                                                                  \
    }                                                                                                                  \
    ;
#include "messages.def"

static const message_spec_t specs[MSG_COUNT] = {
#define MSG_BEGIN(ENUM, msg, text, about)                                                                              \
    [MSG_##ENUM] = { .wire = text,                                                                                     \
                     .wire_len = sizeof (text) - 1,                                                                    \
                     .doc = about,                                                                                     \
                     .fields = fields_##msg,                                                                           \
                     .field_count = sizeof fields_##msg / sizeof *fields_##msg - 1,                                    \
                     .size = sizeof (msg_##msg##_t) },
#include "messages.def"
};

enum { PAIRS_MAX = 64 }; /* fields of one message, unknown ones too; more are refused */

const message_spec_t *message_spec (msg_type_t type)
{
    assert (type < MSG_COUNT);
    return &specs[type];
}

msg_type_t message_find (slice_t wire)
{
    for (int type = 0; type < MSG_COUNT; type++)
        if (specs[type].wire_len == wire.len && memcmp (specs[type].wire, wire.ptr, wire.len) == 0)
            return (msg_type_t)type;
    return MSG_COUNT;
}

void *message_body (message_t *self)
{
    return &self->job_create;
}

const void *message_body_const (const message_t *self)
{
    return &self->job_create;
}

/* The members of a msg struct by their table row. */
static slice_t *slice_at (void *body, const field_spec_t *field)
{
    return (slice_t *)(void *)((char *)body + field->at);
}

static int64_t *int_at (void *body, const field_spec_t *field)
{
    return (int64_t *)(void *)((char *)body + field->at);
}

static int *bool_at (void *body, const field_spec_t *field)
{
    return (int *)(void *)((char *)body + field->at);
}

static list_t *list_at (void *body, const field_spec_t *field)
{
    return (list_t *)(void *)((char *)body + field->at);
}

static void field_clear (void *body, const field_spec_t *field)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        *slice_at (body, field) = SLICE_ABSENT;
        break;
    case FIELD_INT:
    case FIELD_UINT:
        *int_at (body, field) = INT_ABSENT;
        break;
    case FIELD_BOOL:
        *bool_at (body, field) = BOOL_ABSENT;
        break;
    case FIELD_LIST:
        *list_at (body, field) = (list_t){ 0 };
        break;
    }
}

void message_init (message_t *self, msg_type_t type)
{
    self->type = type;
    self->id = SLICE_ABSENT;
    const message_spec_t *spec = message_spec (type);
    for (size_t i = 0; i < spec->field_count; i++)
        field_clear (message_body (self), &spec->fields[i]);
}

/* ---- faults ---- */

err_t fault_set (fault_t *fault, err_t err, const char *field, const char *format, ...)
{
    fault->err = err;
    fault->field = field ? field : "";
    if (!format) {
        snprintf (fault->text, sizeof fault->text, "%s", error_row (err)->text);
        return err;
    }
    va_list args;
    va_start (args, format);
    vsnprintf (fault->text, sizeof fault->text, format, args);
    va_end (args);
    return err;
}

static err_t fault_missing (fault_t *fault, const field_spec_t *field)
{
    return fault_set (fault, ERR_SCHEMA, field->name, "`%s` is missing.", field->name);
}

static err_t fault_type (fault_t *fault, const field_spec_t *field)
{
    static const char *const words[] = {
        [FIELD_STR] = "text",           [FIELD_BYTES] = "text or bytes",
        [FIELD_INT] = "a whole number", [FIELD_UINT] = "a whole number",
        [FIELD_BOOL] = "true or false", [FIELD_LIST] = "a list",
    };
    return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be %s.", field->name, words[field->type]);
}

static err_t fault_limit (fault_t *fault, const field_spec_t *field)
{
    long long limit = field->limit;
    switch (field->type) {
    case FIELD_INT:
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be from %lld to %lld.", field->name, -limit,
                          limit);
    case FIELD_UINT:
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be from 0 to %lld.", field->name, limit);
    case FIELD_LIST:
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must have %lld items at most.", field->name, limit);
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_BOOL:
        break;
    }
    return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be %lld bytes at most.", field->name, limit);
}

void message_error (message_t *self, err_t err, const char *text)
{
    message_init (self, MSG_ERROR);
    const error_row_t *row = error_row (err);
    self->error.code = slice_of (row->code);
    self->error.text = slice_of (text ? text : row->text);
}

void message_fault (message_t *self, const fault_t *fault)
{
    message_error (self, fault->err, fault->text);
    if (fault->field[0])
        self->error.field = slice_of (fault->field);
}

/* ---- checks ---- */

static err_t check_text (const field_spec_t *field, slice_t text, fault_t *fault)
{
    if ((int64_t)text.len > field->limit)
        return fault_limit (fault, field);
    if (field->type == FIELD_STR && memchr (text.ptr, '\0', text.len))
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must not hold a NUL.", field->name);
    if (field->type == FIELD_STR && !utf8_valid (text))
        return fault_set (fault, ERR_BAD_UTF8, field->name, "`%s` is not valid UTF-8.", field->name);
    return ERR_NONE;
}

static err_t check_number (const field_spec_t *field, int64_t number, fault_t *fault)
{
    int64_t low = field->type == FIELD_UINT ? 0 : -field->limit;
    return number < low || number > field->limit ? fault_limit (fault, field) : ERR_NONE;
}

static bool field_present (const void *body, const field_spec_t *field)
{
    void *at = (void *)(uintptr_t)body;
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        return slice_at (at, field)->ptr != NULL;
    case FIELD_INT:
    case FIELD_UINT:
        return *int_at (at, field) != INT_ABSENT;
    case FIELD_BOOL:
        return *bool_at (at, field) != BOOL_ABSENT;
    case FIELD_LIST:
        return list_at (at, field)->raw.ptr || list_at (at, field)->objects;
    }
    return false;
}

static err_t check_field (void *body, const field_spec_t *field, fault_t *fault)
{
    if (!field_present (body, field))
        return field->need == REQUIRED ? fault_missing (fault, field) : ERR_NONE;
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
        return check_text (field, *slice_at (body, field), fault);
    case FIELD_INT:
    case FIELD_UINT:
        return check_number (field, *int_at (body, field), fault);
    case FIELD_LIST:
        return (int64_t)list_at (body, field)->count > field->limit ? fault_limit (fault, field) : ERR_NONE;
    case FIELD_BOOL:
        break;
    }
    return ERR_NONE;
}

err_t message_check (const message_t *self, fault_t *fault)
{
    const message_spec_t *spec = message_spec (self->type);
    void *body = (void *)(uintptr_t)message_body_const (self);
    err_t err = ERR_NONE;
    for (size_t i = 0; i < spec->field_count && !err; i++)
        err = check_field (body, &spec->fields[i], fault);
    return err;
}

/* ---- decoding ---- */

struct decoder {
    msgpack_zone zone;
};

enum { ZONE_CHUNK = 8 * 1024 };

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
    return check_text (field, text, fault);
}

static err_t decode_field (const msgpack_object *object, void *body, const field_spec_t *field, fault_t *fault)
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
            return fault_limit (fault, field);
        if (!object_number (object, int_at (body, field)))
            return fault_type (fault, field);
        return check_number (field, *int_at (body, field), fault);
    case FIELD_BOOL:
        if (object->type != MSGPACK_OBJECT_BOOLEAN)
            return fault_type (fault, field);
        *bool_at (body, field) = object->via.boolean;
        return ERR_NONE;
    case FIELD_LIST:
        if (object->type != MSGPACK_OBJECT_ARRAY)
            return fault_type (fault, field);
        if (object->via.array.size > field->limit)
            return fault_limit (fault, field);
        *list_at (body, field) = (list_t){ object->via.array.size, object->via.array.ptr, SLICE ("") };
        return ERR_NONE;
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
static err_t decode_map (const msgpack_object_map *map, message_t *out, fault_t *fault)
{
    const message_spec_t *spec = message_spec (out->type);
    void *body = message_body (out);
    uint64_t seen = 0;
    for (uint32_t i = 0; i < map->size; i++) {
        slice_t name;
        if (!object_text (&map->ptr[i].key, &name))
            return fault_set (fault, ERR_BAD_MSGPACK, NULL, "A message's keys must be text.");
        const field_spec_t *field = field_find (spec, name);
        if (!field)
            continue; /* rule 7: unknown fields are ignored */
        uint64_t bit = 1ULL << (field - spec->fields);
        if (seen & bit)
            return fault_set (fault, ERR_DUPLICATE_KEY, field->name, "`%s` stands twice in the message.", field->name);
        seen |= bit;
        err_t err = decode_field (&map->ptr[i].val, body, field, fault);
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

static err_t read_envelope (slice_t frame, const msgpack_object_map *map, envelope_t *out, fault_t *fault)
{
    *out = (envelope_t){ 0 };
    for (uint32_t i = 0; i < map->size; i++) {
        slice_t name;
        if (!object_text (&map->ptr[i].key, &name))
            return fault_set (fault, ERR_BAD_MSGPACK, NULL, "A message's keys must be text.");
        const msgpack_object *value = &map->ptr[i].val;
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
        }
        if (twice)
            return fault_set (fault, ERR_DUPLICATE_KEY, NULL, NULL);
    }
    return ERR_NONE;
}

static err_t check_envelope (const envelope_t *envelope, msg_type_t *type, fault_t *fault)
{
    int64_t version = 0;
    if (!envelope->version || !object_number (envelope->version, &version))
        return fault_set (fault, ERR_UNSUPPORTED, "v", "`v`, the protocol version, is missing: this is version %d.",
                          PROTOCOL_VERSION);
    if (version != PROTOCOL_VERSION)
        return fault_set (fault, ERR_UNSUPPORTED, "v", "Protocol version %lld is not known here: this is version %d.",
                          (long long)version, PROTOCOL_VERSION);
    slice_t name;
    if (!envelope->type || !object_text (envelope->type, &name))
        return fault_set (fault, ERR_UNSUPPORTED, "type", "`type`, the message's type, is missing.");
    msg_type_t found = message_find (name);
    if (found == MSG_COUNT)
        return fault_set (fault, ERR_UNSUPPORTED, "type", "This message type is not known here.");
    *type = found;
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
        err = check_envelope (&envelope, &type, fault);
    message_init (out, type);
    out->id = envelope.id;
    return err ? err : decode_map (&object.via.map, out, fault);
}

err_t message_list_item (const list_t *list, msg_type_t item, uint32_t at, message_t *out, fault_t *fault)
{
    assert (at < list->count && list->objects);
    const msgpack_object *object = (const msgpack_object *)list->objects + at;
    message_init (out, item);
    if (object->type != MSGPACK_OBJECT_MAP || object->via.map.size > PAIRS_MAX)
        return fault_set (fault, ERR_SCHEMA, NULL, "An item of a list must be a map.");
    return decode_map (&object->via.map, out, fault);
}

/* ---- encoding ---- */

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
    case FIELD_BOOL:
        if (*bool_at (body, field))
            msgpack_pack_true (pk);
        else
            msgpack_pack_false (pk);
        break;
    case FIELD_LIST:
        pack_list (pk, out, list_at (body, field));
        break;
    }
}

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
    }
    for (size_t i = 0; i < spec->field_count; i++)
        if (field_present (body, &spec->fields[i]))
            pack_field (pk, out, body, &spec->fields[i]);
}

void message_encode (const message_t *self, buf_t *out)
{
    msgpack_packer pk;
    msgpack_packer_init (&pk, out, write_to_buf);
    pack_fields (&pk, out, self, self->id.ptr ? 3 : 2);
}

void list_writer_add (list_t *list, buf_t *raw, const message_t *item)
{
    msgpack_packer pk;
    msgpack_packer_init (&pk, raw, write_to_buf);
    pack_fields (&pk, raw, item, 0);
    list->count++;
    list->raw = buf_slice (raw);
}
