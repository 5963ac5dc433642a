/* core_story.h - the core in a test's hands: one event at a time, a clock that stands still until told. */
#ifndef GLEANER_TESTS_CORE_STORY_H
#define GLEANER_TESTS_CORE_STORY_H

#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/core.h"
#include "proto/message.h"

typedef struct {
    core_t *core;
    effects_t effects;
    int64_t now_ms;
    uint64_t request; /* of the last request */
    message_t message;
} story_t;

#define STORY_WALL_MS 1700000000000LL

static inline int story_setup (void **state)
{
    story_t *self = xcalloc (1, sizeof *self);
    core_config_t config;
    core_config_default (&config);
    config.backoff_ms = 0; /* those that are about it set it */
    self->core = core_new (&config);
    self->now_ms = 1000;
    *state = self;
    return 0;
}

static inline int story_teardown (void **state)
{
    story_t *self = *state;
    core_check (self->core);
    core_destroy (&self->core);
    effects_fini (&self->effects);
    free (self);
    return 0;
}

static inline void story_event (story_t *self, event_t event)
{
    event.now_ms = self->now_ms;
    event.wall_ms = STORY_WALL_MS + self->now_ms;
    core_step (self->core, &event, &self->effects);
    core_check (self->core);
}

/* Sends self->message. */
static inline void story_send (story_t *self, const job_record_t *stored)
{
    story_event (
        self,
        (event_t){ .kind = EVENT_REQUEST, .request = ++self->request, .message = &self->message, .stored = stored });
}

static inline void story_pass (story_t *self, int64_t ms)
{
    self->now_ms += ms;
    story_event (self, (event_t){ .kind = EVENT_TICK });
}

/* The last step's effect of this kind for `request` (0: any); NULL when there is none. */
static inline const effect_t *story_effect (const story_t *self, effect_kind_t kind, uint64_t request)
{
    for (size_t i = 0; i < self->effects.count; i++)
        if (self->effects.items[i].kind == kind && (!request || self->effects.items[i].request == request))
            return &self->effects.items[i];
    return NULL;
}

/* The answer to `request`, whose type is asserted. */
static inline const message_t *story_answer (const story_t *self, uint64_t request, msg_type_t type)
{
    const effect_t *effect = story_effect (self, EFFECT_REPLY, request);
    if (!effect)
        effect = story_effect (self, EFFECT_REPLY_JOB, request);
    assert_non_null (effect);
    if (effect->message.type != type && effect->message.type == MSG_ERROR)
        fail_msg ("refused: %.*s", SLICE_ARG (effect->message.error.code));
    assert_string_equal (message_spec (effect->message.type)->wire, message_spec (type)->wire);
    return &effect->message;
}

static inline void assert_refused (const story_t *self, const char *code)
{
    assert_slice (story_answer (self, self->request, MSG_ERROR)->error.code, code);
}

static inline void assert_silent (const story_t *self)
{
    assert_null (story_effect (self, EFFECT_REPLY, 0));
    assert_null (story_effect (self, EFFECT_REPLY_JOB, 0));
}

/* ---- requests ---- */

static inline void story_register (story_t *self, const char *worker, int64_t slots, const char *addr)
{
    message_init (&self->message, MSG_WORKER_REGISTER);
    self->message.worker_register.worker_id = slice_of (worker);
    self->message.worker_register.hostname = SLICE ("host");
    self->message.worker_register.slots = slots;
    self->message.worker_register.machine = SLICE ("this-machine");
    self->message.worker_register.remote_addr = slice_of (addr);
    story_send (self, NULL);
    story_answer (self, self->request, MSG_WORKER_REGISTER_OK);
}

static inline void story_heartbeat (story_t *self, const char *worker, const char *addr)
{
    message_init (&self->message, MSG_WORKER_HEARTBEAT);
    self->message.worker_heartbeat.worker_id = slice_of (worker);
    self->message.worker_heartbeat.remote_addr = slice_of (addr);
    story_send (self, NULL);
}

/* A job's id, for the caller to free. */
static inline char *story_create (story_t *self, int64_t attempts)
{
    message_init (&self->message, MSG_JOB_CREATE);
    self->message.job_create.command = SLICE ("make");
    self->message.job_create.file_url = SLICE ("/uploads/x.zip");
    self->message.job_create.filename = SLICE ("x.zip");
    self->message.job_create.max_attempts = attempts;
    story_send (self, NULL);
    assert_non_null (story_effect (self, EFFECT_JOB_INSERT, 0));
    return slice_dup (story_answer (self, self->request, MSG_JOB_CREATE_OK)->job_create_ok.job_id);
}

static inline void story_poll (story_t *self, const char *worker, int64_t slot, int64_t wait, const char *addr)
{
    message_init (&self->message, MSG_JOB_POLL);
    self->message.job_poll.worker_id = slice_of (worker);
    self->message.job_poll.slot = slot;
    self->message.job_poll.wait = wait;
    self->message.job_poll.remote_addr = slice_of (addr);
    story_send (self, NULL);
}

/* What a worker knows of its job. */
typedef struct {
    char job[40], token[80], worker[40];
    int64_t attempt;
} held_t;

static inline held_t story_held (const story_t *self, uint64_t request, const char *worker)
{
    const msg_job_poll_ok_t *given = &story_answer (self, request, MSG_JOB_POLL_OK)->job_poll_ok;
    held_t held = { .attempt = given->attempt };
    assert_non_null (given->job_id.ptr);
    slice_copy (given->job_id, held.job, sizeof held.job);
    slice_copy (given->token, held.token, sizeof held.token);
    snprintf (held.worker, sizeof held.worker, "%s", worker);
    return held;
}

static inline held_t story_take (story_t *self, const char *worker, int64_t slot)
{
    story_poll (self, worker, slot, INT_ABSENT, NULL);
    return story_held (self, self->request, worker);
}

/* A result of exit 0 under the lease in self->message, to be completed and sent. */
static inline msg_job_result_t *story_result_begin (story_t *self, const held_t *held, bool with_token)
{
    message_init (&self->message, MSG_JOB_RESULT);
    msg_job_result_t *in = &self->message.job_result;
    in->job_id = slice_of (held->job);
    in->worker_id = slice_of (held->worker);
    in->exit_code = 0;
    if (with_token) {
        in->attempt = held->attempt;
        in->token = slice_of (held->token);
    }
    return in;
}

static inline void story_result (story_t *self, const held_t *held, bool with_token, bool inlined,
                                 const job_record_t *stored)
{
    msg_job_result_t *in = story_result_begin (self, held, with_token);
    if (inlined)
        in->stdout_data = in->stderr_data = SLICE ("out");
    story_send (self, stored);
}

static inline void story_append (story_t *self, const held_t *held, bool with_token, stream_t stream)
{
    message_init (&self->message, MSG_JOB_OUTPUT);
    msg_job_output_t *in = &self->message.job_output;
    in->job_id = slice_of (held->job);
    in->stream = slice_of (stream_name (stream));
    in->data = SLICE ("bytes");
    if (with_token) {
        in->worker_id = slice_of (held->worker);
        in->attempt = held->attempt;
        in->token = slice_of (held->token);
    }
    story_send (self, NULL);
}

static inline void story_output (story_t *self, const held_t *held, bool with_token)
{
    story_append (self, held, with_token, STREAM_STDOUT);
}

static inline void story_renew (story_t *self, const held_t *held, int64_t wait, const job_record_t *stored)
{
    message_init (&self->message, MSG_JOB_RENEW);
    msg_job_renew_t *in = &self->message.job_renew;
    in->job_id = slice_of (held->job);
    in->worker_id = slice_of (held->worker);
    in->attempt = held->attempt;
    in->token = slice_of (held->token);
    in->wait = wait;
    story_send (self, stored);
}

static inline void story_cancel (story_t *self, const char *job, const job_record_t *stored)
{
    message_init (&self->message, MSG_JOB_CANCEL);
    self->message.job_cancel.job_id = slice_of (job);
    story_send (self, stored);
}

/* A job of so many attempts, running in w's only slot. */
static inline held_t story_running (story_t *self, int64_t attempts)
{
    free (story_create (self, attempts));
    story_register (self, "w", 1, NULL);
    return story_take (self, "w", 0);
}

/* A worker-register or worker-goodbye of `held->worker` that keeps `held`, as it comes from the wire. */
static inline void story_keep (story_t *self, msg_type_t type, const held_t *held)
{
    buf_t raw = { 0 };
    buf_t frame = { 0 };
    list_t keep = { .raw = SLICE ("") };
    decoder_t *decoder = decoder_new ();
    message_t out;
    fault_t fault;
    message_init (&out, MSG_HELD_LEASE);
    out.held_lease.job_id = slice_of (held->job);
    out.held_lease.attempt = held->attempt;
    out.held_lease.token = slice_of (held->token);
    list_writer_add (&keep, &raw, &out);
    message_init (&out, type);
    if (type == MSG_WORKER_REGISTER) {
        out.worker_register.worker_id = slice_of (held->worker);
        out.worker_register.hostname = SLICE ("host");
        out.worker_register.slots = 1;
        out.worker_register.keep = keep;
    } else {
        out.worker_goodbye.worker_id = slice_of (held->worker);
        out.worker_goodbye.keep = keep;
    }
    message_encode (&out, &frame);
    assert_int_equal (message_decode (decoder, buf_slice (&frame), FRAME_MAX, &self->message, &fault), 0);
    story_send (self, NULL);
    decoder_destroy (&decoder);
    buf_fini (&raw);
    buf_fini (&frame);
}

/* The depot has done its part of a result. */
static inline void story_sealed (story_t *self, const held_t *held, int64_t attempt, err_t err)
{
    job_id_t id;
    assert_true (job_id_parse (slice_of (held->job), &id));
    story_event (self, (event_t){ .kind = EVENT_SEALED,
                                  .seq = id.seq,
                                  .attempt = attempt,
                                  .err = err,
                                  .data = { err ? SLICE_ABSENT : SLICE ("bytes"), SLICE (""), SLICE ("") },
                                  .bytes = { 5 } });
}

/* The final record that the last step stored. */
static inline job_record_t story_final (const story_t *self, const char *state, const char *reason)
{
    const effect_t *effect = story_effect (self, EFFECT_JOB_UPDATE, 0);
    assert_non_null (effect);
    assert_string_equal (job_state_name (effect->job.state), state);
    if (reason)
        assert_slice (effect->job.reason, reason);
    return effect->job;
}

#define STORY(test) cmocka_unit_test_setup_teardown (test, story_setup, story_teardown)

#endif
