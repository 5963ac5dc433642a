#include "broker/webhook.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "proto/json.h"
#include "proto/lines.h"
#include "proto/secret.h"

/* ---- URLs ---- */

static size_t scheme_len (slice_t url)
{
    static const char *const schemes[] = { "https://", "http://" };
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t len = strlen (schemes[i]);
        if (url.len > len && memcmp (url.ptr, schemes[i], len) == 0)
            return len;
    }
    return 0;
}

slice_t webhook_origin (slice_t url)
{
    size_t at = scheme_len (url);
    while (at < url.len && url.ptr[at] != '/' && url.ptr[at] != '?')
        at++;
    return slice_from (url.ptr, at);
}

static bool plain (slice_t url)
{
    for (size_t i = 0; i < url.len; i++)
        if (url.ptr[i] <= 0x20 || url.ptr[i] >= 0x7f || strchr ("\\\"<>#^`{}|", url.ptr[i]))
            return false;
    return true;
}

/* What servers may take for a dot or a slash, other than these themselves. */
static bool hides (slice_t path)
{
    static const char *const hidden[] = { "%2e", "%2f", "%5c", "%25" };
    for (size_t i = 0; i + 3 <= path.len; i++)
        for (size_t at = 0; at < sizeof hidden / sizeof *hidden; at++)
            if (strncasecmp (path.ptr + i, hidden[at], 3) == 0)
                return true;
    return false;
}

static bool leads_upwards (slice_t path)
{
    for (size_t from = 0; from < path.len;) {
        const char *end = memchr (path.ptr + from, '/', path.len - from);
        size_t len = (end ? (size_t)(end - path.ptr) : path.len) - from;
        if ((len == 1 || len == 2) && memcmp (path.ptr + from, "..", len) == 0)
            return true;
        from += len + 1;
    }
    return false;
}

/* A host, and perhaps a port. */
static bool authority_good (slice_t text)
{
    enum { PORT_MAX = 65535 };
    const char *closed = text.len && text.ptr[0] == '[' ? memchr (text.ptr, ']', text.len) : NULL;
    size_t at = closed ? (size_t)(closed + 1 - text.ptr) : 0;
    while (!closed && at < text.len && text.ptr[at] != ':' && text.ptr[at] != '[')
        at++;
    if (!at || at == text.len)
        return at;
    int port = 0;
    bool good = text.ptr[at] == ':' && at + 1 < text.len;
    while (good && ++at < text.len) {
        good = text.ptr[at] >= '0' && text.ptr[at] <= '9';
        port = 10 * port + (text.ptr[at] - '0');
        good = good && port <= PORT_MAX;
    }
    return good && port;
}

bool webhook_url_good (slice_t url)
{
    size_t scheme = scheme_len (url);
    if (!scheme || url.len > URL_MAX || !plain (url))
        return false;
    slice_t origin = webhook_origin (url);
    const char *query = memchr (url.ptr + origin.len, '?', url.len - origin.len);
    slice_t path =
        slice_from (url.ptr + origin.len, query ? (size_t)(query - url.ptr) - origin.len : url.len - origin.len);
    return authority_good (slice_from (url.ptr + scheme, origin.len - scheme)) && !memchr (url.ptr, '@', origin.len) &&
           !hides (path) && !leads_upwards (path);
}

bool webhook_allows (const webhook_config_t *self, slice_t url)
{
    for (size_t i = 0; i < self->allow_count; i++)
        if (url.len >= self->allow[i].len && memcmp (url.ptr, self->allow[i].ptr, self->allow[i].len) == 0)
            return webhook_url_good (url);
    return false;
}

bool webhook_knows (const webhook_config_t *self, slice_t url)
{
    for (size_t i = 0; i < self->url_count; i++)
        if (slice_eq (url, self->urls[i]))
            return true;
    return webhook_allows (self, url);
}

bool webhook_tells (const webhook_config_t *self, job_state_t state)
{
    return (state == JOB_COMPLETED && self->on_completed) || (state == JOB_FAILED && self->on_failed);
}

/* ---- options ---- */

static bool take_urls (const char *option, const char *lines, bool prefix, slice_t out[WEBHOOK_URLS_MAX], size_t *count,
                       char *problem, size_t size)
{
    slice_t rest = slice_of (lines);
    *count = 0;
    for (slice_t line; lines_next (&rest, &line);) {
        if (*count == WEBHOOK_URLS_MAX) {
            snprintf (problem, size, "%s: %d URLs at most.", option, WEBHOOK_URLS_MAX);
            return false;
        }
        if (!webhook_url_good (line)) {
            snprintf (problem, size,
                      "%s: '" SLICE_FMT
                      "' is no plain http(s) URL: a host, a port of 1 to 65535 if any, no user, no fragment, no dot "
                      "segments, no escaped ones.",
                      option, SLICE_ARG (line));
            return false;
        }
        if (prefix && webhook_origin (line).len == line.len) {
            snprintf (problem, size, "%s: '" SLICE_FMT "' must go on behind its host, with a / at least.", option,
                      SLICE_ARG (line));
            return false;
        }
        out[(*count)++] = line;
    }
    return true;
}

/* A line `whsec_BASE64`. */
static bool take_secret (webhook_config_t *self, slice_t line)
{
    static const slice_t mark = SLICE ("whsec_");
    size_t len = 0;
    if (self->secret_count == WEBHOOK_SECRETS_MAX || line.len < mark.len || memcmp (line.ptr, mark.ptr, mark.len) != 0)
        return false;
    unsigned char *out = self->secrets[self->secret_count].bytes;
    if (sodium_base642bin (out, WEBHOOK_SECRET_MAX, line.ptr + mark.len, line.len - mark.len, NULL, &len, NULL,
                           sodium_base64_VARIANT_ORIGINAL) != 0 ||
        len < WEBHOOK_SECRET_MIN)
        return false;
    self->secrets[self->secret_count++].len = len;
    return true;
}

static bool take_secrets (webhook_config_t *self, const char *path, char *problem, size_t size)
{
    buf_t content = { 0 };
    if (!secret_read (path, &content, problem, size))
        return false;
    bool good = true;
    for (const char *at = content.ptr; good && *at; at += strspn (at, "\r\n")) {
        slice_t line = slice_from (at, strcspn (at, "\r\n"));
        at += line.len;
        good = !slice_trim (line).len || take_secret (self, slice_trim (line));
    }
    good = good && self->secret_count;
    if (!good)
        snprintf (problem, size,
                  "'%.300s' must hold a line whsec_ and base64 of %d to %d random bytes, %d of them at most: make one "
                  "with echo whsec_$(openssl rand -base64 32)",
                  path, WEBHOOK_SECRET_MIN, WEBHOOK_SECRET_MAX, WEBHOOK_SECRETS_MAX);
    secret_fini (&content);
    return good;
}

static void say_no_file (char *problem, size_t size)
{
    snprintf (problem, size, "--webhook and --webhook-allow need --webhook-secret-file, to sign with.");
}

bool webhook_config_init (webhook_config_t *self, const webhook_options_t *options, char *problem, size_t problem_size)
{
    *self = (webhook_config_t){ 0 };
    if (!take_urls ("--webhook", options->urls, false, self->urls, &self->url_count, problem, problem_size) ||
        !take_urls ("--webhook-allow", options->allow, true, self->allow, &self->allow_count, problem, problem_size))
        return false;
    self->on_completed = strcmp (options->on, "failed") != 0;
    self->on_failed = strcmp (options->on, "completed") != 0;
    if (options->secret_file)
        return take_secrets (self, options->secret_file, problem, problem_size);
    if (webhook_config_any (self))
        say_no_file (problem, problem_size);
    return !webhook_config_any (self);
}

bool webhook_config_secrets (webhook_config_t *self, const char *path, bool *changed, char *problem,
                             size_t problem_size)
{
    webhook_config_t fresh = { 0 };
    if (!path)
        say_no_file (problem, problem_size);
    bool good = path && take_secrets (&fresh, path, problem, problem_size);
    *changed = good && (fresh.secret_count != self->secret_count ||
                        sodium_memcmp (fresh.secrets, self->secrets, sizeof fresh.secrets) != 0);
    if (*changed) {
        memcpy (self->secrets, fresh.secrets, sizeof self->secrets);
        self->secret_count = fresh.secret_count;
    }
    webhook_config_fini (&fresh);
    return good;
}

void webhook_config_fini (webhook_config_t *self)
{
    sodium_memzero (self->secrets, sizeof self->secrets);
    *self = (webhook_config_t){ 0 };
}

bool webhook_config_any (const webhook_config_t *self)
{
    return self->url_count || self->allow_count;
}

/* ---- what is said ---- */

void webhook_id (const job_id_t *id, char out[WEBHOOK_ID_SIZE])
{
    char text[JOB_ID_LEN + 1];
    job_id_format (id, text);
    snprintf (out, WEBHOOK_ID_SIZE, "msg_%s_ended", text);
}

static void signature (const webhook_config_t *self, size_t which, slice_t head, slice_t body, buf_t *out)
{
    unsigned char mac[crypto_auth_hmacsha256_BYTES];
    char text[sodium_base64_ENCODED_LEN (sizeof mac, sodium_base64_VARIANT_ORIGINAL)];
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init (&state, self->secrets[which].bytes, self->secrets[which].len);
    crypto_auth_hmacsha256_update (&state, (const unsigned char *)head.ptr, head.len);
    crypto_auth_hmacsha256_update (&state, (const unsigned char *)body.ptr, body.len);
    crypto_auth_hmacsha256_final (&state, mac);
    sodium_memzero (&state, sizeof state);
    sodium_bin2base64 (text, sizeof text, mac, sizeof mac, sodium_base64_VARIANT_ORIGINAL);
    buf_printf (out, " v1,%s", text);
}

void webhook_sign (const webhook_config_t *self, const char *id, int64_t wall_ms, slice_t body, buf_t *headers)
{
    buf_t head = { 0 };
    buf_printf (&head, "%s.%lld.", id, (long long)(wall_ms / 1000));
    buf_printf (headers, "webhook-id: %s\nwebhook-timestamp: %lld\nwebhook-signature:", id,
                (long long)(wall_ms / 1000));
    for (size_t i = 0; i < self->secret_count; i++)
        signature (self, i, buf_slice (&head), body, headers);
    buf_append (headers, "\n", 1);
    buf_fini (&head);
}

static json_t *without_nulls (json_t *object)
{
    const char *name = NULL;
    json_t *value = NULL;
    void *next = NULL;
    json_object_foreach_safe (object, next, name, value) if (json_is_null (value)) json_object_del (object, name);
    return object;
}

void webhook_body (const job_record_t *job, decoder_t *options, decoder_t *receipts, buf_t *out)
{
    char id[JOB_ID_LEN + 1];
    char url[JOB_ID_LEN + 64];
    char when[64];
    char stamp[80];
    message_t status;
    message_init (&status, MSG_JOB_STATUS_OK);
    job_id_format (&job->id, id);
    status.job_status_ok.job_id = slice_of (id);
    job_tell (job, options, receipts, &status);
    status.job_status_ok.env = SLICE_ABSENT;
    status.job_status_ok.secret_names = SLICE_ABSENT;
    if (job->artifacts.ptr) {
        snprintf (url, sizeof url, "/api/jobs/artifacts?jobId=%s", id);
        status.job_status_ok.artifacts_url = slice_of (url);
    }
    time_t seconds = (time_t)(job->completed_ms / 1000);
    struct tm utc;
    gmtime_r (&seconds, &utc);
    strftime (when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf (stamp, sizeof stamp, "%s.%03dZ", when, (int)(job->completed_ms % 1000));
    json_t *data = without_nulls (message_to_json (&status));
    json_object_del (data, "attempts");
    json_t *body = json_pack ("{s:s, s:s, s:o}", "type", job->state == JOB_COMPLETED ? "job.completed" : "job.failed",
                              "timestamp", stamp, "data", data);
    char *text = body ? json_dumps (body, JSON_COMPACT) : NULL;
    if (text)
        buf_append_str (out, text);
    free (text);
    json_decref (body);
}
