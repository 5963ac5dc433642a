#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { PATIENCE_MS = 5000, HEARTBEAT_MS = 10000 };

static actor_t *start_actor (world_t *w, int at, const char *kind)
{
    actor_t *a = &w->actors[at];
    memset (a, 0, sizeof *a);
    snprintf (a->id, sizeof a->id, "%s-%d", kind, at);
    a->next_ms = w->now_ms + (int64_t)(sim_random (w) % 1000);
    return a;
}

void actors_init (world_t *w)
{
    int at = 0;
    for (int i = 0; i < CLIENTS; i++)
        start_actor (w, at++, "client");
    for (int i = 0; i < SLOTTED; i++)
        start_actor (w, at++, "slotted")->slotted = true;
    for (int i = 0; i < NAMED; i++)
        snprintf (start_actor (w, at++, "named")->addr, TEXT, i ? "10.0.0.1" : "10.0.0.9");
    for (int i = 0; i < NAMELESS; i++) {
        actor_t *a = start_actor (w, at++, "nameless");
        a->nameless = true;
        snprintf (a->addr, sizeof a->addr, "10.0.0.%d", i / 3); /* three behind one address, one alone */
    }
}

int64_t actors_next_ms (const world_t *w)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < ACTORS; i++)
        if (w->actors[i].next_ms < next)
            next = w->actors[i].next_ms;
    return next;
}

static packet_t request (world_t *w, int at, msg_type_t type)
{
    return (packet_t){
        .actor = at,
        .to_broker = true,
        .type = type,
        .call = ++w->actors[at].calls,
        .slot = INT_ABSENT,
        .offset = INT_ABSENT,
        .attempt = INT_ABSENT,
    };
}

static void about (packet_t *packet, const slot_t *slot, bool old)
{
    memcpy (packet->job, slot->job, sizeof packet->job);
    packet->old = old;
    if (old)
        return;
    memcpy (packet->token, slot->token, sizeof packet->token);
    packet->attempt = slot->attempt;
}

/* ---- clients ---- */

static void ask_about_some_job (world_t *w, int at)
{
    static const msg_type_t types[] = { MSG_JOB_CANCEL, MSG_JOB_STATUS, MSG_JOB_STATUS, MSG_JOB_CHECK_CANCEL };
    packet_t packet = request (w, at, types[sim_random (w) % 4]);
    job_id_format (&w->jobs[sim_random (w) % (uint64_t)w->job_count].id, packet.job);
    net_send (w, &packet);
}

/* Somebody wants a machine for himself, or has no need of it any more. */
static void drain_or_resume (world_t *w, int at, const actor_t *worker, msg_type_t type)
{
    packet_t packet = request (w, at, type);
    memcpy (packet.job, worker->id, sizeof packet.job);
    net_send (w, &packet);
}

static void client_act (world_t *w, int at)
{
    actor_t *a = &w->actors[at];
    a->next_ms = w->now_ms + 200 + (int64_t)(sim_random (w) % 4000);
    if (w->healed)
        a->next_ms = INT64_MAX;
    else if (a->creating && sim_chance (w, 500)) { /* no answer yet: the same once more */
        net_send (w, &a->create);
    } else if (!a->creating && a->submitted < JOBS_MAX / CLIENTS && sim_chance (w, 500)) {
        a->create = request (w, at, MSG_JOB_CREATE);
        a->create.pinned = sim_chance (w, 200);
        a->create.wish = sim_random (w);
        a->creating = sim_chance (w, 800);
        if (a->creating)
            snprintf (a->create.key, sizeof a->create.key, "key-%d-%d", at, a->submitted);
        a->submitted++;
        net_send (w, &a->create);
    } else if (w->job_count && sim_chance (w, 500)) {
        ask_about_some_job (w, at);
    } else if (sim_chance (w, 50)) {
        packet_t packet = request (w, at, MSG_WORKER_LIST);
        net_send (w, &packet);
    } else if (sim_chance (w, 100)) {
        const actor_t *worker = &w->actors[CLIENTS + sim_random (w) % WORKERS];
        drain_or_resume (w, at, worker, sim_chance (w, 400) ? MSG_WORKER_DRAIN : MSG_WORKER_RESUME);
    }
}

/* ---- workers ---- */

/* It starts anew and has forgotten everything, but for results that a slotted one has on its disk, if that lives. */
static void restart (world_t *w, int at)
{
    actor_t *a = &w->actors[at];
    bool disk = a->slotted && sim_chance (w, 700);
    a->registered = false;
    for (int i = 0; i < SLOTS; i++)
        if (a->slots[i].state != SLOT_REPORTING || !disk)
            a->slots[i] = (slot_t){ 0 };
}

/* A cable is out, or, for all agents that come by it, a gateway is down. */
static void cut (world_t *w, int at)
{
    int64_t until = w->now_ms + (int64_t)(sim_random (w) % 100000);
    for (int i = CLIENTS; i < ACTORS; i++)
        if (i == at || (!w->actors[at].slotted && !w->actors[i].slotted && i % 2 == at % 2))
            w->actors[i].cut_until_ms = until;
}

/* An agent without a name is heard of from another address from now on. */
static void move (world_t *w, int at)
{
    snprintf (w->actors[at].addr, TEXT, "10.0.0.%d", (int)(sim_random (w) % 2));
}

static void keep (packet_t *packet, const actor_t *a, slot_state_t least)
{
    for (int i = 0; a->slotted && i < SLOTS; i++) {
        const slot_t *slot = &a->slots[i];
        if (slot->state < least)
            continue;
        memcpy (packet->kept[packet->keep].job, slot->job, TEXT);
        memcpy (packet->kept[packet->keep].token, slot->token, TEXT);
        packet->kept[packet->keep++].attempt = slot->attempt;
    }
}

static void send_register (world_t *w, int at)
{
    packet_t packet = request (w, at, MSG_WORKER_REGISTER);
    keep (&packet, &w->actors[at], SLOT_RUNNING);
    net_send (w, &packet);
}

static void say_goodbye (world_t *w, int at)
{
    packet_t packet = request (w, at, MSG_WORKER_GOODBYE);
    restart (w, at);
    keep (&packet, &w->actors[at], SLOT_REPORTING);
    net_send (w, &packet);
}

static void send_poll (world_t *w, int at, int number)
{
    actor_t *a = &w->actors[at];
    packet_t packet = request (w, at, MSG_JOB_POLL);
    packet.slot = a->slotted ? number : INT_ABSENT;
    packet.wait = a->slotted ? 25000 : INT_ABSENT;
    a->slots[number].state = SLOT_POLLING;
    a->slots[number].call = packet.call;
    a->slots[number].until_ms = w->now_ms + (a->slotted ? 25000 : 0) + PATIENCE_MS;
    net_send (w, &packet);
}

/* The same each time that it is sent, but for lengths that the broker has corrected. */
static void send_result (world_t *w, int at, slot_t *slot)
{
    packet_t packet = request (w, at, slot->report);
    about (&packet, slot, !w->actors[at].slotted);
    packet.exit_code = slot->exit_code;
    memcpy (packet.lengths, slot->sent, sizeof packet.lengths);
    packet.inlined = slot->inlined;
    slot->call = packet.call;
    slot->until_ms = w->now_ms + PATIENCE_MS;
    net_send (w, &packet);
}

static void end_job (world_t *w, int at, slot_t *slot)
{
    slot->state = SLOT_REPORTING;
    slot->report = sim_chance (w, 100) ? MSG_JOB_FAIL : MSG_JOB_RESULT;
    slot->exit_code = sim_chance (w, 200) ? 1 : 0;
    slot->inlined = slot->report == MSG_JOB_RESULT && (!w->actors[at].slotted || sim_chance (w, 300));
    send_result (w, at, slot);
}

static void send_output (world_t *w, int at, slot_t *slot)
{
    packet_t packet = request (w, at, MSG_JOB_OUTPUT);
    about (&packet, slot, !w->actors[at].slotted);
    packet.stream = w->actors[at].slotted && sim_chance (w, 400) ? STREAM_JOURNAL : STREAM_STDOUT;
    packet.offset = w->actors[at].slotted ? slot->sent[packet.stream] : INT_ABSENT;
    slot->sent[packet.stream] += 10;
    net_send (w, &packet);
}

static void run_slot (world_t *w, int at, slot_t *slot)
{
    const actor_t *a = &w->actors[at];
    if (a->slotted && w->now_ms - slot->renewed_ms > 60000) { /* its own lease has run out: it stops the job */
        *slot = (slot_t){ 0 };
    } else if (w->now_ms >= slot->until_ms) {
        end_job (w, at, slot);
    } else if (a->slotted && sim_chance (w, 300)) {
        packet_t packet = request (w, at, MSG_JOB_RENEW);
        about (&packet, slot, false);
        packet.wait = sim_chance (w, 500) ? 10000 : 0;
        net_send (w, &packet);
    } else if (sim_chance (w, 200)) {
        send_output (w, at, slot);
    } else if (a->slotted && sim_chance (w, 10)) {
        packet_t packet = request (w, at, MSG_JOB_RETURN);
        about (&packet, slot, false);
        net_send (w, &packet);
        *slot = (slot_t){ 0 };
    }
}

static void act_slot (world_t *w, int at, int number)
{
    slot_t *slot = &w->actors[at].slots[number];
    switch (slot->state) {
    case SLOT_IDLE:
        send_poll (w, at, number);
        break;
    case SLOT_POLLING:
        if (w->now_ms >= slot->until_ms)
            slot->state = SLOT_IDLE;
        break;
    case SLOT_RUNNING:
        run_slot (w, at, slot);
        break;
    case SLOT_REPORTING:
        if (w->now_ms >= slot->until_ms)
            send_result (w, at, slot);
        break;
    }
}

static void worker_act (world_t *w, int at)
{
    actor_t *a = &w->actors[at];
    a->next_ms = w->now_ms + 100 + (int64_t)(sim_random (w) % 1500);
    if (!w->healed && sim_chance (w, 8)) {
        restart (w, at);
        if (a->nameless && sim_chance (w, 300))
            move (w, at);
    } else if (!w->healed && sim_chance (w, 8)) { /* a lid is shut; some machines say so before */
        packet_t packet = request (w, at, MSG_WORKER_SLEEP);
        packet.wait = 100000;
        if (a->registered && sim_chance (w, 500))
            net_send (w, &packet);
        a->next_ms += (int64_t)(sim_random (w) % 120000);
        return;
    } else if (!w->healed && sim_chance (w, 4)) {
        cut (w, at);
    } else if (!w->healed && sim_chance (w, 3)) {
        say_goodbye (w, at);
    } else if (!w->healed && a->nameless && sim_chance (w, 3)) {
        move (w, at);
    }
    if (w->healed && a->draining)
        drain_or_resume (w, at, a, MSG_WORKER_RESUME);
    if (!a->registered) {
        send_register (w, at);
        return;
    }
    if (w->now_ms >= a->heartbeat_ms) {
        packet_t packet = request (w, at, MSG_WORKER_HEARTBEAT);
        a->heartbeat_ms = w->now_ms + HEARTBEAT_MS;
        net_send (w, &packet);
    }
    for (int i = 0; i < (a->slotted ? SLOTS : 1); i++)
        act_slot (w, at, i);
}

void actor_act (world_t *w, int at)
{
    if (at < CLIENTS)
        client_act (w, at);
    else
        worker_act (w, at);
}

/* ---- answers ---- */

static slot_t *slot_of_call (actor_t *a, uint64_t call, slot_state_t state)
{
    for (int i = 0; i < SLOTS; i++)
        if (a->slots[i].state == state && a->slots[i].call == call)
            return &a->slots[i];
    return NULL;
}

static slot_t *slot_of_job (actor_t *a, const char *job)
{
    for (int i = 0; i < SLOTS; i++)
        if (a->slots[i].state == SLOT_RUNNING && strcmp (a->slots[i].job, job) == 0)
            return &a->slots[i];
    return NULL;
}

static void receive_job (world_t *w, actor_t *a, const packet_t *packet)
{
    slot_t *slot = slot_of_call (a, packet->call, SLOT_POLLING);
    if (!slot)
        return; /* it no longer waits for this: lost, as far as it is concerned */
    *slot = (slot_t){ 0 };
    if (!packet->job[0])
        return;
    slot->state = SLOT_RUNNING;
    memcpy (slot->job, packet->job, sizeof slot->job);
    memcpy (slot->token, packet->token, sizeof slot->token);
    slot->attempt = packet->attempt;
    slot->renewed_ms = w->now_ms;
    uint64_t longest = sim_chance (w, 100) ? 200000 : 8000;
    slot->until_ms = w->now_ms + (int64_t)(sim_random (w) % longest);
}

static void receive_refusal (actor_t *a, const packet_t *packet)
{
    bool gap = packet->err == ERR_OUTPUT_GAP;
    slot_t *slot = gap ? slot_of_job (a, packet->job) : slot_of_call (a, packet->call, SLOT_REPORTING);
    if (packet->err == ERR_NO_SUCH_WORKER)
        a->registered = false;
    else if (slot && (gap || packet->err == ERR_OUTPUT_MISMATCH)) /* it goes on from what the broker has */
        slot->sent[packet->stream] = packet->offset;
    else if (slot && packet->err != ERR_RESULT_PENDING)
        *slot = (slot_t){ 0 };
}

void actor_receive (world_t *w, const packet_t *packet)
{
    actor_t *a = &w->actors[packet->actor];
    slot_t *slot = NULL;
    switch ((int)packet->type) {
    case MSG_JOB_CREATE_OK: {
        job_id_t id;
        shadow_t *job = job_id_parse (slice_of (packet->job), &id) ? shadow_find (w, id.seq) : NULL;
        if (!job)
            sim_fail (w, "a job was acknowledged that nobody stored");
        if (job->key[0] && a->creating && strcmp (job->key, a->create.key) != 0 && packet->call == a->create.call)
            sim_fail (w, "a key was answered with another key's job");
        if (packet->call == a->create.call)
            a->creating = false;
        job->acknowledged = true;
        break;
    }
    case MSG_WORKER_REGISTER_OK:
        a->registered = true;
        break;
    case MSG_JOB_POLL_OK:
        receive_job (w, a, packet);
        break;
    case MSG_JOB_RENEW_OK:
    case MSG_JOB_OUTPUT_OK:
        slot = slot_of_job (a, packet->job);
        if (slot && packet->cancel)
            *slot = (slot_t){ 0 };
        else if (slot && packet->type == MSG_JOB_RENEW_OK)
            slot->renewed_ms = w->now_ms;
        if (slot)
            slot->heard = true;
        break;
    case MSG_JOB_RESULT_OK:
    case MSG_JOB_FAIL_OK:
        slot = slot_of_call (a, packet->call, SLOT_REPORTING);
        if (slot)
            *slot = (slot_t){ 0 };
        break;
    case MSG_ERROR:
        receive_refusal (a, packet);
        break;
    default:
        break;
    }
}
