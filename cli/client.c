#include "cli/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum {
    CONNECT_TIMEOUT_MS = 5000,
    ANSWER_TIMEOUT_MS = 60 * 1000, /* of a call without a body of its own */
    URL_SIZE = 8192,
};

struct client {
    const common_t *common;
    CURL *kept; /* its connection serves one call after the other */
    bool (*stop) (void *ctx);
    void *stop_ctx;
    char fault[CURL_ERROR_SIZE];
};

/* A part of the address, which curl_free frees; NULL: there is none. */
static char *part_of (const char *server, CURLUPart part, bool *good)
{
    char *text = NULL;
    CURLU *url = curl_url ();
    *good = url && curl_url_set (url, CURLUPART_URL, server, 0) == CURLUE_OK;
    if (*good)
        curl_url_get (url, part, &text, 0);
    curl_url_cleanup (url);
    return text;
}

bool client_server_good (const char *server)
{
    static const CURLUPart none[] = { CURLUPART_QUERY, CURLUPART_FRAGMENT, CURLUPART_USER, CURLUPART_PASSWORD };
    bool good = strncasecmp (server, "http://", 7) == 0 || strncasecmp (server, "https://", 8) == 0;
    for (size_t i = 0; good && i < sizeof none / sizeof *none; i++) {
        char *part = part_of (server, none[i], &good);
        good = good && !part;
        curl_free (part);
    }
    return good;
}

/* By its name: what is asked for may be behind a proxy. */
static void warn_of_clear_text (const common_t *common)
{
    static const char *const here[] = { "localhost", "[::1]" };
    bool good;
    char *host = part_of (common->server, CURLUPART_HOST, &good);
    bool near = !host || strncmp (host, "127.", 4) == 0;
    for (size_t i = 0; host && i < sizeof here / sizeof *here; i++)
        near = near || strcasecmp (host, here[i]) == 0;
    curl_free (host);
    if (common->token && !near && strncasecmp (common->server, "http://", 7) == 0)
        cli_say (0, "your token goes to %s in clear text: give the gateway a certificate, and say https://.",
                 common->server);
}

client_t *client_new (const common_t *common)
{
    client_t *self = xcalloc (1, sizeof *self);
    self->common = common;
    curl_global_init (CURL_GLOBAL_DEFAULT);
    warn_of_clear_text (common);
    return self;
}

void client_destroy (client_t **self_p)
{
    client_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    curl_easy_cleanup (self->kept);
    curl_global_cleanup ();
    free (self);
}

/* ---- transfers ---- */

static void set_trust (const client_t *self, CURL *easy)
{
    curl_easy_setopt (easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt (easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (self->common->ca) {
        curl_easy_setopt (easy, CURLOPT_CAINFO, self->common->ca);
        curl_easy_setopt (easy, CURLOPT_CAPATH, NULL);
    }
    if (self->common->token) {
        curl_easy_setopt (easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt (easy, CURLOPT_XOAUTH2_BEARER, self->common->token);
    }
}

static void set_url (const client_t *self, CURL *easy, const char *path)
{
    char url[URL_SIZE];
    size_t len = strlen (self->common->server);
    while (len && self->common->server[len - 1] == '/')
        len--;
    snprintf (url, sizeof url, "%.*s%s", (int)len, self->common->server, path);
    curl_easy_setopt (easy, CURLOPT_URL, url);
}

static void set_common (const client_t *self, CURL *easy, const char *path, char *fault)
{
    fault[0] = '\0';
    set_url (self, easy, path);
    curl_easy_setopt (easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt (easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt (easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt (easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt (easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt (easy, CURLOPT_ERRORBUFFER, fault);
    curl_easy_setopt (easy, CURLOPT_USERAGENT, "gleaner/" GLEANER_VERSION);
    set_trust (self, easy);
}

CURL *client_transfer (client_t *self, const char *path, char *fault)
{
    CURL *easy = curl_easy_init ();
    if (!easy)
        abort ();
    set_common (self, easy, path, fault);
    return easy;
}

void client_fault (const client_t *self, CURLcode code, const char *fault, buf_t *out)
{
    const char *why = fault[0] ? fault : curl_easy_strerror (code);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        buf_printf (out,
                    "the certificate of %s is of nobody that is trusted here, or for another name: %s; --ca FILE says "
                    "whom to trust.",
                    self->common->server, why);
    else if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        buf_printf (out, "'%s' is no server's address: http://HOST:3000, say (--server, GLEANER_SERVER).",
                    self->common->server);
    else
        buf_printf (out, "%s does not answer: %s. Is that the gateway's address (--server, GLEANER_SERVER)?",
                    self->common->server, why);
}

/* ---- calls ---- */

static size_t on_bytes (char *bytes, size_t size, size_t count, void *ctx)
{
    buf_t *body = ctx;
    if (body->len + size * count > ANSWER_MAX)
        return 0;
    buf_append (body, bytes, size * count);
    return size * count;
}

void client_refusal (const client_t *self, long status, slice_t body, char **code, char **text)
{
    const common_t *common = self->common;
    json_t *json = json_loadb (body.ptr ? body.ptr : "", body.len, 0, NULL);
    const char *said = json_string_value (json_object_get (json, "error"));
    const char *name = json_string_value (json_object_get (json, "code"));
    char other[64];
    snprintf (other, sizeof other, "the server answered HTTP status %ld.", status);
    *code = name ? xstrdup (name) : NULL;
    buf_t whole = { 0 };
    if (name && strcmp (name, "NO_SUCH_PATH") == 0)
        buf_printf (&whole,
                    "%.300s is older than this gleaner (" GLEANER_VERSION
                    ") and does not know this call: upgrade it; or is the address right?",
                    common->server);
    else
        buf_append_str (&whole, said ? said : other);
    if (status == 401 && !common->token && common->elsewhere)
        buf_printf (&whole,
                    " The one that is saved for %.300s goes to no other server: gleaner token save --server %.300s.",
                    common->elsewhere, common->server);
    *text = whole.ptr;
    json_decref (json);
}

static void take_answer (const client_t *self, CURL *easy, CURLcode code, const char *fault, slice_t body,
                         answer_t *out)
{
    *out = (answer_t){ 0 };
    buf_t text = { 0 };
    curl_easy_getinfo (easy, CURLINFO_RESPONSE_CODE, &out->status);
    if (code != CURLE_OK) {
        out->status = 0;
        client_fault (self, code, fault, &text);
        out->fault = xstrdup (text.ptr);
    } else if (out->status >= 300) {
        client_refusal (self, out->status, body, &out->code, &out->fault);
    } else {
        out->json = json_loadb (body.ptr ? body.ptr : "", body.len, 0, NULL);
        buf_printf (&text, "%s answers, but not as a gateway does: is the address right?", self->common->server);
        out->fault = json_is_object (out->json) ? NULL : xstrdup (text.ptr);
    }
    buf_fini (&text);
}

void client_perform (client_t *self, CURL *easy, answer_t *out)
{
    buf_t body = { 0 };
    curl_easy_setopt (easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt (easy, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt (easy, CURLOPT_ERRORBUFFER, self->fault);
    self->fault[0] = '\0';
    CURLcode code = curl_easy_perform (easy);
    take_answer (self, easy, code, self->fault, buf_slice (&body), out);
    buf_fini (&body);
    curl_easy_cleanup (easy);
}

void client_watch (client_t *self, bool (*stop) (void *ctx), void *ctx)
{
    self->stop = stop;
    self->stop_ctx = ctx;
}

static int on_progress (void *ctx, curl_off_t d_all, curl_off_t d, curl_off_t u_all, curl_off_t u)
{
    const client_t *self = ctx;
    (void)d_all, (void)d, (void)u_all, (void)u;
    return self->stop && self->stop (self->stop_ctx);
}

/* A call on the connection that is kept, whose answer goes to `answer`. */
static CURL *begin_call (client_t *self, const char *path, buf_t *answer)
{
    if (self->kept)
        curl_easy_reset (self->kept);
    else
        self->kept = curl_easy_init ();
    set_common (self, self->kept, path, self->fault);
    curl_easy_setopt (self->kept, CURLOPT_TIMEOUT_MS, (long)ANSWER_TIMEOUT_MS);
    curl_easy_setopt (self->kept, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt (self->kept, CURLOPT_WRITEDATA, answer);
    curl_easy_setopt (self->kept, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt (self->kept, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt (self->kept, CURLOPT_XFERINFODATA, self);
    return self->kept;
}

bool client_tail (client_t *self, const char *path, int bytes, buf_t *out)
{
    char range[32];
    buf_t answer = { 0 };
    long status = 0;
    CURL *easy = begin_call (self, path, &answer);
    snprintf (range, sizeof range, "-%d", bytes);
    curl_easy_setopt (easy, CURLOPT_RANGE, range);
    bool good = curl_easy_perform (easy) == CURLE_OK;
    curl_easy_getinfo (easy, CURLINFO_RESPONSE_CODE, &status);
    good = good && (status == 200 || status == 206) && answer.len > 0;
    size_t len = answer.len < (size_t)bytes ? answer.len : (size_t)bytes; /* a server need not know ranges */
    if (good)
        buf_append (out, answer.ptr + answer.len - len, len);
    buf_fini (&answer);
    return good;
}

void client_ask (client_t *self, const char *method, const char *path, const json_t *body, answer_t *out)
{
    struct curl_slist *headers = NULL;
    buf_t answer = { 0 };
    CURL *easy = begin_call (self, path, &answer);
    curl_easy_setopt (easy, CURLOPT_CUSTOMREQUEST, method);
    char *text = body ? json_dumps (body, JSON_COMPACT) : NULL;
    if (text) {
        headers = curl_slist_append (headers, "Content-Type: application/json");
        curl_easy_setopt (easy, CURLOPT_HTTPHEADER, headers);
        curl_easy_setopt (easy, CURLOPT_COPYPOSTFIELDS, text);
    }
    CURLcode code = curl_easy_perform (easy);
    take_answer (self, easy, code, self->fault, buf_slice (&answer), out);
    curl_slist_free_all (headers);
    free (text);
    buf_fini (&answer);
}

void answer_fini (answer_t *answer)
{
    json_decref (answer->json);
    free (answer->code);
    free (answer->fault);
    *answer = (answer_t){ 0 };
}

int answer_status (const answer_t *answer)
{
    if (answer->status == 0 || answer->status >= 500 || answer->status < 300)
        return STATUS_AWAY;
    return answer->status == 404 || answer->status == 410 ? STATUS_NOT_FOUND : STATUS_REFUSED;
}

bool client_tries_again (answer_t *answer, int tries)
{
    enum { TRIES = 4, PAUSE_MS = 500 };
    bool passes = answer->fault && (answer_status (answer) == STATUS_AWAY || answer->status == 429);
    if (!passes || answer->status / 100 == 2 || tries >= TRIES)
        return false;
    int64_t pause_ms = (int64_t)PAUSE_MS << (tries - 1);
    const struct timespec pause = { pause_ms / 1000, pause_ms % 1000 * 1000000 };
    if (tries == 1)
        cli_say (0, "%s Trying again.", answer->fault);
    answer_fini (answer);
    nanosleep (&pause, NULL);
    return true;
}

json_t *client_need (const answer_t *answer, int *status)
{
    if (!answer->fault)
        return answer->json;
    *status = cli_say (answer_status (answer), "%s", answer->fault);
    return NULL;
}

void path_add (buf_t *path, const char *name, slice_t value)
{
    if (!value.ptr)
        return;
    char *escaped = curl_easy_escape (NULL, value.ptr, (int)value.len);
    buf_printf (path, "%c%s=%s", path->len && memchr (path->ptr, '?', path->len) ? '&' : '?', name, escaped);
    curl_free (escaped);
}
