/* Leases of agents that do not say who they are. */
#include "core_story.h"

#include "broker/apply.h"

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

static void test_a_group_is_rebuilt_where_its_agents_are (void **state)
{
    story_t *self = *state;
    store_t *store = store_ram_new ();
    static const char *const names[] = { "a", "b" };
    for (int i = 0; i < 2; i++) {
        story_register (self, names[i], INT_ABSENT, i ? "10.0.0.1" : "10.0.0.7");
        effects_persist (&self->effects, store);
    }
    story_heartbeat (self, "a", "10.0.0.1"); /* it has moved */
    assert_non_null (story_effect (self, EFFECT_WORKER_PUT, 0));
    effects_persist (&self->effects, store);
    free (story_create (self, 1));
    effects_persist (&self->effects, store);
    nameless_poll (self, "10.0.0.1");
    held_t held = story_held (self, self->request, "b");
    assert_slice (story_effect (self, EFFECT_JOB_UPDATE, 0)->job.group, "b\na");
    effects_persist (&self->effects, store);

    core_destroy (&self->core);
    core_config_t config;
    core_config_default (&config);
    self->core = core_new (&config);
    assert_int_equal (core_rebuild (self->core, store, self->now_ms, STORY_WALL_MS + self->now_ms), 0);
    story_result (self, &held, false, true, NULL);
    uint64_t result = self->request;
    story_sealed (self, &held, 1, ERR_NONE); /* nobody knows any more that there is no journal */
    story_answer (self, result, MSG_JOB_RESULT_OK);
    store->ops->close (&store);
}

static void test_whoever_holds_a_job_is_out_of_the_other_groups (void **state)
{
    story_t *self = *state;
    held_t held[2];
    static const char *const names[] = { "a", "b", "c" };
    for (int i = 0; i < 3; i++)
        story_register (self, names[i], INT_ABSENT, "10.0.0.1");
    for (int i = 0; i < 2; i++) {
        free (story_create (self, 1));
        nameless_poll (self, "10.0.0.1");
        held[i] = story_held (self, self->request, names[i]);
    }
    message_init (&self->message, MSG_JOB_OUTPUT);
    self->message.job_output.job_id = slice_of (held[0].job);
    self->message.job_output.worker_id = SLICE ("a");
    self->message.job_output.stream = SLICE ("stdout");
    self->message.job_output.data = SLICE ("x");
    story_send (self, NULL); /* a names itself: the first job is its, and stays so after a restart */
    const job_record_t *bound = &story_effect (self, EFFECT_JOB_UPDATE, 0)->job;
    assert_slice (bound->worker_id, "a");
    assert_null (bound->group.ptr);
    snprintf (held[1].worker, sizeof held[1].worker, "a");
    story_result (self, &held[1], false, true, NULL);
    assert_refused (self, "NOT_LEASE_HOLDER");
    snprintf (held[0].worker, sizeof held[0].worker, "b");
    story_result (self, &held[0], false, true, NULL);
    assert_refused (self, "NOT_LEASE_HOLDER");
    snprintf (held[1].worker, sizeof held[1].worker, "c");
    story_result (self, &held[1], false, true, NULL);
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
}

static void test_a_groups_lease_ends_with_the_jobs_timeout (void **state)
{
    story_t *self = *state;
    free (story_create (self, 1)); /* an hour, and 30 s of grace */
    story_register (self, "a", INT_ABSENT, "10.0.0.1");
    story_register (self, "b", INT_ABSENT, "10.0.0.1");
    nameless_poll (self, "10.0.0.1");
    for (int64_t ms = 0; ms < 3600000 + 20000; ms += 20000) {
        self->now_ms += 20000;
        story_heartbeat (self, "a", "10.0.0.1");
        story_heartbeat (self, "b", "10.0.0.1");
        story_event (self, (event_t){ .kind = EVENT_TICK });
        assert_int_equal (core_counts (self->core).running, 1);
    }
    story_pass (self, 10000);
    story_final (self, "failed", "timeout");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        STORY (test_one_nameless_agent_is_known_by_its_address),
        STORY (test_several_nameless_agents_share_a_lease_until_one_speaks),
        STORY (test_a_groups_lease_ends_when_all_are_offline),
        STORY (test_a_group_of_restarted_agents_has_nobody),
        STORY (test_a_group_is_rebuilt_where_its_agents_are),
        STORY (test_whoever_holds_a_job_is_out_of_the_other_groups),
        STORY (test_a_groups_lease_ends_with_the_jobs_timeout),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
