/* What happens, in a digest that two runs of one seed must share, and as text for whoever reads one. */
#include <stdio.h>

#include "tests/sim/sim.h"

static const char *const effect_names[] = { "insert", "update", "worker-put", "worker-delete", "reply",
                                            "job",    "append", "seal",       "discard",       "changed" };

static void mix (world_t *w, uint64_t value)
{
    w->digest = (w->digest ^ value) * 0x100000001b3ULL;
}

static void trace_effect (world_t *w, const effect_t *effect)
{
    bool answer = effect->kind == EFFECT_REPLY || effect->kind == EFFECT_REPLY_JOB;
    bool update = effect->kind == EFFECT_JOB_UPDATE;
    mix (w, (uint64_t)effect->kind);
    mix (w, answer ? (uint64_t)effect->message.type : (uint64_t)effect->seq);
    mix (w, update ? (uint64_t)effect->job.attempt : (uint64_t)effect->attempt);
    if (!w->verbose)
        return;
    printf ("  %s", effect_names[effect->kind]);
    if (answer)
        printf (" %s", message_spec (effect->message.type)->wire);
    if (answer && effect->message.type == MSG_ERROR)
        printf (" %.*s", SLICE_ARG (effect->message.error.code));
    if (update)
        printf (" %lld %s attempt %lld by %.*s %.*s", (long long)effect->job.id.seq, job_state_name (effect->job.state),
                (long long)effect->job.attempt, SLICE_ARG (effect->job.worker_id), SLICE_ARG (effect->job.reason));
    printf ("\n");
}

static void print_number (const char *name, int64_t number)
{
    if (number != INT_ABSENT)
        printf (" %s %lld", name, (long long)number);
}

static void print_event (const world_t *w, const event_t *event)
{
    static const char *const kinds[] = { "request", "sealed", "undelivered", "tick" };
    const packet_t *from = event->kind == EVENT_REQUEST ? w->current : NULL;
    printf ("%lld ms: %s", (long long)w->now_ms, kinds[event->kind]);
    if (from) {
        printf (" %s of %s%s%s", message_spec (from->type)->wire, w->actors[from->actor].id, *from->job ? " " : "",
                from->job);
        print_number ("attempt", from->attempt);
        print_number ("slot", from->slot);
    } else if (event->kind != EVENT_TICK) {
        printf (" %lld attempt %lld", (long long)event->seq, (long long)event->attempt);
    }
    printf ("\n");
}

void trace_event (world_t *w, const event_t *event)
{
    mix (w, (uint64_t)w->now_ms);
    mix (w, (uint64_t)event->kind);
    if (w->verbose)
        print_event (w, event);
    for (size_t i = 0; i < w->effects.count; i++)
        trace_effect (w, &w->effects.items[i]);
}

void trace_crash (world_t *w)
{
    mix (w, UINT64_MAX);
    if (w->verbose)
        printf ("%lld ms: the broker crashes\n", (long long)w->now_ms);
}
