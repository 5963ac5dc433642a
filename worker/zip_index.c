#include "worker/zip_index.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/buf.h"

enum {
    END_SIZE = 22,
    END64_SIZE = 56, /* at least */
    LOCATOR_SIZE = 20,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    COMMENT_MAX = 16000, /* behind the end record; the library looks no further back */
    WINDOW = 256 * 1024, /* more than an entry of the directory can have */
    DIRECTORY_STEP = 64 * 1024,
    HEADER_STEP = 4 * 1024,
    FLAG_ENCRYPTED = 1,
    FLAG_SIZES_FOLLOW = 1 << 3,
    FLAG_PATCH = 1 << 5,
    FLAG_STRONG = 1 << 6,
    FLAG_UTF8 = 1 << 11,
    FLAG_HIDDEN = 1 << 13,
    EXTRA_ZIP64 = 0x0001,
    EXTRA_PATH = 0x7075, /* the name once more, in UTF-8 */
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8,
    SYSTEM_DOS = 0,
    SYSTEM_UNIX = 3,
    DOS_FOLDER = 0x10,
    PART_DEPTH_MAX = 256,
};
/* As much as the worker's options allow of a whole one. */
#define PART_BYTES_MAX (1LL << 40)
static const int64_t ALL16 = 0xffff;
static const int64_t ALL32 = 0xffffffff;

/* The part of the file that was read last. */
typedef struct {
    int fd;
    int64_t size; /* of the file */
    size_t step;  /* bytes read at once, if no more are wanted */
    int64_t at;
    int64_t len;
    unsigned char *bytes; /* WINDOW */
} reader_t;

/* Where the directory is, as the end of the file says. */
typedef struct {
    int64_t at, size, count;
} directory_t;

typedef struct {
    reader_t directory, headers;
    const archive_limits_t *limits;
    archive_refusal_t *refusal;
    archive_names_t names;
    bool part, delta; /* one of two archives; the second of them */
    zip_index_t *index;
} scan_t;

/* What an entry says of itself, in either place. */
typedef struct {
    int system; /* the directory alone has this, */
    int64_t attributes;
    int64_t header; /* and this */
    int flags, method;
    int64_t crc, packed, bytes;
    slice_t name, extra;
    slice_t path; /* the name that counts */
} said_t;

static int64_t le (const unsigned char *at, int size)
{
    uint64_t value = 0;
    for (int i = size - 1; i >= 0; i--)
        value = value << 8 | at[i];
    return value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

static int le16 (const unsigned char *at)
{
    return (int)le (at, 2);
}

/* `len` bytes at `at`, WINDOW at most, until the next call. NULL: the file has none there, or (errno) cannot be read.
 */
static const unsigned char *view (reader_t *self, int64_t at, int64_t len)
{
    errno = 0;
    if (at < 0 || len > WINDOW || at > self->size - len)
        return NULL;
    if (at < self->at || at + len > self->at + self->len) {
        int64_t want = len > (int64_t)self->step ? len : (int64_t)self->step;
        ssize_t got;
        do
            got = pread (self->fd, self->bytes, (size_t)(want < self->size - at ? want : self->size - at), at);
        while (got < 0 && errno == EINTR);
        self->at = at;
        self->len = got > 0 ? got : 0;
    }
    return len <= self->len - (at - self->at) ? self->bytes + (at - self->at) : NULL;
}

static bool refuse (const scan_t *self, const char *code, const char *why)
{
    return archive_refuse (self->refusal, code, "%s", why);
}

/* Something that must be there could not be viewed. */
static bool unread (const scan_t *self, const char *why)
{
    return errno ? archive_refuse_errno (self->refusal) : refuse (self, "CORRUPT_ZIP", why);
}

static bool refuse_entry (const scan_t *self, const char *code, slice_t name, const char *why)
{
    char *path = slice_dup (name);
    archive_refuse_entry (self->refusal, code, path, why);
    free (path);
    return false;
}

/* ---- the end ---- */

/* Bytes that look like an end record may stand in a comment: only one may be at such a place that it can be one. */
static bool find_end (scan_t *self, int64_t *end)
{
    int64_t size = self->directory.size;
    int64_t tail = size < END_SIZE + COMMENT_MAX ? size : END_SIZE + COMMENT_MAX;
    const unsigned char *bytes = view (&self->directory, size - tail, tail);
    int fit = 0;
    bool others = false;
    if (!bytes)
        return unread (self, "it cannot be read to its end.");
    for (int64_t at = tail - END_SIZE; at >= 0; at--) {
        if (memcmp (bytes + at, "PK\5\6", 4) != 0)
            continue;
        if (at + END_SIZE + le16 (bytes + at + 20) != tail) {
            others = true;
            continue;
        }
        *end = size - tail + at;
        fit++;
    }
    if (fit == 1)
        return true;
    if (fit > 1)
        return refuse (self, "CORRUPT_ZIP", "it has two ends.");
    if (others)
        return refuse (self, "CORRUPT_ZIP", "it does not end with its end record.");
    bytes = view (&self->headers, 0, 4);
    if (bytes && memcmp (bytes, "PK\3\4", 4) == 0)
        return refuse (self, "CORRUPT_ZIP", "its end is missing, or has a comment of more than 16,000 bytes.");
    return refuse (self, "NOT_ZIP", "it is not a ZIP archive.");
}

/* A number of the end record, and what stands for it when it is too large. */
static bool agrees (int64_t small, int64_t large, int64_t all)
{
    return small == all || small == large;
}

/* The record for large archives, when there is one: what it says counts, and the other one must not say otherwise.
 * `*end` becomes where it begins. */
static bool read_end64 (scan_t *self, directory_t *out, int64_t *end)
{
    const unsigned char *at = *end >= LOCATOR_SIZE ? view (&self->directory, *end - LOCATOR_SIZE, LOCATOR_SIZE) : NULL;
    if (!at || memcmp (at, "PK\6\7", 4) != 0)
        return true;
    int64_t place = le (at + 8, 8);
    bool one_disk = le (at + 4, 4) == 0 && le (at + 16, 4) <= 1;
    if (place > *end - LOCATOR_SIZE - END64_SIZE || !(at = view (&self->directory, place, END64_SIZE)) ||
        memcmp (at, "PK\6\6", 4) != 0 || le (at + 4, 8) != *end - LOCATOR_SIZE - place - 12)
        return unread (self, "its end record for large archives is not where it should be.");
    if (!one_disk || le (at + 16, 4) || le (at + 20, 4) || le (at + 24, 8) != le (at + 32, 8))
        return refuse (self, "UNSUPPORTED_ZIP", "it is one part of several.");
    directory_t large = { .count = le (at + 32, 8), .size = le (at + 40, 8), .at = le (at + 48, 8) };
    if (!agrees (out->count, large.count, ALL16) || !agrees (out->size, large.size, ALL32) ||
        !agrees (out->at, large.at, ALL32))
        return refuse (self, "CORRUPT_ZIP", "its two end records say different things.");
    *out = large;
    *end = place;
    return true;
}

static bool find_directory (scan_t *self, directory_t *out)
{
    int64_t end = 0;
    if (!find_end (self, &end))
        return false;
    const unsigned char *at = view (&self->directory, end, END_SIZE);
    if (!at)
        return unread (self, "its end record cannot be read.");
    bool one_disk = (le16 (at + 4) == 0 || le16 (at + 4) == ALL16) && (le16 (at + 6) == 0 || le16 (at + 6) == ALL16) &&
                    le16 (at + 8) == le16 (at + 10);
    *out = (directory_t){ .count = le16 (at + 10), .size = le (at + 12, 4), .at = le (at + 16, 4) };
    if (!read_end64 (self, out, &end))
        return false;
    if (!one_disk)
        return refuse (self, "UNSUPPORTED_ZIP", "it is one part of several.");
    if (out->size > end || out->at > end - out->size || out->count > out->size / CENTRAL_SIZE)
        return refuse (self, "CORRUPT_ZIP", "its directory does not fit into it.");
    if (out->at + out->size == end)
        return true;
    at = view (&self->directory, out->at, 4);
    if (out->count && at && memcmp (at, "PK\1\2", 4) == 0)
        return refuse (self, "CORRUPT_ZIP", "there are bytes between its directory and its end.");
    return refuse (self, "NOT_ZIP", "other bytes stand before it.");
}

/* ---- extra fields ---- */

/* The extra field `id`; absent: there is none. False: there are two, or the fields are damaged. Some zero bytes at the
 * end are what tools align with. */
static bool find_extra (slice_t extra, int id, slice_t *out)
{
    *out = SLICE_ABSENT;
    while (extra.len >= 4) {
        const unsigned char *at = (const unsigned char *)extra.ptr;
        size_t size = (size_t)le16 (at + 2);
        if (size > extra.len - 4)
            return false;
        if (le16 (at) == id) {
            if (out->ptr)
                return false;
            *out = slice_from (extra.ptr + 4, size);
        }
        extra = slice_from (extra.ptr + 4 + size, extra.len - 4 - size);
    }
    return true;
}

/* One number that the field for large archives has in place of `*value`. */
static bool take_large (slice_t *field, int64_t *value)
{
    if (*value != ALL32)
        return true;
    if (field->len < 8)
        return false;
    *value = le ((const unsigned char *)field->ptr, 8);
    *field = slice_from (field->ptr + 8, field->len - 8);
    return true;
}

/* True for a name that is the same in every encoding a ZIP may have. */
static bool is_plain (slice_t name)
{
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] >= 0x80)
            return false;
    return true;
}

/* What the extra fields change. False when they make no sense; `*why` says how. */
static bool apply_extra (said_t *said, const char **why)
{
    slice_t large, path;
    *why = "has damaged extra fields";
    if (!find_extra (said->extra, EXTRA_ZIP64, &large) || !find_extra (said->extra, EXTRA_PATH, &path) ||
        !take_large (&large, &said->bytes) || !take_large (&large, &said->packed) ||
        !take_large (&large, &said->header))
        return false;
    said->path = said->name;
    if (!path.ptr)
        return true;
    *why = "has two names";
    if (path.len < 5 || path.ptr[0] != 1)
        return false;
    path = slice_from (path.ptr + 5, path.len - 5);
    if ((is_plain (said->name) || said->flags & FLAG_UTF8) && !slice_eq (path, said->name))
        return false;
    said->path = path;
    return true;
}

/* ---- entries ---- */

/* A link or a device is refused by the bits that make it one, whatever system the entry says it is from. */
static bool is_special (int64_t attributes)
{
    mode_t type = (mode_t)(attributes >> 16) & S_IFMT;
    return type && type != S_IFREG && type != S_IFDIR;
}

static bool is_folder (const said_t *said)
{
    if (said->path.len && said->path.ptr[said->path.len - 1] == '/')
        return true;
    if (said->system == SYSTEM_UNIX)
        return S_ISDIR ((mode_t)(said->attributes >> 16));
    return said->system == SYSTEM_DOS && said->attributes & DOS_FOLDER;
}

/* Reads the directory's word on the entry at `*at`, and moves on to the next one. */
static bool read_central (scan_t *self, const directory_t *directory, int64_t *at, said_t *out)
{
    const char *why;
    int64_t left = directory->at + directory->size - *at;
    const unsigned char *bytes = left < CENTRAL_SIZE ? NULL : view (&self->directory, *at, CENTRAL_SIZE);
    if (!bytes || memcmp (bytes, "PK\1\2", 4) != 0)
        return left < CENTRAL_SIZE ? refuse (self, "CORRUPT_ZIP", "its directory is cut.")
                                   : unread (self, "its directory is damaged.");
    int64_t name_len = le16 (bytes + 28);
    int64_t extra_len = le16 (bytes + 30);
    int64_t size = CENTRAL_SIZE + name_len + extra_len + le16 (bytes + 32);
    if (size > left || !(bytes = view (&self->directory, *at, size)))
        return refuse (self, "CORRUPT_ZIP", "its directory is cut.");
    *out = (said_t){
        .system = bytes[5],
        .attributes = le (bytes + 38, 4),
        .header = le (bytes + 42, 4),
        .flags = le16 (bytes + 8),
        .method = le16 (bytes + 10),
        .crc = le (bytes + 16, 4),
        .packed = le (bytes + 20, 4),
        .bytes = le (bytes + 24, 4),
        .name = slice_from (bytes + CENTRAL_SIZE, (size_t)name_len),
        .extra = slice_from (bytes + CENTRAL_SIZE + name_len, (size_t)extra_len),
    };
    int disk = le16 (bytes + 34);
    *at += size;
    if (disk != 0 && disk != ALL16)
        return refuse (self, "UNSUPPORTED_ZIP", "it is one part of several.");
    return apply_extra (out, &why) || refuse_entry (self, "CORRUPT_ZIP", out->name, why);
}

/* Reads the word of the entry's own header, and where its bytes begin. */
static bool read_header (scan_t *self, const said_t *central, said_t *out, int64_t *data)
{
    const char *why;
    const unsigned char *bytes = view (&self->headers, central->header, LOCAL_SIZE);
    if (!bytes || memcmp (bytes, "PK\3\4", 4) != 0)
        return errno ? archive_refuse_errno (self->refusal)
                     : refuse_entry (self, "CORRUPT_ZIP", central->name, "is not where the directory says");
    int64_t name_len = le16 (bytes + 26);
    int64_t extra_len = le16 (bytes + 28);
    *data = central->header + LOCAL_SIZE + name_len + extra_len;
    if (!(bytes = view (&self->headers, central->header, LOCAL_SIZE + name_len + extra_len)))
        return refuse_entry (self, "CORRUPT_ZIP", central->name, "is cut");
    *out = (said_t){
        .flags = le16 (bytes + 6),
        .method = le16 (bytes + 8),
        .crc = le (bytes + 14, 4),
        .packed = le (bytes + 18, 4),
        .bytes = le (bytes + 22, 4),
        .name = slice_from (bytes + LOCAL_SIZE, (size_t)name_len),
        .extra = slice_from (bytes + LOCAL_SIZE + name_len, (size_t)extra_len),
    };
    return apply_extra (out, &why) || refuse_entry (self, "CORRUPT_ZIP", central->name, why);
}

static bool check_support (const scan_t *self, const said_t *said, slice_t name)
{
    if (said->flags & (FLAG_ENCRYPTED | FLAG_STRONG | FLAG_HIDDEN))
        return refuse_entry (self, "UNSUPPORTED_ZIP", name, "is encrypted");
    if (said->flags & FLAG_PATCH || (said->method != METHOD_STORED && said->method != METHOD_DEFLATED))
        return refuse_entry (self, "UNSUPPORTED_ZIP", name, "is packed in a way that is not read here");
    return true;
}

static bool check_same (const scan_t *self, const said_t *central, const said_t *own)
{
    slice_t name = central->name;
    if (!slice_eq (own->name, name) || !slice_eq (own->path, central->path))
        return refuse_entry (self, "CORRUPT_ZIP", name, "has another name in its own header");
    if (own->method != central->method)
        return refuse_entry (self, "CORRUPT_ZIP", name, "is packed in another way by its own header");
    bool follow = own->flags & FLAG_SIZES_FOLLOW; /* its header was written before they were known */
    if (!follow && (own->crc != central->crc || own->packed != central->packed || own->bytes != central->bytes))
        return refuse_entry (self, "CORRUPT_ZIP", name, "has another size or checksum in its own header");
    if (central->method == METHOD_STORED && central->packed != central->bytes)
        return refuse_entry (self, "CORRUPT_ZIP", name, "is not packed, and has two sizes");
    return true;
}

/* Checks the path and enters the entry. */
static bool add (scan_t *self, const said_t *said, int64_t data)
{
    char *path = slice_dup (said->path);
    bool folder = is_folder (said);
    if (strlen (path) != said->path.len) {
        archive_refuse_entry (self->refusal, "BAD_NAME", path, "has control characters in its name");
        free (path);
        return false;
    }
    bool list = self->delta && !folder && said->header == 0 && strcmp (path, DELTA_REMOVED) == 0;
    if (!list && !archive_path_check (self->part ? NULL : &self->names, path, folder, self->limits, self->refusal)) {
        free (path);
        return false;
    }
    if (path[said->path.len - 1] == '/')
        path[said->path.len - 1] = '\0';
    self->index->entries[self->index->count++] = (zip_entry_t){
        .header = said->header,
        .data = data,
        .packed = said->packed,
        .bytes = said->bytes,
        .is_folder = folder,
        .runs = said->system == SYSTEM_UNIX && (said->attributes >> 16) & S_IXUSR,
        .gone = list,
        .path = path,
    };
    return true;
}

static bool read_entry (scan_t *self, const directory_t *directory, int64_t *at)
{
    said_t central = { 0 };
    said_t own = { 0 };
    int64_t data = 0;
    if (!read_central (self, directory, at, &central) || !check_support (self, &central, central.name))
        return false;
    if (is_special (central.attributes))
        return refuse_entry (self, "UNSAFE_TYPE", central.name, "is a link, a device or another special file");
    if (!read_header (self, &central, &own, &data) || !check_support (self, &own, central.name) ||
        !check_same (self, &central, &own))
        return false;
    if (data > directory->at || central.packed > directory->at - data)
        return refuse_entry (self, "CORRUPT_ZIP", central.name, "is cut");
    if (is_folder (&central) && central.bytes)
        return refuse_entry (self, "CORRUPT_ZIP", central.name, "is a folder and has bytes");
    if (central.bytes > self->limits->bytes)
        return refuse_entry (self, "ARCHIVE_LIMIT", central.name, "is larger than an archive may become");
    return add (self, &central, data);
}

/* ---- the whole ---- */

static int by_place (const void *a, const void *b)
{
    int64_t first = ((const zip_entry_t *)a)->header;
    int64_t second = ((const zip_entry_t *)b)->header;
    return (first > second) - (first < second);
}

/* In the order of their bytes: none begins before the one before it ends, and the first one begins the file. */
static bool check_places (const scan_t *self)
{
    zip_index_t *index = self->index;
    if (index->count == 0)
        return true;
    qsort (index->entries, index->count, sizeof *index->entries, by_place);
    if (index->entries[0].header != 0)
        return refuse (self, "NOT_ZIP", "other bytes stand before it.");
    for (size_t i = 1; i < index->count; i++) {
        const zip_entry_t *before = &index->entries[i - 1];
        if (index->entries[i].header < before->data + before->packed)
            return archive_refuse_entry (self->refusal, "CORRUPT_ZIP", index->entries[i].path,
                                         "shares bytes with another one");
    }
    return true;
}

bool zip_sizes_check (int64_t bytes, int64_t archive_bytes, const archive_limits_t *limits, archive_refusal_t *refusal)
{
    if (bytes > limits->bytes)
        return archive_refuse (refusal, "ARCHIVE_LIMIT", "it would become more than %lld bytes.",
                               (long long)limits->bytes);
    if (bytes > ARCHIVE_RATIO_FREE && bytes / limits->ratio > archive_bytes)
        return archive_refuse (refusal, "ARCHIVE_LIMIT", "it would grow to more than %lld times its size.",
                               (long long)limits->ratio);
    return true;
}

/* By what it says; what it becomes is counted when it is unpacked. */
static bool check_sizes (const scan_t *self)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < self->index->count; i++)
        bytes += self->index->entries[i].bytes; /* each is below the limit: as many as may be do not overflow it */
    return self->part || zip_sizes_check (bytes, self->directory.size, self->limits, self->refusal);
}

static bool read_all (scan_t *self)
{
    directory_t directory = { 0 };
    if (!find_directory (self, &directory))
        return false;
    if (!directory.count && directory.at + directory.size > 0)
        return refuse (self, directory.at ? "NOT_ZIP" : "CORRUPT_ZIP", "it has bytes and no entries.");
    if (directory.count > self->limits->files)
        return archive_refuse (self->refusal, "ARCHIVE_LIMIT", "it has more than %lld entries" ARCHIVE_FEWER,
                               (long long)self->limits->files);
    self->index->entries = xcalloc ((size_t)directory.count + 1, sizeof *self->index->entries);
    int64_t at = directory.at;
    for (int64_t i = 0; i < directory.count; i++)
        if (!read_entry (self, &directory, &at))
            return false;
    if (at != directory.at + directory.size)
        return refuse (self, "CORRUPT_ZIP", "its directory has more entries than it says.");
    return check_places (self) && check_sizes (self);
}

static bool read_index (scan_t *scan, int fd)
{
    static unsigned char windows[2][WINDOW]; /* one thread */
    struct stat info;
    if (fstat (fd, &info) != 0)
        return archive_refuse_errno (scan->refusal);
    scan->directory = (reader_t){ .fd = fd, .size = info.st_size, .step = DIRECTORY_STEP, .bytes = windows[0] };
    scan->headers = (reader_t){ .fd = fd, .size = info.st_size, .step = HEADER_STEP, .bytes = windows[1] };
    bool good = read_all (scan);
    archive_names_fini (&scan->names);
    return good;
}

bool zip_index_read (zip_index_t *self, int fd, const archive_limits_t *limits, archive_refusal_t *refusal)
{
    scan_t scan = { .limits = limits, .refusal = refusal, .index = self };
    return read_index (&scan, fd);
}

bool zip_index_read_part (zip_index_t *self, int fd, zip_part_t part, archive_refusal_t *refusal)
{
    static const archive_limits_t most = {
        .files = ARCHIVE_FILES_LIMIT, .bytes = PART_BYTES_MAX, .ratio = 1, .depth = PART_DEPTH_MAX
    };
    scan_t scan = { .limits = &most, .refusal = refusal, .index = self, .part = true, .delta = part == PART_DELTA };
    return read_index (&scan, fd);
}

void zip_index_fini (zip_index_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->entries[i].path);
    free (self->entries);
    *self = (zip_index_t){ 0 };
}
