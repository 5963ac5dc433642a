/* JWTs: the token as a stranger sends it; and, after a first odd byte, header and claims that the issuer did sign, a
 * zero byte between them. */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/issuer.h"
#include "fuzz.h"
#include "proto/secret.h"
#include "tests/unit/jwt.h"

#define SECRET "what both sides know, 32 bytes or more"
#define NOW    1700000000000LL

static issuer_t *issuer;

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static char path[160];
    char problem[1024];
    CHECK (sodium_init () >= 0);
    snprintf (path, sizeof path, "%s/secret", fuzz_folder ());
    CHECK (secret_write (path, SLICE (SECRET)) == 0);
    const issuer_config_t config = { path, "HS256", "them", "us", "role" };
    issuer = issuer_new (&config, problem, sizeof problem);
    CHECK (issuer);
    return 0;
}

static void sign (slice_t in, buf_t *out)
{
    const char *zero = in.len ? memchr (in.ptr, 0, in.len) : NULL;
    slice_t header = zero ? slice_from (in.ptr, (size_t)(zero - in.ptr)) : SLICE ("{\"alg\":\"HS256\"}");
    slice_t claims = zero ? slice_from (zero + 1, in.len - header.len - 1) : in;
    jwt_sign (out, SECRET, header, claims);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    buf_t text = { 0 };
    const grant_t *grant = NULL;
    const char *why = NULL;
    bool signs = fuzz_byte (&in) & 1;
    if (signs)
        sign (in, &text);
    else
        buf_append (&text, in.ptr, in.len);
    err_t err = issuer_check (issuer, buf_slice (&text), NOW, &grant, &why);
    CHECK (!err == !why);
    CHECK (!err || err == ERR_UNAUTHORIZED || (err == ERR_NO_ROLE && signs));
    if (!err) { /* what nobody has signed, no search finds */
        CHECK (signs && grant->expires_ms > NOW && grant->from_ms <= NOW + ISSUER_EARLY_MS);
        CHECK (grant->role > ROLE_NONE && grant->role != ROLE_GATEWAY && strlen (grant->name) > strlen (ISSUER_PREFIX));
    }
    buf_fini (&text);
    return 0;
}
