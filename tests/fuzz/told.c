/* What a submitter may say of who is told: a traceparent, and a webhook's URL, which leads nowhere but below the prefix
 * that is allowed, whoever reads it. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "broker/webhook.h"
#include "fuzz.h"
#include "proto/traceparent.h"

static const char prefix[] = "https://hooks.example:8443/gleaner/";
static webhook_config_t config;

int LLVMFuzzerInitialize (int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    config.allow[0] = slice_of (prefix);
    config.allow_count = 1;
    CHECK (webhook_url_good (config.allow[0]));
    return 0;
}

static void check_part (CURLU *url, CURLUPart part, const char *wanted, size_t len)
{
    char *got = NULL;
    CHECK (curl_url_get (url, part, &got, 0) == CURLUE_OK);
    CHECK (strncmp (got, wanted, len) == 0 && (len < strlen (wanted) || part == CURLUPART_PATH || !got[len]));
    curl_free (got);
}

/* As libcurl reads it, which takes dot segments away. */
static void check_url (slice_t text)
{
    char *user = NULL;
    char *copy = slice_dup (text);
    CURLU *url = curl_url ();
    if (curl_url_set (url, CURLUPART_URL, copy, 0) == CURLUE_OK) {
        check_part (url, CURLUPART_SCHEME, "https", 5);
        check_part (url, CURLUPART_HOST, "hooks.example", 13);
        check_part (url, CURLUPART_PORT, "8443", 4);
        check_part (url, CURLUPART_PATH, "/gleaner/", 9);
        CHECK (curl_url_get (url, CURLUPART_USER, &user, 0) == CURLUE_NO_USER);
        CHECK (curl_url_get (url, CURLUPART_FRAGMENT, &user, 0) == CURLUE_NO_FRAGMENT);
    }
    curl_url_cleanup (url);
    free (copy);
}

static void check_trace (slice_t text)
{
    traceparent_t trace;
    traceparent_t again;
    char back[TRACEPARENT_LEN + 1];
    if (!traceparent_parse (text, &trace))
        return;
    traceparent_format (&trace, back);
    CHECK (traceparent_parse (slice_of (back), &again));
    CHECK (strcmp (trace.trace_id, again.trace_id) == 0 && strcmp (trace.parent_id, again.parent_id) == 0);
    CHECK (trace.flags == again.flags && memcmp (back + 3, text.ptr + 3, TRACEPARENT_LEN - 5) == 0);
}

int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    slice_t in = slice_from (data, size);
    buf_t text = { 0 };
    if (fuzz_byte (&in) & 1)
        buf_append_str (&text, prefix);
    buf_append (&text, in.ptr, in.len);
    if (webhook_allows (&config, buf_slice (&text)))
        check_url (buf_slice (&text));
    check_trace (buf_slice (&text));
    buf_fini (&text);
    return 0;
}
