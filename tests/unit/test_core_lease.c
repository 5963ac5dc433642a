/* Leases: renewal and its end, fencing, results once, groups of agents that do not say who they are. */
#include "core_story.h"

#include "broker/apply.h"

static held_t one_running (story_t *self, int64_t attempts)
{
    free (story_create (self, attempts));
    story_register (self, "w", 1, NULL);
    return story_take (self, "w", 0);
}

static void test_an_unrenewed_lease_ends_and_the_job_runs_again (void **state)
{
    story_t *self = *state;
    held_t first = one_running (self, 2);
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
    held_t held = one_running (self, 1);
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
    held_t held = one_running (self, 1);
    for (int64_t ms = 0; ms < 3600000 + 29000; ms += 50000) {
        self->now_ms += 50000;
        story_renew (self, &held, INT_ABSENT, NULL);
    }
    story_pass (self, 0);
    story_final (self, "failed", "timeout");
}

static void test_a_result_is_accepted_once (void **state)
{
    story_t *self = *state;
    held_t held = one_running (self, 1);
    story_result (self, &held, true, true, NULL);
    job_record_t record = story_final (self, "completed", NULL);
    assert_slice (record.stdout_data, "out");
    char token[80];
    slice_copy (record.token, token, sizeof token);
    record.token = slice_of (token);
    record.reason = SLICE_ABSENT;
    story_result (self, &held, true, true, &record); /* its answer was lost */
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
    assert_null (story_effect (self, EFFECT_JOB_UPDATE, 0));
    story_result (self, &held, false, true, &record);
    assert_refused (self, "NOT_LEASE_HOLDER");
    held.attempt = 2;
    story_result (self, &held, true, true, &record);
    assert_refused (self, "STALE_ATTEMPT");
}

static void test_a_result_waits_for_its_output (void **state)
{
    story_t *self = *state;
    held_t held = one_running (self, 1);
    story_output (self, &held, true);
    story_result (self, &held, true, false, NULL);
    uint64_t result = self->request;
    const effect_t *seal = story_effect (self, EFFECT_SEAL, 0);
    assert_non_null (seal);
    assert_silent (self);
    int64_t seq = seal->seq;
    story_result (self, &held, true, false, NULL);
    assert_refused (self, "RESULT_PENDING");
    story_event (
        self,
        (event_t){ .kind = EVENT_SEALED, .seq = seq, .attempt = 1, .err = ERR_OUTPUT_MISMATCH, .stdout_bytes = 3 });
    assert_slice (story_answer (self, result, MSG_ERROR)->error.code, "OUTPUT_MISMATCH");
    story_result (self, &held, true, false, NULL);
    result = self->request;
    story_event (self, (event_t){ .kind = EVENT_SEALED,
                                  .seq = seq,
                                  .attempt = 1,
                                  .stdout_data = SLICE ("bytes"),
                                  .stderr_data = SLICE (""),
                                  .stdout_bytes = 5 });
    story_answer (self, result, MSG_JOB_RESULT_OK);
    job_record_t record = story_final (self, "completed", NULL);
    assert_slice (record.stdout_data, "bytes");
    assert_int_equal (story_effect (self, EFFECT_DISCARD, 0)->streams, 3);
}

static void test_a_cancel_is_final_and_heard_at_once (void **state)
{
    story_t *self = *state;
    held_t held = one_running (self, 3);
    story_renew (self, &held, 10000, NULL);
    assert_silent (self);
    uint64_t parked = self->request;
    story_cancel (self, held.job, NULL);
    assert_int_equal (story_answer (self, parked, MSG_JOB_RENEW_OK)->job_renew_ok.cancel_requested, 1);
    job_record_t record = story_final (self, "failed", "cancelled");
    assert_null (record.token.ptr);
    story_result (self, &held, true, true, &record);
    assert_refused (self, "STALE_ATTEMPT");
    story_renew (self, &held, INT_ABSENT, &record);
    assert_int_equal (story_answer (self, self->request, MSG_JOB_RENEW_OK)->job_renew_ok.cancel_requested, 1);
    story_cancel (self, held.job, &record);
    assert_slice (story_answer (self, self->request, MSG_JOB_CANCEL_OK)->job_cancel_ok.status, "failed");
}

static void test_the_wrong_worker_is_refused (void **state)
{
    story_t *self = *state;
    held_t held = one_running (self, 1);
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
    held_t held = one_running (self, 1);
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
    held_t held = one_running (self, 1);
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
    one_running (self, 2);
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

/* ---- agents that do not say who they are ---- */

static void nameless_poll (story_t *self, const char *addr)
{
    story_poll (self, NULL, INT_ABSENT, INT_ABSENT, addr);
}

static void test_one_nameless_agent_is_known_by_its_address (void **state)
{
    story_t *self = *state;
    free (story_create (self, 1));
    nameless_poll (self, "10.0.0.1");
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    story_register (self, "a", INT_ABSENT, "10.0.0.1");
    nameless_poll (self, "10.0.0.2");
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    nameless_poll (self, "10.0.0.1");
    held_t held = story_held (self, self->request, "a");
    assert_slice (story_effect (self, EFFECT_JOB_UPDATE, 0)->job.worker_id, "a");
    story_result (self, &held, false, true, NULL);
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
}

static void test_several_nameless_agents_share_a_lease_until_one_speaks (void **state)
{
    story_t *self = *state;
    held_t held[3];
    static const char *const names[] = { "a", "b", "c" };
    for (int i = 0; i < 3; i++) {
        free (story_create (self, 1));
        story_register (self, names[i], INT_ABSENT, "10.0.0.1");
    }
    free (story_create (self, 1));
    for (int i = 0; i < 3; i++) {
        nameless_poll (self, "10.0.0.1");
        held[i] = story_held (self, self->request, names[i]);
        assert_null (story_effect (self, EFFECT_JOB_UPDATE, 0)->job.worker_id.ptr);
    }
    nameless_poll (self, "10.0.0.1"); /* all three may be busy */
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    story_output (self, &held[1], false); /* names nobody: binds nobody */
    assert_non_null (story_effect (self, EFFECT_APPEND, 0));
    story_result (self, &held[1], false, true, NULL); /* b has the second job */
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
    snprintf (held[0].worker, sizeof held[0].worker, "b");
    story_result (self, &held[0], false, true, NULL); /* and so not the first */
    assert_refused (self, "NOT_LEASE_HOLDER");
    snprintf (held[0].worker, sizeof held[0].worker, "a");
    story_result (self, &held[0], false, true, NULL);
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
    snprintf (held[2].worker, sizeof held[2].worker, "a"); /* then the third is c's, by elimination */
    story_result (self, &held[2], false, true, NULL);
    assert_refused (self, "NOT_LEASE_HOLDER");
    snprintf (held[2].worker, sizeof held[2].worker, "c");
    story_result (self, &held[2], false, true, NULL);
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
}

static void test_a_groups_lease_ends_when_all_are_offline (void **state)
{
    story_t *self = *state;
    free (story_create (self, 2));
    story_register (self, "a", INT_ABSENT, "10.0.0.1");
    story_register (self, "b", INT_ABSENT, "10.0.0.1");
    nameless_poll (self, "10.0.0.1");
    story_held (self, self->request, "?");
    self->now_ms += 20000;
    story_heartbeat (self, "b", "10.0.0.1");
    story_pass (self, 15000); /* a is offline, b is not */
    assert_int_equal (core_counts (self->core).running, 1);
    story_pass (self, 15000);
    assert_int_equal (core_counts (self->core).pending, 1);
}

static void test_a_group_of_restarted_agents_has_nobody (void **state)
{
    story_t *self = *state;
    free (story_create (self, 2));
    story_register (self, "a", INT_ABSENT, "10.0.0.1");
    story_register (self, "b", INT_ABSENT, "10.0.0.1");
    nameless_poll (self, "10.0.0.1");
    story_register (self, "a", INT_ABSENT, "10.0.0.1");
    assert_int_equal (core_counts (self->core).running, 1);
    story_register (self, "b", INT_ABSENT, "10.0.0.1");
    assert_int_equal (core_counts (self->core).pending, 1);
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
    assert_int_equal (core_rebuild (self->core, store, self->now_ms), 0);
    story_pass (self, 59999);
    story_renew (self, &held, INT_ABSENT, NULL);
    story_answer (self, self->request, MSG_JOB_RENEW_OK);
    store->ops->close (&store);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        STORY (test_an_unrenewed_lease_ends_and_the_job_runs_again),
        STORY (test_a_sleeping_worker_does_not_get_its_job_again),
        STORY (test_each_write_renews),
        STORY (test_a_job_ends_at_its_timeout_however_renewed),
        STORY (test_a_result_is_accepted_once),
        STORY (test_a_result_waits_for_its_output),
        STORY (test_a_cancel_is_final_and_heard_at_once),
        STORY (test_the_wrong_worker_is_refused),
        STORY (test_a_returned_job_keeps_its_attempts),
        STORY (test_an_undelivered_job_goes_back),
        STORY (test_a_restarted_worker_gives_its_leases_back),
        STORY (test_an_offline_worker_is_seen_and_comes_back),
        STORY (test_a_heartbeat_renews_what_has_no_slot),
        STORY (test_one_nameless_agent_is_known_by_its_address),
        STORY (test_several_nameless_agents_share_a_lease_until_one_speaks),
        STORY (test_a_groups_lease_ends_when_all_are_offline),
        STORY (test_a_group_of_restarted_agents_has_nobody),
        STORY (test_after_a_restart_every_lease_has_a_full_period),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
