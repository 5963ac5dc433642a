/* filled.h - any message with all its fields, made from the tables. */
#ifndef GLEANER_TESTS_FILLED_H
#define GLEANER_TESTS_FILLED_H

#include "proto/message.h"

enum { FILLED_TEXT_MAX = 20 };

/* Fills every field of any type: numbers to their limit, texts with `text` (FILLED_TEXT_MAX bytes at least) to
 * FILLED_TEXT_MAX or their limit, lists with `items` items, whose bytes go into `raw`. */
static inline void filled (message_t *message, msg_type_t type, const char *text, uint32_t items, buf_t *raw)
{
    message_init (message, type);
    const message_spec_t *spec = message_spec (type);
    for (size_t i = 0; i < spec->field_count; i++) {
        const field_spec_t *field = &spec->fields[i];
        void *at = (char *)message_body (message) + field->at;
        if (field->type == FIELD_STR || field->type == FIELD_BYTES) {
            *(slice_t *)at = slice_from (text, field->limit < FILLED_TEXT_MAX ? (size_t)field->limit : FILLED_TEXT_MAX);
        } else if (field->type == FIELD_INT || field->type == FIELD_UINT || field->type == FIELD_DECIMAL) {
            *(int64_t *)at = field->limit;
        } else if (field->type == FIELD_BOOL) {
            *(int *)at = 1;
        } else if (field->type == FIELD_MAP || field->type == FIELD_TEXTS) {
            *(slice_t *)at = SLICE ("key=value\nother=\n");
        } else if (field->type == FIELD_ROWS) {
            *(slice_t *)at = SLICE ("key=va\nlue\0other=\0");
        } else {
            list_t *list = at;
            *list = (list_t){ .raw = SLICE ("") };
            for (uint32_t count = 0; count < items; count++) {
                message_t item;
                filled (&item, field->item, text, 0, raw);
                list_writer_add (list, raw, &item);
            }
        }
    }
    if (items)
        list_writer_split (message, raw, 0);
}

#endif
