/* join_http.c - POST /api/join (rule 43 of proto/README.md).
 *
 * The token's secret is made here, is on the disk before anybody is asked, and never leaves: the gateway gets its hash,
 * and answers with the id that goes before it. So an answer that was lost can be asked for again.
 */
#include "worker/join_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/id.h"
#include "proto/json.h"
#include "proto/lines.h"
#include "proto/options.h"
#include "proto/pem.h"
#include "proto/secret.h"
#include "proto/token_text.h"
#include "worker/folders.h"

enum {
    PATH_SIZE = FOLDER_PATH_MAX + 32,
    CONNECT_MS = 5000,
    CALL_MS = 10 * 1000,
    PATIENCE_MS = 10 * 1000, /* with a server that says that it is busy */
    PAUSE_US = 500 * 1000,
    ANSWER_MAX = 16 * 1024,
};

typedef struct {
    const msg_join_code_t *code;
    const char *worker_id;
    char server[URL_MAX + 1]; /* without a slash at the end */
    char key[PATH_SIZE], joining[PATH_SIZE], pem[PATH_SIZE], pem_joining[PATH_SIZE];
    unsigned char secret[TOKEN_SECRET];
    char identity[IDENTITY_ID_MAX + 1];
    char fault[CURL_ERROR_SIZE];
} join_t;

/* ---- the secret ---- */

/* That of a try that was cut off, or a fresh one, on disk before its hash is shown to anybody. */
static bool take_secret (join_t *self, char *problem, size_t size)
{
    buf_t text = { 0 };
    size_t len = 0;
    if (access (self->joining, F_OK) == 0 && secret_read (self->joining, &text, problem, size)) {
        slice_t hex = lines_get (buf_slice (&text), SLICE ("secret"));
        bool good = hex_valid (hex, 2 * TOKEN_SECRET) &&
                    sodium_hex2bin (self->secret, TOKEN_SECRET, hex.ptr, hex.len, NULL, &len, NULL) == 0;
        secret_fini (&text);
        if (good)
            return true;
    }
    char hex[2 * TOKEN_SECRET + 1];
    randombytes_buf (self->secret, TOKEN_SECRET);
    hex_format (self->secret, TOKEN_SECRET, hex);
    buf_printf (&text, "secret=%s\n", hex);
    int error = secret_write (self->joining, buf_slice (&text));
    secret_fini (&text);
    sodium_memzero (hex, sizeof hex);
    if (error)
        snprintf (problem, size, "cannot write '%.300s': %s.", self->joining, strerror (error));
    return !error;
}

/* ---- whom to trust ---- */

static CURL *call_new (join_t *self, const char *path)
{
    CURL *easy = curl_easy_init ();
    buf_t url = { 0 };
    buf_printf (&url, "%s%s", self->server, path);
    curl_easy_setopt (easy, CURLOPT_URL, url.ptr);
    curl_easy_setopt (easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt (easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt (easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt (easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt (easy, CURLOPT_TIMEOUT_MS, (long)CALL_MS);
    curl_easy_setopt (easy, CURLOPT_ERRORBUFFER, self->fault);
    curl_easy_setopt (easy, CURLOPT_USERAGENT, "gleaner-worker/" GLEANER_VERSION);
    buf_fini (&url);
    return easy;
}

/* The certificate of the chain that has the code's fingerprint. */
static bool find_certificate (const join_t *self, const struct curl_certinfo *chain, slice_t *certificate)
{
    unsigned char fingerprint[FINGERPRINT];
    for (int at = 0; at < chain->num_of_certs; at++)
        for (const struct curl_slist *item = chain->certinfo[at]; item; item = item->next) {
            slice_t text = slice_of (item->data);
            if (strncmp (item->data, "Cert:", 5) == 0 && pem_next (&text, certificate, fingerprint) &&
                sodium_memcmp (fingerprint, self->code->fingerprint.ptr, FINGERPRINT) == 0)
                return true;
        }
    return false;
}

/* Shakes hands with whoever is there, sends nothing, and keeps the certificate if it is the code's. The connection that
 * the code is sent by is another one, which is held against it. */
static bool pin (join_t *self, char *problem, size_t size)
{
    CURL *easy = call_new (self, "/");
    struct curl_certinfo *chain = NULL;
    slice_t certificate = SLICE_ABSENT;
    curl_easy_setopt (easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt (easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt (easy, CURLOPT_SSL_VERIFYPEER, 0L);
    curl_easy_setopt (easy, CURLOPT_SSL_VERIFYHOST, 0L);
    CURLcode result = curl_easy_perform (easy);
    bool good = result == CURLE_OK && curl_easy_getinfo (easy, CURLINFO_CERTINFO, &chain) == CURLE_OK && chain &&
                find_certificate (self, chain, &certificate);
    int error = good ? secret_write (self->pem_joining, certificate) : 0;
    if (result != CURLE_OK)
        snprintf (problem, size, "cannot join at %.300s: %.300s.", self->server,
                  self->fault[0] ? self->fault : curl_easy_strerror (result));
    else if (!good)
        snprintf (problem, size,
                  "%.300s shows another certificate than the join code says, so the code was not sent: is it the right "
                  "server?",
                  self->server);
    else if (error)
        snprintf (problem, size, "cannot write '%.300s': %s.", self->pem_joining, strerror (error));
    curl_easy_cleanup (easy);
    return good && !error;
}

/* ---- the call ---- */

static size_t on_bytes (char *bytes, size_t size, size_t count, void *ctx)
{
    buf_t *answer = ctx;
    if (answer->len + size * count > ANSWER_MAX)
        return 0;
    buf_append (answer, bytes, size * count);
    return size * count;
}

static char *body_of (const join_t *self)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[SHA256_HEX + 1];
    crypto_hash_sha256 (hash, self->secret, TOKEN_SECRET);
    hex_format (hash, sizeof hash, hex);
    json_t *object = json_pack ("{s:s%, s:s, s:s}", "code", self->code->code.ptr, self->code->code.len, "workerId",
                                self->worker_id, "secretHash", hex);
    char *text = json_dumps (object, JSON_COMPACT);
    json_decref (object);
    return text ? text : xstrdup ("{}");
}

/* The HTTP status; 0: there is no answer. */
static long post (join_t *self, const char *body, buf_t *answer, CURLcode *result)
{
    long status = 0;
    CURL *easy = call_new (self, "/api/join");
    struct curl_slist *headers = curl_slist_append (NULL, "Content-Type: application/json");
    buf_clear (answer);
    curl_easy_setopt (easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt (easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt (easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt (easy, CURLOPT_WRITEDATA, answer);
    if (self->code->fingerprint.ptr) {
        curl_easy_setopt (easy, CURLOPT_CAINFO, self->pem_joining);
        curl_easy_setopt (easy, CURLOPT_CAPATH, NULL);
    }
    *result = curl_easy_perform (easy);
    if (*result == CURLE_OK)
        curl_easy_getinfo (easy, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all (headers);
    curl_easy_cleanup (easy);
    return status;
}

static bool read_answer (join_t *self, long status, slice_t answer, char *problem, size_t size)
{
    json_t *object = NULL;
    fault_t fault;
    json_parse (answer, JSON_STRICT, &object, &fault);
    const char *identity = json_string_value (json_object_get (object, "identity"));
    const char *error = json_string_value (json_object_get (object, "error"));
    bool good = status == 200 && identity_id_good (identity);
    if (good)
        snprintf (self->identity, sizeof self->identity, "%s", identity);
    else if (status != 200 && error)
        snprintf (problem, size, "%.600s", error);
    else
        snprintf (problem, size, "%.300s answered HTTP status %ld: is it a gateway of Gleaner?", self->server, status);
    json_decref (object);
    return good;
}

static bool ask (join_t *self, char *problem, size_t size)
{
    char *body = body_of (self);
    buf_t answer = { 0 };
    CURLcode result = CURLE_OK;
    int64_t until_ms = clock_mono_ms () + PATIENCE_MS;
    long status = post (self, body, &answer, &result);
    while ((status == 429 || status == 503) && clock_mono_ms () < until_ms) {
        usleep (PAUSE_US);
        status = post (self, body, &answer, &result);
    }
    bool good = status && read_answer (self, status, buf_slice (&answer), problem, size);
    if (!status)
        snprintf (problem, size, "cannot join at %.300s: %.300s.", self->server,
                  self->fault[0] ? self->fault : curl_easy_strerror (result));
    sodium_memzero (body, strlen (body));
    free (body);
    buf_fini (&answer);
    return good;
}

/* ---- what is kept ---- */

static bool keep (join_t *self, char *problem, size_t size)
{
    char token[TOKEN_TEXT_MAX];
    buf_t text = { 0 };
    bool pinned = self->code->fingerprint.ptr;
    token_text_format (self->identity, self->secret, token);
    buf_printf (&text, "server=%s\ntoken=%s\n%s", self->server, token, pinned ? "pinned=yes\n" : "");
    sodium_memzero (token, sizeof token);
    bool good = !pinned || rename (self->pem_joining, self->pem) == 0;
    int error = good ? secret_write (self->key, buf_slice (&text)) : errno;
    if (error)
        snprintf (problem, size, "cannot write '%.300s': %s.", self->key, strerror (error));
    else
        unlink (self->joining);
    secret_fini (&text);
    return !error;
}

bool join_http (const message_t *code, const char *work_dir, const char *worker_id, char *problem, size_t problem_size)
{
    join_t self = { .code = &code->join_code, .worker_id = worker_id };
    slice_t server = self.code->server;
    while (server.len && server.ptr[server.len - 1] == '/')
        server.len--;
    bool secure = slice_copy (server, self.server, sizeof self.server) && strncmp (self.server, "https://", 8) == 0;
    snprintf (self.key, sizeof self.key, "%s/gateway.key", work_dir);
    snprintf (self.joining, sizeof self.joining, "%s/gateway.key.joining", work_dir);
    snprintf (self.pem, sizeof self.pem, "%s/gateway.pem", work_dir);
    snprintf (self.pem_joining, sizeof self.pem_joining, "%s/gateway.pem.joining", work_dir);
    bool sound = secure || (strncmp (self.server, "http://", 7) == 0 && !self.code->fingerprint.ptr);
    if (!sound)
        snprintf (problem, problem_size, "--join: this code names no server that begins with http:// or https://.");
    bool good = sound && take_secret (&self, problem, problem_size) &&
                (!self.code->fingerprint.ptr || pin (&self, problem, problem_size)) &&
                ask (&self, problem, problem_size) && keep (&self, problem, problem_size);
    sodium_memzero (&self, sizeof self);
    return good;
}
