/* message.h - structs, limits and the msgpack codec of every message in messages.def.
 *
 * A frame is one msgpack map with string keys (rules 4 and 5 of README.md): `v` (PROTOCOL_VERSION), `type`, `id` (the
 * sender's, echoed in the answer; text or integer, may be missing), `auth` and `peer` (optional texts) and the
 * message's fields.
 */
#ifndef GLEANER_MESSAGE_H
#define GLEANER_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "error.h"
#include "limits.h"

#define INT_ABSENT  INT64_MIN /* an optional INT, UINT or DECIMAL that is not there */
#define BOOL_ABSENT (-1)      /* an optional BOOL that is not there */

/* A list field. Decoded: `count` items, read with message_list_item. To encode: `raw`, made by list_writer_add. */
typedef struct {
    uint32_t count;
    const void *objects; /* decoder's; valid until its next decode */
    slice_t raw;
    void *memory; /* decoder's: for what its items need */
} list_t;

typedef enum {
    FIELD_STR,
    FIELD_BYTES,
    FIELD_INT,
    FIELD_UINT,
    FIELD_DECIMAL,
    FIELD_BOOL,
    FIELD_MAP,
    FIELD_TEXTS,
    FIELD_ROWS,
    FIELD_LIST
} field_type_t;
enum { OPTIONAL = 0, REQUIRED = 1 };

typedef enum {
#define MSG_BEGIN(ENUM, name, wire, doc) MSG_##ENUM,
#include "messages.def"
    MSG_COUNT
} msg_type_t;

#define FIELD_CTYPE_STR                                       slice_t
#define FIELD_CTYPE_BYTES                                     slice_t
#define FIELD_CTYPE_INT                                       int64_t
#define FIELD_CTYPE_UINT                                      int64_t
#define FIELD_CTYPE_DECIMAL                                   int64_t /* hundredths */
#define FIELD_CTYPE_BOOL                                      int
#define FIELD_CTYPE_MAP                                       slice_t /* lines KEY=VALUE, see lines.h */
#define FIELD_CTYPE_TEXTS                                     slice_t /* lines */
#define FIELD_CTYPE_ROWS                                      slice_t /* rows KEY=VALUE, see lines.h */
#define MSG_BEGIN(ENUM, name, wire, doc)                      typedef struct {
#define MSG_FIELD(name, type, member, wire, limit, need, doc) FIELD_CTYPE_##type member;
#define MSG_LIST(name, item, member, wire, limit, need, doc)  list_t member;
#define MSG_END(name)                                                                                                  \
    char end_of_fields;                                                                                                \
    }                                                                                                                  \
    msg_##name##_t;
#include "messages.def"

/* Any message. `id` is raw msgpack of the sender's id (a text or an integer), absent when there was none: echo it. */
typedef struct {
    msg_type_t type;
    slice_t id;
    slice_t auth; /* who speaks: a token; absent: it does not say */
    slice_t peer; /* a gateway's word on where its client is */
    union {
#define MSG_BEGIN(ENUM, name, wire, doc) msg_##name##_t name;
#include "messages.def"
    };
} message_t;

typedef struct {
    const char *name; /* on the wire and in JSON */
    size_t name_len;
    field_type_t type;
    int need; /* REQUIRED or OPTIONAL */
    int64_t limit;
    size_t at;       /* offsetof in the msg struct */
    msg_type_t item; /* FIELD_LIST: the items' message */
    const char *doc;
} field_spec_t;

typedef struct {
    const char *wire; /* "job-create" */
    size_t wire_len;
    const char *doc;
    const field_spec_t *fields;
    size_t field_count;
    size_t size; /* sizeof the msg struct */
} message_spec_t;

/* What was wrong with a message: enough for one sentence. `field` is static or inside the frame's spec, "" when none.
 */
typedef struct {
    err_t err;
    const char *field;
    char text[256];
} fault_t;

const message_spec_t *message_spec (msg_type_t type);
/* The type that `wire` names; MSG_COUNT when none does. */
msg_type_t message_find (slice_t wire);
/* Makes every field absent. */
void message_init (message_t *self, msg_type_t type);
/* The first member of the union: where the offsets of field_spec_t count from. */
void *message_body (message_t *self);
const void *message_body_const (const message_t *self);

/* Checks presence, limits and UTF-8 of a message that was built in memory (from JSON, say).
 * Returns 0 or SCHEMA, BAD_UTF8 with `fault` filled. */
err_t message_check (const message_t *self, fault_t *fault);

/* Decoder: keeps the memory that decoded lists point into. One per thread. */
typedef struct decoder decoder_t;
decoder_t *decoder_new (void);
void decoder_destroy (decoder_t **self_p);

/* Decodes one frame, of `frame_max` bytes at most (FRAME_MAX or REPLY_MAX). Slices of `out` point into `frame`, lists
 * into the decoder: both valid until the next decode. Unknown fields are ignored (rule 7). Returns 0, or the code of
 * the first fault, with `fault` filled and `out->id` set when it could be read, so that the refusal can be addressed.
 */
err_t message_decode (decoder_t *self, slice_t frame, size_t frame_max, message_t *out, fault_t *fault);

/* Appends the frame of `self` to `out`. Absent optional fields are left out. Asserts that required ones are there: a
 * message that we send is ours to get right. */
void message_encode (const message_t *self, buf_t *out);

/* Item `at` (< count) of a decoded list into `out` (its type is the list's item type). Returns 0: a message with a
 * faulty item was refused by message_decode. */
err_t message_list_item (const list_t *list, msg_type_t item, uint32_t at, message_t *out, fault_t *fault);

/* Appends the fields of `item` as one list element to `raw` and counts it: `list->raw` is `raw`'s content afterwards.
 */
void list_writer_add (list_t *list, buf_t *raw, const message_t *item);
/* For several lists of one message that were written into one `raw`, in the order of their fields, from the offset
 * `from` on: gives each its own part. */
void list_writer_split (message_t *self, const buf_t *raw, size_t from);

/* Encodes the fields alone, as an item of a list is: what the store keeps. */
void message_encode_item (const message_t *item, buf_t *out);
/* And back. `out->type` is given in `type`; otherwise as message_decode. */
err_t message_decode_item (decoder_t *self, slice_t bytes, msg_type_t type, message_t *out, fault_t *fault);
/* Sets each absent field of `to` that has the name and type of a present one in `from`. Slices are borrowed. */
void message_copy_common (const message_t *from, message_t *to);

/* Fills an ERROR message: the code's default sentence when `text` is NULL. `text` is borrowed. */
void message_error (message_t *self, err_t err, const char *text);
/* Fills an ERROR message from a fault, borrowing its text and field. */
void message_fault (message_t *self, const fault_t *fault);
/* Fills `fault`; the format may be NULL for the code's default sentence. Returns err. */
err_t fault_set (fault_t *fault, err_t err, const char *field, const char *format, ...)
    __attribute__ ((format (printf, 4, 5)));

/* True when `s` is valid UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL. */
bool utf8_valid (slice_t s);
/* Writes `s` for a sentence: bytes that are no printable ASCII as \xNN, "..." for what does not fit. Returns `out`, of
 * `size` (at least 8) bytes with the NUL. */
const char *text_escape (slice_t s, char *out, size_t size);
/* Length of the valid sequence that `s`, which is not empty, begins with; 0 when there is none. */
size_t utf8_sequence (slice_t s);
/* The longest length up to `limit` at which valid UTF-8 can be cut. */
size_t utf8_cut (slice_t s, size_t limit);
/* Appends `s` with every invalid byte sequence replaced by U+FFFD; NUL stays. */
void utf8_repair (slice_t s, buf_t *out);

#endif
