#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sysexits.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "proto/options.h"
#include "proto/program.h"
#include "worker/folders.h"
#include "worker/machine.h"
#include "worker/session_internal.h"

enum {
    PATIENCE_MS = 5 * 1000, /* for an answer that does not wait, and beyond the wait of one that does */
    GOODBYE_MS = 2 * 1000,
    UNSENT_TICK_MS = 2 * 1000, /* while stopping: a result that waits for this many ticks is left to the next run, */
    UNSENT_TICKS = 3,          /* which finds it on the disk */
    QUICK_MS = 100,            /* an empty answer sooner than this was no wait: pause before asking again */
    BEHIND_MS = 10,            /* until it is looked again whether enough of what jobs left is removed */
};

static void leave_if_done (session_t *self);

/* ---- who we are ---- */

static void keep_add (list_t *list, buf_t *raw, const job_t *job)
{
    const lease_t *lease = job_lease (job);
    message_t item;
    message_init (&item, MSG_HELD_LEASE);
    item.held_lease.job_id = slice_of (lease->job_id);
    item.held_lease.attempt = lease->attempt;
    item.held_lease.token = slice_of (lease->token);
    list_writer_add (list, raw, &item);
}

int session_job_count (const session_t *self)
{
    return self->resumed_count + self->slot_count;
}

job_t *session_job_at (const session_t *self, int i)
{
    return i < self->resumed_count ? self->resumed[i] : self->slots[i - self->resumed_count].job;
}

/* The leases that the broker must not give to others: what runs, and what is only to be reported. */
static list_t keep_list (const session_t *self, buf_t *raw, bool running_too)
{
    list_t list = { .raw = SLICE ("") };
    for (int i = 0; i < session_job_count (self) && list.count < SLOTS_MAX; i++) {
        job_t *job = session_job_at (self, i);
        if (job && (running_too || job_is_spooled (job)))
            keep_add (&list, raw, job);
    }
    return list;
}

/* ---- registration ---- */

/* The token does not count, or not for this. */
static bool is_turned_away (err_t err)
{
    return err == ERR_UNAUTHORIZED || err == ERR_NO_ROLE || err == ERR_FORBIDDEN || err == ERR_WORKER_TOKEN_BOUND;
}

/* To register tells whether there is anything more to do here. */
static bool asks_anew (err_t err)
{
    return err == ERR_NO_SUCH_WORKER || is_turned_away (err);
}

static void on_heartbeat (void *ctx, const call_answer_t *answer)
{
    session_t *self = ctx;
    self->heartbeat = 0;
    if (answer->outcome == CALL_REFUSED && asks_anew (answer->err))
        session_register (self);
}

void session_heartbeat (void *ctx)
{
    session_t *self = ctx;
    loop_timer_set (self->config.loop, &self->heartbeat_timer, self->heartbeat_ms, session_heartbeat, self);
    if (self->heartbeat)
        return;
    self->load_told_ms = clock_mono_ms ();
    message_t request;
    message_init (&request, MSG_WORKER_HEARTBEAT);
    machine_t machine;
    machine_read (&machine);
    request.worker_heartbeat.worker_id = slice_of (self->config.worker_id);
    request.worker_heartbeat.load_percent = machine.load_percent;
    request.worker_heartbeat.memory_bytes = machine.memory_bytes;
    request.worker_heartbeat.memory_free_bytes = machine.memory_free_bytes;
    transport_t *transport = self->config.transport;
    self->heartbeat = transport->ops->call (transport, &request, PATIENCE_MS, on_heartbeat, self);
}

/* A poll tells as well as a heartbeat that we live, so the next one is due a whole interval later. Load and memory go
 * with heartbeats alone: one is never put off beyond two intervals. */
static void put_off_heartbeat (session_t *self)
{
    int64_t latest_ms = self->load_told_ms + 2 * self->heartbeat_ms - clock_mono_ms ();
    loop_timer_set (self->config.loop, &self->heartbeat_timer,
                    latest_ms < self->heartbeat_ms ? latest_ms : self->heartbeat_ms, session_heartbeat, self);
}

static void ready (session_t *self)
{
    const worker_options_t *options = self->config.options;
    log_event (LEVEL_INFO, self->was_ready ? "worker-registered" : "worker-ready", "worker %s at %s, %d slot%s",
               self->config.worker_id, options->server ? options->server : options->broker, self->slot_count,
               self->slot_count == 1 ? "" : "s");
    self->was_ready = true;
    session_tell_ready (self);
    for (int i = 0; i < self->slot_count; i++)
        session_poll (&self->slots[i]);
}

static void on_registered (void *ctx, const call_answer_t *answer)
{
    session_t *self = ctx;
    self->registering = 0;
    if (answer->outcome == CALL_OK) {
        backoff_reset (&self->backoff);
        self->registered = true;
        self->heartbeat_ms = answer->reply->worker_register_ok.heartbeat_ms;
        self->load_told_ms = clock_mono_ms ();
        loop_timer_set (self->config.loop, &self->heartbeat_timer, self->heartbeat_ms, session_heartbeat, self);
        ready (self);
        return;
    }
    if (answer->outcome == CALL_REFUSED) {
        log_event (LEVEL_ERROR, "worker-refused", "%s", answer->text);
        self->status = is_turned_away (answer->err) ? EX_NOPERM : 1;
        loop_stop (self->config.loop);
        return;
    }
    if (!self->backoff.failures)
        log_event (LEVEL_WARN, "server-away", "%s Trying again until it is there.", answer->text);
    session_tell_ready (self); /* who waits for this start, as a boot does, shall not wait for another machine */
    loop_timer_set (self->config.loop, &self->register_timer, backoff_next_ms (&self->backoff), session_register, self);
}

void session_register (void *ctx)
{
    session_t *self = ctx;
    if (self->registering || self->leaving || !sleep_watch_is_awake (self->sleep))
        return;
    self->registered = false;
    struct utsname system;
    uname (&system);
    char os[NAME_MAX_BYTES];
    snprintf (os, sizeof os, "%.60s %.100s %.60s", system.sysname, system.release, system.machine);
    buf_t raw = { 0 };
    message_t request;
    message_init (&request, MSG_WORKER_REGISTER);
    msg_worker_register_t *in = &request.worker_register;
    in->worker_id = slice_of (self->config.worker_id);
    in->hostname = slice_of (self->config.hostname);
    in->os = slice_of (os);
    in->cpu_count = sysconf (_SC_NPROCESSORS_ONLN);
    in->version = SLICE (GLEANER_VERSION);
    in->slots = self->slot_count;
    in->machine = self->machine[0] ? slice_of (self->machine) : SLICE_ABSENT;
    in->labels = buf_slice (&self->labels);
    in->keep = keep_list (self, &raw, true);
    machine_t machine;
    machine_read (&machine);
    in->load_percent = machine.load_percent;
    in->memory_bytes = machine.memory_bytes;
    in->memory_free_bytes = machine.memory_free_bytes;
    transport_t *transport = self->config.transport;
    self->registering = transport->ops->call (transport, &request, PATIENCE_MS, on_registered, self);
    buf_fini (&raw);
}

/* ---- slots ---- */

static void slot_again (slot_t *slot, int64_t in_ms)
{
    loop_timer_set (slot->session->config.loop, &slot->timer, in_ms, session_poll, slot);
}

static void on_given_back (void *ctx, const call_answer_t *answer)
{
    (void)ctx;
    if (answer->outcome != CALL_OK) /* the goodbye, or the lease's end, gives it back too */
        log_event (LEVEL_DEBUG, "return-failed", "%s", answer->text);
}

/* It came too late: whoever else is free shall have it. */
static void give_back (session_t *self, const msg_job_poll_ok_t *job)
{
    message_t request;
    message_init (&request, MSG_JOB_RETURN);
    request.job_return.job_id = job->job_id;
    request.job_return.worker_id = slice_of (self->config.worker_id);
    request.job_return.attempt = job->attempt;
    request.job_return.token = job->token;
    transport_t *transport = self->config.transport;
    transport->ops->call (transport, &request, PATIENCE_MS, on_given_back, self);
}

static void on_polled (void *ctx, const call_answer_t *answer)
{
    slot_t *slot = ctx;
    session_t *self = slot->session;
    slot->poll = 0;
    if (answer->outcome == CALL_AWAY) {
        slot_again (slot, backoff_next_ms (&slot->backoff));
        return;
    }
    if (answer->outcome == CALL_REFUSED) {
        log_event (LEVEL_WARN, "poll-refused", "%s", answer->text);
        if (asks_anew (answer->err))
            session_register (self);
        slot_again (slot, backoff_next_ms (&slot->backoff));
        return;
    }
    const msg_job_poll_ok_t *job = &answer->reply->job_poll_ok;
    bool quick = clock_mono_ms () - slot->asked_ms < QUICK_MS;
    if (!job->job_id.ptr) {
        slot_again (slot, quick ? backoff_next_ms (&slot->backoff) : 0);
        return;
    }
    backoff_reset (&slot->backoff);
    if (!job->token.ptr || !job->command.ptr || !job->file_url.ptr || job->attempt == INT_ABSENT ||
        job->lease_ms == INT_ABSENT) {
        log_event (LEVEL_ERROR, "bad-answer", "a job without its lease: the server speaks another protocol");
        slot_again (slot, backoff_next_ms (&slot->backoff));
    } else if (self->stopping) {
        give_back (self, job);
    } else {
        bool again = slice_eq_str (job->token, slot->token);
        slice_copy (job->token, slot->token, sizeof slot->token);
        session_busy (self);
        slot->job = again ? job_decline (&self->host, job, slot->number) : job_start (&self->host, job, slot->number);
        session_tell (self);
    }
}

void session_poll (void *ctx)
{
    slot_t *slot = ctx;
    session_t *self = slot->session;
    if (slot->poll || slot->job || self->stopping || !self->registered || !sleep_watch_is_awake (self->sleep))
        return;
    if (sweeper_is_behind (self->config.sweeper)) {
        slot_again (slot, BEHIND_MS);
        return;
    }
    loop_timer_stop (&slot->timer);
    message_t request;
    message_init (&request, MSG_JOB_POLL);
    request.job_poll.worker_id = slice_of (self->config.worker_id);
    request.job_poll.slot = slot->number;
    request.job_poll.wait = self->config.options->poll_wait_ms;
    slot->asked_ms = clock_mono_ms ();
    transport_t *transport = self->config.transport;
    slot->poll = transport->ops->call (transport, &request, request.job_poll.wait + PATIENCE_MS, on_polled, slot);
    put_off_heartbeat (self);
}

static void on_job_done (void *ctx, job_t *job)
{
    session_t *self = ctx;
    for (int i = 0; i < self->resumed_count; i++)
        if (self->resumed[i] == job)
            self->resumed[i] = self->resumed[--self->resumed_count];
    int number = job_slot (job);
    if (number >= 0)
        self->slots[number].job = NULL;
    job_destroy (&job);
    session_tell (self);
    sleep_watch_wake (self->sleep); /* who ends jobs does not sleep */
    session_idle (self);
    if (number >= 0 && self->config.options->once)
        session_stop (self);
    else if (number >= 0)
        session_poll (&self->slots[number]);
    leave_if_done (self);
}

/* ---- stopping ---- */

static void on_goodbye (void *ctx, const call_answer_t *answer)
{
    session_t *self = ctx;
    (void)answer;
    loop_stop (self->config.loop);
}

static bool anything_runs (const session_t *self)
{
    for (int i = 0; i < self->slot_count; i++)
        if (self->slots[i].job && self->slots[i].unsent_ticks < UNSENT_TICKS)
            return true;
    return false;
}

static void leave_if_done (session_t *self)
{
    if (!self->stopping || self->leaving || anything_runs (self))
        return;
    self->leaving = true;
    if (!self->was_ready) {
        loop_stop (self->config.loop);
        return;
    }
    buf_t raw = { 0 };
    message_t request;
    message_init (&request, MSG_WORKER_GOODBYE);
    request.worker_goodbye.worker_id = slice_of (self->config.worker_id);
    request.worker_goodbye.keep = keep_list (self, &raw, false);
    transport_t *transport = self->config.transport;
    transport->ops->call (transport, &request, GOODBYE_MS, on_goodbye, self);
    buf_fini (&raw);
}

/* The jobs that are over but for their results are not waited for without end: the server may be away for long. */
static void count_unsent (void *ctx)
{
    session_t *self = ctx;
    for (int i = 0; i < self->slot_count; i++)
        if (self->slots[i].job && job_is_spooled (self->slots[i].job))
            self->slots[i].unsent_ticks++;
    loop_timer_set (self->config.loop, &self->unsent_timer, UNSENT_TICK_MS, count_unsent, self);
    leave_if_done (self);
}

static void stop_jobs (session_t *self)
{
    for (int i = 0; i < self->slot_count; i++) {
        slot_t *slot = &self->slots[i];
        if (slot->job && job_is_spooled (slot->job))
            slot->unsent_ticks = UNSENT_TICKS;
        else if (slot->job)
            job_stop (slot->job, STOP_WORKER);
    }
}

void session_stop (session_t *self)
{
    sleep_watch_wake (self->sleep);
    if (self->stopping) {
        log_event (LEVEL_INFO, "worker-stopping", "stopping what still runs");
        stop_jobs (self);
        leave_if_done (self);
        return;
    }
    log_event (LEVEL_INFO, "worker-stopping", "no more jobs; waiting for those that run");
    self->stopping = true;
    spare_stop (self->spare);
    for (int i = 0; i < self->slot_count; i++)
        if (self->slots[i].job)
            job_leave (self->slots[i].job);
    loop_timer_set (self->config.loop, &self->unsent_timer, UNSENT_TICK_MS, count_unsent, self);
    for (int i = 0; i < self->slot_count; i++) {
        loop_timer_stop (&self->slots[i].timer);
        self->config.transport->ops->cancel (self->config.transport, self->slots[i].poll);
        self->slots[i].poll = 0;
    }
    session_tell_stopping (self);
    leave_if_done (self);
}

/* ---- life ---- */

static void resume (void *ctx, const char *spool)
{
    session_t *self = ctx;
    if (self->resumed_count == RESUMED_MAX)
        return;
    job_t *job = job_resume (&self->host, spool);
    if (job)
        self->resumed[self->resumed_count++] = job;
    else
        sweeper_take (self->config.sweeper, spool);
}

static void say_limits (const session_t *self)
{
    char text[LIMITS_TEXT_MAX];
    limits_text (&self->limits, text);
    log_event (LEVEL_INFO, "job-limits", "%s; kept by %s", text,
               self->config.cgroup ? "control groups" : "watching the jobs");
}

session_t *session_new (const session_config_t *config)
{
    session_t *self = xcalloc (1, sizeof *self);
    self->config = *config;
    self->strays = strays_new (config->loop);
    fork_server_init (&self->extractors, config->extractor);
    self->projects = projects_new ();
    self->archives = archives_new (config->work_dir, config->options->cache_max);
    session_spare_init (self);
    self->host = (job_host_t){
        .loop = config->loop,
        .strays = self->strays,
        .keepers = &self->keepers,
        .extractors = &self->extractors,
        .projects = self->projects,
        .archives = self->archives,
        .spare = self->spare,
        .sweeper = config->sweeper,
        .transport = config->transport,
        .limits = &self->limits,
        .cgroup = config->cgroup,
        .worker_id = config->worker_id,
        .work_dir = config->work_dir,
        .extractor = config->extractor,
        .collector = config->collector,
        .sandbox = config->sandbox,
        .engine = config->engine,
        .archive = &config->options->archive,
        .done = on_job_done,
        .ctx = self,
    };
    self->slot_count = (int)config->options->slots;
    self->slots = xcalloc ((size_t)self->slot_count, sizeof *self->slots);
    for (int i = 0; i < self->slot_count; i++) {
        self->slots[i].session = self;
        self->slots[i].number = i;
    }
    program_machine (self->machine, sizeof self->machine);
    char problem[256];
    worker_options_labels (config->options, config->sandbox, config->engine, config->cgroup, &self->labels, problem,
                           sizeof problem);                                          /* checked when they were read */
    worker_options_limits (config->options, &self->limits, problem, sizeof problem); /* likewise */
    say_limits (self);
    session_sleep_init (self);
    folders_sweep (config->work_dir, config->sweeper);
    folders_each_spool (config->work_dir, resume, self);
    loop_timer_set (config->loop, &self->register_timer, 0, session_register, self);
    loop_timer_set (config->loop, &self->notify_timer, 0, session_tell, self);
    return self;
}

void session_reload (session_t *self)
{
    char problem[256];
    worker_options_limits (self->config.options, &self->limits, problem, sizeof problem); /* checked as at the start */
    say_limits (self);
}

void session_destroy (session_t **self_p)
{
    session_t *self = *self_p;
    if (!self)
        return;
    /* The loop lives on, and with it its list of timers. */
    loop_timer_stop (&self->register_timer);
    loop_timer_stop (&self->heartbeat_timer);
    loop_timer_stop (&self->unsent_timer);
    session_notify_fini (self);
    for (int i = 0; i < self->slot_count; i++) {
        loop_timer_stop (&self->slots[i].timer);
        job_destroy (&self->slots[i].job);
    }
    for (int i = 0; i < self->resumed_count; i++)
        job_destroy (&self->resumed[i]);
    spare_destroy (&self->spare);
    fork_server_fini (&self->extractors);
    projects_destroy (&self->projects);
    archives_destroy (&self->archives);
    keepers_fini (&self->keepers);
    strays_destroy (&self->strays);
    session_sleep_fini (self);
    buf_fini (&self->labels);
    free (self->slots);
    free (self);
    *self_p = NULL;
}

int session_status (const session_t *self)
{
    return self->status;
}
