#include "broker/apply.h"

#include <stddef.h>

err_t effects_persist (const effects_t *effects, store_t *store)
{
    err_t err = ERR_NONE;
    for (size_t i = 0; i < effects->count && !err; i++) {
        const effect_t *effect = &effects->items[i];
        if (effect->kind == EFFECT_JOB_INSERT)
            err = store->ops->job_insert (store, &effect->job);
        else if (effect->kind == EFFECT_JOB_UPDATE)
            err = store->ops->job_update (store, &effect->job);
        else if (effect->kind == EFFECT_ATTEMPT_PUT)
            err = store->ops->attempt_put (store, &effect->attempt_row);
        else if (effect->kind == EFFECT_WORKER_PUT)
            err = store->ops->worker_put (store, &effect->worker);
        else if (effect->kind == EFFECT_WORKER_DELETE)
            err = store->ops->worker_delete (store, effect->worker.worker_id);
    }
    return err;
}

typedef struct {
    core_t *core;
    int64_t now_ms;
    int64_t wall_ms;
} rebuild_t;

static void rebuild_worker (void *ctx, const worker_record_t *worker)
{
    rebuild_t *rebuild = ctx;
    core_load_worker (rebuild->core, worker, rebuild->now_ms, rebuild->wall_ms);
}

static void rebuild_job (void *ctx, const job_record_t *job)
{
    rebuild_t *rebuild = ctx;
    core_load_job (rebuild->core, job, rebuild->now_ms, rebuild->wall_ms);
}

err_t core_rebuild (core_t *core, store_t *store, int64_t now_ms, int64_t wall_ms)
{
    rebuild_t rebuild = { core, now_ms, wall_ms };
    core_load_last_seq (core, store->ops->job_last_seq (store));
    err_t err = store->ops->worker_each (store, rebuild_worker, &rebuild);
    return err ? err : store->ops->job_live (store, rebuild_job, &rebuild);
}

err_t event_look_up (event_t *event, const core_t *core, store_t *store, looked_up_t *found)
{
    core_lookup_t lookup = core_lookup (core, event->message);
    err_t err = ERR_NO_SUCH_JOB;
    event->stored = NULL;
    event->past = NULL;
    if (event->message->type == MSG_JOB_CREATE && event->message->job_create.delta_url.ptr)
        event->blobs = store->ops->blob_known (store, blob_url_sha256 (event->message->job_create.file_url)) > 0 &&
                       store->ops->blob_known (store, blob_url_sha256 (event->message->job_create.delta_url)) > 0;
    if (lookup.key.ptr)
        err = store->ops->job_by_key (store, event->owner, lookup.key, &found->job);
    else if (lookup.job)
        err = store->ops->job_get (store, &lookup.id, &found->job);
    if (err && err != ERR_NO_SUCH_JOB)
        return err;
    event->stored = err ? NULL : &found->job;
    if (!lookup.past)
        return ERR_NONE;
    err = store->ops->attempt_get (store, lookup.id.seq, lookup.attempt, &found->attempt);
    if (err && err != ERR_NO_SUCH_JOB)
        return err;
    event->past = err ? NULL : &found->attempt;
    return ERR_NONE;
}
