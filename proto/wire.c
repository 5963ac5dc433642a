#include "wire.h"

#include <stdint.h>

#include "limits.h"

typedef struct {
    const unsigned char *at;
    const unsigned char *end;
} cursor_t;

/* A big-endian number of `size` bytes; -1 when the frame ends before it. */
static int64_t take_number (cursor_t *self, size_t size)
{
    if ((size_t)(self->end - self->at) < size)
        return -1;
    int64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number = number << 8 | *self->at++;
    return number;
}

static err_t take_bytes (cursor_t *self, int64_t size)
{
    if (size < 0 || size > self->end - self->at)
        return ERR_BAD_MSGPACK;
    self->at += size;
    return ERR_NONE;
}

static err_t take_object (cursor_t *self, int depth);

static err_t take_items (cursor_t *self, int64_t count, int depth)
{
    if (count < 0 || count > self->end - self->at) /* an item is a byte at least */
        return ERR_BAD_MSGPACK;
    if (depth >= DEPTH_MAX)
        return ERR_TOO_DEEP;
    err_t err = ERR_NONE;
    for (int64_t i = 0; i < count && !err; i++)
        err = take_object (self, depth + 1);
    return err;
}

/* The types beyond the ones that fit into their first byte (msgpack specification, "Formats"). */
static err_t take_long (cursor_t *self, unsigned char type, int depth)
{
    switch (type) {
    case 0xc0: /* nil */
    case 0xc2: /* false */
    case 0xc3: /* true */
        return ERR_NONE;
    case 0xc4: /* bin 8, 16, 32 */
    case 0xc5:
    case 0xc6:
        return take_bytes (self, take_number (self, 1U << (type - 0xc4)));
    case 0xca: /* float 32, 64 */
    case 0xcb:
        return take_bytes (self, 4 << (type - 0xca));
    case 0xcc: /* uint 8 to 64 */
    case 0xcd:
    case 0xce:
    case 0xcf:
        return take_bytes (self, 1 << (type - 0xcc));
    case 0xd0: /* int 8 to 64 */
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return take_bytes (self, 1 << (type - 0xd0));
    case 0xd9: /* str 8, 16, 32 */
    case 0xda:
    case 0xdb:
        return take_bytes (self, take_number (self, 1U << (type - 0xd9)));
    case 0xdc: /* array 16, 32 */
    case 0xdd:
        return take_items (self, take_number (self, 2U << (type - 0xdc)), depth);
    case 0xde: /* map 16, 32 */
    case 0xdf: {
        int64_t count = take_number (self, 2U << (type - 0xde));
        return take_items (self, count < 0 ? count : 2 * count, depth);
    }
    default: /* 0xc1 is never used; extension types mean nothing here */
        return ERR_BAD_MSGPACK;
    }
}

/* Recursion is bounded by DEPTH_MAX. */
static err_t take_object (cursor_t *self, int depth)
{
    if (self->at == self->end)
        return ERR_BAD_MSGPACK;
    unsigned char type = *self->at++;
    if (type <= 0x7f || type >= 0xe0)
        return ERR_NONE;
    if (type <= 0x8f)
        return take_items (self, 2 * (type & 0x0f), depth);
    if (type <= 0x9f)
        return take_items (self, type & 0x0f, depth);
    if (type <= 0xbf)
        return take_bytes (self, type & 0x1f);
    return take_long (self, type, depth);
}

err_t wire_check (slice_t frame)
{
    const unsigned char *start = (const unsigned char *)frame.ptr;
    cursor_t cursor = { start, start + frame.len };
    err_t err = take_object (&cursor, 0);
    if (!err && cursor.at != cursor.end)
        err = ERR_TRAILING_BYTES;
    return err;
}

size_t wire_object_len (slice_t rest)
{
    const unsigned char *start = (const unsigned char *)rest.ptr;
    cursor_t cursor = { start, start + rest.len };
    return take_object (&cursor, 0) ? rest.len : (size_t)(cursor.at - start);
}
