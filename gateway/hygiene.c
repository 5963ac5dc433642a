#include "gateway/hygiene.h"

#include <string.h>
#include <strings.h>

#include "proto/buf.h"

static int hex_value (char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

/* What `%XY` at `at` stands for; -1 when it is malformed. */
static int escape_value (const char *at)
{
    int high = hex_value (at[1]);
    int low = high < 0 ? -1 : hex_value (at[2]);
    return low < 0 ? -1 : high * 16 + low;
}

bool target_clean (const char *uri)
{
    bool in_path = true;
    for (const char *at = uri; *at; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte < 0x20 || byte == 0x7f)
            return false;
        if (byte == '?')
            in_path = false;
        if (!in_path)
            continue;
        if (byte == '\\')
            return false;
        if (byte != '%')
            continue;
        int value = escape_value (at);
        if (value < 0x20 || value == '.' || value == '/' || value == '\\' || value == 0x7f)
            return false;
    }
    return true;
}

typedef struct {
    framing_t *framing;
    int lengths, encodings, hosts;
    err_t err;
} reading_t;

static bool name_clean (const char *name, size_t len)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t at = 0; at < len; at++) {
        char c = name[at];
        bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!plain && (c == '\0' || !strchr (others, c)))
            return false;
    }
    return len > 0;
}

static bool value_clean (const char *value, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        unsigned char byte = (unsigned char)value[at];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

static bool named (const char *name, size_t len, const char *wanted)
{
    return len == strlen (wanted) && strncasecmp (name, wanted, len) == 0;
}

static err_t read_length (framing_t *framing, const char *value, size_t len)
{
    uint64_t length = 0;
    for (size_t at = 0; at < len; at++) {
        if (value[at] < '0' || value[at] > '9' || length > (UINT64_MAX - 9) / 10)
            return ERR_BAD_HEADER;
        length = length * 10 + (uint64_t)(value[at] - '0');
    }
    framing->has_length = true;
    framing->length = length;
    return len ? 0 : ERR_BAD_HEADER;
}

static enum MHD_Result read_header (void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                    const char *value, size_t value_len)
{
    (void)kind;
    reading_t *self = cls;
    if (!value)
        value = "", value_len = 0;
    if (!name_clean (name, name_len) || !value_clean (value, value_len)) {
        self->err = ERR_BAD_HEADER;
    } else if (named (name, name_len, "Content-Length")) {
        self->lengths++;
        self->err = read_length (self->framing, value, value_len);
    } else if (named (name, name_len, "Transfer-Encoding")) {
        self->encodings++;
        self->framing->chunked = named (value, value_len, "chunked");
    } else if (named (name, name_len, "Host")) {
        self->hosts++;
    } else if (named (name, name_len, "Expect")) {
        self->framing->expects = true;
    }
    return self->err ? MHD_NO : MHD_YES;
}

err_t framing_read (struct MHD_Connection *connection, framing_t *out)
{
    *out = (framing_t){ 0 };
    reading_t reading = { .framing = out };
    MHD_get_connection_values_n (connection, MHD_HEADER_KIND, read_header, &reading);
    if (reading.err)
        return reading.err;
    if (reading.lengths > 1 || (reading.lengths && reading.encodings) || reading.encodings > 1)
        return ERR_AMBIGUOUS_LENGTH;
    if (reading.encodings && !out->chunked)
        return ERR_UNSUPPORTED_TE;
    return reading.hosts > 1 ? ERR_BAD_HEADER : 0;
}
