/* webhooks.c - who is told of a job's end, and whether they know.
 *
 * That somebody is to be told is written in the transaction that ends the job, and deleted once they have said yes
 * (rule 54): so they are told at least once, whatever is killed between, and each time under the same webhook-id. What
 * a receiver refuses is tried again, later and later, for --webhook-keep after the job's end; no try writes anything.
 * A receiver that does not answer is left alone for a while with all that there is for it: then one try looks whether
 * it is back. So a dead one costs a request a minute, however many jobs end.
 *
 * All that waits is in memory, too: some 200 bytes each.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/heap.h"
#include "broker/list.h"
#include "proto/log.h"

enum {
    WAITING_MAX = 100 * 1000, /* ends that are still to be told; of one more nobody is told (counted, logged) */
    FLYING_MAX = 32,          /* requests at once, */
    FLYING_EACH = 8,          /* and to one receiver: one while it does not answer */
    TIMEOUT_MS = 15 * 1000,   /* for a request and its answer */
    FIRST_MS = 1000,          /* until the second try, doubled with each further one */
    MOST_MS = 60 * 60 * 1000, /* up to this; */
    TARGET_MS = 60 * 1000,    /* and for a receiver that does not answer up to this */
    TELL_EVERY_MS = 1000,     /* what is given up is logged so often, with how many more there were */
    AGED_MAX = 256,           /* given up in one turn */
    TARGETS_MAX = 2 * WEBHOOK_URLS_MAX,
    HTTP_LATE = 408,
    HTTP_GONE = 410,
    HTTP_MANY = 429,
};

/* A scheme, host and port. */
typedef struct {
    slice_t origin;
    heap_t due; /* by when it is their turn */
    int flying;
    int failures; /* in a row */
    int64_t pause_until_ms;
} target_t;

typedef struct {
    heap_node_t node; /* in its target's heap, */
    link_t link;      /* or under way */
    job_id_t id;
    char *url;
    int64_t ended_ms; /* wall */
    int tries;
    target_t *target;
} hook_t;

/* What is said once in TELL_EVERY_MS. */
typedef struct {
    int64_t told_ms, muted;
} told_t;

struct webhooks {
    webhook_config_t config;
    target_t targets[TARGETS_MAX];
    size_t target_count;
    hook_t **noted; /* in the open transaction */
    size_t noted_count, noted_cap;
    list_head_t flying;
    int64_t waiting, sent, failed, lost;
    told_t given_up, failures;
    decoder_t *options, *receipts;
};

static void hook_destroy (hook_t *hook)
{
    free (hook->url);
    free (hook);
}

/* ---- start and end ---- */

static target_t *target_of (webhooks_t *self, slice_t url)
{
    slice_t origin = webhook_origin (url);
    for (size_t i = 0; i < self->target_count; i++)
        if (slice_eq (self->targets[i].origin, origin))
            return &self->targets[i];
    return NULL;
}

static void add_targets (webhooks_t *self, const slice_t *urls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!target_of (self, urls[i]))
            self->targets[self->target_count++].origin = webhook_origin (urls[i]);
}

bool webhooks_open (broker_t *self, char *problem, size_t problem_size)
{
    webhook_config_t config;
    if (!webhook_config_init (&config, &self->options->webhook, problem, problem_size))
        return false;
    if (!webhook_config_any (&config)) {
        webhook_config_fini (&config);
        return true;
    }
    webhooks_t *hooks = self->webhooks = xcalloc (1, sizeof *hooks);
    hooks->config = config;
    list_init (&hooks->flying);
    hooks->options = decoder_new ();
    hooks->receipts = decoder_new ();
    hooks->given_up.told_ms = hooks->failures.told_ms = INT64_MIN / 2;
    add_targets (hooks, config.urls, config.url_count);
    add_targets (hooks, config.allow, config.allow_count);
    sodium_memzero (&config, sizeof config);
    return true;
}

void webhooks_reload (broker_t *self)
{
    char problem[1024];
    bool changed = false;
    if (!self->webhooks)
        return;
    webhook_config_t *config = &self->webhooks->config;
    if (!webhook_config_secrets (config, self->options->webhook.secret_file, &changed, problem, sizeof problem))
        log_event (LEVEL_ERROR, "webhook-secret-refused", "webhooks are signed as before: %s", problem);
    else if (changed)
        log_event (LEVEL_INFO, "webhook-secret-changed", "webhooks are signed with %zu secrets from now on",
                   config->secret_count);
}

void webhooks_destroy (webhooks_t **self_p)
{
    webhooks_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->noted_count; i++)
        hook_destroy (self->noted[i]);
    free (self->noted);
    LIST_EACH (at, &self->flying)
    hook_destroy (LIST_ITEM (at, hook_t, link));
    for (size_t i = 0; i < self->target_count; i++) {
        heap_t *due = &self->targets[i].due;
        for (size_t at = 0; at < due->count; at++)
            hook_destroy (LIST_ITEM (due->nodes[at], hook_t, node));
        heap_fini (due);
    }
    webhook_config_fini (&self->config);
    decoder_destroy (&self->options);
    decoder_destroy (&self->receipts);
    free (self);
    *self_p = NULL;
}

static bool too_old (const broker_t *self, const hook_t *hook)
{
    return self->wall_ms - hook->ended_ms > self->options->webhook.keep_ms;
}

static void store_result (broker_t *self, err_t err)
{
    if (err == ERR_DISK_FULL)
        self->lost = true;
    else if (err)
        broker_die (err);
}

/* It is dealt with, one way or another. */
static void end (broker_t *self, hook_t *hook)
{
    if (!self->lost)
        store_result (self, self->store->ops->hook_delete (self->store, hook->id.seq, slice_of (hook->url)));
    self->webhooks->waiting--;
    hook_destroy (hook);
}

/* True: this one is logged. */
static bool tells (told_t *told, int64_t now_ms, int64_t *muted)
{
    bool tell = now_ms - told->told_ms >= TELL_EVERY_MS;
    *muted = told->muted;
    told->muted = tell ? 0 : told->muted + 1;
    if (tell)
        told->told_ms = now_ms;
    return tell;
}

static void give_up (broker_t *self, hook_t *hook, const char *why)
{
    char id[JOB_ID_LEN + 1];
    int64_t muted = 0;
    job_id_format (&hook->id, id);
    if (tells (&self->webhooks->given_up, self->now_ms, &muted))
        log_event (LEVEL_WARN, "webhook-given-up", "job=%s url=" SLICE_FMT "/...: %s, after %d tries (and %lld others)",
                   id, SLICE_ARG (hook->target->origin), why, hook->tries, (long long)muted);
    self->webhooks->lost++;
    end (self, hook);
}

static hook_t *hook_new (webhooks_t *self, const job_id_t *id, slice_t url, int64_t ended_ms)
{
    hook_t *hook = xcalloc (1, sizeof *hook);
    hook->id = *id;
    hook->url = slice_dup (url);
    hook->ended_ms = ended_ms;
    hook->target = target_of (self, url);
    self->waiting++;
    return hook;
}

/* Rows of URLs that the options no longer name: they stay for as long as they would be tried, since the options may
 * name them again. */
typedef struct {
    broker_t *broker;
    hook_t **old;
    size_t count;
} loading_t;

static void load (void *ctx, const hook_record_t *record)
{
    loading_t *loading = ctx;
    broker_t *self = loading->broker;
    bool known = webhook_knows (&self->webhooks->config, record->url);
    hook_t *hook = hook_new (self->webhooks, &record->id, record->url, record->ended_ms);
    if (known) {
        heap_put (&hook->target->due, &hook->node, self->now_ms, hook->id.seq);
        return;
    }
    if (too_old (self, hook)) {
        loading->old = xrealloc (loading->old, (loading->count + 1) * sizeof (hook_t *));
        loading->old[loading->count++] = hook;
        return;
    }
    self->webhooks->waiting--;
    hook_destroy (hook);
}

void webhooks_load (broker_t *self)
{
    if (!self->webhooks)
        return;
    loading_t loading = { .broker = self };
    store_result (self, self->store->ops->hook_each (self->store, load, &loading));
    for (size_t i = 0; i < loading.count; i++)
        end (self, loading.old[i]);
    free (loading.old);
    if (self->webhooks->waiting)
        log_event (LEVEL_INFO, "webhooks-waiting", "%lld ends of jobs are still to be told",
                   (long long)self->webhooks->waiting);
}

/* ---- jobs end ---- */

/* Rule 53: what the broker does not allow is not told to anybody. */
err_t webhooks_check (const broker_t *self, const msg_job_create_t *in)
{
    if (!in->webhook.len || (self->webhooks && webhook_allows (&self->webhooks->config, in->webhook)))
        return ERR_NONE;
    return ERR_WEBHOOK_REFUSED;
}

static void note (broker_t *self, const job_record_t *job, slice_t url)
{
    webhooks_t *hooks = self->webhooks;
    hook_record_t record = { .id = job->id, .url = url, .ended_ms = job->completed_ms };
    int64_t muted = 0;
    if (hooks->waiting >= WAITING_MAX) {
        hooks->lost++;
        if (tells (&hooks->given_up, self->now_ms, &muted))
            log_event (LEVEL_ERROR, "webhooks-full",
                       "%d ends of jobs wait for receivers: of more nobody is told (and %lld others)", WAITING_MAX,
                       (long long)muted);
        return;
    }
    store_result (self, self->store->ops->hook_put (self->store, &record));
    if (hooks->noted_count == hooks->noted_cap) {
        hooks->noted_cap = hooks->noted_cap ? 2 * hooks->noted_cap : 64;
        hooks->noted = xrealloc (hooks->noted, hooks->noted_cap * sizeof (hook_t *));
    }
    hooks->noted[hooks->noted_count++] = hook_new (hooks, &job->id, url, job->completed_ms);
}

/* The URL that the job itself has named. */
static void note_own (broker_t *self, const job_record_t *ended)
{
    webhooks_t *hooks = self->webhooks;
    job_record_t job;
    message_t options;
    fault_t fault;
    err_t err = self->store->ops->job_get (self->store, &ended->id, &job);
    if (err)
        broker_die (err);
    if (!job.options.len || message_decode_item (hooks->options, job.options, MSG_JOB_OPTIONS, &options, &fault))
        return;
    char url[URL_MAX + 1]; /* the record ends with the next write */
    if (options.job_options.webhook.len && slice_copy (options.job_options.webhook, url, sizeof url) &&
        webhook_allows (&hooks->config, slice_of (url)))
        note (self, ended, slice_of (url));
}

void webhooks_step (broker_t *self)
{
    webhooks_t *hooks = self->webhooks;
    for (size_t i = 0; hooks && i < self->effects.count && !self->lost; i++) {
        const effect_t *effect = &self->effects.items[i];
        bool ended = effect->kind == EFFECT_JOB_UPDATE &&
                     (effect->job.state == JOB_COMPLETED || effect->job.state == JOB_FAILED);
        if (!ended)
            continue;
        for (size_t at = 0; at < hooks->config.url_count && !self->lost; at++)
            if (webhook_tells (&hooks->config, effect->job.state))
                note (self, &effect->job, hooks->config.urls[at]);
        if (hooks->config.allow_count && !self->lost)
            note_own (self, &effect->job);
    }
}

void webhooks_publish (broker_t *self)
{
    webhooks_t *hooks = self->webhooks;
    for (size_t i = 0; hooks && i < hooks->noted_count; i++)
        heap_put (&hooks->noted[i]->target->due, &hooks->noted[i]->node, self->now_ms, hooks->noted[i]->id.seq);
    if (hooks && hooks->noted_count) {
        self->again = true; /* they are told in the next turn */
        hooks->noted_count = 0;
    }
}

void webhooks_forget (broker_t *self)
{
    webhooks_t *hooks = self->webhooks;
    for (size_t i = 0; hooks && i < hooks->noted_count; i++) {
        hooks->waiting--;
        hook_destroy (hooks->noted[i]);
    }
    if (hooks)
        hooks->noted_count = 0;
}

/* ---- telling ---- */

/* False: the courier has its hands full. */
static bool launch (broker_t *self, hook_t *hook, const job_record_t *job)
{
    webhooks_t *hooks = self->webhooks;
    char id[WEBHOOK_ID_SIZE];
    buf_t headers = { 0 };
    post_t *post = post_new (hook->url, hook, TIMEOUT_MS);
    webhook_body (job, hooks->options, hooks->receipts, &post->body);
    webhook_id (&hook->id, id);
    webhook_sign (&hooks->config, id, self->wall_ms, buf_slice (&post->body), &headers);
    post->headers = slice_dup (buf_slice (&headers));
    buf_fini (&headers);
    if (!courier_send (self->courier, &post)) {
        post_destroy (&post);
        return false;
    }
    hook->tries++;
    hook->target->flying++;
    list_append (&hooks->flying, &hook->link);
    return true;
}

/* The next that is due is told, or given up. False: there is none, or there is no room for more. */
static bool tell_next (broker_t *self, target_t *target, int *aged)
{
    int most = target->failures ? 1 : FLYING_EACH;
    heap_node_t *top = heap_top (&target->due);
    hook_t *hook = top ? LIST_ITEM (top, hook_t, node) : NULL;
    if (!hook || self->lost)
        return false;
    if (too_old (self, hook)) {
        heap_remove (&target->due, top);
        give_up (self, hook, "it was tried for as long as it may be");
        return ++*aged < AGED_MAX;
    }
    if (top->key > self->now_ms || target->pause_until_ms > self->now_ms || target->flying >= most ||
        self->webhooks->flying.count >= FLYING_MAX)
        return false;
    job_record_t job;
    err_t err = self->store->ops->job_get (self->store, &hook->id, &job);
    if (err && err != ERR_NO_SUCH_JOB)
        broker_die (err);
    heap_remove (&target->due, top);
    if (err) {
        give_up (self, hook, "its record was removed");
        return ++*aged < AGED_MAX;
    }
    if (launch (self, hook, &job))
        return true;
    heap_put (&target->due, &hook->node, self->now_ms, hook->id.seq);
    return false;
}

void webhooks_tick (broker_t *self)
{
    webhooks_t *hooks = self->webhooks;
    int aged = 0;
    for (size_t i = 0; hooks && i < hooks->target_count; i++)
        while (tell_next (self, &hooks->targets[i], &aged))
            ;
    if (aged >= AGED_MAX)
        self->again = true;
}

/* The receiver is well, and has refused this one: no reason to keep the others, other jobs' perhaps, from it. */
static bool only_this (const post_t *post)
{
    return post->status >= 400 && post->status < 500 && post->status != HTTP_LATE && post->status != HTTP_MANY;
}

static void hold_back (broker_t *self, target_t *target, const post_t *post)
{
    target->failures++;
    target->pause_until_ms = self->now_ms + courier_pause (target->failures, FIRST_MS, TARGET_MS, post->retry_after_ms,
                                                           randombytes_random ());
}

static void failed (broker_t *self, hook_t *hook, const post_t *post)
{
    target_t *target = hook->target;
    char id[JOB_ID_LEN + 1];
    char status[32];
    int64_t muted = 0;
    job_id_format (&hook->id, id);
    snprintf (status, sizeof status, "HTTP status %ld", post->status);
    self->webhooks->failed++;
    int64_t pause = courier_pause (hook->tries, FIRST_MS, MOST_MS, post->retry_after_ms, randombytes_random ());
    if (only_this (post))
        target->failures = 0;
    else
        hold_back (self, target, post);
    if (tells (&self->webhooks->failures, self->now_ms, &muted))
        log_event (LEVEL_WARN, "webhook-failed", "job=%s url=" SLICE_FMT "/... try=%d: %s (and %lld others)", id,
                   SLICE_ARG (target->origin), hook->tries, post->status ? status : post->problem, (long long)muted);
    if (too_old (self, hook))
        give_up (self, hook, "it was tried for as long as it may be");
    else
        heap_put (&target->due, &hook->node, self->now_ms + pause, hook->id.seq);
}

void webhooks_outcome (broker_t *self, post_t *post)
{
    hook_t *hook = post->ctx;
    webhooks_t *hooks = self->webhooks;
    target_t *target = hook->target;
    target->flying--;
    list_remove (&hooks->flying, &hook->link);
    bool taken = post->status >= 200 && post->status < 300;
    if (!taken && post->status != HTTP_GONE) {
        failed (self, hook, post);
        return;
    }
    target->failures = 0;
    target->pause_until_ms = 0;
    if (taken) {
        hooks->sent++;
        end (self, hook);
    } else {
        hooks->failed++;
        give_up (self, hook, "the receiver says that it is gone for good (410)");
    }
}

int64_t webhooks_deadline (const broker_t *self)
{
    const webhooks_t *hooks = self->webhooks;
    int64_t due = INT64_MAX;
    for (size_t i = 0; hooks && hooks->flying.count < FLYING_MAX && i < hooks->target_count; i++) {
        const target_t *target = &hooks->targets[i];
        const heap_node_t *top = heap_top (&target->due);
        if (!top || target->flying >= (target->failures ? 1 : FLYING_EACH))
            continue;
        int64_t next = top->key > target->pause_until_ms ? top->key : target->pause_until_ms;
        due = next < due ? next : due;
    }
    return due;
}

void webhooks_info (const broker_t *self, msg_broker_info_ok_t *out)
{
    const webhooks_t *hooks = self->webhooks;
    if (!hooks)
        return;
    out->webhooks_waiting = hooks->waiting;
    out->webhooks_sent = hooks->sent;
    out->webhooks_failed = hooks->failed;
    out->webhooks_lost = hooks->lost;
}
