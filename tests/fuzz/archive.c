/* gleaner-extract's work on a ZIP, or on one and a delta over it: of the input's bytes, or built as the input says and
 * then damaged, since few random bytes are a ZIP. Whatever comes of it: nothing but files and folders, and no more than
 * allowed. */
#include "worker/archive.h"

#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { ENTRIES_MAX = 8, FILES = 20, DEPTH = 6, BYTES = 1 << 20 };

static int zip_fd, delta_fd, folder_fd;

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char path[96];
    setlocale (LC_CTYPE, "C.UTF-8");
    snprintf (path, sizeof path, "%s/out", fuzz_folder ());
    mkdir (path, 0700);
    zip_fd = memfd_create ("zip", MFD_CLOEXEC);
    delta_fd = memfd_create ("delta", MFD_CLOEXEC);
    folder_fd = open (path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK (zip_fd >= 0 && delta_fd >= 0 && folder_fd >= 0);
    return 0;
}

/* ---- building ---- */

typedef struct {
    slice_t name, extra, bytes;
    uint16_t flags, method, mode;
    uint8_t system;
    uint32_t crc, at;
} built_t;

static void put (buf_t *out, uint64_t value, int size)
{
    for (int i = 0; i < size; i++, value >>= 8)
        buf_append (out, &(char){ (char)value }, 1);
}

static uint32_t crc_of (slice_t bytes)
{
    uint32_t crc = ~0U;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned char)bytes.ptr[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
    }
    return ~crc;
}

/* Version, flags, method, time, checksum, sizes, lengths: the same in both places. */
static void put_common (buf_t *out, const built_t *entry, size_t size)
{
    put (out, 20, 2);
    put (out, entry->flags, 2);
    put (out, entry->method, 2);
    put (out, 0x210000, 4);
    put (out, entry->crc, 4);
    put (out, entry->bytes.len, 4);
    put (out, size, 4);
    put (out, entry->name.len, 2);
    put (out, entry->extra.len, 2);
}

static void put_entry (buf_t *out, built_t *entry)
{
    entry->at = (uint32_t)out->len;
    buf_append (out, "PK\3\4", 4);
    put_common (out, entry, entry->bytes.len);
    buf_append (out, entry->name.ptr, entry->name.len);
    buf_append (out, entry->extra.ptr, entry->extra.len);
    buf_append (out, entry->bytes.ptr, entry->bytes.len);
}

static void put_central (buf_t *out, const built_t *entry)
{
    buf_append (out, "PK\1\2", 4);
    put (out, 20 | entry->system << 8, 2);
    put_common (out, entry, entry->bytes.len);
    put (out, 0, 6);
    put (out, 0, 2);
    put (out, (uint32_t)entry->mode << 16, 4);
    put (out, entry->at, 4);
    buf_append (out, entry->name.ptr, entry->name.len);
    buf_append (out, entry->extra.ptr, entry->extra.len);
}

static built_t take_entry (slice_t *in)
{
    static const uint16_t modes[] = { 0, 0100644, 0100755, 0104777, 0040755, 0120777, 0010644, 0020666 };
    uint8_t how = fuzz_byte (in);
    built_t entry = {
        .name = fuzz_take (in, fuzz_byte (in) % 64),
        .bytes = fuzz_take (in, fuzz_byte (in)),
        .extra = fuzz_take (in, how & 0x80 ? fuzz_byte (in) % 32 : 0),
        .flags = how & 1 ? 0x800 : 0,
        .method = how & 2 ? 8 : 0,
        .mode = modes[how >> 2 & 7],
        .system = how & 0x20 ? 0 : 3,
    };
    entry.crc = crc_of (entry.bytes);
    return entry;
}

/* Up to some bytes of it become others. */
static void damage (buf_t *zip, slice_t *in)
{
    for (int i = 0; in->len && zip->len && i < 16; i++) {
        size_t at = fuzz_16 (in) % zip->len;
        zip->ptr[at] = (char)fuzz_byte (in);
    }
}

static void build (slice_t in, buf_t *out)
{
    built_t entries[ENTRIES_MAX];
    size_t count = fuzz_byte (&in) % (ENTRIES_MAX + 1);
    for (size_t i = 0; i < count; i++) {
        entries[i] = take_entry (&in);
        put_entry (out, &entries[i]);
    }
    size_t at = out->len;
    for (size_t i = 0; i < count; i++)
        put_central (out, &entries[i]);
    size_t end = out->len;
    buf_append (out, "PK\5\6\0\0\0\0", 8);
    put (out, count, 2);
    put (out, count, 2);
    put (out, end - at, 4);
    put (out, at, 4);
    put (out, 0, 2);
    damage (out, &in);
}

/* ---- the target ---- */

static void fill (int fd, slice_t in, bool built)
{
    buf_t zip = { 0 };
    if (built)
        build (in, &zip);
    else
        buf_append (&zip, in.ptr, in.len);
    CHECK (ftruncate (fd, 0) == 0 && pwrite (fd, zip.ptr, zip.len, 0) == (ssize_t)zip.len);
    buf_fini (&zip);
}

static int64_t empty (void)
{
    int folder = openat (folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int64_t count = fuzz_empty (folder);
    CHECK (count <= FILES);
    return count;
}

/* Where the base can be unpacked alone, and then what is laid over it, the same comes of it, or is refused with the
 * same words. */
static void go_over (const archive_limits_t *limits, bool done, const archive_refusal_t *why, int64_t count)
{
    archive_refusal_t refusal = { .text = "" };
    if (archive_extract (zip_fd, folder_fd, limits, &refusal)) {
        refusal = (archive_refusal_t){ .text = "" };
        CHECK (archive_extract_over (zip_fd, delta_fd, folder_fd, limits, &refusal) == done);
        CHECK (done ||
               (refusal.code && strcmp (refusal.code, why->code) == 0 && strcmp (refusal.text, why->text) == 0));
        CHECK (!done || empty () == count);
    }
    empty ();
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    static const archive_limits_t limits = { .files = FILES, .bytes = BYTES, .ratio = 50, .depth = DEPTH };
    slice_t in = slice_from (data, size);
    archive_refusal_t refusal = { .text = "" };
    uint8_t how = fuzz_byte (&in);
    bool two = how & 2;
    if (two)
        fill (delta_fd, fuzz_take (&in, fuzz_16 (&in)), how & 1);
    fill (zip_fd, in, how & 1);
    bool done = two ? archive_extract_delta (zip_fd, delta_fd, folder_fd, &limits, &refusal)
                    : archive_extract (zip_fd, folder_fd, &limits, &refusal);
    CHECK (done || (refusal.code && refusal.text[0]));
    for (const char *at = refusal.text; *at; at++)
        CHECK (*at >= ' ' && *at <= '~');
    int64_t count = empty ();
    if (two)
        go_over (&limits, done, &refusal, count);
    return 0;
}
