#include "gateway/health.h"

#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "proto/clock.h"

static void answer_ok (request_t *request)
{
    buf_t text = { 0 };
    buf_append_str (&text, "ok\n");
    request_answer_text (request, MHD_HTTP_OK, "text/plain; charset=utf-8", &text);
}

void alive_handle (request_t *request)
{
    answer_ok (request);
}

static void tell (request_t *request, bool ready)
{
    if (ready)
        answer_ok (request);
    else
        request_fail (request, ERR_BROKER_UNAVAILABLE, NULL, "The broker does not answer this gateway.");
}

static void told (void *ctx, link_end_t end, const message_t *reply)
{
    (void)reply; /* whatever it says: it has answered */
    ready_t *self = &((gateway_t *)ctx)->ready;
    self->asking = false;
    self->ready = end == LINK_REPLY;
    self->until_ms = clock_mono_ms () + READY_MS;
    size_t count = self->count;
    self->count = 0;
    for (size_t at = 0; at < count; at++)
        tell (self->waiting[at], self->ready);
}

static bool ask (gateway_t *gateway)
{
    message_t message;
    message_init (&message, MSG_AUTH_CHECK);
    link_order_t order = {
        .done = told,
        .ctx = gateway,
        .patience_ms = READY_WAIT_MS - gateway->options->broker_timeout_ms,
        .repeatable = true,
    };
    return link_call (gateway->link, &message, &order) == 0;
}

void ready_handle (request_t *request)
{
    gateway_t *gateway = request->gateway;
    ready_t *self = &gateway->ready;
    bool known = clock_mono_ms () < self->until_ms || self->count == READY_WAITING;
    if (!known && !self->asking)
        self->asking = ask (gateway);
    if (known || !self->asking) { /* not asking: too much is in progress, or the gateway stops */
        tell (request, known && self->ready);
        return;
    }
    self->waiting[self->count++] = request;
    request_park (request);
}
