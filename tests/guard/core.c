/* The core alone, its effects read and dropped: a backlog of jobs, then rounds in which workers ask, renew and report
 * while more jobs come. In each round another worker falls silent with its lease, which ends by a tick; the job is run
 * again. It goes on until every job has ended.
 */
#include "broker/core.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/guard/guard.h"

enum {
    WORKERS = 64,
    BACKLOG = 512,
    ROUNDS = 40,        /* in which jobs come */
    ROUNDS_MAX = 200,   /* by then all must have ended */
    ROUND_MS = 10000,   /* in which each worker is heard of once */
    SILENT_ROUNDS = 10, /* longer than a lease */
    POLL_MS = 25000,
};

typedef struct {
    char id[32];
    int silent_until; /* the round in which it comes back */
    bool parked;      /* it has asked, and was not answered yet */
    bool holds;       /* the lease below */
    char job_id[JOB_ID_LEN + 1];
    char token[TOKEN_MAX + 1];
    int64_t attempt;
} guard_worker_t;

typedef struct {
    core_t *core;
    effects_t effects;
    message_t message;
    int64_t now_ms;
    int round;
    int64_t created, ended, lost;
    guard_worker_t workers[WORKERS];
} cluster_t;

/* `request` is the worker's place in `workers`. */
static void take_answer (cluster_t *self, uint64_t request, const message_t *message)
{
    assert (message->type != MSG_ERROR);
    if (message->type != MSG_JOB_POLL_OK)
        return;
    guard_worker_t *worker = &self->workers[request];
    const msg_job_poll_ok_t *given = &message->job_poll_ok;
    worker->parked = false;
    worker->holds = given->job_id.ptr != NULL;
    if (!worker->holds)
        return;
    bool fits = slice_copy (given->job_id, worker->job_id, sizeof worker->job_id) &&
                slice_copy (given->token, worker->token, sizeof worker->token);
    assert (fits);
    worker->attempt = given->attempt;
}

static void step (cluster_t *self, event_t event)
{
    event.now_ms = self->now_ms;
    event.wall_ms = GUARD_WALL_MS + self->now_ms;
    core_step (self->core, &event, &self->effects);
    for (size_t i = 0; i < self->effects.count; i++) {
        const effect_t *effect = &self->effects.items[i];
        if (effect->kind == EFFECT_REPLY || effect->kind == EFFECT_REPLY_JOB)
            take_answer (self, effect->request, &effect->message);
        else if (effect->kind == EFFECT_JOB_UPDATE && effect->job.completed_ms)
            self->ended++;
        else if (effect->kind == EFFECT_ATTEMPT_PUT)
            self->lost++;
    }
}

static void ask (cluster_t *self, int place)
{
    step (self, (event_t){ .kind = EVENT_REQUEST, .request = (uint64_t)place, .message = &self->message });
}

static void pass (cluster_t *self, int64_t ms)
{
    for (int64_t end_ms = self->now_ms + ms; self->now_ms < end_ms;) {
        int64_t due_ms = core_deadline (self->core);
        self->now_ms = due_ms < end_ms ? (due_ms > self->now_ms ? due_ms : self->now_ms) : end_ms;
        if (due_ms <= self->now_ms)
            step (self, (event_t){ .kind = EVENT_TICK });
    }
}

static void register_worker (cluster_t *self, int place)
{
    guard_worker_t *worker = &self->workers[place];
    worker->parked = worker->holds = false;
    message_init (&self->message, MSG_WORKER_REGISTER);
    self->message.worker_register.worker_id = slice_of (worker->id);
    self->message.worker_register.hostname = SLICE ("host");
    self->message.worker_register.slots = 1;
    self->message.worker_register.labels = SLICE ("gpu=no\nzone=a\n");
    ask (self, place);
}

static void heartbeat (cluster_t *self, int place)
{
    message_init (&self->message, MSG_WORKER_HEARTBEAT);
    self->message.worker_heartbeat.worker_id = slice_of (self->workers[place].id);
    ask (self, place);
}

static void poll_job (cluster_t *self, int place)
{
    self->workers[place].parked = true;
    message_init (&self->message, MSG_JOB_POLL);
    self->message.job_poll.worker_id = slice_of (self->workers[place].id);
    self->message.job_poll.slot = 0;
    self->message.job_poll.wait = POLL_MS;
    ask (self, place);
}

static void renew (cluster_t *self, int place)
{
    const guard_worker_t *worker = &self->workers[place];
    message_init (&self->message, MSG_JOB_RENEW);
    self->message.job_renew.job_id = slice_of (worker->job_id);
    self->message.job_renew.worker_id = slice_of (worker->id);
    self->message.job_renew.attempt = worker->attempt;
    self->message.job_renew.token = slice_of (worker->token);
    ask (self, place);
}

static void report (cluster_t *self, int place)
{
    guard_worker_t *worker = &self->workers[place];
    message_init (&self->message, MSG_JOB_RESULT);
    self->message.job_result.job_id = slice_of (worker->job_id);
    self->message.job_result.worker_id = slice_of (worker->id);
    self->message.job_result.attempt = worker->attempt;
    self->message.job_result.token = slice_of (worker->token);
    self->message.job_result.exit_code = 0;
    self->message.job_result.stdout_data = SLICE ("100% tests passed, 0 tests failed out of 40\n");
    self->message.job_result.stderr_data = SLICE ("");
    self->message.job_result.journal_data = SLICE ("0 phase run\n");
    worker->holds = false;
    ask (self, place);
}

/* Every fourth has a priority and asks for a label, every tenth comes later. */
static void create (cluster_t *self)
{
    int64_t number = self->created++;
    message_init (&self->message, MSG_JOB_CREATE);
    self->message.job_create.command = SLICE ("cmake --build build\nctest --test-dir build");
    self->message.job_create.file_url = SLICE ("/uploads/project.zip");
    self->message.job_create.filename = SLICE ("project.zip");
    if (number % 4 == 0) {
        self->message.job_create.name = SLICE ("nightly build");
        self->message.job_create.priority = number % 3;
        self->message.job_create.requires = SLICE ("zone=a\n");
    }
    if (number % 10 == 0)
        self->message.job_create.delay_ms = ROUND_MS / 2;
    ask (self, 0);
}

/* All workers that can be heard do one thing, then all the next. */
static void work_round (cluster_t *self)
{
    bool heard[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        if (self->workers[i].silent_until && self->workers[i].silent_until == self->round)
            register_worker (self, i);
        heard[i] = self->workers[i].silent_until <= self->round;
        if (heard[i] && !self->workers[i].holds && !self->workers[i].parked)
            poll_job (self, i);
    }
    for (int i = 0; self->round < ROUNDS && i < WORKERS; i++)
        create (self);
    pass (self, ROUND_MS / 2);
    for (int i = 0; i < WORKERS; i++) {
        if (heard[i])
            heartbeat (self, i);
        if (heard[i] && self->workers[i].holds)
            renew (self, i);
    }
    pass (self, ROUND_MS / 2);
    int leaver = self->round % WORKERS;
    if (self->round < ROUNDS)
        self->workers[leaver].silent_until = self->round + SILENT_ROUNDS;
    for (int i = 0; i < WORKERS; i++)
        if (heard[i] && self->workers[i].holds && self->workers[i].silent_until <= self->round)
            report (self, i);
}

static void *set_up (const char *folder)
{
    (void)folder;
    cluster_t *self = xcalloc (1, sizeof *self);
    core_config_t config;
    core_config_default (&config);
    memset (config.seed, 7, sizeof config.seed);
    self->core = core_new (&config);
    self->now_ms = 1000;
    for (int i = 0; i < WORKERS; i++) {
        snprintf (self->workers[i].id, sizeof self->workers[i].id, "guard-worker-%02d", i);
        register_worker (self, i);
    }
    return self;
}

static void run (void *ctx)
{
    cluster_t *self = ctx;
    for (int i = 0; i < BACKLOG; i++)
        create (self);
    while (self->round < ROUNDS_MAX && self->ended < self->created) {
        work_round (self);
        self->round++;
    }
    assert (self->created == BACKLOG + ROUNDS * WORKERS && self->ended == self->created && self->lost == ROUNDS);
}

static void tear_down (void **self_p)
{
    cluster_t *self = *self_p;
    core_check (self->core);
    core_destroy (&self->core);
    effects_fini (&self->effects);
    free (self);
    *self_p = NULL;
}

const guard_scenario_t guard_core = { .name = "core", .set_up = set_up, .run = run, .tear_down = tear_down };
