/* Leases: renewal and its end, fencing, giving back, the broker's own restart. */
#include "core_story.h"

#include "broker/apply.h"

static void test_an_unrenewed_lease_ends_and_the_job_runs_again (void **state)
{
    story_t *self = *state;
    held_t first = story_running (self, 2);
    story_pass (self, 59999);
    assert_int_equal (core_counts (self->core).running, 1);
    story_pass (self, 1);
    assert_int_equal (core_counts (self->core).pending, 1);
    story_register (self, "v", 1, NULL);
    held_t second = story_take (self, "v", 0);
    assert_int_equal (second.attempt, 2);
    assert_string_not_equal (second.token, first.token);
    story_result (self, &first, true, true, NULL);
    assert_refused (self, "STALE_ATTEMPT");
    story_output (self, &first, true);
    assert_refused (self, "STALE_ATTEMPT");
    story_pass (self, 60000);
    story_final (self, "failed", "worker-lost"); /* no attempts left */
}

static void test_a_sleeping_worker_does_not_get_its_job_again (void **state)
{
    story_t *self = *state;
    free (story_create (self, 3));
    story_register (self, "w", 2, NULL);
    story_take (self, "w", 0);
    story_pass (self, 25000);
    story_poll (self, "w", 1, 300000, NULL); /* its other slot waits; then the lid is shut */
    uint64_t parked = self->request;
    story_pass (self, 25000);
    story_heartbeat (self, "w", NULL); /* the last that is heard of it */
    story_pass (self, 10000);
    assert_null (story_answer (self, parked, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    assert_int_equal (core_counts (self->core).pending, 1);
}

static void test_each_write_renews (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    for (int i = 0; i < 5; i++) {
        self->now_ms += 50000;
        story_renew (self, &held, INT_ABSENT, NULL);
        story_answer (self, self->request, MSG_JOB_RENEW_OK);
        self->now_ms += 50000;
        story_output (self, &held, true);
        assert_non_null (story_effect (self, EFFECT_APPEND, 0));
    }
    story_pass (self, 0);
    assert_int_equal (core_counts (self->core).running, 1);
}

static void test_a_job_ends_at_its_timeout_however_renewed (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    for (int64_t ms = 0; ms < 3600000 + 29000; ms += 50000) {
        self->now_ms += 50000;
        story_renew (self, &held, INT_ABSENT, NULL);
    }
    story_pass (self, 0);
    story_final (self, "failed", "timeout");
}

static void test_a_cancel_is_final_and_heard_at_once (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 3);
    story_renew (self, &held, 10000, NULL);
    assert_silent (self);
    uint64_t parked = self->request;
    story_cancel (self, held.job, NULL);
    assert_int_equal (story_answer (self, self->request, MSG_JOB_CANCEL_OK)->job_cancel_ok.already_over, 0);
    assert_int_equal (story_answer (self, parked, MSG_JOB_RENEW_OK)->job_renew_ok.cancel_requested, 1);
    job_record_t record = story_final (self, "failed", "cancelled");
    assert_null (record.token.ptr);
    story_result (self, &held, true, true, &record);
    assert_refused (self, "STALE_ATTEMPT");
    story_renew (self, &held, INT_ABSENT, &record);
    assert_int_equal (story_answer (self, self->request, MSG_JOB_RENEW_OK)->job_renew_ok.cancel_requested, 1);
    story_cancel (self, held.job, &record);
    assert_slice (story_answer (self, self->request, MSG_JOB_CANCEL_OK)->job_cancel_ok.status, "failed");
    assert_int_equal (story_answer (self, self->request, MSG_JOB_CANCEL_OK)->job_cancel_ok.already_over, 1);
}

static void test_the_wrong_worker_is_refused (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_register (self, "thief", 1, NULL);
    snprintf (held.worker, sizeof held.worker, "thief");
    story_result (self, &held, false, true, NULL);
    assert_refused (self, "NOT_LEASE_HOLDER");
    story_result (self, &held, true, true, NULL);
    assert_refused (self, "NOT_LEASE_HOLDER");
    snprintf (held.worker, sizeof held.worker, "nobody");
    story_result (self, &held, false, true, NULL);
    assert_refused (self, "NOT_LEASE_HOLDER");
}

static void test_a_returned_job_keeps_its_attempts (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    message_init (&self->message, MSG_JOB_RETURN);
    self->message.job_return.job_id = slice_of (held.job);
    self->message.job_return.worker_id = slice_of ("w");
    self->message.job_return.attempt = 1;
    self->message.job_return.token = slice_of (held.token);
    story_send (self, NULL);
    held_t again = story_take (self, "w", 0);
    assert_int_equal (again.attempt, 1);
    assert_string_not_equal (again.token, held.token);
}

static void test_an_undelivered_job_goes_back (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    job_id_t id;
    assert_true (job_id_parse (slice_of (held.job), &id));
    story_event (self, (event_t){ .kind = EVENT_UNDELIVERED, .seq = id.seq, .attempt = 1, .token = SLICE ("another") });
    assert_int_equal (core_counts (self->core).running, 1);
    story_event (self,
                 (event_t){ .kind = EVENT_UNDELIVERED, .seq = id.seq, .attempt = 1, .token = slice_of (held.token) });
    assert_int_equal (core_counts (self->core).pending, 1);
}

static void test_a_restarted_worker_gives_its_leases_back (void **state)
{
    story_t *self = *state;
    story_running (self, 2);
    story_register (self, "w", 1, NULL);
    assert_int_equal (core_counts (self->core).pending, 1);
    assert_int_equal (story_take (self, "w", 0).attempt, 2);
}

static void test_an_offline_worker_is_seen_and_comes_back (void **state)
{
    story_t *self = *state;
    story_register (self, "w", INT_ABSENT, NULL);
    story_pass (self, 29999);
    assert_null (story_effect (self, EFFECT_WORKER_PUT, 0));
    story_pass (self, 1);
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.online, 0);
    story_heartbeat (self, "w", NULL);
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.online, 1);
    story_heartbeat (self, "w", NULL);
    assert_null (story_effect (self, EFFECT_WORKER_PUT, 0)); /* a heartbeat costs no write */
}

static void test_a_registration_is_written_when_it_says_something_new (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    assert_non_null (story_effect (self, EFFECT_WORKER_PUT, 0));
    story_register (self, "w", 1, NULL);
    assert_null (story_effect (self, EFFECT_WORKER_PUT, 0));
    story_register (self, "w", 2, NULL);
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.slots, 2);
    story_register (self, "w", 2, "10.0.0.1");
    assert_slice (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.remote_addr, "10.0.0.1");
    story_pass (self, 30000);
    story_register (self, "w", 2, "10.0.0.1");
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.online, 1);
}

static void test_a_heartbeat_renews_what_has_no_slot (void **state)
{
    story_t *self = *state;
    free (story_create (self, 1));
    story_register (self, "old", INT_ABSENT, "10.0.0.1");
    story_take (self, "old", INT_ABSENT);
    for (int i = 0; i < 20; i++) {
        story_pass (self, 10000);
        story_heartbeat (self, "old", "10.0.0.1");
    }
    assert_int_equal (core_counts (self->core).running, 1);
}

static void test_a_lost_second_answer_takes_nothing_back (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    job_id_t id;
    assert_true (job_id_parse (slice_of (held.job), &id));
    story_renew (self, &held, INT_ABSENT, NULL); /* the first answer did arrive */
    story_event (self,
                 (event_t){ .kind = EVENT_UNDELIVERED, .seq = id.seq, .attempt = 1, .token = slice_of (held.token) });
    assert_int_equal (core_counts (self->core).running, 1);
}

static void test_a_kept_lease_outlives_a_register_and_a_goodbye (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_keep (self, MSG_WORKER_GOODBYE, &held);
    story_answer (self, self->request, MSG_WORKER_GOODBYE_OK);
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.online, 0);
    assert_int_equal (core_counts (self->core).running, 1);
    self->now_ms += 50000;
    story_keep (self, MSG_WORKER_REGISTER, &held);
    story_answer (self, self->request, MSG_WORKER_REGISTER_OK);
    story_pass (self, 50000); /* the lease was renewed */
    assert_int_equal (core_counts (self->core).running, 1);
    story_result (self, &held, true, true, NULL);
    story_final (self, "completed", NULL);
}

static void test_another_lease_is_not_kept (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 2);
    held_t wrong = held;
    wrong.token[0] = wrong.token[0] == '0' ? '1' : '0';
    story_keep (self, MSG_WORKER_REGISTER, &wrong);
    assert_int_equal (core_counts (self->core).pending, 1);
    held = story_take (self, "w", 0);
    assert_int_equal (held.attempt, 2);
    wrong = held;
    wrong.attempt = 1;
    story_keep (self, MSG_WORKER_GOODBYE, &wrong); /* its last attempt */
    story_final (self, "failed", "worker-lost");
}

static void test_a_worker_that_says_goodbye_is_offline_at_once (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    story_poll (self, "w", 0, 60000, NULL);
    uint64_t parked = self->request;
    message_init (&self->message, MSG_WORKER_GOODBYE);
    self->message.worker_goodbye.worker_id = SLICE ("w");
    story_send (self, NULL);
    assert_null (story_answer (self, parked, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    assert_int_equal (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.online, 0);
}

static void test_writes_carry_the_current_token_and_attempt (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    held_t wrong = held;
    wrong.attempt = 2;
    story_renew (self, &wrong, INT_ABSENT, NULL);
    assert_refused (self, "STALE_ATTEMPT");
    wrong = held;
    wrong.token[0] = wrong.token[0] == '0' ? '1' : '0';
    story_renew (self, &wrong, INT_ABSENT, NULL);
    assert_refused (self, "STALE_ATTEMPT");
    story_result (self, &wrong, true, true, NULL);
    assert_refused (self, "STALE_ATTEMPT");
    story_output (self, &held, false); /* rule 22: its lease has a slot */
    assert_refused (self, "NOT_LEASE_HOLDER");
}

/* ---- restart of the broker ---- */

static void test_after_a_restart_every_lease_has_a_full_period (void **state)
{
    story_t *self = *state;
    store_t *store = store_ram_new ();
    free (story_create (self, 1));
    assert_int_equal (effects_persist (&self->effects, store), 0);
    story_register (self, "w", 1, NULL);
    assert_int_equal (effects_persist (&self->effects, store), 0);
    held_t held = story_take (self, "w", 0);
    assert_int_equal (effects_persist (&self->effects, store), 0);
    core_destroy (&self->core);
    core_config_t config;
    core_config_default (&config);
    self->core = core_new (&config);
    self->now_ms += 1000 * 1000;
    assert_int_equal (core_rebuild (self->core, store, self->now_ms, STORY_WALL_MS + self->now_ms), 0);
    story_pass (self, 59999);
    job_id_t id;
    assert_true (job_id_parse (slice_of (held.job), &id));
    story_event (self, /* the answer to a poll that came twice: the worker may be at work all the same */
                 (event_t){ .kind = EVENT_UNDELIVERED, .seq = id.seq, .attempt = 1, .token = slice_of (held.token) });
    story_renew (self, &held, INT_ABSENT, NULL);
    story_answer (self, self->request, MSG_JOB_RENEW_OK);
    store->ops->close (&store);
}

static void test_after_a_restart_ids_go_on_above_the_last (void **state)
{
    story_t *self = *state;
    store_t *store = store_ram_new ();
    self->now_ms = 60000;
    char *job = story_create (self, 1);
    assert_int_equal (effects_persist (&self->effects, store), 0);
    story_cancel (self, job, NULL);
    assert_int_equal (effects_persist (&self->effects, store), 0);
    core_destroy (&self->core);
    core_config_t config;
    core_config_default (&config);
    self->core = core_new (&config);
    self->now_ms = 1000; /* and the wall clock was put back */
    assert_int_equal (core_rebuild (self->core, store, self->now_ms, STORY_WALL_MS + self->now_ms), 0);
    char *next = story_create (self, 1);
    job_id_t before;
    job_id_t after;
    assert_true (job_id_parse (slice_of (job), &before) && job_id_parse (slice_of (next), &after));
    assert_true (after.seq > before.seq);
    free (job);
    free (next);
    store->ops->close (&store);
}

/* A job of w's with three attempts and this timeout. */
static held_t running_for (story_t *self, int64_t timeout_ms)
{
    message_init (&self->message, MSG_JOB_CREATE);
    self->message.job_create.command = SLICE ("make");
    self->message.job_create.file_url = SLICE ("/uploads/x.zip");
    self->message.job_create.filename = SLICE ("x.zip");
    self->message.job_create.timeout_ms = timeout_ms;
    story_send (self, NULL);
    story_register (self, "w", 1, NULL);
    return story_take (self, "w", 0);
}

static void test_a_short_timeout_is_no_verdict_on_a_silent_worker (void **state)
{
    story_t *self = *state;
    running_for (self, 5000); /* with its grace, 35 s: less than a lease */
    story_pass (self, 35000);
    assert_int_equal (core_counts (self->core).running, 1);
    story_pass (self, 24999);
    assert_int_equal (core_counts (self->core).running, 1);
    story_pass (self, 1);
    assert_int_equal (core_counts (self->core).pending, 1);
    assert_slice (story_effect (self, EFFECT_ATTEMPT_PUT, 0)->attempt_row.reason, "worker-lost");
}

static void test_a_worker_that_lets_a_job_overrun_is_not_waited_for (void **state)
{
    story_t *self = *state;
    held_t held = running_for (self, 5000);
    self->now_ms += 6000;
    story_renew (self, &held, INT_ABSENT, NULL);
    story_pass (self, 28999);
    assert_int_equal (core_counts (self->core).running, 1);
    story_pass (self, 1);
    story_final (self, "failed", "timeout");
}

static void test_a_sleeper_that_does_not_wake_is_lost (void **state)
{
    story_t *self = *state;
    held_t held = running_for (self, 5000);
    message_init (&self->message, MSG_WORKER_SLEEP);
    self->message.worker_sleep.worker_id = slice_of (held.worker);
    story_send (self, NULL);
    story_pass (self, 15 * 60 * 1000);
    assert_int_equal (core_counts (self->core).pending, 1);
    assert_slice (story_effect (self, EFFECT_ATTEMPT_PUT, 0)->attempt_row.reason, "worker-lost");
}

static void return_undelivered (story_t *self, const held_t *held)
{
    message_init (&self->message, MSG_JOB_RETURN);
    msg_job_return_t *in = &self->message.job_return;
    in->job_id = slice_of (held->job);
    in->worker_id = slice_of (held->worker);
    in->attempt = held->attempt;
    in->token = slice_of (held->token);
    in->undelivered = 1;
    story_send (self, NULL);
    story_answer (self, self->request, MSG_JOB_RETURN_OK);
}

static void test_a_gateway_gives_back_what_it_could_not_hand_on (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    return_undelivered (self, &held);
    assert_int_equal (core_counts (self->core).pending, 1);
}

static void test_a_lease_that_was_told_twice_is_not_given_back_for_one_lost_answer (void **state)
{
    story_t *self = *state;
    held_t first = story_running (self, 1); /* its answer hangs in a dead connection; */
    assert_false (story_effect (self, EFFECT_REPLY_JOB, 0)->again);
    held_t again = story_take (self, "w", 0); /* the worker asks anew, and begins */
    assert_string_equal (again.token, first.token);
    assert_true (story_effect (self, EFFECT_REPLY_JOB, 0)->again);
    return_undelivered (self, &first);
    assert_int_equal (core_counts (self->core).running, 1);
}

static void lose (story_t *self, const char *worker)
{
    story_event (self, (event_t){ .kind = EVENT_GONE, .worker_id = slice_of (worker) });
}

static void test_a_worker_that_closes_its_connection_is_lost_at_once (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 2);
    lose (self, "nobody");
    assert_silent (self);
    lose (self, held.worker);
    assert_int_equal (core_counts (self->core).pending, 1);
    const effect_t *row = story_effect (self, EFFECT_ATTEMPT_PUT, 0);
    assert_slice (row->attempt_row.reason, "worker-lost");
    assert_false (story_effect (self, EFFECT_WORKER_PUT, 0)->worker.online);
    story_renew (self, &held, INT_ABSENT, NULL);
    assert_refused (self, "STALE_ATTEMPT");
    lose (self, held.worker); /* told twice */
    assert_silent (self);
}

static void test_a_poll_that_is_withdrawn_is_given_nothing (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 2, NULL);
    story_poll (self, "w", 0, 60000, NULL);
    uint64_t stays = self->request;
    story_poll (self, "w", 1, 60000, NULL);
    story_event (self, (event_t){ .kind = EVENT_WITHDRAWN, .request = self->request });
    assert_refused (self, "UNAUTHORIZED");
    story_event (self, (event_t){ .kind = EVENT_WITHDRAWN, .request = self->request }); /* told twice */
    assert_silent (self);
    assert_int_equal (core_counts (self->core).parked, 1);
    free (story_create (self, 1));
    assert_int_equal (story_effect (self, EFFECT_REPLY_JOB, 0)->request, stays);
    free (story_create (self, 1));
    assert_int_equal (core_counts (self->core).pending, 1);
}

static void test_a_sleeping_worker_may_lose_its_connection (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    message_init (&self->message, MSG_WORKER_SLEEP);
    self->message.worker_sleep.worker_id = slice_of (held.worker);
    story_send (self, NULL);
    lose (self, held.worker);
    assert_silent (self);
    story_renew (self, &held, INT_ABSENT, NULL);
    story_answer (self, self->request, MSG_JOB_RENEW_OK);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        STORY (test_an_unrenewed_lease_ends_and_the_job_runs_again),
        STORY (test_a_sleeping_worker_does_not_get_its_job_again),
        STORY (test_each_write_renews),
        STORY (test_a_job_ends_at_its_timeout_however_renewed),
        STORY (test_a_cancel_is_final_and_heard_at_once),
        STORY (test_the_wrong_worker_is_refused),
        STORY (test_a_returned_job_keeps_its_attempts),
        STORY (test_an_undelivered_job_goes_back),
        STORY (test_a_restarted_worker_gives_its_leases_back),
        STORY (test_an_offline_worker_is_seen_and_comes_back),
        STORY (test_a_registration_is_written_when_it_says_something_new),
        STORY (test_a_heartbeat_renews_what_has_no_slot),
        STORY (test_a_lost_second_answer_takes_nothing_back),
        STORY (test_a_kept_lease_outlives_a_register_and_a_goodbye),
        STORY (test_another_lease_is_not_kept),
        STORY (test_a_worker_that_says_goodbye_is_offline_at_once),
        STORY (test_a_gateway_gives_back_what_it_could_not_hand_on),
        STORY (test_a_lease_that_was_told_twice_is_not_given_back_for_one_lost_answer),
        STORY (test_a_short_timeout_is_no_verdict_on_a_silent_worker),
        STORY (test_a_worker_that_lets_a_job_overrun_is_not_waited_for),
        STORY (test_a_sleeper_that_does_not_wake_is_lost),
        STORY (test_a_worker_that_closes_its_connection_is_lost_at_once),
        STORY (test_a_poll_that_is_withdrawn_is_given_nothing),
        STORY (test_a_sleeping_worker_may_lose_its_connection),
        STORY (test_writes_carry_the_current_token_and_attempt),
        STORY (test_after_a_restart_every_lease_has_a_full_period),
        STORY (test_after_a_restart_ids_go_on_above_the_last),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
