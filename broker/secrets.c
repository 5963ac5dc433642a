#include "broker/secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/log.h"

enum { OVERHEAD = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES };

static const char *read_key (secrets_t *self, int fd)
{
    struct stat info;
    if (fstat (fd, &info) != 0)
        return strerror (errno);
    if (info.st_mode & 077)
        return "others can read it, run chmod 600 on it";
    if (info.st_size != sizeof self->key || read (fd, self->key, sizeof self->key) != sizeof self->key)
        return "it is damaged, put back the one that was there";
    self->known = true;
    return NULL;
}

bool secrets_init (secrets_t *self, const char *path, char *problem, size_t problem_size)
{
    *self = (secrets_t){ .path = xstrdup (path) };
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return true;
    const char *why = fd < 0 ? strerror (errno) : read_key (self, fd);
    if (fd >= 0)
        close (fd);
    if (why)
        snprintf (problem, problem_size, "the key of the jobs' secrets cannot be used, '%.700s': %s.", path, why);
    return !why;
}

void secrets_fini (secrets_t *self)
{
    sodium_memzero (self->key, sizeof self->key);
    free (self->path);
    *self = (secrets_t){ 0 };
}

/* A rename is on the disk when its folder is. */
static int sync_folder (const char *path)
{
    char copy[4096];
    if ((size_t)snprintf (copy, sizeof copy, "%s", path) >= sizeof copy)
        return ENAMETOOLONG;
    int fd = open (dirname (copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd < 0 || fsync (fd) != 0 ? errno : 0;
    if (fd >= 0)
        close (fd);
    return error;
}

static int write_key (const char *path, const unsigned char *key, size_t len)
{
    char part[4096];
    if ((size_t)snprintf (part, sizeof part, "%s.part", path) >= sizeof part)
        return ENAMETOOLONG;
    unlink (part); /* of a broker that was killed just then */
    int fd = open (part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int error = fd < 0 || write (fd, key, len) != (ssize_t)len || fsync (fd) != 0 ? errno : 0;
    if (fd >= 0)
        close (fd);
    if (!error && rename (part, path) != 0)
        error = errno;
    return error ? error : sync_folder (path);
}

/* Before the first secret is acknowledged its key is on the disk. */
static err_t make_key (secrets_t *self)
{
    unsigned char key[sizeof self->key];
    crypto_secretbox_keygen (key);
    int error = write_key (self->path, key, sizeof key);
    if (error) {
        log_event (LEVEL_ERROR, "secrets-key-failed", "%s: %s", self->path, strerror (error));
    } else {
        memcpy (self->key, key, sizeof key);
        self->known = true;
        log_event (LEVEL_INFO, "secrets-key-made", "%s: no backup holds it, keep a copy", self->path);
    }
    sodium_memzero (key, sizeof key);
    return !error ? ERR_NONE : error == ENOSPC || error == EDQUOT ? ERR_DISK_FULL : ERR_INTERNAL;
}

err_t secrets_seal (secrets_t *self, slice_t rows, buf_t *sealed, unsigned char mark[SECRETS_MARK])
{
    unsigned char nonce[crypto_secretbox_NONCEBYTES];
    err_t err = self->known ? ERR_NONE : make_key (self);
    if (err)
        return err;
    randombytes_buf (nonce, sizeof nonce);
    buf_clear (sealed);
    buf_reserve (sealed, rows.len + OVERHEAD);
    buf_append (sealed, nonce, sizeof nonce);
    crypto_secretbox_easy ((unsigned char *)sealed->ptr + sealed->len, (const unsigned char *)rows.ptr, rows.len, nonce,
                           self->key);
    sealed->len += rows.len + crypto_secretbox_MACBYTES;
    crypto_generichash (mark, SECRETS_MARK, (const unsigned char *)rows.ptr, rows.len, self->key, sizeof self->key);
    return ERR_NONE;
}

bool secrets_open (const secrets_t *self, slice_t sealed, buf_t *rows)
{
    if (!self->known || sealed.len < OVERHEAD)
        return false;
    const unsigned char *nonce = (const unsigned char *)sealed.ptr;
    const unsigned char *box = nonce + crypto_secretbox_NONCEBYTES;
    size_t len = sealed.len - crypto_secretbox_NONCEBYTES;
    buf_clear (rows);
    buf_reserve (rows, len);
    if (crypto_secretbox_open_easy ((unsigned char *)rows->ptr, box, len, nonce, self->key) != 0)
        return false;
    rows->len = len - crypto_secretbox_MACBYTES;
    return true;
}
