#include "gateway/translate.h"

#include "gateway/gateway.h"
#include "gateway/routes.h"
#include "proto/traceparent.h"

void source_fini (source_t *self)
{
    if (self->object)
        json_decref (self->object);
    buf_fini (&self->raw);
}

err_t source_parse (source_t *self, request_t *request, fault_t *fault)
{
    if (request->body.len == 0)
        return fault_set (fault, ERR_BAD_JSON, "", "The body is empty: it must be a JSON object.");
    int flags = request->route->flags & ROUTE_REPAIR ? JSON_REPAIR_TEXT : JSON_STRICT;
    return json_parse (buf_slice (&request->body), flags, &self->object, fault);
}

typedef struct {
    message_t *message;
    fault_t *fault;
    err_t err;
} query_t;

static enum MHD_Result take_parameter (void *cls, enum MHD_ValueKind kind, const char *name, size_t name_len,
                                       const char *value, size_t value_len)
{
    (void)kind;
    query_t *self = cls;
    if (value)
        self->err =
            message_set_text (self->message, slice_from (name, name_len), slice_from (value, value_len), self->fault);
    return self->err ? MHD_NO : MHD_YES;
}

static err_t from_query (request_t *request, msg_type_t type, message_t *out, fault_t *fault)
{
    message_init (out, type);
    query_t query = { .message = out, .fault = fault };
    MHD_get_connection_values_n (request->connection, MHD_GET_ARGUMENT_KIND, take_parameter, &query);
    return query.err;
}

static bool field_absent (const field_spec_t *field, const void *member)
{
    switch (field->type) {
    case FIELD_STR: {
        const slice_t *text = member;
        return !text->ptr || text->len == 0;
    }
    case FIELD_BYTES:
    case FIELD_MAP:
    case FIELD_TEXTS:
    case FIELD_ROWS:
        return !((const slice_t *)member)->ptr;
    case FIELD_INT:
    case FIELD_UINT:
    case FIELD_DECIMAL:
        return *(const int64_t *)member == INT_ABSENT;
    case FIELD_BOOL:
        return *(const int *)member == BOOL_ABSENT;
    case FIELD_LIST:
        return !((const list_t *)member)->raw.ptr && !((const list_t *)member)->objects;
    }
    return true;
}

/* Sets a text field that is still absent. */
static err_t fill (message_t *message, const char *name, slice_t text, fault_t *fault)
{
    const message_spec_t *spec = message_spec (message->type);
    for (size_t at = 0; at < spec->field_count; at++)
        if (slice_eq_str (slice_of (name), spec->fields[at].name) &&
            !field_absent (&spec->fields[at], (const char *)message_body_const (message) + spec->fields[at].at))
            return 0;
    return message_set_text (message, slice_of (name), text, fault);
}

err_t translate_key (request_t *request, message_t *out, fault_t *fault)
{
    slice_t header = request_header (request, "Idempotency-Key");
    slice_t *key = &out->job_create.idempotency_key;
    if (header.ptr && request_header_count (request, "Idempotency-Key") > 1)
        return fault_set (fault, ERR_SCHEMA, "idempotencyKey", "The header Idempotency-Key must not stand twice.");
    if (header.ptr && key->ptr && !slice_eq (header, *key))
        return fault_set (fault, ERR_SCHEMA, "idempotencyKey",
                          "The header Idempotency-Key and `idempotencyKey` must be the same.");
    if (header.len)
        *key = header;
    else if (key->ptr && !key->len)
        *key = SLICE_ABSENT;
    return 0;
}

void translate_trace (request_t *request, message_t *out)
{
    slice_t header = slice_trim (request_header (request, "traceparent"));
    slice_t *field = &out->job_create.traceparent;
    traceparent_t trace;
    if (!field->len && request_header_count (request, "traceparent") == 1 && traceparent_parse (header, &trace))
        *field = slice_from (header.ptr, TRACEPARENT_LEN); /* a later version's may be longer */
}

/* What the connection tells beside the request itself. The client's word on its own address does not count. */
static err_t add_context (source_t *self, request_t *request, message_t *out, fault_t *fault)
{
    unsigned flags = request->route->flags;
    err_t err = 0;
    if (flags & ROUTE_WORKER) {
        slice_t worker = request_header (request, "X-Worker-Id");
        if (worker.ptr)
            err = fill (out, "workerId", worker, fault);
    }
    if (!err && flags & ROUTE_KEY) {
        err = translate_key (request, out, fault);
        translate_trace (request, out);
    }
    if (err || !(flags & ROUTE_PEER))
        return err;
    request_peer (request, self->peer);
    err = message_set_text (out, SLICE ("remoteAddr"), slice_of (self->peer), fault);
    if (!err && out->type == MSG_WORKER_REGISTER && peer_is_loopback (self->peer))
        err = fill (out, "machine", slice_of (request->gateway->machine), fault);
    return err;
}

err_t translate_request (source_t *self, request_t *request, msg_type_t type, message_t *out, fault_t *fault)
{
    err_t err = 0;
    if (request->route->method == METHOD_GET) {
        err = from_query (request, type, out, fault);
    } else if (request->route->flags & ROUTE_CHUNK) {
        err = from_query (request, type, out, fault);
        if (!err)
            err = message_set_text (out, SLICE ("data"), slice_from (request->body.ptr, request->body.len), fault);
    } else {
        if (!self->object)
            err = source_parse (self, request, fault);
        if (!err)
            err = json_to_message (self->object, type, out, &self->raw, fault);
    }
    request_sign (request, out);
    return err ? err : add_context (self, request, out, fault);
}

err_t translate_check (const message_t *message, fault_t *fault)
{
    const message_spec_t *spec = message_spec (message->type);
    const char *body = message_body_const (message);
    for (size_t at = 0; at < spec->field_count; at++) {
        const field_spec_t *field = &spec->fields[at];
        if (field->need == REQUIRED && field_absent (field, body + field->at))
            return fault_set (fault, ERR_MISSING_FIELD, field->name, "`%s` is missing.", field->name);
    }
    return message_check (message, fault);
}

void translate_answer (void *ctx, link_end_t end, const message_t *reply)
{
    (void)end;
    request_t *request = ctx;
    const route_t *route = request->route;
    if (reply->type == MSG_ERROR)
        request_fail_message (request, reply);
    else
        request_answer_message (request, route->flags & ROUTE_SUCCESS, route->message, reply);
}

static bool repeatable (request_t *request)
{
    /* Of a piece at an offset the broker skips what it has. */
    unsigned flags = request->route->flags;
    return flags & ROUTE_REPEAT || (flags & ROUTE_CHUNK && request_query (request, "offset").ptr);
}

void translate_call (request_t *request, link_done_fn *done)
{
    source_t source = { 0 };
    message_t message;
    fault_t fault;
    err_t err = translate_request (&source, request, request->route->type, &message, &fault);
    if (!err)
        err = translate_check (&message, &fault);
    if (!err) {
        link_order_t order = { .done = done,
                               .ctx = request,
                               .patience_ms = request->route->flags & ROUTE_SLOW ? LINK_SLOW_MS : 0,
                               .repeatable = repeatable (request) };
        err = link_call (request->gateway->link, &message, &order);
        if (err)
            fault_set (&fault, err, "", NULL);
    }
    source_fini (&source);
    if (err)
        request_fail_fault (request, &fault);
    else
        request_park (request);
}

void translate_handle (request_t *request)
{
    translate_call (request, translate_answer);
}
