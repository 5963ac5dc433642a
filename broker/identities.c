#include "broker/identities.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/map.h"
#include "proto/id.h"
#include "proto/message.h"

enum { PATH_SIZE = 4096 + 32, LINE_MAX_BYTES = 1024, FILE_MAX = IDENTITIES_MAX * LINE_MAX_BYTES, FIELDS = 9 };

#define IDENTITIES_NEW "identities.new"

struct identities {
    char *folder;
    identity_t **items; /* in the order of their lines */
    size_t count, cap;
    map_t by_id;
    map_t by_key;     /* of the kind `key`, those that are not revoked */
    map_t by_worker;  /* those that are bound and not revoked */
    struct stat seen; /* of the file that was read; zero: there was none */
    uint8_t secret[16];
};

static slice_t id_of (const void *item)
{
    return slice_of (((const identity_t *)item)->id);
}

static slice_t key_of (const void *item)
{
    return slice_of (((const identity_t *)item)->key);
}

static slice_t worker_of (const void *item)
{
    return slice_of (((const identity_t *)item)->worker_id);
}

/* ---- the set ---- */

identities_t *identities_new (const char *folder)
{
    identities_t *self = xcalloc (1, sizeof *self);
    self->folder = xstrdup (folder);
    randombytes_buf (self->secret, sizeof self->secret);
    map_init (&self->by_id, id_of, self->secret);
    map_init (&self->by_key, key_of, self->secret);
    map_init (&self->by_worker, worker_of, self->secret);
    return self;
}

static void forget_all (identities_t *self)
{
    for (size_t i = 0; i < self->count; i++)
        free (self->items[i]);
    free (self->items);
    map_fini (&self->by_id);
    map_fini (&self->by_key);
    map_fini (&self->by_worker);
}

void identities_destroy (identities_t **self_p)
{
    identities_t *self = *self_p;
    if (!self)
        return;
    forget_all (self);
    free (self->folder);
    free (self);
    *self_p = NULL;
}

size_t identities_count (const identities_t *self)
{
    return self->count;
}

const identity_t *identities_at (const identities_t *self, size_t at)
{
    return self->items[at];
}

identity_t *identities_edit (identities_t *self, size_t at)
{
    return self->items[at];
}

const identity_t *identities_by_id (const identities_t *self, slice_t id)
{
    return map_get (&self->by_id, id);
}

const identity_t *identities_by_key (const identities_t *self, slice_t key, int64_t wall_ms)
{
    const identity_t *identity = map_get (&self->by_key, key);
    return identity && identity_counts (identity, wall_ms) ? identity : NULL;
}

bool identity_counts (const identity_t *identity, int64_t wall_ms)
{
    return !identity->revoked_ms && (!identity->expires_ms || wall_ms < identity->expires_ms);
}

const char *identity_state (const identity_t *identity, int64_t wall_ms)
{
    return identity->revoked_ms ? "revoked" : identity_counts (identity, wall_ms) ? "good" : "expired";
}

identity_t *identities_find (identities_t *self, slice_t which, int *same)
{
    identity_t *found = NULL;
    *same = 0;
    for (size_t i = 0; i < self->count; i++) {
        identity_t *identity = self->items[i];
        if (slice_eq_str (which, identity->id))
            return identity;
        if (!slice_eq_str (which, identity->name))
            continue;
        *same += !identity->revoked_ms;
        if (!found || !identity->revoked_ms || (found->revoked_ms && identity->revoked_ms > found->revoked_ms))
            found = identity;
    }
    return *same > 1 ? NULL : found;
}

const identity_t *identities_by_worker (const identities_t *self, slice_t worker_id, int64_t wall_ms)
{
    const identity_t *identity = map_get (&self->by_worker, worker_id);
    return identity && identity_counts (identity, wall_ms) ? identity : NULL;
}

/* Of several that have been bound to one worker, the one that counts longest stands for it. */
static void index_worker (identities_t *self, identity_t *identity)
{
    if (!identity->worker_id[0] || identity->revoked_ms)
        return;
    identity_t *other = map_get (&self->by_worker, worker_of (identity));
    if (other && (!other->expires_ms || (identity->expires_ms && identity->expires_ms <= other->expires_ms)))
        return;
    if (other)
        map_remove (&self->by_worker, other);
    map_put (&self->by_worker, identity);
}

bool identities_add (identities_t *self, const identity_t *identity)
{
    if (self->count == IDENTITIES_MAX || identities_by_id (self, slice_of (identity->id)))
        return false;
    if (self->count == self->cap) {
        self->cap = self->cap ? 2 * self->cap : 16;
        self->items = xrealloc (self->items, self->cap * sizeof (identity_t *));
    }
    identity_t *copy = xcalloc (1, sizeof *copy);
    *copy = *identity;
    self->items[self->count++] = copy;
    map_put (&self->by_id, copy);
    if (strcmp (copy->kind, IDENTITY_KEY) == 0 && !copy->revoked_ms && !map_get (&self->by_key, key_of (copy)))
        map_put (&self->by_key, copy);
    index_worker (self, copy);
    return true;
}

/* ---- tokens ---- */

bool identity_is_token (const identity_t *identity)
{
    return strcmp (identity->kind, IDENTITY_TOKEN) == 0 || strcmp (identity->kind, IDENTITY_JOINED) == 0;
}

bool token_read (slice_t token, slice_t *id, unsigned char hash[32])
{
    unsigned char secret[TOKEN_SECRET];
    bool good = token_text_read (token, id, secret);
    if (good)
        crypto_hash_sha256 (hash, secret, sizeof secret);
    sodium_memzero (secret, sizeof secret);
    return good;
}

void identity_make_id (identity_t *identity)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    for (int i = 0; i < IDENTITY_ID_LEN; i++)
        identity->id[i] = letters[randombytes_uniform (sizeof letters - 1)];
    identity->id[IDENTITY_ID_LEN] = '\0';
}

void token_make (identity_t *identity, char text[TOKEN_TEXT_MAX])
{
    unsigned char secret[TOKEN_SECRET];
    identity_make_id (identity);
    snprintf (identity->kind, sizeof identity->kind, "%s", IDENTITY_TOKEN);
    randombytes_buf (secret, sizeof secret);
    crypto_hash_sha256 (identity->hash, secret, sizeof secret);
    hex_format (identity->hash, sizeof identity->hash, identity->key);
    token_text_format (identity->id, secret, text);
    sodium_memzero (secret, sizeof secret);
}

const identity_t *identities_by_token (const identities_t *self, slice_t token, int64_t wall_ms)
{
    static const identity_t nobody = { .revoked_ms = 1 };
    slice_t id;
    unsigned char hash[32];
    if (!token_read (token, &id, hash))
        return NULL;
    const identity_t *found = identities_by_id (self, id);
    const identity_t *identity = found && identity_is_token (found) ? found : &nobody;
    bool same = sodium_memcmp (identity->hash, hash, sizeof hash) == 0;
    return same && identity_counts (identity, wall_ms) ? identity : NULL;
}

bool identity_name_good (slice_t name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char byte = (unsigned char)name.ptr[i];
        bool upper = byte == 0xc2 && i + 1 < name.len && (unsigned char)name.ptr[i + 1] < 0xa0; /* U+0080 to U+009F */
        if (byte < ' ' || byte == 0x7f || upper)
            return false;
    }
    return name.len > 0 && name.len <= IDENTITY_NAME_MAX && utf8_valid (name);
}

/* ---- lines ---- */

static bool number_read (const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    *out = strtoll (text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *out <= TIME_MAX;
}

static bool copy_field (const char *from, char *to, size_t size)
{
    return utf8_valid (slice_of (from)) && slice_copy (slice_of (from), to, size);
}

static bool hash_read (identity_t *identity)
{
    size_t len = 0;
    if (!identity_is_token (identity))
        return true;
    return hex_valid (slice_of (identity->key), SHA256_HEX) &&
           sodium_hex2bin (identity->hash, sizeof identity->hash, identity->key, SHA256_HEX, NULL, &len, NULL) == 0;
}

/* Consumes the line's text. */
static bool line_read (char *line, identity_t *out)
{
    char *fields[FIELDS];
    int count = 0;
    *out = (identity_t){ 0 };
    for (char *field = strsep (&line, "\t"); field; field = strsep (&line, "\t"))
        if (count++ < FIELDS)
            fields[count - 1] = field;
    return count == FIELDS && identity_id_good (fields[0]) && fields[1][0] &&
           copy_field (fields[0], out->id, sizeof out->id) && copy_field (fields[1], out->kind, sizeof out->kind) &&
           copy_field (fields[2], out->key, sizeof out->key) && role_find (slice_of (fields[3]), &out->role) &&
           identity_name_good (slice_of (fields[4])) && copy_field (fields[4], out->name, sizeof out->name) &&
           number_read (fields[5], &out->created_ms) && number_read (fields[6], &out->expires_ms) &&
           copy_field (fields[7], out->worker_id, sizeof out->worker_id) && number_read (fields[8], &out->revoked_ms) &&
           hash_read (out);
}

static void line_write (const identity_t *identity, buf_t *out)
{
    buf_printf (out, "%s\t%s\t%s\t%s\t%s\t%lld\t%lld\t%s\t%lld\n", identity->id, identity->kind, identity->key,
                role_name (identity->role), identity->name, (long long)identity->created_ms,
                (long long)identity->expires_ms, identity->worker_id, (long long)identity->revoked_ms);
}

/* ---- the file ---- */

static void path_format (const char *folder, const char *name, char path[PATH_SIZE])
{
    snprintf (path, PATH_SIZE, "%s/%s", folder, name);
}

/* The whole file; empty when there is none. */
static bool file_read (const char *path, buf_t *text, struct stat *seen, char *problem, size_t size)
{
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *seen = (struct stat){ 0 };
    if (fd < 0 && errno == ENOENT)
        return true;
    bool good = fd >= 0 && fstat (fd, seen) == 0;
    if (!good)
        snprintf (problem, size, "cannot read '%.900s': %s.", path, strerror (errno));
    else if (seen->st_mode & 077)
        snprintf (problem, size, "'%.900s' can be read by others: chmod 600 it.", path);
    else if (seen->st_size > FILE_MAX)
        snprintf (problem, size, "'%.900s' is larger than any file of identities.", path);
    good = good && !(seen->st_mode & 077) && seen->st_size <= FILE_MAX;
    while (good) {
        char block[16 * 1024];
        ssize_t got = read (fd, block, sizeof block);
        if (got < 0)
            snprintf (problem, size, "cannot read '%.900s': %s.", path, strerror (errno));
        good = got >= 0;
        if (got <= 0)
            break;
        buf_append (text, block, (size_t)got);
    }
    if (fd >= 0)
        close (fd);
    return good;
}

static bool lines_read (identities_t *self, const char *path, buf_t *text, char *problem, size_t size)
{
    buf_append (text, "", 1);
    char *rest = text->ptr;
    int number = 0;
    if (strlen (rest) + 1 != text->len) { /* the lines behind it would be taken out by the next change */
        snprintf (problem, size, "'%.900s' has a zero byte in it, as a crash may leave it: put it back from a backup.",
                  path);
        return false;
    }
    for (char *line = strsep (&rest, "\n"); line; line = strsep (&rest, "\n")) {
        identity_t identity;
        number++;
        if (!*line || *line == '#')
            continue;
        if (line_read (line, &identity) && identities_add (self, &identity))
            continue;
        snprintf (problem, size,
                  "%.900s:%d: this is no identity, or one of that id, or of too many: see broker/README.md.", path,
                  number);
        return false;
    }
    if (self->seen.st_ino == 0 || identities_count (self) > 0)
        return true;
    snprintf (problem, size, "'%.900s' holds nothing any more, though no line is ever taken out: put it back.", path);
    return false;
}

/* A file that has gone must not let everybody in. */
static bool still_there (const identities_t *self, char *problem, size_t size)
{
    char path[PATH_SIZE];
    path_format (self->folder, IDENTITIES_MADE, path);
    if (self->seen.st_ino != 0 || access (path, F_OK) != 0)
        return true;
    snprintf (
        problem, size,
        "'%.900s/identities' has gone, and with it who may do what: put it back from a backup, or remove '%.900s', "
        "too, to begin without any.",
        self->folder, path);
    return false;
}

bool identities_load (identities_t *self, char *problem, size_t problem_size)
{
    char path[PATH_SIZE];
    path_format (self->folder, "identities", path);
    buf_t text = { 0 };
    identities_t *fresh = identities_new (self->folder);
    bool good = file_read (path, &text, &fresh->seen, problem, problem_size) &&
                still_there (fresh, problem, problem_size) && lines_read (fresh, path, &text, problem, problem_size);
    buf_fini (&text);
    if (good) {
        identities_t old = *self;
        *self = *fresh;
        *fresh = old;
    } else {
        self->seen = fresh->seen; /* not looked at again until it changes */
    }
    identities_destroy (&fresh);
    return good;
}

bool identities_moved (const identities_t *self)
{
    char path[PATH_SIZE];
    struct stat now;
    path_format (self->folder, "identities", path);
    if (stat (path, &now) != 0)
        now = (struct stat){ 0 };
    return now.st_ino != self->seen.st_ino || now.st_size != self->seen.st_size ||
           now.st_mtim.tv_sec != self->seen.st_mtim.tv_sec || now.st_mtim.tv_nsec != self->seen.st_mtim.tv_nsec;
}

static bool write_all (int fd, const buf_t *text)
{
    for (size_t at = 0; at < text->len;) {
        ssize_t put = write (fd, text->ptr + at, text->len - at);
        if (put < 0 && errno != EINTR)
            return false;
        at += put > 0 ? (size_t)put : 0;
    }
    return true;
}

/* Root's file in the folder of another user would be one that the broker cannot read. */
static bool give_to_owner (int fd, int folder_fd)
{
    struct stat folder;
    return geteuid () != 0 || (fstat (folder_fd, &folder) == 0 && fchown (fd, folder.st_uid, folder.st_gid) == 0);
}

static bool say_made (int folder_fd)
{
    static const char text[] = "Identities were made here. While this file is there, the broker does not go on without "
                               "the file `identities`.\n";
    int fd = openat (folder_fd, IDENTITIES_MADE, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno == EEXIST;
    bool good = give_to_owner (fd, folder_fd) && write (fd, text, sizeof text - 1) >= 0;
    close (fd);
    return good;
}

bool identities_keep (const identities_t *self, char *problem, size_t problem_size)
{
    if (self->count == 0)
        return true;
    int folder_fd = open (self->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = folder_fd >= 0 && say_made (folder_fd) && fsync (folder_fd) == 0;
    if (!good)
        snprintf (problem, problem_size, "cannot write '%.900s/" IDENTITIES_MADE "': %s.", self->folder,
                  strerror (errno));
    if (folder_fd >= 0)
        close (folder_fd);
    return good;
}

/* What somebody left under that name, another user or a program that was killed, is not written into. */
static int open_new (int folder_fd)
{
    if (unlinkat (folder_fd, IDENTITIES_NEW, 0) != 0 && errno != ENOENT)
        return -1;
    return openat (folder_fd, IDENTITIES_NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool file_replace (identities_t *self, int folder_fd, char *problem, size_t size)
{
    buf_t text = { 0 };
    buf_append_str (&text,
                    "# id, kind, key, role, name, created, expires, worker, revoked; gleaner-broker token ...\n");
    for (size_t i = 0; i < self->count; i++)
        line_write (self->items[i], &text);
    int fd = open_new (folder_fd);
    bool good = fd >= 0 && fchmod (fd, 0600) == 0 && give_to_owner (fd, folder_fd) && write_all (fd, &text) &&
                fsync (fd) == 0 && renameat (folder_fd, IDENTITIES_NEW, folder_fd, "identities") == 0 &&
                say_made (folder_fd) && fsync (folder_fd) == 0;
    if (!good)
        snprintf (problem, size, "cannot write '%.900s/identities': %s.", self->folder, strerror (errno));
    if (fd >= 0)
        close (fd);
    buf_fini (&text);
    return good;
}

/* A change takes ms; whoever holds the lock for longer must not hold up the broker's loop. */
static bool lock (int folder_fd)
{
    enum { TRIES = 300 };
    static const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
    for (int tries = 1; flock (folder_fd, LOCK_EX | LOCK_NB) != 0; tries++) {
        if ((errno != EWOULDBLOCK && errno != EINTR) || tries == TRIES)
            return false;
        nanosleep (&pause, NULL);
    }
    return true;
}

bool identities_change (const char *folder, identities_edit_fn *edit, void *ctx, char *problem, size_t problem_size)
{
    int folder_fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_fd < 0 || !lock (folder_fd)) {
        snprintf (problem, problem_size, "cannot lock '%.900s': %s.", folder,
                  errno == EWOULDBLOCK ? "another program has locked it for seconds" : strerror (errno));
        if (folder_fd >= 0)
            close (folder_fd);
        return false;
    }
    identities_t *fresh = identities_new (folder);
    bool good = identities_load (fresh, problem, problem_size) && edit (fresh, ctx, problem, problem_size) &&
                file_replace (fresh, folder_fd, problem, problem_size);
    identities_destroy (&fresh);
    close (folder_fd);
    return good;
}
