#include "broker/gateways.h"

void gateways_forget (gateways_t *self, int64_t now_ms)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++)
        if (now_ms - self->items[i].heard_ms < GATEWAY_FORGET_MS)
            self->items[kept++] = self->items[i];
    self->count = kept;
}

static gateway_seen_t *find (gateways_t *self, slice_t id)
{
    for (size_t i = 0; i < self->count; i++)
        if (slice_eq_str (id, self->items[i].id))
            return &self->items[i];
    return NULL;
}

bool gateways_heard (gateways_t *self, const msg_gateway_hello_t *in, int64_t now_ms, int64_t wall_ms)
{
    gateways_forget (self, now_ms);
    gateway_seen_t *seen = find (self, in->gateway_id);
    if (!seen && self->count == GATEWAYS_MAX)
        return false;
    if (!seen)
        seen = &self->items[self->count++];
    slice_copy (in->gateway_id, seen->id, sizeof seen->id);
    slice_copy (in->listen, seen->listen, sizeof seen->listen);
    slice_copy (in->version, seen->version, sizeof seen->version);
    seen->uptime_ms = in->uptime_ms;
    seen->connections = in->connections;
    seen->seen_wall_ms = wall_ms;
    seen->heard_ms = now_ms;
    return true;
}
