/* transport_http.c - messages as HTTP calls of the gateway. The mapping is the table `routes`. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json.h"
#include "worker/download.h"
#include "worker/http.h"
#include "worker/transport.h"

typedef enum {
    IN_BODY,  /* every field in a JSON body */
    IN_QUERY, /* every field in the query, no body */
    RAW_DATA, /* `data` is the body as it is, the other fields are in the query */
} encoding_t;

static const struct {
    msg_type_t request;
    msg_type_t reply;
    const char *method;
    const char *path;
    encoding_t encoding;
} routes[] = {
    { MSG_WORKER_REGISTER, MSG_WORKER_REGISTER_OK, "POST", "/api/workers/register", IN_BODY },
    { MSG_WORKER_HEARTBEAT, MSG_WORKER_HEARTBEAT_OK, "POST", "/api/workers/heartbeat", IN_BODY },
    { MSG_WORKER_GOODBYE, MSG_WORKER_GOODBYE_OK, "POST", "/api/workers/goodbye", IN_BODY },
    { MSG_WORKER_SLEEP, MSG_WORKER_SLEEP_OK, "POST", "/api/workers/sleep", IN_BODY },
    { MSG_JOB_POLL, MSG_JOB_POLL_OK, "GET", "/api/jobs/get-job", IN_QUERY },
    { MSG_JOB_RENEW, MSG_JOB_RENEW_OK, "POST", "/api/jobs/renew", IN_BODY },
    { MSG_JOB_RETURN, MSG_JOB_RETURN_OK, "POST", "/api/jobs/return", IN_BODY },
    { MSG_JOB_OUTPUT, MSG_JOB_OUTPUT_OK, "POST", "/api/jobs/output", RAW_DATA },
    { MSG_JOB_RESULT, MSG_JOB_RESULT_OK, "POST", "/api/jobs/submit-result", IN_BODY },
    { MSG_JOB_FAIL, MSG_JOB_FAIL_OK, "PUT", "/api/jobs/submit-result", IN_BODY },
    { MSG_BLOB_PUT, MSG_BLOB_PUT_OK, "POST", "/api/blobs/put", RAW_DATA },
    { MSG_BLOB_COMMIT, MSG_BLOB_COMMIT_OK, "POST", "/api/blobs/commit", IN_BODY },
};

typedef struct http_transport http_transport_t;

typedef struct http_entry {
    struct http_entry *next;
    http_transport_t *owner;
    call_id_t id;
    msg_type_t reply;
    http_call_t *call;
    call_fn *fn;
    void *ctx;
    fetch_to_t to; /* of a download */
} http_entry_t;

struct http_transport {
    transport_t base;
    http_t *http;
    char *server; /* without a slash at the end */
    decoder_t *decoder;
    call_id_t last_id;
    http_entry_t *entries; /* in flight: a few a slot, so a list will do */
};

static http_entry_t *entry_new (http_transport_t *self)
{
    http_entry_t *entry = xcalloc (1, sizeof *entry);
    entry->owner = self;
    entry->id = ++self->last_id;
    entry->next = self->entries;
    self->entries = entry;
    return entry;
}

static void entry_unlink (http_entry_t *entry)
{
    http_entry_t **at = &entry->owner->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
}

/* ---- requests ---- */

static void query_add (buf_t *url, const char *name, const char *text, size_t len)
{
    char *escaped = curl_easy_escape (NULL, len ? text : "", (int)len);
    buf_printf (url, "%c%s=%s", memchr (url->ptr, '?', url->len) ? '&' : '?', name, escaped ? escaped : "");
    curl_free (escaped);
}

static void query_add_field (buf_t *url, const field_spec_t *field, const void *at)
{
    char number[32];
    switch (field->type) {
    case FIELD_STR:
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS: {
        slice_t text = *(const slice_t *)at;
        if (text.ptr)
            query_add (url, field->name, text.ptr, text.len);
        break;
    }
    case FIELD_INT:
    case FIELD_UINT: {
        int64_t value = *(const int64_t *)at;
        int len = snprintf (number, sizeof number, "%lld", (long long)value);
        if (value != INT_ABSENT)
            query_add (url, field->name, number, (size_t)len);
        break;
    }
    case FIELD_BOOL: {
        int value = *(const int *)at;
        if (value != BOOL_ABSENT)
            query_add (url, field->name, value ? "true" : "false", value ? 4 : 5);
        break;
    }
    case FIELD_DECIMAL: /* jobs have them, and no request of ours is one */
    case FIELD_LIST:
        break;
    }
}

static void query_add_message (buf_t *url, const message_t *message, bool with_data)
{
    const message_spec_t *spec = message_spec (message->type);
    for (size_t at = 0; at < spec->field_count; at++) {
        const field_spec_t *field = &spec->fields[at];
        if (!with_data && field->type == FIELD_BYTES)
            continue;
        query_add_field (url, field, (const char *)message_body_const (message) + field->at);
    }
}

/* The one field that is the body as it is. */
static slice_t raw_data (const message_t *message)
{
    const message_spec_t *spec = message_spec (message->type);
    for (size_t at = 0; at < spec->field_count; at++)
        if (spec->fields[at].type == FIELD_BYTES)
            return *(const slice_t *)(const void *)((const char *)message_body_const (message) + spec->fields[at].at);
    return SLICE_ABSENT;
}

/* By way of the codec, since only a decoded message's lists can be read. The caller frees the text. */
static char *message_json_text (http_transport_t *self, const message_t *message)
{
    buf_t frame = { 0 };
    message_encode (message, &frame);
    message_t decoded;
    fault_t fault;
    char *text = NULL;
    if (message_decode (self->decoder, buf_slice (&frame), REPLY_MAX, &decoded, &fault) == 0) {
        json_t *object = message_to_json (&decoded);
        text = json_dumps (object, JSON_COMPACT);
        json_decref (object);
    }
    buf_fini (&frame);
    return text ? text : xstrdup ("{}");
}

/* ---- answers ---- */

/* What a refusal without a code means: only the documented errors of old gateways come without one. */
static err_t status_to_err (long status, msg_type_t reply)
{
    switch (status) {
    case 401:
        return ERR_UNAUTHORIZED;
    case 403:
        return ERR_NOT_LEASE_HOLDER;
    case 404:
        return reply == MSG_WORKER_HEARTBEAT_OK || reply == MSG_WORKER_SLEEP_OK ? ERR_NO_SUCH_WORKER : ERR_NO_SUCH_JOB;
    case 413:
        return ERR_TOO_LARGE;
    default:
        return status >= 500 ? ERR_INTERNAL : ERR_SCHEMA;
    }
}

static void answer_away (http_entry_t *entry, const char *text)
{
    call_answer_t answer = { CALL_AWAY, ERR_BROKER_UNAVAILABLE, NULL, text };
    entry->fn (entry->ctx, &answer);
}

static void answer_refusal (http_entry_t *entry, long status, json_t *object)
{
    message_t error;
    fault_t fault;
    char text[512];
    if (json_to_message (object, MSG_ERROR, &error, NULL, &fault) != 0 || !error.error.text.ptr) {
        /* Not the gateway's words: some proxy's, which says nothing about the job. */
        snprintf (text, sizeof text, "The server answered HTTP status %ld.", status);
        answer_away (entry, text);
        return;
    }
    if (!error.error.code.ptr)
        error.error.code = slice_of (error_row (status_to_err (status, entry->reply))->code);
    call_answer_t answer = transport_error_answer (&error, text, sizeof text);
    entry->fn (entry->ctx, &answer);
}

static void answer_reply (http_entry_t *entry, json_t *object)
{
    /* get-job wraps the job, or null, into an object. */
    json_t *fields = object;
    if (entry->reply == MSG_JOB_POLL_OK)
        fields = json_object_get (object, "job");
    message_t reply;
    fault_t fault;
    buf_t list = { 0 };
    message_init (&reply, entry->reply);
    if (json_is_object (fields) && json_to_message (fields, entry->reply, &reply, &list, &fault) != 0)
        answer_away (entry, fault.text);
    else
        entry->fn (entry->ctx, &(call_answer_t){ CALL_OK, ERR_NONE, &reply, "" });
    buf_fini (&list);
}

static void on_answer (void *ctx, long status, slice_t body, const char *fault_text)
{
    http_entry_t *entry = ctx;
    entry_unlink (entry);
    json_t *object = NULL;
    fault_t fault;
    if (status == 0)
        answer_away (entry, fault_text);
    else if (json_parse (body, JSON_STRICT, &object, &fault) != 0)
        answer_away (entry, "The server's answer is not a JSON object.");
    else if (status >= 200 && status < 300)
        answer_reply (entry, object);
    else
        answer_refusal (entry, status, object);
    json_decref (object);
    free (entry);
}

/* ---- the ops ---- */

static call_id_t http_transport_call (transport_t *base, const message_t *request, int64_t patience_ms, call_fn *fn,
                                      void *ctx)
{
    http_transport_t *self = (http_transport_t *)base;
    size_t at = 0;
    while (routes[at].request != request->type)
        at++;
    http_entry_t *entry = entry_new (self);
    entry->reply = routes[at].reply;
    entry->fn = fn;
    entry->ctx = ctx;
    buf_t url = { 0 };
    buf_printf (&url, "%s%s", self->server, routes[at].path);
    char *json = NULL;
    http_request_t http_request = {
        .method = routes[at].method, .bearer = base->auth, .patience_ms = patience_ms, .done = on_answer, .ctx = entry
    };
    switch (routes[at].encoding) {
    case IN_BODY:
        json = message_json_text (self, request);
        http_request.content_type = "application/json";
        http_request.body = slice_of (json);
        break;
    case IN_QUERY:
        query_add_message (&url, request, true);
        break;
    case RAW_DATA:
        query_add_message (&url, request, false);
        http_request.content_type = "application/octet-stream";
        http_request.body = raw_data (request);
        break;
    }
    http_request.url = url.ptr;
    entry->call = http_start (self->http, &http_request);
    free (json);
    buf_fini (&url);
    return entry->id;
}

static int on_fetch_bytes (void *ctx, const void *bytes, size_t len)
{
    http_entry_t *entry = ctx;
    return entry->to.sink (entry->to.ctx, bytes, len);
}

static void on_fetch_done (void *ctx, call_outcome_t outcome, const char *cause)
{
    http_entry_t *entry = ctx;
    entry_unlink (entry);
    entry->to.done (entry->to.ctx, outcome, cause);
    free (entry);
}

static call_id_t http_transport_fetch (transport_t *base, const char *url, const fetch_to_t *to)
{
    http_transport_t *self = (http_transport_t *)base;
    http_entry_t *entry = entry_new (self);
    entry->to = *to;
    buf_t whole = { 0 };
    buf_printf (&whole, "%s%s", url[0] == '/' ? self->server : "", url);
    entry->call = http_download (self->http, whole.ptr, url[0] == '/' ? base->auth : NULL, DOWNLOAD_BYTES_MAX,
                                 &(fetch_to_t){ on_fetch_bytes, on_fetch_done, entry });
    buf_fini (&whole);
    return entry->id;
}

static void http_transport_cancel (transport_t *base, call_id_t id)
{
    http_transport_t *self = (http_transport_t *)base;
    for (http_entry_t *entry = self->entries; entry; entry = entry->next) {
        if (entry->id != id)
            continue;
        entry_unlink (entry);
        http_cancel (self->http, &entry->call);
        free (entry);
        return;
    }
}

static void http_transport_destroy (transport_t **base_p)
{
    http_transport_t *self = (http_transport_t *)*base_p;
    *base_p = NULL;
    http_destroy (&self->http);
    while (self->entries) {
        http_entry_t *entry = self->entries;
        self->entries = entry->next;
        free (entry);
    }
    decoder_destroy (&self->decoder);
    free (self->server);
    free (self);
}

static const transport_ops_t http_ops = { 0, http_transport_call, http_transport_fetch, http_transport_cancel,
                                          http_transport_destroy };

transport_t *transport_http_new (loop_t *loop, const char *server, const char *ca)
{
    http_transport_t *self = xcalloc (1, sizeof *self);
    self->base.ops = &http_ops;
    self->http = http_new (loop);
    self->server = xstrdup (server);
    for (size_t len = strlen (self->server); len && self->server[len - 1] == '/'; len--)
        self->server[len - 1] = '\0';
    self->decoder = decoder_new ();
    http_pin (self->http, self->server, ca);
    return &self->base;
}
