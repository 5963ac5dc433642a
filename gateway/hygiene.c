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
        if (byte <= 0x20 || byte == 0x7f)
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

/* libmicrohttpd takes a bare LF for the end of a line, a NUL for the end of a name or a value, a line that begins with
 * a NUL for the end of the head, and joins a line that is indented to the one before; and tells of none of it. But up
 * to 0.9.77 it reads the head where it lies, in one piece of memory, and puts a NUL in place of each byte of a line's
 * end: so in a head without such things every line begins two bytes behind the one before. */
typedef struct {
    bool strict;
    const char *next; /* where the next line must begin */
} seam_t;

static bool reads_in_place (void)
{
    return strncmp (MHD_get_version (), "0.9.7", 5) == 0;
}

static seam_t seam_begin (const first_line_t *line)
{
    const char *target = line->method + strlen (line->method) + 1;
    const char *version = line->target + line->target_len + 1;
    bool whole = line->target == target && line->version == version;
    return (seam_t){ reads_in_place (), whole ? version + strlen (version) + 2 : NULL };
}

static void seam_line (seam_t *self, const char *name, const char *value, size_t value_len)
{
    self->next = self->next == name ? value + value_len + 2 : NULL;
}

/* Whether the head has ended where its last line did. */
static bool seam_whole (const seam_t *self, struct MHD_Connection *connection, const char *begin)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info (connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    return !self->strict || (info && self->next && self->next + 2 == begin + info->header_size);
}

typedef struct {
    framing_t *framing;
    seam_t seam;
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
    seam_line (&self->seam, name, value, value_len);
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
        self->framing->host = slice_from (value, value_len);
    } else if (named (name, name_len, "Expect")) {
        self->framing->expects = true;
    }
    return self->err ? MHD_NO : MHD_YES;
}

static err_t refuse (fault_t *fault, err_t err, const char *text)
{
    return fault_set (fault, err, "", text ? "%s" : NULL, text);
}

err_t framing_read (struct MHD_Connection *connection, const first_line_t *line, framing_t *out, fault_t *fault)
{
    *out = (framing_t){ 0 };
    reading_t reading = { .framing = out, .seam = seam_begin (line) };
    MHD_get_connection_values_n (connection, MHD_HEADER_KIND, read_header, &reading);
    if (reading.err)
        return refuse (fault, reading.err, NULL);
    if (reading.lengths > 1 || (reading.lengths && reading.encodings) || reading.encodings > 1)
        return refuse (fault, ERR_AMBIGUOUS_LENGTH, NULL);
    if (reading.encodings && !out->chunked)
        return refuse (fault, ERR_UNSUPPORTED_TE, NULL);
    if (!seam_whole (&reading.seam, connection, line->method))
        return refuse (fault, ERR_BAD_HEADER, "A line of the request's head does not end with CRLF, or holds a NUL.");
    if (reading.hosts > 1)
        return refuse (fault, ERR_BAD_HEADER, "The Host header stands twice.");
    if (reading.hosts == 0 && strcmp (line->version, MHD_HTTP_VERSION_1_0) != 0)
        return refuse (fault, ERR_BAD_HEADER, "The Host header is missing.");
    return 0;
}
