#include "id.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "limits.h"
#include "message.h"

static const char digits36[] = "0123456789abcdefghijklmnopqrstuvwxyz";

enum { MS_DIGITS = 13, COUNT_DIGITS = 3, MS_AT = 4, COUNT_AT = MS_AT + MS_DIGITS + 1 };

int64_t job_seq_next (int64_t last_seq, int64_t wall_ms)
{
    int64_t now = wall_ms * JOB_SEQ_PER_MS;
    return now > last_seq ? now : last_seq + 1;
}

void job_salt_make (uint64_t random, char salt[JOB_SALT_LEN + 1])
{
    for (int i = 0; i < JOB_SALT_LEN; i++, random /= 36)
        salt[i] = digits36[random % 36];
    salt[JOB_SALT_LEN] = '\0';
}

void job_id_format (const job_id_t *id, char out[JOB_ID_LEN + 1])
{
    int64_t ms = id->seq / JOB_SEQ_PER_MS;
    int64_t count = id->seq % JOB_SEQ_PER_MS;
    memcpy (out, "job-", MS_AT);
    for (int i = MS_AT + MS_DIGITS - 1; i >= MS_AT; i--, ms /= 10)
        out[i] = (char)('0' + ms % 10);
    out[COUNT_AT - 1] = '-';
    for (int i = COUNT_AT + COUNT_DIGITS - 1; i >= COUNT_AT; i--, count /= 36)
        out[i] = digits36[count % 36];
    memcpy (out + COUNT_AT + COUNT_DIGITS, id->salt, JOB_SALT_LEN + 1);
}

/* The number that `len` characters of base 10 or 36 make; -1 when one of them is none. */
static int64_t read_number (const char *text, int len, int base)
{
    int64_t number = 0;
    for (int i = 0; i < len; i++) {
        int digit = text[i] >= '0' && text[i] <= '9'   ? text[i] - '0'
                    : text[i] >= 'a' && text[i] <= 'z' ? text[i] - 'a' + 10
                                                       : base;
        if (digit >= base)
            return -1;
        number = number * base + digit;
    }
    return number;
}

bool job_id_parse (slice_t text, job_id_t *out)
{
    if (text.len != JOB_ID_LEN || memcmp (text.ptr, "job-", MS_AT) != 0 || text.ptr[COUNT_AT - 1] != '-')
        return false;
    int64_t ms = read_number (text.ptr + MS_AT, MS_DIGITS, 10);
    int64_t count = read_number (text.ptr + COUNT_AT, COUNT_DIGITS, 36);
    const char *salt = text.ptr + COUNT_AT + COUNT_DIGITS;
    if (ms < 0 || count < 0 || read_number (salt, JOB_SALT_LEN, 36) < 0)
        return false;
    out->seq = ms * JOB_SEQ_PER_MS + count;
    memcpy (out->salt, salt, JOB_SALT_LEN);
    out->salt[JOB_SALT_LEN] = '\0';
    return out->seq > 0;
}

void hex_format (const void *bytes, size_t len, char *out)
{
    sodium_bin2hex (out, 2 * len + 1, bytes, len);
}

bool hex_valid (slice_t text, size_t digits)
{
    if (!text.ptr || text.len != digits)
        return false;
    for (size_t i = 0; i < digits; i++)
        if (!((text.ptr[i] >= '0' && text.ptr[i] <= '9') || (text.ptr[i] >= 'a' && text.ptr[i] <= 'f')))
            return false;
    return true;
}

void random_id_make (char out[33])
{
    unsigned char bytes[16];
    randombytes_buf (bytes, sizeof bytes);
    hex_format (bytes, sizeof bytes, out);
}

void blob_url_format (slice_t sha256, char out[BLOB_URL_LEN + 1])
{
    snprintf (out, BLOB_URL_LEN + 1, "/uploads/%.64s.zip", sha256.ptr);
}

slice_t blob_url_sha256 (slice_t url)
{
    if (url.len != BLOB_URL_LEN || memcmp (url.ptr, "/uploads/", 9) != 0 || memcmp (url.ptr + 73, ".zip", 4) != 0)
        return SLICE_ABSENT;
    slice_t sha256 = slice_from (url.ptr + 9, SHA256_HEX);
    return hex_valid (sha256, SHA256_HEX) ? sha256 : SLICE_ABSENT;
}

static bool has_control (slice_t s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f)
            return true;
    return false;
}

bool filename_safe (slice_t name)
{
    if (!name.ptr || !name.len || name.len > FILENAME_MAX_BYTES || name.ptr[0] == '-')
        return false;
    if (slice_eq_str (name, ".") || slice_eq_str (name, ".."))
        return false;
    return !memchr (name.ptr, '/', name.len) && !memchr (name.ptr, '\\', name.len) && !has_control (name) &&
           utf8_valid (name);
}

static bool starts_with (slice_t s, const char *prefix)
{
    size_t len = strlen (prefix);
    return s.len > len && memcmp (s.ptr, prefix, len) == 0;
}

static bool has_dot_segment (slice_t path)
{
    const char *at = path.ptr;
    const char *end = path.ptr + path.len;
    while (at < end) {
        const char *slash = memchr (at, '/', (size_t)(end - at));
        slice_t segment = slice_from (at, (size_t)((slash ? slash : end) - at));
        if (slice_eq_str (segment, ".") || slice_eq_str (segment, ".."))
            return true;
        at = slash ? slash + 1 : end;
    }
    return false;
}

bool file_url_safe (slice_t url)
{
    if (!url.ptr || url.len > URL_MAX || has_control (url) || memchr (url.ptr, ' ', url.len) || !utf8_valid (url))
        return false;
    if (starts_with (url, "http://") || starts_with (url, "https://"))
        return true;
    return starts_with (url, "/uploads/") && !memchr (url.ptr, '\\', url.len) && !has_dot_segment (url);
}

bool worker_id_safe (slice_t id)
{
    return id.ptr && id.len && id.len <= ID_MAX && !has_control (id) && utf8_valid (id);
}
