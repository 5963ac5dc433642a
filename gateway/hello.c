#include "gateway/hello.h"

#include "gateway/door.h"
#include "gateway/gateway.h"
#include "proto/clock.h"
#include "proto/id.h"
#include "proto/options.h"

enum { HELLO_MS = 10 * 1000 };

void hello_init (gateway_t *gateway, const char *listen)
{
    random_id_make (gateway->id);
    gateway->listen = listen;
    gateway->started_ms = gateway->hello_due_ms = clock_mono_ms ();
}

static void hello_done (void *ctx, link_end_t end, const message_t *reply)
{
    (void)end;
    if (reply->type == MSG_GATEWAY_HELLO_OK)
        door_told (ctx, reply->gateway_hello_ok.auth_required == 1);
}

void hello_turn (gateway_t *gateway, unsigned connections)
{
    int64_t now_ms = clock_mono_ms ();
    if (now_ms < gateway->hello_due_ms)
        return;
    gateway->hello_due_ms = now_ms + HELLO_MS;
    message_t hello;
    message_init (&hello, MSG_GATEWAY_HELLO);
    hello.gateway_hello.gateway_id = slice_of (gateway->id);
    hello.gateway_hello.listen = slice_of (gateway->listen);
    hello.gateway_hello.version = SLICE (GLEANER_VERSION);
    hello.gateway_hello.uptime_ms = now_ms - gateway->started_ms;
    hello.gateway_hello.connections = connections;
    link_call (gateway->link, &hello,
               &(link_order_t){ .done = hello_done, .ctx = gateway, .repeatable = true }); /* refused: another time */
}

int64_t hello_deadline (const gateway_t *gateway)
{
    return gateway->hello_due_ms;
}
