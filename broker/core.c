#include "broker/core_internal.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

typedef void handler_fn (core_t *self, const event_t *event);

static handler_fn *const handlers[MSG_COUNT] = {
    [MSG_WORKER_REGISTER] = core_on_worker_register,
    [MSG_WORKER_HEARTBEAT] = core_on_worker_heartbeat,
    [MSG_WORKER_GOODBYE] = core_on_worker_goodbye,
    [MSG_WORKER_SLEEP] = core_on_worker_sleep,
    [MSG_WORKER_DRAIN] = core_on_worker_drain,
    [MSG_WORKER_RESUME] = core_on_worker_resume,
    [MSG_WORKER_LIST] = core_on_worker_list,
    [MSG_JOB_CREATE] = core_on_job_create,
    [MSG_JOB_CANCEL] = core_on_job_cancel,
    [MSG_JOB_CHECK_CANCEL] = core_on_job_check_cancel,
    [MSG_JOB_POLL] = core_on_job_poll,
    [MSG_JOB_RENEW] = core_on_job_renew,
    [MSG_JOB_RETURN] = core_on_job_return,
    [MSG_JOB_OUTPUT] = core_on_job_output,
    [MSG_JOB_RESULT] = core_on_job_result,
    [MSG_JOB_FAIL] = core_on_job_fail,
};

void core_config_default (core_config_t *config)
{
    *config = (core_config_t){
        .lease_ms = 60 * 1000,
        .offline_ms = 30 * 1000,
        .heartbeat_ms = 10 * 1000,
        .grace_ms = 30 * 1000,
        .jobs_max = 10 * 1000 * 1000,
        .parked_max = 200 * 1000,
        .queues_max = 1000,
        .backoff_ms = 1000,
        .backoff_max_ms = 5 * 60 * 1000,
        .sleep_max_ms = 15 * 60 * 1000,
        .output_max = OUTPUT_MAX_DEFAULT,
    };
}

static slice_t job_key (const void *item)
{
    const job_t *job = item;
    return slice_from (&job->seq, sizeof job->seq);
}

static slice_t worker_key (const void *item)
{
    return slice_of (((const worker_t *)item)->id);
}

static slice_t place_key (const void *item)
{
    return slice_of (((const place_t *)item)->addr);
}

core_t *core_new (const core_config_t *config)
{
    core_t *self = xcalloc (1, sizeof *self);
    self->config = *config;
    uint8_t secret[16];
    randombytes_buf_deterministic (secret, sizeof secret, config->seed);
    map_init (&self->jobs, job_key, secret);
    map_init (&self->workers, worker_key, secret);
    map_init (&self->places, place_key, secret);
    list_init (&self->queues);
    list_init (&self->polls);
    list_init (&self->ready);
    self->decoder = decoder_new ();
    return self;
}

static void job_free (core_t *self, job_t *job)
{
    core_queue_leave (self, job);
    if (job->options)
        free (job->options->retry_on_exit);
    free (job->options);
    free (job->owner);
    free (job);
}

static void free_everything (core_t *self)
{
    self->out = xcalloc (1, sizeof *self->out); /* nobody carries these out */
    size_t at = 0;
    for (job_t *job = map_next (&self->jobs, &at); job; job = map_next (&self->jobs, &at)) {
        if (job->lease)
            core_lease_free (self, job, false);
        else
            core_queue_remove (self, job);
        job_free (self, job);
    }
    for (link_t *link = list_first (&self->polls); link; link = list_first (&self->polls))
        core_parked_free (self, LIST_ITEM (link, parked_t, poll_link));
    at = 0;
    for (worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at))
        core_worker_free (self, worker);
    effects_fini (self->out);
    free (self->out);
}

void core_destroy (core_t **self_p)
{
    core_t *self = *self_p;
    if (!self)
        return;
    free_everything (self);
    map_fini (&self->jobs);
    map_fini (&self->workers);
    map_fini (&self->places);
    heap_fini (&self->any.jobs);
    decoder_destroy (&self->decoder);
    heap_fini (&self->timers);
    buf_fini (&self->list);
    free (self);
    *self_p = NULL;
}

void effects_fini (effects_t *self)
{
    free (self->items);
    arena_fini (&self->arena);
    *self = (effects_t){ 0 };
}

effect_t *core_effect (core_t *self, effect_kind_t kind)
{
    effects_t *out = self->out;
    if (out->count == out->cap) {
        out->cap = out->cap ? 2 * out->cap : 8;
        out->items = xrealloc (out->items, out->cap * sizeof *out->items);
    }
    effect_t *effect = &out->items[out->count++];
    memset (effect, 0, sizeof *effect);
    effect->kind = kind;
    return effect;
}

message_t *core_reply (core_t *self, uint64_t request, msg_type_t type)
{
    effect_t *effect = core_effect (self, EFFECT_REPLY);
    effect->request = request;
    message_init (&effect->message, type);
    return &effect->message;
}

void core_refuse (core_t *self, uint64_t request, err_t err, const char *text)
{
    message_error (core_reply (self, request, MSG_ERROR), err, text);
}

void core_refuse_field (core_t *self, uint64_t request, err_t err, const char *field, const char *text)
{
    core_refuse (self, request, err, text);
    self->out->items[self->out->count - 1].message.error.field = slice_of (field);
}

slice_t core_keep (core_t *self, slice_t bytes)
{
    if (!bytes.ptr)
        return SLICE_ABSENT;
    char *copy = arena_alloc (&self->out->arena, bytes.len + 1);
    if (bytes.len)
        memcpy (copy, bytes.ptr, bytes.len);
    copy[bytes.len] = '\0';
    return slice_from (copy, bytes.len);
}

uint64_t core_random (core_t *self)
{
    uint8_t seed[randombytes_SEEDBYTES];
    _Static_assert(sizeof seed == sizeof self->config.seed, "the seed is libsodium's");
    memcpy (seed, self->config.seed, sizeof seed);
    uint64_t count = ++self->random_count;
    for (size_t i = 0; i < sizeof count; i++)
        seed[i] ^= (uint8_t)(count >> (8 * i));
    uint64_t random = 0;
    randombytes_buf_deterministic (&random, sizeof random, seed);
    return random;
}

void core_timer_set (core_t *self, core_timer_t *timer, timer_kind_t kind, int64_t due_ms)
{
    timer->kind = kind;
    timer->due_ms = due_ms;
    if (!heap_holds (&timer->node) || due_ms < timer->node.key)
        heap_put (&self->timers, &timer->node, due_ms, 0);
}

void core_timer_stop (core_t *self, core_timer_t *timer)
{
    heap_remove (&self->timers, &timer->node);
}

int64_t core_deadline (const core_t *self)
{
    const heap_node_t *top = heap_top (&self->timers);
    return top ? top->key : INT64_MAX;
}

static slice_t duration_text (arena_t *arena, int64_t ms)
{
    return ms % 1000 ? arena_printf (arena, "%lld ms", (long long)ms)
                     : arena_printf (arena, "%lld s", (long long)(ms / 1000));
}

static slice_t lost_text (core_t *self, const worker_t *worker)
{
    arena_t *arena = &self->out->arena;
    slice_t lease = duration_text (arena, self->config.lease_ms);
    if (worker->asleep_since_ms == INT_ABSENT)
        return arena_printf (arena, "Worker %s was not heard of for " SLICE_FMT " while it ran the job.", worker->id,
                             SLICE_ARG (lease));
    slice_t slept = duration_text (arena, self->now_ms - worker->asleep_since_ms);
    return arena_printf (arena, "Worker %s said that it sleeps, and did not wake within " SLICE_FMT ".", worker->id,
                         SLICE_ARG (slept));
}

static void lease_due (core_t *self, lease_t *lease)
{
    job_t *job = lease->job;
    arena_t *arena = &self->out->arena;
    slice_t limit = duration_text (arena, job->timeout_ms);
    if (!lease->worker) { /* whichever of a group's agents has the job: it did not say so in all the time there was */
        core_lease_lost (self, job, "timeout",
                         arena_printf (arena, "No agent that may have had the job reported within its " SLICE_FMT ".",
                                       SLICE_ARG (limit)),
                         false);
        return;
    }
    if (lease->result) { /* it has come, and is being made safe */
        core_timer_set (self, &lease->timer, TIMER_LEASE, self->now_ms + self->config.lease_ms);
        return;
    }
    if (self->now_ms >= lease->hard_ms && core_lease_overrun (self, lease)) {
        core_job_fail (self, job, "timeout",
                       arena_printf (arena, "The job ran longer than its " SLICE_FMT ", and worker %s did not end it.",
                                     SLICE_ARG (limit), lease->worker->id));
        return;
    }
    /* A machine that slept through its lease must not be handed the job again by the polls that it left behind: so many
     * slots, so many attempts would be gone. Awake again, it asks anew. */
    core_worker_answer_polls (self, lease->worker);
    core_lease_lost (self, job, "worker-lost", lost_text (self, lease->worker), false);
}

static void parked_due (core_t *self, parked_t *parked)
{
    if (!parked->lease) {
        core_poll_answer_empty (self, parked);
        return;
    }
    message_t *reply = core_reply (self, parked->request, MSG_JOB_RENEW_OK);
    reply->job_renew_ok.cancel_requested = 0;
    reply->job_renew_ok.lease_ms = self->config.lease_ms;
    core_parked_free (self, parked);
}

static void timer_due (core_t *self, core_timer_t *timer)
{
    switch (timer->kind) {
    case TIMER_LEASE:
        lease_due (self, LIST_ITEM (timer, lease_t, timer));
        break;
    case TIMER_PARKED:
        parked_due (self, LIST_ITEM (timer, parked_t, timer));
        break;
    case TIMER_JOB:
        core_queue_due (self, LIST_ITEM (timer, delay_t, timer));
        break;
    case TIMER_WORKER:
        core_worker_offline (self, LIST_ITEM (timer, worker_t, timer));
        break;
    }
}

static void on_tick (core_t *self)
{
    for (heap_node_t *top = heap_top (&self->timers); top && top->key <= self->now_ms; top = heap_top (&self->timers)) {
        core_timer_t *timer = LIST_ITEM (top, core_timer_t, node);
        if (timer->due_ms > self->now_ms) {
            heap_put (&self->timers, top, timer->due_ms, 0); /* was put off meanwhile */
            continue;
        }
        core_timer_stop (self, timer);
        timer_due (self, timer);
    }
}

static void on_undelivered (core_t *self, const event_t *event)
{
    job_t *job = map_get (&self->jobs, slice_from (&event->seq, sizeof event->seq));
    if (!job || !job->lease || job->attempt != event->attempt || !slice_eq_str (event->token, job->lease->token))
        return;
    if (core_lease_unheard (job->lease))
        core_lease_return (self, job);
}

void core_step (core_t *self, const event_t *event, effects_t *effects)
{
    effects->count = 0;
    arena_reset (&effects->arena);
    self->out = effects;
    self->now_ms = event->now_ms;
    self->wall_ms = event->wall_ms;
    switch (event->kind) {
    case EVENT_REQUEST:
        assert (core_handles (event->message->type));
        handlers[event->message->type](self, event);
        break;
    case EVENT_SEALED:
        core_on_sealed (self, event);
        break;
    case EVENT_UNDELIVERED:
        on_undelivered (self, event);
        break;
    case EVENT_GONE:
        core_on_worker_gone (self, event);
        break;
    case EVENT_WITHDRAWN:
        core_on_poll_withdrawn (self, event);
        break;
    case EVENT_TICK:
        on_tick (self);
        break;
    }
}

bool core_handles (msg_type_t type)
{
    return type < MSG_COUNT && handlers[type];
}

/* The job that a message names; absent when none. */
static slice_t job_id_of (const message_t *message)
{
#define JOB_ID_OF(ENUM, name)                                                                                          \
    case MSG_##ENUM:                                                                                                   \
        return message->name.job_id
    switch ((int)message->type) {
        JOB_ID_OF (JOB_CANCEL, job_cancel);
        JOB_ID_OF (JOB_CHECK_CANCEL, job_check_cancel);
        JOB_ID_OF (JOB_RENEW, job_renew);
        JOB_ID_OF (JOB_RETURN, job_return);
        JOB_ID_OF (JOB_OUTPUT, job_output);
        JOB_ID_OF (JOB_RESULT, job_result);
        JOB_ID_OF (JOB_FAIL, job_fail);
    default:
        return SLICE_ABSENT;
    }
#undef JOB_ID_OF
}

core_lookup_t core_lookup (const core_t *self, const message_t *message)
{
    core_lookup_t lookup = { .key = SLICE_ABSENT };
    if (message->type == MSG_JOB_CREATE && message->job_create.idempotency_key.len)
        lookup.key = message->job_create.idempotency_key;
    slice_t job_id = job_id_of (message);
    if (!job_id.ptr || !job_id_parse (job_id, &lookup.id))
        return lookup;
    const job_t *job = core_find_job (self, job_id);
    lookup.job = !job;
    lookup.attempt = message->type == MSG_JOB_RESULT ? message->job_result.attempt
                     : message->type == MSG_JOB_FAIL ? message->job_fail.attempt
                                                     : INT_ABSENT;
    lookup.past = lookup.attempt != INT_ABSENT && (!job || !job->lease || lookup.attempt != job->attempt);
    return lookup;
}

job_t *core_find_job (const core_t *self, slice_t job_id)
{
    job_id_t id;
    if (!job_id_parse (job_id, &id))
        return NULL;
    job_t *job = map_get (&self->jobs, slice_from (&id.seq, sizeof id.seq));
    return job && strcmp (job->salt, id.salt) == 0 ? job : NULL;
}

bool core_job_salt (const core_t *self, int64_t seq, char salt[JOB_SALT_LEN + 1])
{
    const job_t *job = map_get (&self->jobs, slice_from (&seq, sizeof seq));
    memcpy (salt, job ? job->salt : "000000", JOB_SALT_LEN + 1);
    return job != NULL;
}

const char *core_job_owner (const core_t *self, int64_t seq)
{
    const job_t *job = map_get (&self->jobs, slice_from (&seq, sizeof seq));
    return job ? job->owner : NULL;
}

bool core_knows_job (const core_t *self, slice_t job_id)
{
    return core_find_job (self, job_id) != NULL;
}

slice_t core_job_id_text (core_t *self, const job_t *job)
{
    char *text = arena_alloc (&self->out->arena, JOB_ID_LEN + 1);
    job_id_t id = { .seq = job->seq };
    memcpy (id.salt, job->salt, sizeof id.salt);
    job_id_format (&id, text);
    return slice_from (text, JOB_ID_LEN);
}

job_t *core_job_new (core_t *self, const job_id_t *id)
{
    job_t *job = xcalloc (1, sizeof *job);
    job->seq = id->seq;
    memcpy (job->salt, id->salt, sizeof job->salt);
    map_put (&self->jobs, job);
    return job;
}

void core_job_forget (core_t *self, job_t *job)
{
    map_remove (&self->jobs, job);
    free (job);
}

void core_job_free (core_t *self, job_t *job)
{
    map_remove (&self->jobs, job);
    job_free (self, job);
}

core_counts_t core_counts (const core_t *self)
{
    const link_t *oldest = list_first (&self->ready);
    return (core_counts_t){
        .pending = self->pending,
        .running = (int64_t)self->jobs.count - self->pending,
        .parked = self->parked,
        .workers = (int64_t)self->workers.count,
        .online = self->online,
        .delayed = self->pending - (int64_t)self->ready.count,
        .oldest_ms = oldest ? LIST_ITEM (oldest, job_t, ready_link)->ready_ms : INT_ABSENT,
    };
}
