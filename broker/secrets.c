#include "broker/secrets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/log.h"
#include "proto/secret.h"

enum { OVERHEAD = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES };

bool secrets_init (secrets_t *self, const char *path, char *problem, size_t problem_size)
{
    *self = (secrets_t){ .path = xstrdup (path) };
    if (access (path, F_OK) != 0 && errno == ENOENT)
        return true;
    buf_t content = { 0 };
    bool good = secret_read (path, &content, problem, problem_size);
    if (good && content.len == sizeof self->key)
        memcpy (self->key, content.ptr, sizeof self->key);
    else if (good)
        snprintf (problem, problem_size,
                  "the key of the jobs' secrets, '%.700s', is damaged: put back the one that was there.", path);
    self->known = good && content.len == sizeof self->key;
    secret_fini (&content);
    return self->known;
}

void secrets_fini (secrets_t *self)
{
    sodium_memzero (self->key, sizeof self->key);
    free (self->path);
    *self = (secrets_t){ 0 };
}

/* Before the first secret is acknowledged its key is on the disk. */
static err_t make_key (secrets_t *self)
{
    unsigned char key[sizeof self->key];
    crypto_secretbox_keygen (key);
    int error = secret_write (self->path, slice_from (key, sizeof key));
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
