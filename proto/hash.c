#include "hash.h"

#include <stdbool.h>
#include <stdint.h>

enum { BLOCK = 64 };

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

/* FIPS 180-4, 4.2.2. */
static const uint32_t rounds[64] __attribute__ ((aligned (16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* CPUID leaf 7 tells SHA, leaf 1 the SSE4.1 and SSSE3 that go with it. */
static bool ask_processor (void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    if (!__get_cpuid (1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
        return false;
    return __get_cpuid_count (7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

/* Asked once: in a virtual machine CPUID is dear. Threads that ask at the same time hear the same. */
static bool has_instructions (void)
{
    enum { UNKNOWN, YES, NO };
    static _Atomic int known = UNKNOWN;
    if (known == UNKNOWN)
        known = ask_processor () ? YES : NO;
    return known == YES;
}

/* The instructions want the eight words as ABEF and CDGH (Intel SDM, SHA256RNDS2); four rounds are done at a time. */
__attribute__ ((target ("sha,sse4.1,ssse3"))) static void compress (uint32_t words[8], const unsigned char *bytes,
                                                                    size_t blocks)
{
    const __m128i big_endian = _mm_set_epi64x (0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i abcd = _mm_shuffle_epi32 (_mm_loadu_si128 ((const __m128i *)words), 0xb1);
    __m128i efgh = _mm_shuffle_epi32 (_mm_loadu_si128 ((const __m128i *)(words + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8 (abcd, efgh, 8);
    __m128i cdgh = _mm_blend_epi16 (efgh, abcd, 0xf0);
    for (; blocks > 0; blocks--, bytes += BLOCK) {
        __m128i abef_before = abef;
        __m128i cdgh_before = cdgh;
        __m128i w[4];
        for (int at = 0; at < 4; at++)
            w[at] = _mm_shuffle_epi8 (_mm_loadu_si128 ((const __m128i *)bytes + at), big_endian);
#pragma GCC unroll 16
        for (int at = 0; at < 16; at++) {
            __m128i sum = _mm_add_epi32 (w[at & 3], _mm_load_si128 ((const __m128i *)rounds + at));
            cdgh = _mm_sha256rnds2_epu32 (cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32 (abef, cdgh, _mm_shuffle_epi32 (sum, 0x0e));
            if (at >= 12)
                continue; /* no more words are needed */
            __m128i last = w[(at + 3) & 3];
            __m128i next = _mm_sha256msg1_epu32 (w[at & 3], w[(at + 1) & 3]);
            next = _mm_add_epi32 (next, _mm_alignr_epi8 (last, w[(at + 2) & 3], 4));
            w[at & 3] = _mm_sha256msg2_epu32 (next, last);
        }
        abef = _mm_add_epi32 (abef, abef_before);
        cdgh = _mm_add_epi32 (cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32 (abef, 0x1b);
    __m128i dchg = _mm_shuffle_epi32 (cdgh, 0xb1);
    _mm_storeu_si128 ((__m128i *)words, _mm_blend_epi16 (feba, dchg, 0xf0));
    _mm_storeu_si128 ((__m128i *)(words + 4), _mm_alignr_epi8 (dchg, feba, 8));
}

#else

static bool has_instructions (void)
{
    return false;
}

static void compress (uint32_t words[8], const unsigned char *bytes, size_t blocks)
{
    (void)words;
    (void)bytes;
    (void)blocks;
}

#endif

/* Whole blocks are ours; what stands before and after them fills libsodium's block. `count` is in bits. */
void hash_update (crypto_hash_sha256_state *state, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    size_t held = (size_t)(state->count >> 3) % BLOCK;
    size_t head = held ? BLOCK - held : 0;
    if (len >= head + BLOCK && has_instructions ()) {
        crypto_hash_sha256_update (state, at, head);
        size_t blocks = (len - head) / BLOCK;
        compress (state->state, at + head, blocks);
        state->count += (uint64_t)blocks * BLOCK * 8;
        at += head + blocks * BLOCK;
        len -= head + blocks * BLOCK;
    }
    if (len)
        crypto_hash_sha256_update (state, at, len);
}
