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
} rebuild_t;

static void rebuild_worker (void *ctx, const worker_record_t *worker)
{
    rebuild_t *rebuild = ctx;
    core_load_worker (rebuild->core, worker, rebuild->now_ms);
}

static void rebuild_job (void *ctx, const job_record_t *job)
{
    rebuild_t *rebuild = ctx;
    core_load_job (rebuild->core, job, rebuild->now_ms);
}

err_t core_rebuild (core_t *core, store_t *store, int64_t now_ms)
{
    rebuild_t rebuild = { core, now_ms };
    core_load_last_seq (core, store->ops->job_last_seq (store));
    err_t err = store->ops->worker_each (store, rebuild_worker, &rebuild);
    return err ? err : store->ops->job_live (store, rebuild_job, &rebuild);
}
