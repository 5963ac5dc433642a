#include "message.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "field.h"
#include "lines.h"

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

static void field_clear (void *body, const field_spec_t *field)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        *slice_at (body, field) = SLICE_ABSENT;
        break;
    case FIELD_INT:
    case FIELD_UINT:
    case FIELD_DECIMAL:
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
    self->id = self->auth = self->peer = SLICE_ABSENT;
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

err_t fault_missing (fault_t *fault, const field_spec_t *field)
{
    return fault_set (fault, ERR_SCHEMA, field->name, "`%s` is missing.", field->name);
}

err_t fault_type (fault_t *fault, const field_spec_t *field)
{
    static const char *const words[] = {
        [FIELD_STR] = "text",
        [FIELD_BYTES] = "text or bytes",
        [FIELD_INT] = "a whole number",
        [FIELD_UINT] = "a whole number",
        [FIELD_BOOL] = "true or false",
        [FIELD_LIST] = "a list",
        [FIELD_MAP] = "a map of texts",
        [FIELD_TEXTS] = "a list of texts",
        [FIELD_ROWS] = "a map of texts",
        [FIELD_DECIMAL] = "a number with two decimals at most",
    };
    return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be %s.", field->name, words[field->type]);
}

err_t fault_limit (fault_t *fault, const field_spec_t *field, int64_t actual)
{
    char is[32] = "";
    if (actual != INT_ABSENT)
        snprintf (is, sizeof is, ", not %lld", (long long)actual);
    long long limit = field->limit;
    switch (field->type) {
    case FIELD_INT:
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be from %lld to %lld%s.", field->name, -limit,
                          limit, is);
    case FIELD_UINT:
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be from 0 to %lld%s.", field->name, limit, is);
    case FIELD_DECIMAL:
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be from 0 to %lld.", field->name, limit / 100);
    case FIELD_LIST:
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must have %lld items at most%s.", field->name, limit,
                          is);
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
    case FIELD_BOOL:
        break;
    }
    return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be %lld bytes at most%s.", field->name, limit, is);
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

bool field_present (const void *body, const field_spec_t *field)
{
    void *at = (void *)(uintptr_t)body;
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        return slice_at (at, field)->ptr != NULL;
    case FIELD_INT:
    case FIELD_UINT:
    case FIELD_DECIMAL:
        return *int_at (at, field) != INT_ABSENT;
    case FIELD_BOOL:
        return *bool_at (at, field) != BOOL_ABSENT;
    case FIELD_LIST:
        return list_at (at, field)->raw.ptr || list_at (at, field)->objects;
    }
    return false;
}

err_t field_add_line (const field_spec_t *field, buf_t *lines, slice_t key, slice_t value, fault_t *fault)
{
    if (lines_add (lines, key, value))
        return ERR_NONE;
    /* What runs is what was shown: for the environment as for the command itself. */
    bool commands = strcmp (field->name, "env") == 0 && !(lines_plain (key) && lines_plain (value));
    err_t err = commands ? ERR_BAD_COMMAND : ERR_SCHEMA;
    const char *keys = field->type == FIELD_MAP ? " and no key empty or with a `=`" : "";
    return fault_set (fault, err, field->name, "`%s` must hold no control characters, no empty entry%s.", field->name,
                      keys);
}

err_t field_add_row (const field_spec_t *field, buf_t *rows, slice_t key, slice_t value, fault_t *fault)
{
    return rows_add (rows, key, value)
               ? ERR_NONE
               : fault_set (fault, ERR_SCHEMA, field->name, "`%s` must hold no NUL, and no key empty or with a `=`.",
                            field->name);
}

static err_t check_rows (const field_spec_t *field, slice_t rows, fault_t *fault)
{
    slice_t row, key, value;
    buf_t checked = { 0 };
    err_t err = ERR_NONE;
    while (!err && rows_next (&rows, &row)) {
        line_split (row, &key, &value);
        err = utf8_valid (row) ? field_add_row (field, &checked, value.ptr ? key : SLICE (""), value, fault)
                               : fault_set (fault, ERR_BAD_UTF8, field->name, "`%s` is not valid UTF-8.", field->name);
        buf_clear (&checked);
    }
    buf_fini (&checked);
    if (!err && rows.len)
        err =
            fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be rows of KEY=VALUE, each with a NUL.", field->name);
    return err;
}

static err_t check_lines (const field_spec_t *field, slice_t text, fault_t *fault)
{
    slice_t line, key, value;
    buf_t checked = { 0 };
    err_t err = ERR_NONE;
    while (!err && lines_next (&text, &line)) {
        line_split (line, &key, &value);
        if (field->type == FIELD_TEXTS)
            err = field_add_line (field, &checked, line, SLICE_ABSENT, fault);
        else if (!value.ptr)
            err = fault_set (fault, ERR_SCHEMA, field->name, "`%s` must be KEY=VALUE, one a line.", field->name);
        else
            err = field_add_line (field, &checked, key, value, fault);
        buf_clear (&checked);
    }
    buf_fini (&checked);
    return err;
}

err_t field_check_text (const field_spec_t *field, slice_t text, fault_t *fault)
{
    if ((int64_t)text.len > field->limit)
        return fault_limit (fault, field, (int64_t)text.len);
    if (field->type == FIELD_ROWS)
        return check_rows (field, text, fault);
    if (field->type != FIELD_BYTES && memchr (text.ptr, '\0', text.len))
        return fault_set (fault, ERR_SCHEMA, field->name, "`%s` must not hold a NUL.", field->name);
    if (field->type != FIELD_BYTES && !utf8_valid (text))
        return fault_set (fault, ERR_BAD_UTF8, field->name, "`%s` is not valid UTF-8.", field->name);
    return field->type == FIELD_MAP || field->type == FIELD_TEXTS ? check_lines (field, text, fault) : ERR_NONE;
}

err_t field_check_number (const field_spec_t *field, int64_t number, fault_t *fault)
{
    int64_t low = field->type == FIELD_INT ? -field->limit : 0;
    return number < low || number > field->limit ? fault_limit (fault, field, number) : ERR_NONE;
}

err_t field_take_whole (const field_spec_t *field, int64_t number, int64_t *out, fault_t *fault)
{
    if (number < -INT64_MAX / 100 || number > INT64_MAX / 100)
        return fault_limit (fault, field, INT_ABSENT);
    *out = number * 100;
    return ERR_NONE;
}

err_t field_take_real (const field_spec_t *field, double number, int64_t *out, fault_t *fault)
{
    if (!(number > -1e12 && number < 1e12)) /* nor what is no number */
        return fault_limit (fault, field, INT_ABSENT);
    double scaled = number * 100;
    double whole = floor (scaled + 0.5);
    if (scaled - whole > 1e-6 || whole - scaled > 1e-6)
        return fault_type (fault, field);
    *out = (int64_t)whole;
    return ERR_NONE;
}

err_t field_check_list (const field_spec_t *field, size_t count, fault_t *fault)
{
    return (int64_t)count > field->limit ? fault_limit (fault, field, (int64_t)count) : ERR_NONE;
}

static err_t check_field (void *body, const field_spec_t *field, fault_t *fault)
{
    if (!field_present (body, field))
        return field->need == REQUIRED ? fault_missing (fault, field) : ERR_NONE;
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        return field_check_text (field, *slice_at (body, field), fault);
    case FIELD_INT:
    case FIELD_UINT:
    case FIELD_DECIMAL:
        return field_check_number (field, *int_at (body, field), fault);
    case FIELD_LIST:
        return field_check_list (field, list_at (body, field)->count, fault);
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

static size_t field_size (const field_spec_t *field)
{
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        return sizeof (slice_t);
    case FIELD_INT:
    case FIELD_UINT:
    case FIELD_DECIMAL:
        return sizeof (int64_t);
    case FIELD_BOOL:
        return sizeof (int);
    case FIELD_LIST:
        return sizeof (list_t);
    }
    return 0;
}

void message_copy_common (const message_t *from, message_t *to)
{
    const message_spec_t *have = message_spec (from->type);
    const message_spec_t *want = message_spec (to->type);
    const char *source = message_body_const (from);
    char *target = message_body (to);
    for (size_t i = 0; i < have->field_count; i++) {
        const field_spec_t *field = &have->fields[i];
        if (!field_present (source, field))
            continue;
        for (const field_spec_t *into = want->fields; into->name; into++) {
            if (into->type != field->type || into->name_len != field->name_len ||
                memcmp (into->name, field->name, field->name_len) != 0)
                continue;
            if (!field_present (target, into))
                memcpy (target + into->at, source + field->at, field_size (field));
            break;
        }
    }
}
