/* SHA-256 by the processor's instructions: the same as libsodium's, however the bytes come. */
#include "unit.h"

#include "proto/hash.h"
#include "proto/id.h"

enum { LENGTH = 5000 };

static unsigned char bytes[LENGTH];

static void setup_bytes (void)
{
    uint32_t seed = 1;
    for (size_t at = 0; at < LENGTH; at++) {
        seed = seed * 1664525 + 1013904223;
        bytes[at] = (unsigned char)(seed >> 24);
    }
}

static void assert_same (const unsigned char *from, size_t first, size_t rest)
{
    unsigned char expected[crypto_hash_sha256_BYTES];
    unsigned char got[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;
    crypto_hash_sha256 (expected, from, first + rest);
    crypto_hash_sha256_init (&state);
    hash_update (&state, from, first);
    hash_update (&state, from + first, rest);
    crypto_hash_sha256_final (&state, got);
    assert_memory_equal (got, expected, sizeof expected);
}

static void test_every_length (void **state)
{
    (void)state;
    for (size_t length = 0; length <= 700; length++)
        assert_same (bytes, length, 0);
}

static void test_every_place_to_break_at (void **state)
{
    (void)state;
    for (size_t first = 0; first <= 400; first++)
        for (size_t rest = 0; rest <= 260; rest += 13)
            assert_same (bytes + first % 16, first, rest);
}

static void test_many_small_pieces (void **state)
{
    (void)state;
    unsigned char expected[crypto_hash_sha256_BYTES];
    unsigned char got[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state hash;
    crypto_hash_sha256 (expected, bytes, LENGTH);
    crypto_hash_sha256_init (&hash);
    size_t at = 0;
    for (size_t len = 0; at < LENGTH; at += len, len = (len + 37) % 191)
        hash_update (&hash, bytes + at, len < LENGTH - at ? len : LENGTH - at);
    crypto_hash_sha256_final (&hash, got);
    assert_memory_equal (got, expected, sizeof expected);
}

/* FIPS 180-4's own example of two blocks, so that not only libsodium is believed. */
static void test_a_known_hash (void **state)
{
    (void)state;
    static const char text[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    unsigned char digest[crypto_hash_sha256_BYTES];
    char hex[2 * sizeof digest + 1];
    crypto_hash_sha256_state hash;
    crypto_hash_sha256_init (&hash);
    hash_update (&hash, text, sizeof text - 1);
    crypto_hash_sha256_final (&hash, digest);
    hex_format (digest, sizeof digest, hex);
    assert_string_equal (hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

int main (void)
{
    setup_bytes ();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_length),
        cmocka_unit_test (test_every_place_to_break_at),
        cmocka_unit_test (test_many_small_pieces),
        cmocka_unit_test (test_a_known_hash),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
