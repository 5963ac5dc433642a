/* field.h - a message's fields by their table rows; what message.c, decode.c and encode.c share. */
#ifndef GLEANER_FIELD_H
#define GLEANER_FIELD_H

#include "message.h"

/* The member of a msg struct that a row describes. */
static inline slice_t *slice_at (void *body, const field_spec_t *field)
{
    return (slice_t *)(void *)((char *)body + field->at);
}

static inline int64_t *int_at (void *body, const field_spec_t *field)
{
    return (int64_t *)(void *)((char *)body + field->at);
}

static inline int *bool_at (void *body, const field_spec_t *field)
{
    return (int *)(void *)((char *)body + field->at);
}

static inline list_t *list_at (void *body, const field_spec_t *field)
{
    return (list_t *)(void *)((char *)body + field->at);
}

/* Whether the field has a value. */
bool field_present (const void *body, const field_spec_t *field);

/* The faults that a field can have; each returns its code. */
err_t fault_missing (fault_t *fault, const field_spec_t *field);
err_t fault_type (fault_t *fault, const field_spec_t *field);
/* `actual`: the number, or how many bytes or items there are; INT_ABSENT when it cannot be said. */
err_t fault_limit (fault_t *fault, const field_spec_t *field, int64_t actual);

/* Limits, UTF-8 and NUL of one value (rules 10 and 12). Return 0 or SCHEMA, BAD_UTF8 with `fault` filled. */
err_t field_check_text (const field_spec_t *field, slice_t text, fault_t *fault);
err_t field_check_number (const field_spec_t *field, int64_t number, fault_t *fault);
/* A MAP or TEXTS entry as lines.h has it into `lines`. Returns 0 or SCHEMA, BAD_COMMAND. */
err_t field_add_line (const field_spec_t *field, buf_t *lines, slice_t key, slice_t value, fault_t *fault);
/* A ROWS entry, likewise. Returns 0 or SCHEMA. */
err_t field_add_row (const field_spec_t *field, buf_t *rows, slice_t key, slice_t value, fault_t *fault);
/* A DECIMAL's value as hundredths. Return 0 or SCHEMA. */
err_t field_take_whole (const field_spec_t *field, int64_t number, int64_t *out, fault_t *fault);
err_t field_take_real (const field_spec_t *field, double number, int64_t *out, fault_t *fault);
err_t field_check_list (const field_spec_t *field, size_t count, fault_t *fault);

#endif
