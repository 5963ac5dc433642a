#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

void sim_fail (world_t *w, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vsnprintf (w->why, sizeof w->why, format, args);
    va_end (args);
    longjmp (w->failed, 1);
}

shadow_t *shadow_find (world_t *w, int64_t seq)
{
    for (int i = w->job_count; i-- > 0;)
        if (w->jobs[i].id.seq == seq)
            return &w->jobs[i];
    return NULL;
}

static bool is_final (job_state_t state)
{
    return state == JOB_COMPLETED || state == JOB_FAILED;
}

static void shadow_set (shadow_t *job, const job_record_t *record)
{
    job->state = record->state;
    job->attempt = record->attempt;
    job->slot = record->slot;
    slice_copy (record->token, job->token, sizeof job->token);
    slice_copy (record->worker_id, job->worker, sizeof job->worker);
    slice_copy (record->group, job->group, sizeof job->group);
}

/* When the job may be handed out, on the monotonic clock, as far as the wall clock has not jumped since. */
static int64_t due_of (const world_t *w, const job_record_t *record)
{
    return record->not_before_ms ? w->now_ms + record->not_before_ms - sim_wall_ms (w) : 0;
}

static bool goes_before (const shadow_t *a, const shadow_t *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->id.seq < b->id.seq;
}

/* Who gets a job: of those whose time has come and that this worker may run, the one of highest priority, then age. */
static void check_assigned (world_t *w, const shadow_t *job, const job_record_t *record)
{
    bool labelled = slice_eq_str (record->worker_id, w->actors[LABELLED].id);
    if (job->pinned[0] && !slice_eq_str (record->worker_id, job->pinned))
        sim_fail (w, "a direct job was leased to another worker than its own");
    if (job->picky && !labelled)
        sim_fail (w, "a job was leased to a worker without the label that it requires");
    shadow_t now = { 0 };
    shadow_set (&now, record);
    for (int i = CLIENTS; i < ACTORS; i++) {
        const actor_t *a = &w->actors[i];
        if (a->draining && (strcmp (now.worker, a->id) == 0 || strstr (now.group, a->id)))
            sim_fail (w, "a job was leased to %s, which drains", a->id);
    }
    if (job->skew == w->skew_ms && job->due_ms > w->now_ms)
        sim_fail (w, "a job was handed out before its time");
    for (int i = 0; i < w->job_count; i++) {
        const shadow_t *other = &w->jobs[i];
        bool ready = other->due_ms <= w->ticked_ms && other->skew == w->skew_ms;
        bool fits = (!other->picky || labelled) && strcmp (other->pinned, job->pinned) == 0;
        if (other->state == JOB_PENDING && ready && fits && goes_before (other, job))
            sim_fail (w, "a job was taken before one that goes first");
    }
}

static const actor_t *actor_named (const world_t *w, const char *id)
{
    for (int i = CLIENTS; i < ACTORS; i++)
        if (strcmp (w->actors[i].id, id) == 0)
            return &w->actors[i];
    return NULL;
}

/* One lease a slot, and one for an agent that does not say who it is; other old agents may ask for more. */
static void check_slots (world_t *w, const shadow_t *job)
{
    const actor_t *a = actor_named (w, job->worker);
    if (!a || !(a->slotted || a->nameless))
        return;
    int held = 0;
    for (int i = 0; i < w->job_count; i++) {
        const shadow_t *other = &w->jobs[i];
        if (other->state != JOB_RUNNING || strcmp (other->worker, job->worker) != 0)
            continue;
        held++;
        if (a->slotted && other->slot == job->slot && other != job)
            sim_fail (w, "two leases in one slot");
    }
    if (held > (a->slotted ? SLOTS : 1))
        sim_fail (w, "%d leases for %s", held, a->id);
}

static bool kept (const packet_t *packet, const char *token)
{
    for (int i = 0; i < packet->keep; i++)
        if (strcmp (packet->kept[i].token, token) == 0)
            return true;
    return false;
}

static bool has_started_or_ended (const packet_t *from)
{
    return from && (from->type == MSG_WORKER_REGISTER || from->type == MSG_WORKER_GOODBYE);
}

/* Its result has come and is being sealed. */
static bool settling (const world_t *w, const shadow_t *job)
{
    for (int i = 0; i < w->order_count; i++)
        if (w->orders[i].kind == EFFECT_SEAL && w->orders[i].seq == job->id.seq && w->orders[i].attempt == job->attempt)
            return true;
    return false;
}

/* After a register or goodbye the worker holds what it keeps, what it has sent, and nothing else. */
static void check_given_back (world_t *w, const packet_t *from)
{
    for (int i = 0; i < w->job_count; i++) {
        const shadow_t *job = &w->jobs[i];
        if (job->state == JOB_RUNNING && strcmp (job->worker, w->actors[from->actor].id) == 0 &&
            !kept (from, job->token) && !settling (w, job))
            sim_fail (w, "%s has started anew and still holds a lease", job->worker);
    }
}

void check_still_running (world_t *w, const packet_t *packet)
{
    for (size_t i = 0; i < w->effects.count; i++)
        if (w->effects.items[i].kind == EFFECT_JOB_UPDATE && w->effects.items[i].job.state == JOB_PENDING)
            sim_fail (w, "a lost answer has given back attempt %lld, which %s runs", (long long)packet->attempt,
                      w->actors[packet->actor].id);
}

void check_gone (world_t *w, const actor_t *worker)
{
    bool went = false;
    for (size_t i = 0; i < w->effects.count; i++)
        went = went || w->effects.items[i].kind == EFFECT_WORKER_PUT;
    for (int i = 0; i < w->job_count && went; i++)
        if (w->jobs[i].state == JOB_RUNNING && strcmp (w->jobs[i].worker, worker->id) == 0 &&
            !settling (w, &w->jobs[i]))
            sim_fail (w, "%s is gone and still holds a lease", worker->id);
}

static void check_offline (world_t *w, const worker_record_t *worker)
{
    for (int i = 0; i < w->job_count; i++)
        if (w->jobs[i].state == JOB_PENDING && slice_eq_str (worker->worker_id, w->jobs[i].pinned) &&
            w->jobs[i].due_ms <= w->ticked_ms && w->jobs[i].skew == w->skew_ms)
            sim_fail (w, "a direct job waits for a worker that is offline");
}

/* An accepted result is that of the lease: by its token, or by the holder's id. */
static void check_accepted (world_t *w, const shadow_t *job, const job_record_t *record)
{
    if (job->state != JOB_RUNNING || job->attempt != record->attempt || !slice_eq_str (record->token, job->token))
        sim_fail (w, "a result was accepted for a lease that was not current");
    const packet_t *from = w->current;
    if (!from || (from->type != MSG_JOB_RESULT && from->type != MSG_JOB_FAIL))
        return; /* sealed: its sender was checked when the seal was ordered */
    if (!from->old && (from->attempt != record->attempt || strcmp (from->token, job->token) != 0))
        sim_fail (w, "a result of attempt %lld was accepted as that of attempt %lld", (long long)from->attempt,
                  (long long)record->attempt);
    if (!slice_eq_str (record->worker_id, w->actors[from->actor].id))
        sim_fail (w, "a result of another worker than the holder was accepted");
}

static void check_update (world_t *w, shadow_t *job, const job_record_t *record)
{
    if (is_final (job->state))
        sim_fail (w, "the final state of a job changed");
    if (record->attempt > job->max_attempts)
        sim_fail (w, "attempt %lld of %lld", (long long)record->attempt, (long long)job->max_attempts);
    bool same_lease = job->state == JOB_RUNNING && slice_eq_str (record->token, job->token);
    if (record->state == JOB_RUNNING && job->state == JOB_RUNNING && !same_lease)
        sim_fail (w, "two live leases on one job");
    if (record->state == JOB_RUNNING && record->attempt != job->attempt + (same_lease ? 0 : 1))
        sim_fail (w, "attempt %lld follows %lld", (long long)record->attempt, (long long)job->attempt);
    if (record->state == JOB_RUNNING && job->state == JOB_PENDING)
        check_assigned (w, job, record);
    if (record->state == JOB_PENDING && (record->attempt > job->attempt || record->attempt < job->attempt - 1))
        sim_fail (w, "attempts %lld after %lld", (long long)record->attempt, (long long)job->attempt);
    if (job->state == JOB_RUNNING && record->state != JOB_RUNNING && has_started_or_ended (w->current) &&
        kept (w->current, job->token))
        sim_fail (w, "a lease that its holder keeps was given back");
    if (is_final (record->state) && record->token.ptr)
        check_accepted (w, job, record);
    if (record->state == JOB_PENDING && record->attempt < job->attempt) {
        job->handed = record->attempt; /* given back: its number is given again */
        job->returned = true;
    }
    shadow_set (job, record);
    job->due_ms = due_of (w, record);
    job->skew = w->skew_ms;
    if (record->state == JOB_RUNNING)
        check_slots (w, job);
}

static void check_insert (world_t *w, const job_record_t *record)
{
    if (w->job_count && record->id.seq <= w->jobs[w->job_count - 1].id.seq)
        sim_fail (w, "a new job's id is not above the last one's");
    w->jobs = xrealloc (w->jobs, (size_t)(w->job_count + 1) * sizeof *w->jobs);
    shadow_t *job = &w->jobs[w->job_count++];
    *job = (shadow_t){ .id = record->id, .state = record->state, .max_attempts = record->max_attempts };
    slice_copy (record->pinned, job->pinned, sizeof job->pinned);
    slice_copy (record->idempotency_key, job->key, sizeof job->key);
    for (int i = 0; i + 1 < w->job_count && job->key[0]; i++)
        if (strcmp (w->jobs[i].key, job->key) == 0)
            sim_fail (w, "one idempotency key has made two jobs");
    const msg_job_create_t *in = w->current_create;
    job->priority = in && in->priority != INT_ABSENT ? in->priority : 0;
    job->picky = in && in->requires.len && !job->pinned[0]; /* direct mode has chosen its worker */
    job->due_ms = due_of (w, record);
    job->skew = w->skew_ms;
}

static void check_seal (world_t *w, const effect_t *effect)
{
    const packet_t *from = w->current;
    const shadow_t *job = shadow_find (w, effect->seq);
    if (!from || (!from->old && (strcmp (from->token, job->token) != 0 || from->attempt != job->attempt)))
        sim_fail (w, "a result of another lease goes to be sealed");
}

/* Who drains is told by requests alone, and nothing else takes it back. */
static void check_draining (world_t *w, const worker_record_t *worker)
{
    for (int i = CLIENTS; i < ACTORS; i++) {
        actor_t *a = &w->actors[i];
        if (!slice_eq_str (worker->worker_id, a->id) || worker->draining == a->draining)
            continue;
        msg_type_t asked = worker->draining ? MSG_WORKER_DRAIN : MSG_WORKER_RESUME;
        if (!w->current || w->current->type != asked)
            sim_fail (w, "%s %s, and nobody has said so", a->id, worker->draining ? "drains" : "no longer drains");
        a->draining = worker->draining;
    }
}

/* An answer that is told again (rule 17) is nothing new. Of who does not say who it is the broker may not know that it
 * asks. */
void check_handed (world_t *w, int actor, int64_t seq)
{
    const actor_t *a = &w->actors[actor];
    for (size_t i = 0; i < w->effects.count && a->draining && !a->nameless; i++)
        if (w->effects.items[i].kind == EFFECT_JOB_UPDATE && w->effects.items[i].job.id.seq == seq)
            sim_fail (w, "%s drains and was handed a new job", a->id);
}

/* What a worker-drain or worker-resume is answered is so. */
static void check_drain_answer (world_t *w, const effect_t *effect)
{
    bool drain = effect->message.type == MSG_WORKER_DRAIN_OK;
    if (effect->kind != EFFECT_REPLY || (!drain && effect->message.type != MSG_WORKER_RESUME_OK))
        return;
    for (int i = CLIENTS; i < ACTORS; i++)
        if (strcmp (w->actors[i].id, w->current->job) == 0 && w->actors[i].draining != drain)
            sim_fail (w, "%s was said to %s, and does not", w->actors[i].id, drain ? "drain" : "resume");
}

void check_effects (world_t *w)
{
    for (size_t i = 0; i < w->effects.count; i++)
        if (w->effects.items[i].kind == EFFECT_WORKER_PUT)
            check_draining (w, &w->effects.items[i].worker);
    for (size_t i = 0; i < w->effects.count; i++)
        check_drain_answer (w, &w->effects.items[i]);
    for (size_t i = 0; i < w->effects.count; i++) {
        const effect_t *effect = &w->effects.items[i];
        if (effect->kind == EFFECT_JOB_INSERT)
            check_insert (w, &effect->job);
        else if (effect->kind == EFFECT_JOB_UPDATE)
            check_update (w, shadow_find (w, effect->job.id.seq), &effect->job);
        else if (effect->kind == EFFECT_SEAL)
            check_seal (w, effect);
    }
    for (size_t i = 0; i < w->effects.count; i++)
        if (w->effects.items[i].kind == EFFECT_WORKER_PUT && !w->effects.items[i].worker.online)
            check_offline (w, &w->effects.items[i].worker);
    if (has_started_or_ended (w->current))
        check_given_back (w, w->current);
}

void check_refusal (world_t *w, err_t err)
{
    const packet_t *from = w->current;
    job_id_t id;
    if (!from || err != ERR_NOT_LEASE_HOLDER || !job_id_parse (slice_of (from->job), &id))
        return;
    const shadow_t *job = shadow_find (w, id.seq);
    const char *worker = w->actors[from->actor].id;
    if (job && job->state == JOB_RUNNING && (strcmp (job->worker, worker) == 0 || strstr (job->group, worker)))
        sim_fail (w, "%s holds the job and was refused", worker);
}

void check_acknowledged (world_t *w)
{
    for (int i = 0; i < w->job_count; i++) {
        job_record_t record;
        if (w->jobs[i].acknowledged && w->store->ops->job_get (w->store, &w->jobs[i].id, &record))
            sim_fail (w, "an acknowledged job is not in the store");
    }
}

/* A job that leaves for a worker is on disk as this attempt, in this worker's hands or those of its group. */
void check_delivery (world_t *w, const packet_t *packet)
{
    job_id_t id;
    job_record_t record;
    if (packet->type != MSG_JOB_POLL_OK || !packet->job[0])
        return;
    if (!job_id_parse (slice_of (packet->job), &id) || w->store->ops->job_get (w->store, &id, &record))
        sim_fail (w, "a job was handed out that is not in the store");
    if (record.attempt < packet->attempt)
        sim_fail (w, "attempt %lld was handed out before it was stored", (long long)packet->attempt);
    if (record.state != JOB_RUNNING || !slice_eq_str (record.token, packet->token))
        return; /* over again in the same turn */
    const char *worker = w->actors[packet->actor].id;
    if (record.worker_id.ptr && !slice_eq_str (record.worker_id, worker) && !w->actors[packet->actor].nameless)
        sim_fail (w, "a job was handed to a worker that does not hold it");
}

/* The attempt's end is in the record, by its worker's own word. */
static bool settled (world_t *w, const shadow_t *job, int64_t attempt)
{
    attempt_record_t row;
    return attempt > 0 && !w->store->ops->attempt_get (w->store, job->id.seq, attempt, &row) && row.accepted;
}

void check_late (world_t *w, uint64_t request)
{
    const packet_t *from = w->current;
    job_id_t id;
    job_record_t record;
    attempt_record_t row;
    bool refused = false;
    for (size_t i = 0; i < w->effects.count; i++)
        refused = refused || (w->effects.items[i].kind == EFFECT_REPLY && w->effects.items[i].request == request &&
                              w->effects.items[i].message.type == MSG_ERROR &&
                              slice_eq_str (w->effects.items[i].message.error.code, "STALE_ATTEMPT"));
    bool result = from->type == MSG_JOB_RESULT || from->type == MSG_JOB_FAIL;
    if (!refused || !result || !from->token[0] || !job_id_parse (slice_of (from->job), &id) ||
        w->store->ops->job_get (w->store, &id, &record))
        return;
    if (is_final (record.state) && slice_eq_str (record.token, from->token))
        sim_fail (w, "an accepted result that came again was refused");
    if (w->store->ops->attempt_get (w->store, id.seq, from->attempt, &row) || !slice_eq_str (row.token, from->token))
        return;
    if (row.accepted)
        sim_fail (w, "an attempt's end that came again was refused");
    if (!row.late_ms)
        sim_fail (w, "a late result has left no trace");
}

void check_promise (world_t *w, const packet_t *packet)
{
    job_id_t id;
    shadow_t *job = job_id_parse (slice_of (packet->job), &id) ? shadow_find (w, id.seq) : NULL;
    if (!job)
        return;
    if (packet->type == MSG_JOB_POLL_OK)
        job->handed = packet->attempt > job->handed && packet->attempt == job->attempt ? packet->attempt : job->handed;
    bool result = packet->type == MSG_JOB_RESULT_OK || packet->type == MSG_JOB_FAIL_OK;
    bool ended = result || packet->type == MSG_JOB_CANCEL_OK;
    int64_t told = packet->attempt;
    if (told == INT_ABSENT) /* an old agent names none: the last one, or, handed out again meanwhile, the one before */
        told = settled (w, job, job->attempt) ? job->attempt : job->attempt - 1;
    if (result && settled (w, job, told)) {
        if (told > job->settled)
            job->settled = told;
        ended = false; /* that attempt is: the job goes on */
    }
    if (ended && !is_final (job->state))
        sim_fail (w, "a job's end was acknowledged, and it is %s", job_state_name (job->state));
    job->ended = job->ended || ended;
    if (packet->type != MSG_JOB_STATUS_OK)
        return;
    if (job->seen && job->told != packet->state)
        sim_fail (w, "a client was shown %s after %s", job_state_name (packet->state), job_state_name (job->told));
    job->seen = is_final (packet->state);
    job->told = packet->state;
}

void check_all_final (world_t *w)
{
    for (int i = 0; i < w->job_count; i++)
        if (!is_final (w->jobs[i].state))
            sim_fail (w, "job %d of %d is still %s long after everything was healed", i, w->job_count,
                      job_state_name (w->jobs[i].state));
}

static void check_stream (world_t *w, const job_record_t *record, stream_t stream)
{
    slice_t data = record->data[stream];
    int64_t there = depot_length (w, record->id.seq, record->attempt, stream);
    int64_t length = data.ptr ? (int64_t)data.len : there;
    /* The others may have come whole, with the result; and a crash may leave what was written before a return. */
    if (stream == STREAM_JOURNAL && there > length && !shadow_find (w, record->id.seq)->returned)
        sim_fail (w, "a result was accepted without its journal");
    if (length != record->bytes[stream])
        sim_fail (w, "%lld bytes of %s are kept, of %lld", (long long)length, stream_name (stream),
                  (long long)record->bytes[stream]);
}

void check_mismatch (world_t *w, const order_t *order)
{
    for (size_t i = 0; i < w->effects.count; i++) {
        const msg_error_t *error = &w->effects.items[i].message.error;
        stream_t stream;
        if (w->effects.items[i].kind != EFFECT_REPLY || w->effects.items[i].message.type != MSG_ERROR ||
            !slice_eq_str (error->code, "OUTPUT_MISMATCH") || !stream_find (error->stream, &stream))
            continue;
        int64_t length = depot_length (w, order->seq, order->attempt, stream);
        if (error->offset != (length < 0 ? 0 : length))
            sim_fail (w, "%s is said to have %lld bytes", stream_name (stream), (long long)error->offset);
    }
}

/* A result's output is all there: in the record, or in a file that nobody has taken away. */
void check_outputs (world_t *w)
{
    for (int i = 0; i < w->job_count; i++) {
        job_record_t record;
        if (w->store->ops->job_get (w->store, &w->jobs[i].id, &record) || !record.token.ptr)
            continue;
        for (stream_t stream = STREAM_STDOUT; stream < STREAM_COUNT; stream++)
            check_stream (w, &record, stream);
    }
}

static void check_kept (world_t *w, const shadow_t *job, const job_record_t *record)
{
    if (job->ended && !is_final (record->state))
        sim_fail (w, "a crash has undone an acknowledged end");
    if (job->seen && record->state != job->told)
        sim_fail (w, "a crash has undone a final state that a client has seen");
    if (job->settled && !settled (w, job, job->settled) &&
        !(is_final (record->state) && record->attempt == job->settled))
        sim_fail (w, "a crash has undone the acknowledged end of attempt %lld", (long long)job->settled);
    if (record->attempt < job->handed)
        sim_fail (w, "a crash has undone attempt %lld, which a worker runs", (long long)job->handed);
}

static void reload_draining (void *ctx, const worker_record_t *worker)
{
    world_t *w = ctx;
    for (int i = CLIENTS; i < ACTORS; i++)
        if (slice_eq_str (worker->worker_id, w->actors[i].id))
            w->actors[i].draining = worker->draining;
}

void shadow_reload (world_t *w)
{
    for (int i = CLIENTS; i < ACTORS; i++)
        w->actors[i].draining = false; /* unless the record says so */
    w->store->ops->worker_each (w->store, reload_draining, w);
    int kept = 0;
    for (int i = 0; i < w->job_count; i++) {
        job_record_t record;
        shadow_t job = w->jobs[i];
        if (w->store->ops->job_get (w->store, &job.id, &record)) {
            if (job.acknowledged)
                sim_fail (w, "an acknowledged job was lost in a crash");
            continue;
        }
        check_kept (w, &job, &record);
        shadow_set (&job, &record);
        job.due_ms = due_of (w, &record);
        job.skew = job.due_ms ? INT64_MIN : w->skew_ms; /* a restart reads the wall clock: when is not known here */
        w->jobs[kept++] = job;
    }
    w->job_count = kept;
}
