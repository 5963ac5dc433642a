#include "cli/escape.h"

enum { LEAD_C1 = 0xc2, C1_FIRST = 0x80, C1_LAST = 0x9f, CONTINUATION_LAST = 0xbf, DELETE = 0x7f, CARET = 0x40 };

static int follows (unsigned char lead)
{
    return lead >= 0xf0 && lead <= 0xf4 ? 3 : lead >= 0xe0 ? 2 : lead >= LEAD_C1 ? 1 : 0;
}

static void append_control (unsigned char byte, buf_t *out)
{
    if (byte >= C1_FIRST)
        buf_printf (out, "<%02x>", byte);
    else
        buf_printf (out, "^%c", byte ^ CARET);
}

static void append_byte (escape_t *self, unsigned char byte, buf_t *out)
{
    bool continues = self->more > 0 && byte >= C1_FIRST && byte <= CONTINUATION_LAST;
    bool c1 = byte >= C1_FIRST && byte <= C1_LAST && (self->held || !continues);
    bool c0 = (byte < ' ' && byte != '\n' && byte != '\t' && byte != '\r') || byte == DELETE;
    if (self->held && !c1)
        buf_append (out, "\xc2", 1);
    self->more = continues ? self->more - 1 : follows (byte);
    self->held = byte == LEAD_C1;
    if (c0 || c1)
        append_control (byte, out);
    else if (!self->held)
        buf_append (out, (const char *)&byte, 1);
}

void escape_append (escape_t *self, slice_t bytes, buf_t *out)
{
    for (size_t i = 0; i < bytes.len; i++)
        append_byte (self, (unsigned char)bytes.ptr[i], out);
}
