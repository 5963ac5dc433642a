/* A worker that drains: what it runs goes on, nothing new comes to it, until it is told to resume. */
#include "core_story.h"

static void ask (story_t *self, msg_type_t type, const char *worker)
{
    message_init (&self->message, type);
    if (type == MSG_WORKER_DRAIN)
        self->message.worker_drain.worker_id = slice_of (worker);
    else
        self->message.worker_resume.worker_id = slice_of (worker);
    story_send (self, NULL);
}

static void drain (story_t *self, const char *worker)
{
    ask (self, MSG_WORKER_DRAIN, worker);
    assert_slice (story_answer (self, self->request, MSG_WORKER_DRAIN_OK)->worker_drain_ok.worker_id, worker);
}

static void resume (story_t *self, const char *worker)
{
    ask (self, MSG_WORKER_RESUME, worker);
    assert_slice (story_answer (self, self->request, MSG_WORKER_RESUME_OK)->worker_resume_ok.worker_id, worker);
}

static void assert_no_job (story_t *self)
{
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
}

static void assert_waits (story_t *self, const char *job, const char *reason, const char *word)
{
    buf_t text = { 0 };
    assert_string_equal (core_waiting (self->core, slice_of (job), self->now_ms, &text), reason);
    assert_non_null (memmem (text.ptr, text.len, word, strlen (word)));
    buf_fini (&text);
}

static void test_nothing_new_and_what_runs_goes_on (void **state)
{
    story_t *self = *state;
    free (story_create (self, INT_ABSENT));
    story_register (self, "w", 2, NULL);
    held_t held = story_take (self, "w", 0);
    drain (self, "w");
    assert_int_equal (story_answer (self, self->request, MSG_WORKER_DRAIN_OK)->worker_drain_ok.running_jobs, 1);
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.draining, 1);
    char *waits = story_create (self, INT_ABSENT);
    story_poll (self, "w", 1, INT_ABSENT, NULL);
    assert_no_job (self);
    story_poll (self, "w", 0, INT_ABSENT, NULL); /* its answer was lost: the same once more */
    assert_string_equal (story_held (self, self->request, "w").job, held.job);
    story_result (self, &held, true, true, NULL);
    story_final (self, "completed", NULL);
    story_poll (self, "w", 0, INT_ABSENT, NULL);
    assert_no_job (self);
    assert_waits (self, waits, "all-draining", "The one worker");
    resume (self, "w");
    assert_string_equal (story_take (self, "w", 0).job, waits);
    free (waits);
}

static void test_parked_polls_stay_and_get_what_waits (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 2, NULL);
    story_poll (self, "w", 0, 60000, NULL);
    uint64_t first = self->request;
    story_poll (self, "w", 1, 60000, NULL);
    uint64_t second = self->request;
    drain (self, "w");
    char *one = story_create (self, INT_ABSENT);
    assert_null (story_effect (self, EFFECT_REPLY_JOB, 0));
    char *two = story_create (self, INT_ABSENT);
    char *three = story_create (self, INT_ABSENT);
    resume (self, "w");
    assert_string_equal (story_held (self, first, "w").job, one);
    assert_string_equal (story_held (self, second, "w").job, two);
    assert_int_equal (core_counts (self->core).parked, 0);
    assert_int_equal (core_counts (self->core).pending, 1);
    free (one);
    free (two);
    free (three);
}

static void test_another_worker_gets_it (void **state)
{
    story_t *self = *state;
    story_register (self, "a", 1, NULL);
    story_register (self, "b", 1, NULL);
    story_poll (self, "a", 0, 60000, NULL); /* has waited longest */
    story_poll (self, "b", 0, 60000, NULL);
    uint64_t others = self->request;
    drain (self, "a");
    char *job = story_create (self, INT_ABSENT);
    assert_string_equal (story_held (self, others, "b").job, job);
    char *next = story_create (self, INT_ABSENT);
    assert_waits (self, next, "all-busy", "busy");
    drain (self, "b");
    assert_waits (self, next, "all-draining", "All workers");
    free (job);
    free (next);
}

static void test_it_outlives_a_registration_and_a_restart (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    drain (self, "w");
    drain (self, "w"); /* twice is once: nothing is stored */
    assert_null (story_effect (self, EFFECT_WORKER_PUT, 0));
    story_register (self, "w", 2, NULL);
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.draining, 1);
    free (story_create (self, INT_ABSENT));
    story_poll (self, "w", 0, INT_ABSENT, NULL);
    assert_no_job (self);
    worker_record_t record = { .worker_id = SLICE ("stored"), .hostname = SLICE ("h"), .slots = 1, .draining = 1 };
    core_load_worker (self->core, &record, self->now_ms, STORY_WALL_MS);
    story_poll (self, "stored", 0, INT_ABSENT, NULL);
    assert_no_job (self);
}

static void test_direct_mode_waits_or_takes_another (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    message_init (&self->message, MSG_JOB_CREATE);
    msg_job_create_t *in = &self->message.job_create;
    in->command = SLICE ("make");
    in->file_url = SLICE ("/uploads/x.zip");
    in->filename = SLICE ("x.zip");
    in->machine = SLICE ("this-machine");
    message_t create = self->message;
    story_send (self, NULL);
    char *pinned = slice_dup (story_answer (self, self->request, MSG_JOB_CREATE_OK)->job_create_ok.job_id);
    drain (self, "w");
    assert_waits (self, pinned, "all-draining", "which alone may run it");
    story_poll (self, "w", 0, 60000, NULL);
    assert_silent (self);
    uint64_t parked = self->request;
    self->message = create;
    story_send (self, NULL);
    assert_refused (self, "NO_DIRECT_WORKER");
    resume (self, "w");
    assert_string_equal (story_held (self, parked, "w").job, pinned);
    free (pinned);
}

static void test_agents_without_a_name_drain_with_one_of_them (void **state)
{
    story_t *self = *state;
    story_register (self, "a", INT_ABSENT, "10.0.0.1");
    story_register (self, "b", INT_ABSENT, "10.0.0.1");
    char *job = story_create (self, INT_ABSENT);
    drain (self, "a"); /* idle: it may be the one that asks */
    story_poll (self, NULL, INT_ABSENT, INT_ABSENT, "10.0.0.1");
    assert_no_job (self);
    story_poll (self, "b", INT_ABSENT, INT_ABSENT, "10.0.0.1"); /* this one says who it is */
    held_t held = story_held (self, self->request, "b");
    assert_string_equal (held.job, job);
    resume (self, "a");
    char *next = story_create (self, INT_ABSENT);
    story_poll (self, NULL, INT_ABSENT, INT_ABSENT, "10.0.0.1");
    assert_string_equal (story_held (self, self->request, "a").job, next);
    free (job);
    free (next);
}

static void test_a_groups_lease_goes_on (void **state)
{
    story_t *self = *state;
    story_register (self, "a", INT_ABSENT, "10.0.0.1");
    story_register (self, "b", INT_ABSENT, "10.0.0.1");
    free (story_create (self, INT_ABSENT));
    story_poll (self, NULL, INT_ABSENT, INT_ABSENT, "10.0.0.1");
    held_t held = story_held (self, self->request, "a");
    drain (self, "a");
    story_result (self, &held, false, true, NULL);
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
}

static void test_asleep_and_draining (void **state)
{
    story_t *self = *state;
    story_register (self, "a", 1, NULL);
    story_register (self, "b", 1, NULL);
    drain (self, "a");
    message_init (&self->message, MSG_WORKER_SLEEP);
    self->message.worker_sleep.worker_id = SLICE ("b");
    story_send (self, NULL);
    char *job = story_create (self, INT_ABSENT);
    assert_waits (self, job, "all-asleep", "asleep or draining");
    free (job);
}

static void test_an_unknown_worker (void **state)
{
    story_t *self = *state;
    ask (self, MSG_WORKER_DRAIN, "nobody");
    assert_refused (self, "NO_SUCH_WORKER");
    ask (self, MSG_WORKER_RESUME, "nobody");
    assert_refused (self, "NO_SUCH_WORKER");
}

/* Of a registry of one worker; its texts are not kept. */
static msg_worker_entry_t only_entry (story_t *self)
{
    message_t list;
    message_t item;
    fault_t fault;
    buf_t frame = { 0 };
    decoder_t *decoder = decoder_new ();
    message_init (&self->message, MSG_WORKER_LIST);
    story_send (self, NULL);
    message_encode (story_answer (self, self->request, MSG_WORKER_LIST_OK), &frame);
    assert_int_equal (message_decode (decoder, buf_slice (&frame), REPLY_MAX, &list, &fault), 0);
    assert_int_equal (message_list_item (&list.worker_list_ok.workers, MSG_WORKER_ENTRY, 0, &item, &fault), 0);
    decoder_destroy (&decoder);
    buf_fini (&frame);
    return item.worker_entry;
}

static void test_load_and_memory_are_shown_while_it_is_online (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    message_init (&self->message, MSG_WORKER_HEARTBEAT);
    self->message.worker_heartbeat.worker_id = SLICE ("w");
    self->message.worker_heartbeat.load_percent = 37;
    self->message.worker_heartbeat.memory_bytes = 1000;
    self->message.worker_heartbeat.memory_free_bytes = 250;
    story_send (self, NULL);
    assert_null (story_effect (self, EFFECT_WORKER_PUT, 0)); /* not worth a write */
    for (int online = 1; online >= 0; online--) {
        msg_worker_entry_t entry = only_entry (self);
        assert_int_equal (entry.load_percent, online ? 37 : INT_ABSENT);
        assert_int_equal (entry.memory_bytes, online ? 1000 : INT_ABSENT);
        assert_int_equal (entry.memory_free_bytes, online ? 250 : INT_ABSENT);
        assert_int_equal (entry.draining, BOOL_ABSENT);
        story_pass (self, 60000);
    }
    drain (self, "w");
    assert_int_equal (only_entry (self).draining, 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        STORY (test_nothing_new_and_what_runs_goes_on),
        STORY (test_parked_polls_stay_and_get_what_waits),
        STORY (test_another_worker_gets_it),
        STORY (test_it_outlives_a_registration_and_a_restart),
        STORY (test_direct_mode_waits_or_takes_another),
        STORY (test_agents_without_a_name_drain_with_one_of_them),
        STORY (test_a_groups_lease_goes_on),
        STORY (test_asleep_and_draining),
        STORY (test_an_unknown_worker),
        STORY (test_load_and_memory_are_shown_while_it_is_online),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
