#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "gateway/door.h"
#include "gateway/gateway.h"
#include "gateway/jsonout.h"
#include "gateway/routes.h"
#include "proto/log.h"
#include "proto/options.h"

void request_answer (request_t *self, unsigned status, struct MHD_Response *response)
{
    if (self->response) {
        MHD_destroy_response (response);
        return;
    }
    self->response = response;
    self->status = status;
    request_resume (self);
}

static struct MHD_Response *text_response (const char *type, buf_t *text)
{
    struct MHD_Response *response = MHD_create_response_from_buffer (text->len, text->ptr, MHD_RESPMEM_MUST_FREE);
    *text = (buf_t){ 0 };
    MHD_add_response_header (response, "Content-Type", type);
    MHD_add_response_header (response, "Cache-Control", "no-store");
    return response;
}

static struct MHD_Response *json_response (buf_t *json)
{
    return text_response ("application/json", json);
}

void request_answer_text (request_t *self, unsigned status, const char *type, buf_t *text)
{
    request_answer (self, status, text_response (type, text));
}

void request_answer_json (request_t *self, unsigned status, buf_t *json)
{
    request_answer (self, status, json_response (json));
}

void request_answer_message (request_t *self, bool success, const char *text, const message_t *reply)
{
    buf_t json = { 0 };
    buf_append_str (&json, success ? "{\"success\":true," : "{");
    if (success && text)
        buf_printf (&json, "\"message\":\"%s\",", text);
    jsonout_fields (&json, reply);
    if (json.ptr[json.len - 1] == ',')
        json.len--;
    buf_append (&json, "}", 1);
    request_answer_json (self, MHD_HTTP_OK, &json);
}

static void add_error (buf_t *out, slice_t text, slice_t code)
{
    buf_append_str (out, "{\"error\":");
    jsonout_bytes (out, text);
    buf_append_str (out, ",\"code\":");
    jsonout_bytes (out, code);
}

void fault_json (const fault_t *fault, buf_t *out)
{
    add_error (out, slice_of (fault->text), slice_of (error_row (fault->err)->code));
    if (fault->field && fault->field[0]) {
        buf_append_str (out, ",\"field\":");
        jsonout_text (out, slice_of (fault->field));
    }
    buf_append (out, "}", 1);
}

void request_note (request_t *self, err_t err)
{
    char peer[PEER_MAX];
    request_peer (self, peer);
    refusals_note (&self->gateway->refusals, err, "request-refused", "%.120s from %s", self->path ? self->path : "?",
                   peer);
}

static void answer_error (request_t *self, err_t err, buf_t *json)
{
    request_note (self, err);
    struct MHD_Response *response = json_response (json);
    if (error_row (err)->retryable && err != ERR_INTERNAL)
        MHD_add_response_header (response, "Retry-After", "1");
    if (err == ERR_UNAUTHORIZED)
        MHD_add_response_header (response, "WWW-Authenticate", "Bearer");
    if (err == ERR_METHOD_NOT_ALLOWED) {
        char allow[64];
        methods_format (self->allowed, allow, sizeof allow);
        MHD_add_response_header (response, "Allow", allow);
    }
    request_answer (self, (unsigned)error_row (err)->http_status, response);
}

void answer_by_hand (struct MHD_Connection *connection, const fault_t *fault)
{
    buf_t json = { 0 };
    buf_t answer = { 0 };
    fault_json (fault, &json);
    unsigned status = (unsigned)error_row (fault->err)->http_status;
    buf_printf (&answer,
                "HTTP/1.1 %u %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n"
                "%s%sConnection: close\r\n\r\n%s",
                status, MHD_get_reason_phrase_for (status), json.len,
                error_row (fault->err)->retryable ? "Retry-After: 1\r\n" : "",
                fault->err == ERR_UNAUTHORIZED ? "WWW-Authenticate: Bearer\r\n" : "", json.ptr);
    if (!tls_part (connection, answer.ptr, answer.len))
        log_event (LEVEL_DEBUG, "early-answer-lost", "%s", fault->text);
    buf_fini (&json);
    buf_fini (&answer);
}

void request_fail_fault (request_t *self, const fault_t *fault)
{
    buf_t json = { 0 };
    fault_json (fault, &json);
    answer_error (self, fault->err, &json);
}

void request_fail (request_t *self, err_t err, const char *field, const char *text)
{
    fault_t fault;
    fault_set (&fault, err, field ? field : "", text ? "%s" : NULL, text);
    request_fail_fault (self, &fault);
}

void request_fail_beyond (request_t *self, const char *field, int64_t length)
{
    char range[64];
    buf_t json = { 0 };
    fault_t fault;
    fault_set (&fault, ERR_BEYOND_END, field, "What is asked for begins beyond the end: there are %lld bytes.",
               (long long)length);
    fault_json (&fault, &json);
    request_note (self, fault.err);
    struct MHD_Response *response = json_response (&json);
    snprintf (range, sizeof range, "bytes */%lld", (long long)length);
    MHD_add_response_header (response, "Content-Range", range);
    request_answer (self, MHD_HTTP_RANGE_NOT_SATISFIABLE, response);
}

void request_fail_message (request_t *self, const message_t *error)
{
    if (error->type != MSG_ERROR) {
        request_fail (self, ERR_INTERNAL, NULL, NULL);
        return;
    }
    const msg_error_t *body = &error->error;
    if (error_find (body->code) == ERR_UNSUPPORTED) { /* rule 50 of proto/README.md */
        request_fail (self, ERR_UNSUPPORTED, NULL,
                      "The broker is older than this gateway (" GLEANER_VERSION
                      ") and does not know this call: upgrade it.");
        return;
    }
    if (error_find (body->code) == ERR_UNAUTHORIZED) {
        door_doubt (self->gateway);
        if (!self->auth.ptr && request_header (self, "Authorization").ptr) {
            /* The broker asks since just now, and the token that the client showed was not passed on. */
            request_fail (self, ERR_BUSY, NULL, NULL);
            return;
        }
    }
    buf_t json = { 0 };
    add_error (&json, body->text, body->code);
    if (body->field.ptr && body->field.len) {
        buf_append_str (&json, ",\"field\":");
        jsonout_text (&json, body->field);
    }
    if (body->offset != INT_ABSENT)
        buf_printf (&json, ",\"offset\":%lld", (long long)body->offset);
    if (body->stream.ptr) {
        buf_append_str (&json, ",\"stream\":");
        jsonout_text (&json, body->stream);
    }
    buf_append (&json, "}", 1);
    answer_error (self, error_find (body->code), &json);
}

/* ---- what the request says ---- */

static slice_t lookup (request_t *self, enum MHD_ValueKind kind, const char *name)
{
    const char *value = NULL;
    size_t len = 0;
    if (MHD_lookup_connection_value_n (self->connection, kind, name, strlen (name), &value, &len) != MHD_YES || !value)
        return SLICE_ABSENT;
    return slice_from (value, len);
}

slice_t request_query (request_t *self, const char *name)
{
    return lookup (self, MHD_GET_ARGUMENT_KIND, name);
}

slice_t request_header (request_t *self, const char *name)
{
    return lookup (self, MHD_HEADER_KIND, name);
}

slice_t request_cookie (request_t *self, const char *name)
{
    return lookup (self, MHD_COOKIE_KIND, name);
}

typedef struct {
    const char *name;
    int count;
} tally_t;

static enum MHD_Result tally_header (void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                     const char *value, size_t value_len)
{
    (void)kind;
    (void)value;
    (void)value_len;
    tally_t *self = cls;
    self->count += name_len == strlen (self->name) && strncasecmp (name, self->name, name_len) == 0;
    return MHD_YES;
}

int request_header_count (request_t *self, const char *name)
{
    tally_t tally = { .name = name };
    MHD_get_connection_values_n (self->connection, MHD_HEADER_KIND, tally_header, &tally);
    return tally.count;
}

void request_peer (request_t *self, char out[PEER_MAX])
{
    out[0] = '\0';
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info (self->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (!info || !info->client_addr)
        return;
    if (info->client_addr->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy (&v4, info->client_addr, sizeof v4);
        inet_ntop (AF_INET, &v4.sin_addr, out, PEER_MAX);
    } else if (info->client_addr->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy (&v6, info->client_addr, sizeof v6);
        /* An IPv4 client on a dual-stack socket is the same machine as on an IPv4 one. */
        if (IN6_IS_ADDR_V4MAPPED (&v6.sin6_addr))
            inet_ntop (AF_INET, &v6.sin6_addr.s6_addr[12], out, PEER_MAX);
        else
            inet_ntop (AF_INET6, &v6.sin6_addr, out, PEER_MAX);
    }
}

bool peer_is_loopback (const char *peer)
{
    return strncmp (peer, "127.", 4) == 0 || strcmp (peer, "::1") == 0;
}
