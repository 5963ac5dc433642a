#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

static file_t *file_find (const world_t *w, int64_t seq, int64_t attempt, stream_t stream)
{
    for (int i = w->file_count; i-- > 0;)
        if (w->files[i].seq == seq && w->files[i].attempt == attempt && w->files[i].stream == stream)
            return &w->files[i];
    return NULL;
}

int64_t depot_length (const world_t *w, int64_t seq, int64_t attempt, stream_t stream)
{
    const file_t *file = file_find (w, seq, attempt, stream);
    return file ? file->length : -1;
}

static void add (world_t *w, const order_t *order)
{
    if (w->order_count == ORDERS_MAX)
        sim_fail (w, "more orders to the depot than requests and leases");
    order_t *last = w->order_count ? &w->orders[w->order_count - 1] : NULL;
    uint64_t longest = sim_chance (w, 15) ? 150000 : sim_chance (w, 20) ? 5000 : 50;
    order_t *added = &w->orders[w->order_count++];
    *added = *order;
    added->due_ms = w->now_ms + (int64_t)(sim_random (w) % longest);
    if (last && added->due_ms < last->due_ms)
        added->due_ms = last->due_ms;
}

void depot_carry (world_t *w, const effect_t *effect)
{
    const msg_job_output_t *in = &effect->message.job_output;
    order_t order = {
        .kind = effect->kind,
        .request = effect->request,
        .seq = effect->seq,
        .attempt = effect->attempt,
        .streams = effect->streams,
    };
    memcpy (order.expected, effect->expected, sizeof order.expected);
    if (effect->kind == EFFECT_DISCARD) {
        if (w->discard_count == ORDERS_MAX)
            sim_fail (w, "more discards in one turn than leases");
        w->discards[w->discard_count++] = order;
        return;
    }
    if (effect->kind == EFFECT_APPEND) {
        stream_find (in->stream, &order.stream);
        order.offset = in->offset;
        order.len = (int64_t)in->data.len;
    }
    add (w, &order);
}

void depot_discards (world_t *w)
{
    for (int i = 0; i < w->discard_count; i++)
        add (w, &w->discards[i]);
    w->discard_count = 0;
}

int64_t depot_next_ms (const world_t *w)
{
    return w->order_count ? w->orders[0].due_ms : INT64_MAX;
}

/* On return `offset` is the length of the stream, `len` 0 when the bytes left a gap. */
static void append (world_t *w, order_t *order)
{
    file_t *file = file_find (w, order->seq, order->attempt, order->stream);
    if (!file) {
        w->files = xrealloc (w->files, (size_t)(w->file_count + 1) * sizeof *w->files);
        file = &w->files[w->file_count++];
        *file = (file_t){ order->seq, order->attempt, order->stream, 0 };
    }
    int64_t offset = order->offset == INT_ABSENT ? file->length : order->offset;
    if (offset > file->length)
        order->len = 0;
    else if (offset + order->len > file->length)
        file->length = offset + order->len;
    order->offset = file->length;
}

static void carry_out (world_t *w, order_t *order)
{
    if (order->kind == EFFECT_APPEND)
        append (w, order);
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT && order->kind == EFFECT_DISCARD; stream++) {
        file_t *file = file_find (w, order->seq, order->attempt, stream);
        if (file && (order->streams & 1 << stream))
            *file = w->files[--w->file_count];
    }
}

bool depot_next (world_t *w, order_t *order)
{
    if (depot_next_ms (w) > w->now_ms)
        return false;
    *order = w->orders[0];
    w->order_count--;
    for (int i = 0; i < w->order_count; i++)
        w->orders[i] = w->orders[i + 1];
    carry_out (w, order);
    return true;
}

void depot_crash (world_t *w)
{
    int reached = w->order_count ? (int)(sim_random (w) % (uint64_t)(w->order_count + 1)) : 0;
    for (int i = 0; i < reached; i++)
        carry_out (w, &w->orders[i]);
    w->order_count = w->discard_count = 0;
}
