#include <stdlib.h>

#include "broker/list.h"
#include "tests/sim/sim.h"

/* splitmix64: the whole run comes from the seed. */
uint64_t sim_random (world_t *w)
{
    uint64_t z = w->random += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

bool sim_chance (world_t *w, int per_mille)
{
    return sim_random (w) % 1000 < (uint64_t)per_mille;
}

static void put (world_t *w, const packet_t *packet)
{
    packet_t *copy = xcalloc (1, sizeof *copy);
    *copy = *packet;
    copy->due.place = 0;
    int64_t delay = 1 + (int64_t)(sim_random (w) % 20);
    if (!w->healed && sim_chance (w, 30)) /* late, and so behind others */
        delay += (int64_t)(sim_random (w) % 90000);
    heap_put (&w->packets, &copy->due, w->now_ms + delay, 0);
}

void net_send (world_t *w, const packet_t *packet)
{
    bool cut = w->actors[packet->actor].cut_until_ms > w->now_ms;
    if (!w->healed && (cut || sim_chance (w, 40)))
        return;
    put (w, packet);
    if (!w->healed && sim_chance (w, 30))
        put (w, packet);
}

int64_t net_next_ms (const world_t *w)
{
    const heap_node_t *top = heap_top (&w->packets);
    return top ? top->key : INT64_MAX;
}

packet_t *net_take (world_t *w)
{
    heap_node_t *top = heap_top (&w->packets);
    if (!top || top->key > w->now_ms)
        return NULL;
    heap_remove (&w->packets, top);
    return LIST_ITEM (top, packet_t, due);
}
