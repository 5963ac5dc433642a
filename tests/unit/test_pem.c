/* Certificates in PEM, and their fingerprints. */
#include "unit.h"

#include <sodium.h>

#include "proto/pem.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"

static void is_hash_of (const unsigned char fingerprint[FINGERPRINT], const char *der)
{
    unsigned char hash[FINGERPRINT];
    crypto_hash_sha256 (hash, (const unsigned char *)der, strlen (der));
    assert_memory_equal (hash, fingerprint, sizeof hash);
}

static void test_certificates_come_one_by_one (void **state)
{
    (void)state;
    unsigned char fingerprint[FINGERPRINT];
    slice_t certificate;
    slice_t text = SLICE ("subject=x\n" BEGIN "Zmly\r\nc3Q=\n" END "between\n" BEGIN "c2Vjb25k\n" END);
    assert_true (pem_next (&text, &certificate, fingerprint));
    is_hash_of (fingerprint, "first");
    assert_true (slice_eq_str (certificate, BEGIN "Zmly\r\nc3Q=\n-----END CERTIFICATE-----"));
    assert_true (pem_next (&text, &certificate, fingerprint));
    is_hash_of (fingerprint, "second");
    assert_false (pem_next (&text, &certificate, fingerprint));
}

static void test_what_is_none_is_passed_over (void **state)
{
    static const char *const texts[] = {
        "", "x", BEGIN, END, BEGIN "Zmlyc3Q=", END BEGIN, BEGIN END, BEGIN "not base64!\n" END, BEGIN "Zm=x\n" END,
    };
    (void)state;
    unsigned char fingerprint[FINGERPRINT];
    slice_t certificate;
    for (size_t at = 0; at < sizeof texts / sizeof *texts; at++) {
        slice_t text = slice_of (texts[at]);
        assert_false (pem_next (&text, &certificate, fingerprint));
    }
    slice_t mixed = SLICE (BEGIN "?\n" END BEGIN "b25l\n" END);
    assert_true (pem_next (&mixed, &certificate, fingerprint));
    is_hash_of (fingerprint, "one");
    slice_t absent = SLICE_ABSENT;
    assert_false (pem_next (&absent, &certificate, fingerprint));
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_certificates_come_one_by_one),
        cmocka_unit_test (test_what_is_none_is_passed_over),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
