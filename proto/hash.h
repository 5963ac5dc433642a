/* hash.h - libsodium's SHA-256 for many bytes: with the processor's own instructions where it has them.
 *
 * libsodium's code is portable and takes 2.5 to 3 ns a byte, which made a large file's hash its slowest station. The
 * state is libsodium's, begun and ended by its functions.
 */
#ifndef GLEANER_HASH_H
#define GLEANER_HASH_H

#include <sodium.h>
#include <stddef.h>

/* Like crypto_hash_sha256_update, with the same outcome. `bytes` may be NULL when `len` is 0. */
void hash_update (crypto_hash_sha256_state *state, const void *bytes, size_t len);

#endif
