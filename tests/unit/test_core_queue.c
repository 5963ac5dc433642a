/* Submitting, the queue, patience: who gets which job, and when. */
#include "core_story.h"

#define HASH  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_jobs_go_out_in_order (void **state)
{
    story_t *self = *state;
    char *jobs[3];
    for (int i = 0; i < 3; i++)
        jobs[i] = story_create (self, INT_ABSENT);
    story_register (self, "w", 4, NULL);
    for (int i = 0; i < 3; i++) {
        held_t held = story_take (self, "w", i);
        assert_string_equal (held.job, jobs[i]);
        assert_int_equal (held.attempt, 1);
        free (jobs[i]);
    }
    story_poll (self, "w", 3, INT_ABSENT, NULL);
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
}

/* A pending job that requires n=NUMBER. */
static void require (story_t *self, int number)
{
    char label[32];
    snprintf (label, sizeof label, "n=%d", number);
    message_init (&self->message, MSG_JOB_CREATE);
    msg_job_create_t *job = &self->message.job_create;
    job->command = SLICE ("make");
    job->filename = SLICE ("x.zip");
    job->file_url = SLICE ("http://host/x.zip");
    job->requires = slice_of (label);
    story_send (self, NULL);
    story_answer (self, self->request, MSG_JOB_CREATE_OK);
}

/* So many requirements that nobody meets that two rounds are needed to hold all against all workers. */
static void test_why_jobs_wait_is_found_within_a_bound (void **state)
{
    enum { WORKERS = 200, KINDS = WAIT_LOOKS_MAX / WORKERS + 20 };
    story_t *self = *state;
    char name[32];
    int64_t waits[WAITS];
    for (int i = 0; i < KINDS; i++)
        require (self, i);
    core_waits (self->core, waits);
    assert_int_equal (waits[WAIT_NO_WORKER], KINDS);
    for (int i = 0; i < WORKERS; i++) {
        snprintf (name, sizeof name, "w%d", i);
        story_register (self, name, 1, NULL);
    }
    core_waits (self->core, waits);
    assert_int_equal (waits[WAIT_NO_MATCH], KINDS - 20);
    assert_int_equal (waits[WAIT_NO_WORKER], 20); /* as it was when last looked at */
    require (self, KINDS);
    core_waits (self->core, waits);
    assert_int_equal (waits[WAIT_NO_MATCH], KINDS);
    assert_int_equal (waits[WAIT_UNKNOWN], 1); /* its turn has not come */
    core_waits (self->core, waits);
    assert_int_equal (waits[WAIT_NO_MATCH], KINDS + 1);
    free (story_create (self, INT_ABSENT));
    core_waits (self->core, waits);
    assert_int_equal (waits[WAIT_ALL_BUSY], 1); /* nobody has asked for it yet */
    core_check (self->core);
}

/* Only to who says that it can take one, and only with blobs that are there. */
static void test_a_delta_goes_to_who_knows_deltas (void **state)
{
    story_t *self = *state;
    story_register (self, "old", 1, NULL);
    assert_false (core_takes_deltas (self->core));
    message_init (&self->message, MSG_JOB_CREATE);
    msg_job_create_t *job = &self->message.job_create;
    job->command = SLICE ("make");
    job->filename = SLICE ("x.zip");
    job->file_url = SLICE ("/uploads/" HASH ".zip");
    job->delta_url = SLICE ("/uploads/y.zip");
    story_send (self, NULL);
    assert_refused (self, "BAD_FILE_URL");
    job->delta_url = SLICE ("/uploads/" OTHER ".zip");
    job->file_url = SLICE ("http://host/x.zip");
    story_send (self, NULL);
    assert_refused (self, "BAD_FILE_URL");
    job->file_url = SLICE ("/uploads/" HASH ".zip");
    story_send (self, NULL);
    assert_refused (self, "NO_SUCH_BLOB");
    story_event (
        self, (event_t){ .kind = EVENT_REQUEST, .request = ++self->request, .message = &self->message, .blobs = true });
    const job_record_t *record = &story_effect (self, EFFECT_JOB_INSERT, 0)->job;
    assert_slice (record->delta, OTHER);
    story_poll (self, "old", 0, INT_ABSENT, NULL);
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
}

static void test_the_assignment_is_stored_with_its_token (void **state)
{
    story_t *self = *state;
    free (story_create (self, INT_ABSENT));
    story_register (self, "w", 1, NULL);
    held_t held = story_take (self, "w", 0);
    const job_record_t *record = &story_effect (self, EFFECT_JOB_UPDATE, 0)->job;
    assert_int_equal (record->state, JOB_RUNNING);
    assert_int_equal (record->attempt, 1);
    assert_slice (record->token, held.token);
    assert_slice (record->worker_id, "w");
}

static void test_a_parked_poll_is_answered_when_a_job_comes (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    story_poll (self, "w", 0, 5000, NULL);
    assert_silent (self);
    uint64_t parked = self->request;
    char *job = story_create (self, INT_ABSENT);
    held_t held = story_held (self, parked, "w");
    assert_string_equal (held.job, job);
    free (job);
}

static void test_patience_ends (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    story_poll (self, "w", 0, 5000, NULL);
    uint64_t parked = self->request;
    story_pass (self, 4999);
    assert_silent (self);
    story_pass (self, 1);
    assert_null (story_answer (self, parked, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    assert_int_equal (core_counts (self->core).parked, 0);
}

static void test_long_waits_end_together (void **state)
{
    story_t *self = *state;
    enum { WAIT_MS = 25000, APART_MS = 300 };
    story_register (self, "early", 1, NULL);
    story_register (self, "late", 1, NULL);
    story_poll (self, "early", 0, WAIT_MS, NULL);
    uint64_t early = self->request;
    story_pass (self, APART_MS);
    story_poll (self, "late", 0, WAIT_MS, NULL);
    uint64_t late = self->request;
    story_pass (self, WAIT_MS - WAIT_MS / 16 - 1); /* no sooner, for the later one */
    assert_int_equal (core_counts (self->core).parked, 2);
    story_pass (self, core_deadline (self->core) - self->now_ms);
    assert_null (story_answer (self, early, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    assert_null (story_answer (self, late, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    assert_true (self->now_ms <= 1000 + WAIT_MS); /* and for none later */
}

static void test_a_second_poll_of_a_slot_replaces_the_first (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 2, NULL);
    story_poll (self, "w", 0, 5000, NULL);
    uint64_t first = self->request;
    story_poll (self, "w", 0, 5000, NULL);
    assert_null (story_answer (self, first, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    assert_int_equal (core_counts (self->core).parked, 1);
}

static void test_a_lost_answer_is_given_again (void **state)
{
    story_t *self = *state;
    free (story_create (self, INT_ABSENT));
    story_register (self, "w", 1, NULL);
    held_t first = story_take (self, "w", 0);
    held_t again = story_take (self, "w", 0);
    assert_string_equal (again.job, first.job);
    assert_string_equal (again.token, first.token);
    assert_int_equal (again.attempt, 1);
}

static void test_polls_that_are_refused (void **state)
{
    story_t *self = *state;
    story_poll (self, "nobody", 0, 0, NULL);
    assert_refused (self, "NO_SUCH_WORKER");
    story_register (self, "w", 2, NULL);
    story_poll (self, "w", 2, 0, NULL);
    assert_refused (self, "SCHEMA");
}

static void create_with (story_t *self, const char *command, const char *url, const char *filename)
{
    message_init (&self->message, MSG_JOB_CREATE);
    self->message.job_create.command = slice_of (command);
    self->message.job_create.file_url = slice_of (url);
    self->message.job_create.filename = slice_of (filename);
    story_send (self, NULL);
}

static void test_submissions_that_are_refused (void **state)
{
    story_t *self = *state;
    create_with (self, " \n\t", "/uploads/x.zip", "x.zip");
    assert_refused (self, "BAD_COMMAND");
    create_with (self, "echo \x1b[31m", "/uploads/x.zip", "x.zip");
    assert_refused (self, "BAD_COMMAND");
    create_with (self, "make", "/etc/passwd", "x.zip");
    assert_refused (self, "BAD_FILE_URL");
    create_with (self, "make", "/uploads/x.zip", "../x.zip");
    assert_refused (self, "BAD_FILENAME");
    assert_int_equal (core_counts (self->core).pending, 0);
}

static void test_direct_jobs_go_to_their_machine_only (void **state)
{
    story_t *self = *state;
    message_init (&self->message, MSG_JOB_CREATE);
    self->message.job_create.command = SLICE ("make");
    self->message.job_create.file_url = SLICE ("/uploads/x.zip");
    self->message.job_create.filename = SLICE ("x.zip");
    self->message.job_create.machine = SLICE ("this-machine");
    message_t direct = self->message;
    story_send (self, NULL);
    assert_refused (self, "NO_DIRECT_WORKER");
    story_register (self, "here", 1, NULL);
    story_register (self, "other", 1, NULL);
    self->message = direct;
    story_send (self, NULL);
    const char *pinned =
        slice_eq_str (story_effect (self, EFFECT_JOB_INSERT, 0)->job.pinned, "here") ? "here" : "other";
    story_poll (self, pinned[0] == 'h' ? "other" : "here", 0, INT_ABSENT, NULL);
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    story_take (self, pinned, 0);
}

static void test_every_worker_can_be_required_by_its_id (void **state)
{
    story_t *self = *state;
    message_init (&self->message, MSG_JOB_CREATE);
    self->message.job_create.command = SLICE ("make");
    self->message.job_create.file_url = SLICE ("/uploads/x.zip");
    self->message.job_create.filename = SLICE ("x.zip");
    self->message.job_create.requires = SLICE ("worker=this\n");
    story_send (self, NULL);
    story_register (self, "other", 1, NULL);
    story_register (self, "this", 1, NULL);
    story_poll (self, "other", 0, INT_ABSENT, NULL);
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    story_take (self, "this", 0);
}

static void test_a_pending_job_is_cancelled_at_once (void **state)
{
    story_t *self = *state;
    char *job = story_create (self, INT_ABSENT);
    story_cancel (self, job, NULL);
    story_final (self, "failed", "cancelled");
    assert_int_equal (core_counts (self->core).pending, 0);
    story_cancel (self, job, NULL);
    assert_refused (self, "NO_SUCH_JOB");
    free (job);
}

static void test_a_job_that_comes_back_goes_before_younger_ones (void **state)
{
    story_t *self = *state;
    held_t first = story_running (self, 3);
    free (story_create (self, INT_ABSENT));
    story_register (self, "w", 1, NULL); /* it was restarted */
    held_t again = story_take (self, "w", 0);
    assert_string_equal (again.job, first.job);
    assert_int_equal (again.attempt, 2);
}

static char *create_direct (story_t *self)
{
    message_init (&self->message, MSG_JOB_CREATE);
    self->message.job_create.command = SLICE ("make");
    self->message.job_create.file_url = SLICE ("/uploads/x.zip");
    self->message.job_create.filename = SLICE ("x.zip");
    self->message.job_create.machine = SLICE ("this-machine");
    story_send (self, NULL);
    return slice_dup (story_answer (self, self->request, MSG_JOB_CREATE_OK)->job_create_ok.job_id);
}

static void test_direct_jobs_that_come_back_keep_their_order (void **state)
{
    story_t *self = *state;
    char *jobs[3];
    story_register (self, "w", 2, NULL);
    for (int i = 0; i < 3; i++)
        jobs[i] = create_direct (self);
    story_take (self, "w", 0);
    story_take (self, "w", 1);
    story_register (self, "w", 3, NULL);
    for (int i = 0; i < 3; i++) {
        assert_string_equal (story_take (self, "w", i).job, jobs[i]);
        free (jobs[i]);
    }
}

static void test_a_direct_job_fails_when_its_worker_goes_offline (void **state)
{
    story_t *self = *state;
    story_register (self, "w", 1, NULL);
    free (create_direct (self));
    story_pass (self, 30000);
    story_final (self, "failed", "worker-lost");
    assert_int_equal (core_counts (self->core).pending, 0);
}

static void test_a_worker_gets_no_more_than_its_slots (void **state)
{
    story_t *self = *state;
    for (int i = 0; i < 3; i++)
        free (story_create (self, INT_ABSENT));
    story_register (self, "w", 2, NULL);
    story_take (self, "w", INT_ABSENT);
    story_take (self, "w", INT_ABSENT);
    story_poll (self, "w", INT_ABSENT, 60000, NULL);
    assert_null (story_answer (self, self->request, MSG_JOB_POLL_OK)->job_poll_ok.job_id.ptr);
    assert_int_equal (core_counts (self->core).running, 2);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        STORY (test_jobs_go_out_in_order),
        STORY (test_why_jobs_wait_is_found_within_a_bound),
        STORY (test_a_delta_goes_to_who_knows_deltas),
        STORY (test_the_assignment_is_stored_with_its_token),
        STORY (test_a_parked_poll_is_answered_when_a_job_comes),
        STORY (test_patience_ends),
        STORY (test_long_waits_end_together),
        STORY (test_a_second_poll_of_a_slot_replaces_the_first),
        STORY (test_a_lost_answer_is_given_again),
        STORY (test_polls_that_are_refused),
        STORY (test_submissions_that_are_refused),
        STORY (test_direct_jobs_go_to_their_machine_only),
        STORY (test_every_worker_can_be_required_by_its_id),
        STORY (test_a_pending_job_is_cancelled_at_once),
        STORY (test_a_job_that_comes_back_goes_before_younger_ones),
        STORY (test_direct_jobs_that_come_back_keep_their_order),
        STORY (test_a_direct_job_fails_when_its_worker_goes_offline),
        STORY (test_a_worker_gets_no_more_than_its_slots),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
