#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum {
    WALL_MS = 1700000000,
    TURN_PACKETS = 8,
    CRASH_PER_MILLE = 4,
    UNDELIVERED_PER_MILLE = 10,
    LOST_COMMITS_PER_MILLE = 200,
    DISK_PER_MILLE = 3,
    ASKED_MAX = 1 << 20,
    HEAL_MS = 12 * 60 * 60 * 1000, /* by then everything must be final; the wall clock may have gone back by hours */
};

const char *const break_names[BREAK_COUNT] = { "nothing",      "reply-before-commit", "lose-commit", "forget-jobs",
                                               "forget-token", "two-leases",          "no-expiry" };

/* Who asked, by the handle that the core was given. */
typedef struct {
    int actor;
    uint64_t call;
    int64_t attempt;
    msg_type_t type;
    char job[TEXT];
} asked_t;

static asked_t asked[ASKED_MAX]; /* one world at a time */
static uint64_t asked_count;

int64_t sim_wall_ms (const world_t *w)
{
    return WALL_MS * 1000LL + w->now_ms + w->skew_ms;
}

static void core_begin (world_t *w)
{
    core_config_t config;
    core_config_default (&config);
    for (size_t i = 0; i < sizeof config.seed; i++)
        config.seed[i] = (uint8_t)sim_random (w);
    w->core = core_new (&config);
    if (w->broken == BREAK_FORGET_JOBS)
        core_load_last_seq (w->core, w->store->ops->job_last_seq (w->store));
    else
        core_rebuild (w->core, w->store, w->now_ms, sim_wall_ms (w));
    w->ticked_ms = w->now_ms;
}

/* The process is gone: what was not committed, every answer on its way, every parked request. */
static void crash (world_t *w)
{
    w->crashes++;
    trace_crash (w);
    store_ram_crash (w->store);
    core_destroy (&w->core);
    w->outbox_count = 0;
    depot_crash (w);
    shadow_reload (w);
    core_begin (w);
}

/* ---- answers ---- */

static packet_t *answer (world_t *w, uint64_t request)
{
    if (w->outbox_count == OUTBOX_MAX)
        sim_fail (w, "more answers in one turn than requests");
    const asked_t *from = &asked[request % ASKED_MAX];
    packet_t *packet = &w->outbox[w->outbox_count++];
    *packet = (packet_t){ .actor = from->actor, .call = from->call, .attempt = from->attempt };
    memcpy (packet->job, from->job, sizeof packet->job);
    return packet;
}

static void answer_with (world_t *w, uint64_t request, const message_t *message)
{
    packet_t *packet = answer (w, request);
    packet->type = message->type;
    switch ((int)message->type) {
    case MSG_ERROR:
        packet->err = error_find (message->error.code);
        check_refusal (w, packet->err);
        packet->offset = message->error.offset;
        if (!stream_find (message->error.stream, &packet->stream))
            packet->stream = STREAM_STDOUT;
        break;
    case MSG_JOB_CREATE_OK:
        slice_copy (message->job_create_ok.job_id, packet->job, sizeof packet->job);
        break;
    case MSG_JOB_POLL_OK:
        packet->job[0] = '\0';
        packet->attempt = 0;
        slice_copy (message->job_poll_ok.job_id, packet->job, sizeof packet->job);
        slice_copy (message->job_poll_ok.token, packet->token, sizeof packet->token);
        packet->attempt = message->job_poll_ok.attempt;
        break;
    case MSG_JOB_RENEW_OK:
        packet->cancel = message->job_renew_ok.cancel_requested == 1;
        break;
    case MSG_JOB_OUTPUT_OK:
        packet->cancel = message->job_output_ok.cancel_requested == 1;
        packet->offset = message->job_output_ok.offset;
        break;
    default:
        break;
    }
}

static void step (world_t *w, event_t *event)
{
    event->now_ms = w->now_ms;
    event->wall_ms = sim_wall_ms (w);
    core_step (w->core, event, &w->effects);
    w->steps++;
    if (effects_persist (&w->effects, w->store))
        sim_fail (w, "the store failed");
    trace_event (w, event);
    check_effects (w);
    for (size_t i = 0; i < w->effects.count; i++) {
        const effect_t *effect = &w->effects.items[i];
        if (effect->kind == EFFECT_REPLY_JOB)
            check_handed (w, asked[effect->request % ASKED_MAX].actor, effect->seq);
        if (effect->kind == EFFECT_REPLY || effect->kind == EFFECT_REPLY_JOB)
            answer_with (w, effect->request, &effect->message);
        else if (effect->kind == EFFECT_APPEND || effect->kind == EFFECT_SEAL || effect->kind == EFFECT_DISCARD)
            depot_carry (w, effect);
    }
}

/* ---- requests ---- */

/* BREAK_FORGET_TOKEN: whatever lease it speaks of, it is taken for the current one's, from its holder. */
static void forget_token (world_t *w, packet_t *packet)
{
    job_id_t id;
    const shadow_t *job = job_id_parse (slice_of (packet->job), &id) ? shadow_find (w, id.seq) : NULL;
    if (!job || !packet->token[0] || !job->token[0])
        return;
    memcpy (packet->token, job->token, sizeof packet->token);
    packet->attempt = job->attempt;
    for (int i = CLIENTS; i < ACTORS; i++)
        if (strcmp (w->actors[i].id, job->worker) == 0)
            packet->actor = i;
}

/* As broker/query.c does: from the store, the open transaction included. */
static void answer_status (world_t *w, uint64_t request, slice_t job_id)
{
    job_id_t id;
    job_record_t record;
    packet_t *packet = answer (w, request);
    packet->type = MSG_ERROR;
    packet->err = ERR_NO_SUCH_JOB;
    if (!job_id_parse (job_id, &id) || w->store->ops->job_get (w->store, &id, &record))
        return;
    packet->type = MSG_JOB_STATUS_OK;
    packet->state = record.state;
}

static bool at_work (const world_t *w, const char *token)
{
    for (int i = CLIENTS; i < ACTORS; i++)
        for (int k = 0; k < SLOTS; k++)
            if (w->actors[i].slots[k].state >= SLOT_RUNNING && strcmp (w->actors[i].slots[k].token, token) == 0)
                return true;
    return false;
}

static void request_step (world_t *w, const packet_t *packet, uint64_t request, const message_t *decoded)
{
    event_t event = { .kind = EVENT_REQUEST, .request = request, .message = decoded };
    looked_up_t found;
    if (event_look_up (&event, w->core, w->store, &found))
        sim_fail (w, "the store cannot be read");
    w->current = packet;
    w->current_create = decoded->type == MSG_JOB_CREATE ? &decoded->job_create : NULL;
    bool running = packet->undelivered && at_work (w, packet->token);
    step (w, &event);
    if (running && decoded->job_return.undelivered == 1)
        check_still_running (w, packet);
    check_late (w, request);
    w->current = NULL;
}

static void handle (world_t *w, const packet_t *packet)
{
    packet_t given = *packet;
    if (w->broken == BREAK_FORGET_TOKEN)
        forget_token (w, &given);
    buf_t raw = { 0 };
    buf_t frame = { 0 };
    message_t message;
    message_t decoded;
    fault_t fault;
    request_fill (w, &given, &message, &raw);
    message_encode (&message, &frame);
    if (message_decode (w->decoder, buf_slice (&frame), FRAME_MAX, &decoded, &fault))
        sim_fail (w, "our own request is refused: %s", fault.text);
    uint64_t request = ++asked_count;
    asked[request % ASKED_MAX] = (asked_t){ packet->actor, packet->call, packet->attempt, packet->type, "" };
    memcpy (asked[request % ASKED_MAX].job, packet->job, TEXT);
    if (packet->type == MSG_JOB_STATUS)
        answer_status (w, request, decoded.job_status.job_id);
    else
        request_step (w, packet, request, &decoded);
    buf_fini (&raw);
    buf_fini (&frame);
}
/* ---- turns, as broker/loop.c takes them ---- */

/* A gateway has the answer and nobody to hand it to: it gives the lease back, when that gets through. */
static void stranded (world_t *w, const packet_t *packet)
{
    packet_t back = { .actor = packet->actor, .to_broker = true, .type = MSG_JOB_RETURN, .undelivered = true };
    back.slot = back.offset = INT_ABSENT;
    back.attempt = packet->attempt;
    memcpy (back.job, packet->job, TEXT);
    memcpy (back.token, packet->token, TEXT);
    net_send (w, &back);
}

static void undelivered (world_t *w, const packet_t *packet)
{
    job_id_t id;
    job_id_parse (slice_of (packet->job), &id);
    event_t event = { .kind = EVENT_UNDELIVERED, .seq = id.seq, .attempt = packet->attempt };
    event.token = slice_of (packet->token);
    bool running = shadow_find (w, id.seq)->state == JOB_RUNNING;
    step (w, &event);
    if (running && shadow_find (w, id.seq)->state == JOB_PENDING && at_work (w, packet->token))
        sim_fail (w, "a lost answer has taken a running job from its worker");
}

/* The first `most` answers leave; those that an undelivered one brings about wait for the next commit. */
static void send_outbox (world_t *w, int most)
{
    static packet_t sending[OUTBOX_MAX];
    int count = w->outbox_count;
    memcpy (sending, w->outbox, (size_t)count * sizeof *sending);
    w->outbox_count = 0;
    for (int i = 0; i < count; i++)
        check_delivery (w, &sending[i]);
    for (int i = 0; i < count && i < most; i++) {
        packet_t *packet = &sending[i];
        bool job = packet->type == MSG_JOB_POLL_OK && packet->job[0];
        if (job && !w->healed && sim_chance (w, UNDELIVERED_PER_MILLE)) {
            if (packet->token[0] && sim_chance (w, 500))
                stranded (w, packet);
            else
                undelivered (w, packet);
            continue;
        }
        check_promise (w, packet);
        net_send (w, packet);
        if (w->broken == BREAK_TWO_LEASES && job) {
            packet->actor = CLIENTS + (packet->actor + 1) % SLOTTED;
            check_delivery (w, packet);
        }
    }
}

static bool crashes (world_t *w)
{
    return !w->healed && sim_chance (w, CRASH_PER_MILLE);
}

static void take_packets (world_t *w)
{
    packet_t *packet = NULL;
    for (int taken = 0; taken < TURN_PACKETS && (packet = net_take (w)); taken++) {
        if (packet->to_broker)
            handle (w, packet);
        else
            actor_receive (w, packet);
        free (packet);
    }
}

static bool disk_fails (world_t *w)
{
    return !w->healed && sim_chance (w, DISK_PER_MILLE);
}

static void sealed (world_t *w, const order_t *order)
{
    event_t event = { .kind = EVENT_SEALED, .seq = order->seq, .attempt = order->attempt };
    for (stream_t i = STREAM_STDOUT; i < STREAM_COUNT; i++) {
        int64_t length = depot_length (w, order->seq, order->attempt, i);
        event.bytes[i] = length < 0 ? 0 : length;
        if (event.bytes[i] <= INLINE_BYTES)
            event.data[i] = slice_from ("012345678901234567890123456789", (size_t)event.bytes[i]);
        bool faulty = order->expected[i] != INT_ABSENT && order->expected[i] != event.bytes[i];
        if (faulty && !event.err)
            event.faulty_stream = i;
        if (faulty)
            event.err = ERR_OUTPUT_MISMATCH;
    }
    if (disk_fails (w))
        event.err = ERR_DISK_FULL;
    step (w, &event);
    check_mismatch (w, order);
    for (size_t i = 0; i < w->effects.count; i++)
        if (w->effects.items[i].kind == EFFECT_JOB_UPDATE && w->effects.items[i].job.attempt != order->attempt)
            sim_fail (w, "what was sealed for attempt %lld has ended another", (long long)order->attempt);
}

static void take_outcomes (world_t *w)
{
    order_t order;
    while (depot_next (w, &order)) {
        if (order.kind == EFFECT_SEAL)
            sealed (w, &order);
        if (order.kind != EFFECT_APPEND)
            continue;
        packet_t *packet = answer (w, order.request);
        packet->type = order.len ? MSG_JOB_OUTPUT_OK : MSG_ERROR;
        packet->err = order.len ? ERR_NONE : ERR_OUTPUT_GAP;
        packet->stream = order.stream;
        packet->offset = order.offset;
    }
}

/* As broker/disk.c does: the turn is forgotten, who waits for a word about it is refused, the core is made anew. What
 * was parked is not answered here: an actor that hears nothing asks again. */
static void find_disk_full (world_t *w)
{
    w->full++;
    store_ram_crash (w->store);
    core_destroy (&w->core);
    w->discard_count = 0;
    for (int i = 0; i < w->outbox_count; i++) {
        packet_t *packet = &w->outbox[i];
        if (packet->type == MSG_JOB_OUTPUT_OK || packet->type == MSG_ERROR)
            continue; /* of the depot: as true as before */
        *packet = (packet_t){ .actor = packet->actor, .call = packet->call, .type = MSG_ERROR, .err = ERR_DISK_FULL };
    }
    shadow_reload (w);
    core_begin (w);
    send_outbox (w, OUTBOX_MAX);
}

/* A worker's connection is closed: it has ended, or was cut off and will hear that its leases are gone. */
static void lose_connection (world_t *w)
{
    const actor_t *worker = &w->actors[CLIENTS + sim_random (w) % SLOTTED];
    event_t event = { .kind = EVENT_GONE, .worker_id = slice_of (worker->id) };
    step (w, &event);
    check_gone (w, worker);
}

static void turn (world_t *w)
{
    if (!w->healed && sim_chance (w, 2))
        w->skew_ms += (int64_t)(sim_random (w) % 7200000) - 3600000;
    take_packets (w);
    take_outcomes (w);
    if (!w->healed && sim_chance (w, 2))
        lose_connection (w);
    if (core_deadline (w->core) <= w->now_ms && w->broken != BREAK_NO_EXPIRY) {
        event_t event = { .kind = EVENT_TICK };
        step (w, &event);
    }
    w->ticked_ms = w->now_ms;
    if (w->broken == BREAK_REPLY_BEFORE_COMMIT)
        send_outbox (w, OUTBOX_MAX);
    if (crashes (w)) {
        crash (w);
        return;
    }
    if (disk_fails (w)) {
        find_disk_full (w);
        return;
    }
    if (w->broken != BREAK_LOSE_COMMIT || !sim_chance (w, LOST_COMMITS_PER_MILLE))
        w->store->ops->commit (w->store);
    if (crashes (w)) { /* a part of the answers has left */
        send_outbox (w, (int)(sim_random (w) % (uint64_t)(w->outbox_count + 1)));
        crash (w);
        return;
    }
    send_outbox (w, OUTBOX_MAX);
    depot_discards (w);
}

static int64_t earlier (int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void advance (world_t *w)
{
    int64_t next = earlier (net_next_ms (w), actors_next_ms (w));
    if (w->broken != BREAK_NO_EXPIRY)
        next = earlier (next, core_deadline (w->core));
    next = earlier (next, depot_next_ms (w));
    if (w->outbox_count) /* the loop goes on without waiting: broker_t's `again` */
        next = w->now_ms;
    if (next != INT64_MAX && next > w->now_ms)
        w->now_ms = next;
    for (int i = 0; i < ACTORS; i++)
        if (w->actors[i].next_ms <= w->now_ms)
            actor_act (w, i);
}

static bool all_final (const world_t *w)
{
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].state == JOB_PENDING || w->jobs[i].state == JOB_RUNNING)
            return false;
    return true;
}

static void run_for (world_t *w, int64_t steps, int64_t until_ms)
{
    while (w->steps < steps && w->now_ms < until_ms) {
        advance (w);
        turn (w);
        core_check (w->core);
        if (w->healed && all_final (w))
            return;
    }
}

static void world_fini (world_t *w)
{
    for (heap_node_t *top = heap_top (&w->packets); top; top = heap_top (&w->packets)) {
        heap_remove (&w->packets, top);
        free ((char *)top - offsetof (packet_t, due));
    }
    heap_fini (&w->packets);
    core_destroy (&w->core);
    w->store->ops->close (&w->store);
    effects_fini (&w->effects);
    decoder_destroy (&w->decoder);
    free (w->jobs);
    free (w->files);
}

bool world_run (world_t *w, uint64_t seed, int64_t steps)
{
    break_t broken = w->broken;
    bool verbose = w->verbose;
    memset (w, 0, sizeof *w);
    w->broken = broken;
    w->verbose = verbose;
    w->seed = w->random = seed;
    w->now_ms = 1000;
    w->store = store_ram_new ();
    w->decoder = decoder_new ();
    core_begin (w);
    actors_init (w);
    bool good = setjmp (w->failed) == 0;
    if (good) {
        run_for (w, steps, INT64_MAX);
        check_acknowledged (w);
        w->healed = true;
        run_for (w, INT64_MAX, w->now_ms + HEAL_MS);
        check_all_final (w);
        check_acknowledged (w);
        check_outputs (w);
    }
    for (int i = 0; i < w->job_count; i++)
        w->completed += w->jobs[i].state == JOB_COMPLETED;
    w->job_total = w->job_count;
    world_fini (w);
    return good;
}
