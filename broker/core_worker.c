#include "broker/core_internal.h"

#include <stdlib.h>
#include <string.h>

enum { LIST_BYTES_MAX = 3 * 1024 * 1024 }; /* of a list of workers: it must fit into REPLY_MAX */

worker_t *core_find_worker (const core_t *self, slice_t worker_id)
{
    return worker_id.ptr ? map_get (&self->workers, worker_id) : NULL;
}

static void place_leave (core_t *self, worker_t *worker)
{
    place_t *place = worker->place;
    if (!place)
        return;
    list_remove (&place->workers, &worker->place_link);
    worker->place = NULL;
    core_place_drop_if_empty (self, place);
}

void core_place_drop_if_empty (core_t *self, place_t *place)
{
    if (place->workers.count || place->groups.count)
        return;
    map_remove (&self->places, place);
    free (place->addr);
    free (place);
}

/* The worker was heard of from this address; absent: no gateway saw it. True when it was another one before. */
static bool place_enter (core_t *self, worker_t *worker, slice_t addr)
{
    if (worker->group_count || (worker->place && slice_eq_str (addr, worker->place->addr)))
        return false;
    bool moved = worker->place || addr.ptr;
    place_leave (self, worker);
    if (!addr.ptr)
        return moved;
    place_t *place = map_get (&self->places, addr);
    if (!place) {
        place = xcalloc (1, sizeof *place);
        place->addr = slice_dup (addr);
        list_init (&place->workers);
        list_init (&place->groups);
        map_put (&self->places, place);
    }
    worker->place = place;
    list_append (&place->workers, &worker->place_link);
    return moved;
}

void core_worker_free (core_t *self, worker_t *worker)
{
    core_timer_stop (self, &worker->timer);
    place_leave (self, worker);
    free (worker->id);
    free (worker->hostname);
    free (worker->os);
    free (worker->version);
    free (worker->machine);
    free (worker->labels);
    heap_fini (&worker->pinned.jobs);
    free (worker);
}

static worker_t *worker_new (core_t *self, slice_t worker_id)
{
    worker_t *worker = xcalloc (1, sizeof *worker);
    worker->id = slice_dup (worker_id);
    list_init (&worker->leases);
    list_init (&worker->polls);
    worker->asleep_since_ms = INT_ABSENT;
    worker->load_percent = worker->memory_bytes = worker->memory_free_bytes = INT_ABSENT;
    map_put (&self->workers, worker);
    return worker;
}

static void worker_store (core_t *self, const worker_t *worker)
{
    worker_record_t *record = &core_effect (self, EFFECT_WORKER_PUT)->worker;
    *record = (worker_record_t){
        .worker_id = slice_of (worker->id),
        .hostname = slice_of (worker->hostname),
        .os = slice_of (worker->os),
        .version = slice_of (worker->version),
        .machine = slice_of (worker->machine),
        .remote_addr = slice_of (worker->place ? worker->place->addr : NULL),
        .labels = slice_of (worker->labels),
        .cpu_count = worker->cpu_count,
        .slots = worker->slots,
        .registered_ms = worker->registered_wall_ms,
        .last_seen_ms = worker->seen_wall_ms,
        .asleep_until_ms = worker->asleep_since_ms == INT_ABSENT ? 0 : worker->asleep_until_wall_ms,
        .draining = worker->draining,
        .online = worker->online,
    };
}

static void set_online (core_t *self, worker_t *worker, bool online)
{
    self->online += online - worker->online;
    worker->online = online;
}

static void replace_text (char **text, slice_t with)
{
    free (*text);
    *text = slice_dup (with);
}

worker_t *core_worker_load (core_t *self, const worker_record_t *record)
{
    worker_t *worker = worker_new (self, record->worker_id);
    replace_text (&worker->hostname, record->hostname);
    replace_text (&worker->os, record->os);
    replace_text (&worker->version, record->version);
    replace_text (&worker->machine, record->machine);
    replace_text (&worker->labels, record->labels);
    worker->cpu_count = record->cpu_count;
    worker->slots = record->slots;
    worker->registered_wall_ms = record->registered_ms;
    worker->seen_wall_ms = record->last_seen_ms;
    worker->draining = record->draining;
    set_online (self, worker, record->online);
    place_enter (self, worker, record->remote_addr);
    return worker;
}

/* Its leases live on from now; the time that it slept does not count as its jobs' running time. */
static void wake (core_t *self, worker_t *worker)
{
    int64_t slept = self->now_ms - worker->asleep_since_ms;
    worker->asleep_since_ms = INT_ABSENT;
    LIST_EACH (link, &worker->leases)
    {
        lease_t *lease = LIST_ITEM (link, lease_t, worker_link);
        lease->hard_ms += slept;
        core_lease_renew (self, lease);
    }
}

/* Rule 14. */
void core_worker_seen (core_t *self, worker_t *worker)
{
    bool asleep = worker->asleep_since_ms != INT_ABSENT;
    if (asleep)
        wake (self, worker);
    worker->seen_wall_ms = self->wall_ms;
    core_timer_set (self, &worker->timer, TIMER_WORKER, self->now_ms + self->config.offline_ms);
    if (worker->online && !asleep)
        return;
    set_online (self, worker, true);
    worker_store (self, worker);
}

/* Jobs that only this worker may run cannot run now: direct mode answers at once or not at all. */
static void fail_pinned (core_t *self, worker_t *worker)
{
    for (heap_node_t *top = heap_top (&worker->pinned.jobs); top; top = heap_top (&worker->pinned.jobs)) {
        job_t *job = LIST_ITEM (top, job_t, node);
        slice_t text =
            arena_printf (&self->out->arena, "Worker %s, which alone may run the job, is offline.", worker->id);
        core_job_fail (self, job, "worker-lost", text);
    }
}

void core_worker_answer_polls (core_t *self, worker_t *worker)
{
    for (link_t *link = list_first (&worker->polls); link; link = list_first (&worker->polls))
        core_poll_answer_empty (self, LIST_ITEM (link, parked_t, worker_link));
}

void core_worker_offline (core_t *self, worker_t *worker)
{
    core_timer_stop (self, &worker->timer);
    set_online (self, worker, false);
    worker->asleep_since_ms = INT_ABSENT;
    core_worker_answer_polls (self, worker);
    core_group_offline (self, worker);
    fail_pinned (self, worker);
    worker_store (self, worker);
}

static bool keeps (const lease_t *lease, const list_t *keep)
{
    for (uint32_t i = 0; i < keep->count; i++) {
        message_t item;
        fault_t fault;
        if (message_list_item (keep, MSG_HELD_LEASE, i, &item, &fault))
            continue;
        job_id_t id;
        if (job_id_parse (item.held_lease.job_id, &id) && id.seq == lease->job->seq &&
            item.held_lease.attempt == lease->job->attempt && slice_eq_str (item.held_lease.token, lease->token))
            return true;
    }
    return false;
}

/* The worker runs nothing any more (rules 13 and 18 of proto/README.md); leases whose results it still has to send, or
 * has sent, are kept and renewed. */
static void give_back_leases (core_t *self, worker_t *worker, const list_t *keep, const char *why, bool at_once)
{
    LIST_EACH (link, &worker->leases)
    {
        lease_t *lease = LIST_ITEM (link, lease_t, worker_link);
        if (lease->result || keeps (lease, keep))
            core_lease_renew (self, lease);
        else
            core_lease_lost (self, lease->job, "worker-lost",
                             arena_printf (&self->out->arena, "Worker %s %s while it ran the job.", worker->id, why),
                             at_once);
    }
}

static void worker_forget (core_t *self, worker_t *worker)
{
    core_effect (self, EFFECT_WORKER_DELETE)->worker.worker_id = arena_printf (&self->out->arena, "%s", worker->id);
    map_remove (&self->workers, worker);
    core_worker_free (self, worker);
}

/* Of two that may be forgotten, the one to go first: not one that somebody has told to drain, if another can. */
static bool goes_before (const worker_t *a, const worker_t *b)
{
    return a->draining != b->draining ? b->draining : a->seen_wall_ms < b->seen_wall_ms;
}

/* Room for one more in a full registry: the one that has been offline longest goes, if it holds nothing. */
static bool make_room (core_t *self)
{
    if (self->workers.count < WORKERS_MAX)
        return true;
    worker_t *oldest = NULL;
    size_t at = 0;
    for (worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at))
        if (!worker->online && !worker->leases.count && !worker->pinned.users && !worker->group_count &&
            (!oldest || goes_before (worker, oldest)))
            oldest = worker;
    if (!oldest)
        return false;
    worker_forget (self, oldest);
    return true;
}

static bool text_same (const char *have, slice_t given)
{
    return have ? given.ptr && slice_eq_str (given, have) : !given.ptr;
}

/* Whether the record of an online worker says this already, but for the times. */
static bool says_the_same (const worker_t *worker, const msg_worker_register_t *in)
{
    return worker->online && worker->asleep_since_ms == INT_ABSENT && worker->cpu_count == in->cpu_count &&
           worker->slots == in->slots && text_same (worker->hostname, in->hostname) && text_same (worker->os, in->os) &&
           text_same (worker->version, in->version) && text_same (worker->machine, in->machine) &&
           text_same (worker->labels, in->labels);
}

void core_on_worker_register (core_t *self, const event_t *event)
{
    const msg_worker_register_t *in = &event->message->worker_register;
    if (!worker_id_safe (in->worker_id)) {
        core_refuse (self, event->request, ERR_SCHEMA, "`workerId` must be printable text without control characters.");
        return;
    }
    worker_t *worker = core_find_worker (self, in->worker_id);
    if (!worker && !make_room (self)) {
        core_refuse (self, event->request, ERR_TOO_MANY,
                     "The registry of workers is full, and all of them are online.");
        return;
    }
    if (!worker)
        worker = worker_new (self, in->worker_id);
    bool same = says_the_same (worker, in);
    core_worker_answer_polls (self, worker);
    core_group_drop (self, worker, NULL, true);
    replace_text (&worker->hostname, in->hostname);
    replace_text (&worker->os, in->os);
    replace_text (&worker->version, in->version);
    replace_text (&worker->machine, in->machine);
    replace_text (&worker->labels, in->labels);
    worker->asleep_since_ms = INT_ABSENT;
    worker->cpu_count = in->cpu_count;
    worker->slots = in->slots;
    worker->load_percent = in->load_percent;
    worker->memory_bytes = in->memory_bytes;
    worker->memory_free_bytes = in->memory_free_bytes;
    worker->registered_wall_ms = worker->seen_wall_ms = self->wall_ms;
    set_online (self, worker, true);
    bool moved = place_enter (self, worker, in->remote_addr);
    core_timer_set (self, &worker->timer, TIMER_WORKER, self->now_ms + self->config.offline_ms);
    if (moved || !same) /* else the times alone are not worth a write: after a crash `registeredAt` is an earlier one */
        worker_store (self, worker);
    msg_worker_register_ok_t *out = &core_reply (self, event->request, MSG_WORKER_REGISTER_OK)->worker_register_ok;
    out->worker_id = slice_of (worker->id);
    out->lease_ms = self->config.lease_ms;
    out->heartbeat_ms = self->config.heartbeat_ms;
    give_back_leases (self, worker, &in->keep, "was restarted", true);
}

void core_on_worker_heartbeat (core_t *self, const event_t *event)
{
    const msg_worker_heartbeat_t *in = &event->message->worker_heartbeat;
    worker_t *worker = core_find_worker (self, in->worker_id);
    if (!worker) {
        core_refuse (self, event->request, ERR_NO_SUCH_WORKER, NULL);
        return;
    }
    bool moved = place_enter (self, worker, in->remote_addr);
    core_worker_seen (self, worker);
    worker->load_percent = in->load_percent;
    worker->memory_bytes = in->memory_bytes;
    worker->memory_free_bytes = in->memory_free_bytes;
    if (moved) /* groups are of one address: after a restart it must be this one */
        worker_store (self, worker);
    /* An old agent names no job in its heartbeat: it renews all that it holds (http-api.md). */
    LIST_EACH (link, &worker->leases)
    {
        lease_t *lease = LIST_ITEM (link, lease_t, worker_link);
        if (lease->slot == SLOT_NONE)
            core_lease_renew (self, lease);
    }
    msg_worker_heartbeat_ok_t *out = &core_reply (self, event->request, MSG_WORKER_HEARTBEAT_OK)->worker_heartbeat_ok;
    out->worker_id = slice_of (worker->id);
    out->timestamp = self->wall_ms;
}

void core_on_worker_goodbye (core_t *self, const event_t *event)
{
    const msg_worker_goodbye_t *in = &event->message->worker_goodbye;
    worker_t *worker = core_find_worker (self, in->worker_id);
    if (!worker) {
        core_refuse (self, event->request, ERR_NO_SUCH_WORKER, NULL);
        return;
    }
    worker->seen_wall_ms = self->wall_ms;
    core_worker_answer_polls (self, worker); /* first: what is given back must not come to who leaves */
    core_group_drop (self, worker, NULL, true);
    core_worker_offline (self, worker);
    core_reply (self, event->request, MSG_WORKER_GOODBYE_OK)->worker_goodbye_ok.worker_id = slice_of (worker->id);
    give_back_leases (self, worker, &in->keep, "said goodbye", true);
}

void core_on_worker_gone (core_t *self, const event_t *event)
{
    static const list_t none = { .raw = SLICE ("") };
    worker_t *worker = core_find_worker (self, event->worker_id);
    if (!worker || !worker->online || worker->asleep_since_ms != INT_ABSENT)
        return; /* a sleeping machine's connection may end: its leases are kept all the same */
    core_worker_answer_polls (self, worker);
    core_group_drop (self, worker, NULL, true);
    core_worker_offline (self, worker);
    give_back_leases (self, worker, &none, "closed its connection", false);
}

void core_on_worker_sleep (core_t *self, const event_t *event)
{
    const msg_worker_sleep_t *in = &event->message->worker_sleep;
    worker_t *worker = core_find_worker (self, in->worker_id);
    if (!worker) {
        core_refuse (self, event->request, ERR_NO_SUCH_WORKER, NULL);
        return;
    }
    int64_t most = self->config.sleep_max_ms;
    int64_t time_ms = in->for_ms == INT_ABSENT || in->for_ms > most ? most : in->for_ms;
    core_worker_seen (self, worker);
    core_worker_answer_polls (self, worker); /* nothing is handed to a machine that sleeps */
    worker->asleep_since_ms = self->now_ms;
    worker->asleep_until_wall_ms = self->wall_ms + time_ms;
    int64_t shortest = self->config.offline_ms; /* also its own renewal must reach us */
    core_timer_set (self, &worker->timer, TIMER_WORKER, self->now_ms + (time_ms > shortest ? time_ms : shortest));
    LIST_EACH (link, &worker->leases)
    {
        lease_t *lease = LIST_ITEM (link, lease_t, worker_link);
        int64_t due = self->now_ms + time_ms;
        if (due > lease->timer.due_ms)
            core_timer_set (self, &lease->timer, TIMER_LEASE, due);
    }
    worker_store (self, worker);
    msg_worker_sleep_ok_t *out = &core_reply (self, event->request, MSG_WORKER_SLEEP_OK)->worker_sleep_ok;
    out->worker_id = slice_of (worker->id);
    out->for_ms = time_ms;
}

static void set_draining (core_t *self, worker_t *worker, bool draining)
{
    if (worker->draining == draining)
        return;
    worker->draining = draining;
    worker_store (self, worker);
}

/* What is parked stays so: asked anew, it would only be parked again (rule 34). */
void core_on_worker_drain (core_t *self, const event_t *event)
{
    worker_t *worker = core_find_worker (self, event->message->worker_drain.worker_id);
    if (!worker) {
        core_refuse (self, event->request, ERR_NO_SUCH_WORKER, NULL);
        return;
    }
    set_draining (self, worker, true);
    msg_worker_drain_ok_t *out = &core_reply (self, event->request, MSG_WORKER_DRAIN_OK)->worker_drain_ok;
    out->worker_id = slice_of (worker->id);
    out->running_jobs = (int64_t)worker->leases.count;
}

void core_on_worker_resume (core_t *self, const event_t *event)
{
    worker_t *worker = core_find_worker (self, event->message->worker_resume.worker_id);
    if (!worker) {
        core_refuse (self, event->request, ERR_NO_SUCH_WORKER, NULL);
        return;
    }
    set_draining (self, worker, false);
    core_reply (self, event->request, MSG_WORKER_RESUME_OK)->worker_resume_ok.worker_id = slice_of (worker->id);
    core_dispatch_worker (self, worker);
}

static void fill_entry (core_t *self, const worker_t *worker, msg_worker_entry_t *entry)
{
    entry->worker_id = slice_of (worker->id);
    entry->hostname = slice_of (worker->hostname);
    entry->os = slice_of (worker->os);
    entry->cpu_count = worker->cpu_count;
    entry->version = slice_of (worker->version);
    entry->labels = slice_of (worker->labels);
    if (worker->asleep_since_ms != INT_ABSENT)
        entry->asleep_until = worker->asleep_until_wall_ms;
    entry->slots = worker->slots;
    if (worker->draining)
        entry->draining = true;
    if (worker->online) {
        entry->load_percent = worker->load_percent;
        entry->memory_bytes = worker->memory_bytes;
        entry->memory_free_bytes = worker->memory_free_bytes;
    }
    const char *status = !worker->online ? "offline" : worker->leases.count ? "busy" : "idle";
    entry->status = slice_of (status);
    link_t *first = list_first (&worker->leases);
    if (first)
        entry->current_job_id = core_job_id_text (self, LIST_ITEM (first, lease_t, worker_link)->job);
    entry->running_jobs = (int64_t)worker->leases.count;
    entry->last_heartbeat = worker->seen_wall_ms;
    entry->registered_at = worker->registered_wall_ms;
}

void core_worker_each (const core_t *self, core_worker_fn *fn, void *ctx)
{
    size_t at = 0;
    for (worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at))
        fn (ctx, slice_of (worker->id), worker->online, (int64_t)worker->leases.count, worker->slots);
}

static int by_id (const void *a, const void *b)
{
    const worker_t *const *left = a;
    const worker_t *const *right = b;
    return strcmp ((*left)->id, (*right)->id);
}

void core_on_worker_list (core_t *self, const event_t *event)
{
    size_t count = self->workers.count;
    worker_t **sorted = xcalloc (count, sizeof (worker_t *));
    size_t at = 0;
    for (size_t i = 0; i < count; i++)
        sorted[i] = map_next (&self->workers, &at);
    qsort (sorted, count, sizeof (worker_t *), by_id);
    msg_worker_list_ok_t *out = &core_reply (self, event->request, MSG_WORKER_LIST_OK)->worker_list_ok;
    out->count = out->total_workers = (int64_t)count;
    out->idle_workers = out->busy_workers = 0;
    out->workers = (list_t){ .raw = SLICE ("") };
    buf_clear (&self->list);
    for (size_t i = 0; i < count; i++) {
        out->idle_workers += sorted[i]->online && !sorted[i]->leases.count;
        out->busy_workers += sorted[i]->online && sorted[i]->leases.count;
    }
    for (size_t i = 0; i < count; i++) {
        message_t item;
        if (self->list.len > LIST_BYTES_MAX)
            break; /* the counts tell that there are more */
        message_init (&item, MSG_WORKER_ENTRY);
        fill_entry (self, sorted[i], &item.worker_entry);
        list_writer_add (&out->workers, &self->list, &item);
    }
    free (sorted);
}
