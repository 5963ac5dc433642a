#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <utf8proc.h>

#include "proto/message.h"
#include "worker/archive.h"

enum { BUCKETS_FIRST = 64, SHOWN_MAX = 80 };

typedef struct archive_name {
    struct archive_name *next;
    uint64_t hash;
    bool is_folder;
    bool named; /* by an entry of its own, not only as another's parent */
    char text[];
} archive_name_t;

/* ---- refusing ---- */

/* What a library says of strange bytes may hold some of them. */
static void make_printable (char *text)
{
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            *text = '?';
}

bool archive_refuse (archive_refusal_t *refusal, const char *code, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    refusal->code = code;
    refusal->error = 0;
    vsnprintf (refusal->text, sizeof refusal->text, format, args);
    make_printable (refusal->text);
    va_end (args);
    return false;
}

bool archive_refuse_entry (archive_refusal_t *refusal, const char *code, const char *path, const char *why)
{
    return archive_refuse (refusal, code, "entry '%.*s' %s.", SHOWN_MAX, path, why);
}

bool archive_refuse_errno (archive_refusal_t *refusal)
{
    int error = errno;
    archive_refuse (refusal, NULL, "%s.", strerror (error));
    refusal->error = error;
    return false;
}

/* ---- names ---- */

void archive_names_fini (archive_names_t *self)
{
    for (size_t i = 0; i < self->bucket_count; i++) {
        while (self->buckets[i]) {
            archive_name_t *name = self->buckets[i];
            self->buckets[i] = name->next;
            free (name);
        }
    }
    free (self->buckets);
    *self = (archive_names_t){ 0 };
}

/* The form in which names that other machines take for one are the same: case folded, composed (NFC). The caller frees.
 * NULL: it cannot be made of these bytes. */
static char *fold (const char *path, size_t len)
{
    utf8proc_uint8_t *folded = NULL;
    bool plain = true;
    for (size_t i = 0; i < len; i++)
        plain = plain && !((unsigned char)path[i] & 0x80);
    if (!plain) {
        utf8proc_map ((const utf8proc_uint8_t *)path, (utf8proc_ssize_t)len, &folded,
                      UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
        return (char *)folded;
    }
    char *out = xcalloc (1, len + 1);
    for (size_t i = 0; i < len; i++)
        out[i] = path[i] >= 'A' && path[i] <= 'Z' ? (char)(path[i] + 32) : path[i];
    return out;
}

/* The caller frees. NULL: it cannot be made of these bytes. */
static char *compose (slice_t name)
{
    utf8proc_uint8_t *composed = NULL;
    utf8proc_map ((const utf8proc_uint8_t *)name.ptr, (utf8proc_ssize_t)name.len, &composed,
                  UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    return (char *)composed;
}

bool archive_name_same (slice_t a, slice_t b)
{
    if (slice_eq (a, b))
        return true;
    char *first = compose (a);
    char *second = compose (b);
    bool same = first && second && strcmp (first, second) == 0;
    free (first);
    free (second);
    return same;
}

/* SipHash, by a key that this process has from its start (getauxval(3)): nobody can make an archive whose names all
 * meet in one bucket. */
static uint64_t hash_of (const char *text, size_t len)
{
    static const unsigned char none[crypto_shorthash_KEYBYTES];
    const unsigned char *key = (const unsigned char *)(uintptr_t)getauxval (AT_RANDOM);
    uint64_t hash = 0;
    crypto_shorthash ((unsigned char *)&hash, (const unsigned char *)text, len, key ? key : none);
    return hash;
}

/* Twice as many buckets, so that a name costs as much among 100,000 as among ten. */
static void grow (archive_names_t *self)
{
    archive_names_t larger = { .bucket_count = self->bucket_count ? 2 * self->bucket_count : BUCKETS_FIRST };
    larger.buckets = xcalloc (larger.bucket_count, sizeof (archive_name_t *));
    for (size_t i = 0; i < self->bucket_count; i++) {
        while (self->buckets[i]) {
            archive_name_t *name = self->buckets[i];
            archive_name_t **bucket = &larger.buckets[name->hash % larger.bucket_count];
            self->buckets[i] = name->next;
            name->next = *bucket;
            *bucket = name;
        }
    }
    free (self->buckets);
    self->buckets = larger.buckets;
    self->bucket_count = larger.bucket_count;
}

static bool is_name (const archive_name_t *name, uint64_t hash, const char *folded, size_t len)
{
    return name->hash == hash && strncmp (name->text, folded, len) == 0 && !name->text[len];
}

/* Enters a name as a file or a folder. False when it is there as the other, or for the second time. */
static bool enter (archive_names_t *self, const char *folded, size_t len, bool is_folder, bool named)
{
    uint64_t hash = hash_of (folded, len);
    if ((size_t)self->count >= self->bucket_count)
        grow (self);
    archive_name_t **bucket = &self->buckets[hash % self->bucket_count];
    for (archive_name_t *name = *bucket; name; name = name->next) {
        if (!is_name (name, hash, folded, len))
            continue;
        bool clash = name->is_folder != is_folder || (named && name->named) || !is_folder;
        name->named = name->named || named;
        return !clash;
    }
    archive_name_t *name = xcalloc (1, sizeof *name + len + 1);
    memcpy (name->text, folded, len);
    name->hash = hash;
    name->is_folder = is_folder;
    name->named = named;
    name->next = *bucket;
    *bucket = name;
    self->count++;
    return true;
}

/* Enters a path and the folders that it goes through. */
static bool enter_all (archive_names_t *self, const char *path, bool is_folder)
{
    char *folded = fold (path, strlen (path));
    bool good = folded != NULL;
    for (const char *at = folded; good && *at;) {
        const char *end = at + strcspn (at, "/");
        bool last = !*end || !end[1];
        good = enter (self, folded, (size_t)(end - folded), !last || is_folder, last);
        at = *end ? end + 1 : end;
    }
    free (folded);
    return good;
}

/* ---- paths ---- */

static bool has_control (const char *path)
{
    for (; *path; path++)
        if ((unsigned char)*path < ' ' || *path == 0x7f)
            return true;
    return false;
}

/* C1 controls, which some terminals obey, and what turns the direction of text around, so that a name is shown as
 * another one. */
static bool misleads (const char *path)
{
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)path;
    utf8proc_int32_t point;
    for (utf8proc_ssize_t len; *at; at += len) {
        len = utf8proc_iterate (at, -1, &point);
        if (len < 1)
            return true;
        if ((point >= 0x80 && point < 0xa0) || (point >= 0x202a && point <= 0x202e) ||
            (point >= 0x2066 && point <= 0x2069) || point == 0x2028 || point == 0x2029)
            return true;
    }
    return false;
}

/* One code and sentence for the parts of a path; NULL: they are good. */
static const char *check_parts (const char *path, int64_t depth_max, const char **code)
{
    int64_t depth = 0;
    *code = "UNSAFE_PATH";
    for (const char *at = path; *at;) {
        size_t part = strcspn (at, "/");
        if (part == 0 || (part == 1 && at[0] == '.') || (part == 2 && at[0] == '.' && at[1] == '.'))
            return "leaves its folder or has an empty path part";
        if (part > ARCHIVE_NAME_MAX || ++depth > depth_max) {
            *code = "ARCHIVE_LIMIT";
            return part > ARCHIVE_NAME_MAX ? "has a part that is too long" : "is nested too deeply";
        }
        at += part + (at[part] == '/');
    }
    return NULL;
}

bool archive_path_check (archive_names_t *self, const char *path, bool is_folder, const archive_limits_t *limits,
                         archive_refusal_t *refusal)
{
    size_t len = strlen (path);
    const char *code;
    const char *why = NULL;
    if (!len)
        return archive_refuse (refusal, "BAD_NAME", "an entry has no name.");
    if (len > ARCHIVE_PATH_MAX)
        return archive_refuse_entry (refusal, "ARCHIVE_LIMIT", path, "has a path of more than 1,024 bytes");
    if (!utf8_valid (slice_from (path, len)))
        return archive_refuse_entry (refusal, "BAD_NAME", path, "has a name that is not UTF-8");
    if (has_control (path) || misleads (path))
        return archive_refuse_entry (refusal, "BAD_NAME", path, "has control characters in its name");
    if (path[0] == '/')
        return archive_refuse_entry (refusal, "UNSAFE_PATH", path, "has an absolute path");
    if (strchr (path, '\\'))
        return archive_refuse_entry (refusal, "UNSAFE_PATH", path, "has a backslash in its path");
    why = check_parts (path, limits->depth, &code);
    if (why)
        return archive_refuse_entry (refusal, code, path, why);
    if (!self)
        return true;
    if (!enter_all (self, path, is_folder))
        return archive_refuse_entry (refusal, "DUPLICATE_PATH", path, "stands twice, or is both a file and a folder");
    if (self->count > limits->files)
        return archive_refuse (refusal, "ARCHIVE_LIMIT", "it has more than %lld files and folders" ARCHIVE_FEWER,
                               (long long)limits->files);
    return true;
}
