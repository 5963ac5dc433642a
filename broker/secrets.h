/* secrets.h - the key that a job's secrets are kept with. Who has the record alone, or a backup of it, does not have
 * them: the key is a file of its own, which no backup takes. */
#ifndef GLEANER_SECRETS_H
#define GLEANER_SECRETS_H

#include <sodium.h>
#include <stdbool.h>

#include "proto/buf.h"
#include "proto/error.h"

enum { SECRETS_MARK = 32 };

typedef struct {
    char *path;
    bool known; /* `key` was read, or made */
    unsigned char key[crypto_secretbox_KEYBYTES];
} secrets_t;

/* Reads the key file, if there is one; the first secret makes it. `path` is copied. False with one sentence in
 * `problem`: it cannot be read, is damaged, or others can read it. */
bool secrets_init (secrets_t *self, const char *path, char *problem, size_t problem_size);
void secrets_fini (secrets_t *self);
/* Encrypts rows (lines.h) into `sealed`, with a fresh nonce: XSalsa20-Poly1305 (libsodium's crypto_secretbox).
 * `mark` is the same for the same rows, and tells nothing of them without the key. Returns 0, or INTERNAL or DISK_FULL
 * when the key file cannot be made (logged). */
err_t secrets_seal (secrets_t *self, slice_t rows, buf_t *sealed, unsigned char mark[SECRETS_MARK]);
/* And back; the caller wipes `rows`. False when another key sealed them, or they are damaged. */
bool secrets_open (const secrets_t *self, slice_t sealed, buf_t *rows);

#endif
