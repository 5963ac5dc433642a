/* Results: accepted once, whole or with their output sealed, by whoever holds the lease. */
#include "core_story.h"

static void test_a_result_is_accepted_once (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_result (self, &held, true, true, NULL);
    job_record_t record = story_final (self, "completed", NULL);
    assert_slice (record.data[STREAM_STDOUT], "out");
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
    held_t held = story_running (self, 1);
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
        self, (event_t){ .kind = EVENT_SEALED, .seq = seq, .attempt = 1, .err = ERR_OUTPUT_MISMATCH, .bytes = { 3 } });
    assert_slice (story_answer (self, result, MSG_ERROR)->error.code, "OUTPUT_MISMATCH");
    story_result (self, &held, true, false, NULL);
    result = self->request;
    story_event (self, (event_t){ .kind = EVENT_SEALED,
                                  .seq = seq,
                                  .attempt = 1,
                                  .data = { SLICE ("bytes"), SLICE (""), SLICE ("") },
                                  .bytes = { 5 } });
    story_answer (self, result, MSG_JOB_RESULT_OK);
    job_record_t record = story_final (self, "completed", NULL);
    assert_slice (record.data[STREAM_STDOUT], "bytes");
    assert_int_equal (story_effect (self, EFFECT_DISCARD, 0)->streams, 1 << STREAM_STDOUT);
}

static void send_result_of (story_t *self, const held_t *held, int64_t exit_code, int64_t signal, int64_t bytes)
{
    message_init (&self->message, MSG_JOB_RESULT);
    msg_job_result_t *in = &self->message.job_result;
    in->job_id = slice_of (held->job);
    in->worker_id = slice_of (held->worker);
    in->attempt = held->attempt;
    in->token = slice_of (held->token);
    in->exit_code = exit_code;
    in->signal = signal;
    in->stdout_bytes = bytes;
    story_send (self, NULL);
}

static void test_lengths_of_what_never_came_are_refused (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    send_result_of (self, &held, 0, INT_ABSENT, 7);
    const message_t *answer = story_answer (self, self->request, MSG_ERROR);
    assert_slice (answer->error.code, "OUTPUT_MISMATCH");
    assert_int_equal (answer->error.offset, 0);
    assert_slice (answer->error.stream, "stdout");
    send_result_of (self, &held, 0, INT_ABSENT, 0); /* a refused result has ended nothing */
    story_answer (self, self->request, MSG_JOB_RESULT_OK);
    assert_int_equal (story_final (self, "completed", NULL).bytes[STREAM_STDOUT], 0);
}

static void test_how_a_job_failed_is_told_by_a_code (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    send_result_of (self, &held, 3, INT_ABSENT, INT_ABSENT);
    assert_int_equal (story_final (self, "failed", "exit-nonzero").exit_code, 3);
    held = story_running (self, 1);
    send_result_of (self, &held, 137, 9, INT_ABSENT);
    story_final (self, "failed", "signal");
}

static void fail_with (story_t *self, const held_t *held, const char *reason, const char *text)
{
    message_init (&self->message, MSG_JOB_FAIL);
    msg_job_fail_t *in = &self->message.job_fail;
    in->job_id = slice_of (held->job);
    in->worker_id = slice_of (held->worker);
    in->attempt = held->attempt;
    in->token = slice_of (held->token);
    in->reason = slice_of (reason);
    in->error_message = slice_of (text);
    story_send (self, NULL);
    story_answer (self, self->request, MSG_JOB_FAIL_OK);
}

static void test_what_cannot_get_better_is_final (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 3);
    fail_with (self, &held, "file-missing", "No such file.");
    job_record_t record = story_final (self, "failed", "file-missing");
    assert_slice (record.error_message, "No such file.");
    assert_int_equal (record.exit_code, INT_ABSENT);
}

static void test_a_workers_own_failure_is_tried_again (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 2);
    fail_with (self, &held, "because", NULL); /* only our own codes are passed on */
    story_answer (self, self->request, MSG_JOB_FAIL_OK);
    const effect_t *row = story_effect (self, EFFECT_ATTEMPT_PUT, 0);
    assert_slice (row->attempt_row.reason, "worker-error");
    assert_int_equal (row->attempt_row.attempt, 1);
    assert_true (row->attempt_row.accepted);
    assert_int_equal (core_counts (self->core).pending, 1);
}

static void test_an_inline_stream_takes_the_place_of_what_was_appended (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_output (self, &held, true);
    story_result (self, &held, true, true, NULL); /* both: nothing to wait for */
    assert_null (story_effect (self, EFFECT_SEAL, 0));
    assert_int_equal (story_effect (self, EFFECT_DISCARD, 0)->streams, 1 << STREAM_STDOUT);
    assert_slice (story_final (self, "completed", NULL).data[STREAM_STDOUT], "out");
}

static void test_a_long_stream_stays_in_its_file (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_output (self, &held, true);
    send_result_of (self, &held, 0, INT_ABSENT, 100000);
    const effect_t *seal = story_effect (self, EFFECT_SEAL, 0);
    assert_int_equal (seal->expected[STREAM_STDOUT], 100000);
    story_event (self, (event_t){ .kind = EVENT_SEALED,
                                  .seq = seal->seq,
                                  .attempt = 1,
                                  .data = { SLICE_ABSENT, SLICE (""), SLICE ("") },
                                  .bytes = { 100000 } });
    job_record_t record = story_final (self, "completed", NULL);
    assert_null (record.data[STREAM_STDOUT].ptr);
    assert_int_equal (record.bytes[STREAM_STDOUT], 100000);
    assert_null (story_effect (self, EFFECT_DISCARD, 0)); /* stderr has none */
}

static void test_a_result_waits_for_its_journal (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_append (self, &held, true, STREAM_JOURNAL);
    msg_job_result_t *in = story_result_begin (self, &held, true);
    in->stdout_data = in->stderr_data = SLICE ("out");
    in->journal_bytes = 5;
    in->journal_sha256 = SLICE ("aa");
    story_send (self, NULL);
    uint64_t result = self->request;
    const effect_t *seal = story_effect (self, EFFECT_SEAL, 0);
    assert_int_equal (seal->expected[STREAM_STDOUT], INT_ABSENT); /* it came with the result */
    assert_int_equal (seal->expected[STREAM_JOURNAL], 5);
    assert_slice (seal->sha256[STREAM_JOURNAL], "aa");
    int64_t seq = seal->seq;
    story_event (self, (event_t){ .kind = EVENT_SEALED,
                                  .seq = seq,
                                  .attempt = 1,
                                  .err = ERR_OUTPUT_MISMATCH,
                                  .faulty_stream = STREAM_JOURNAL,
                                  .bytes = { 0, 0, 3 } });
    const message_t *answer = story_answer (self, result, MSG_ERROR);
    assert_slice (answer->error.stream, "journal");
    assert_int_equal (answer->error.offset, 3);
    in = story_result_begin (self, &held, true);
    in->stdout_data = in->stderr_data = SLICE ("out");
    story_send (self, NULL);
    story_event (self, (event_t){ .kind = EVENT_SEALED,
                                  .seq = seq,
                                  .attempt = 1,
                                  .data = { SLICE (""), SLICE (""), SLICE ("words") },
                                  .bytes = { 0, 0, 5 } });
    job_record_t record = story_final (self, "completed", NULL);
    assert_slice (record.data[STREAM_STDOUT], "out");
    assert_slice (record.data[STREAM_JOURNAL], "words");
    assert_int_equal (record.bytes[STREAM_JOURNAL], 5);
    assert_int_equal (story_effect (self, EFFECT_DISCARD, 0)->streams, 1 << STREAM_JOURNAL);
}

static void test_who_writes_no_journal_waits_for_nothing (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_output (self, &held, true);
    story_result (self, &held, true, true, NULL);
    assert_null (story_effect (self, EFFECT_SEAL, 0));
    job_record_t record = story_final (self, "completed", NULL);
    assert_slice (record.data[STREAM_JOURNAL], "");
    assert_int_equal (record.bytes[STREAM_JOURNAL], 0);
}

static void test_a_failure_brings_its_journal (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 2);
    message_init (&self->message, MSG_JOB_FAIL);
    msg_job_fail_t *in = &self->message.job_fail;
    in->job_id = slice_of (held.job);
    in->worker_id = slice_of (held.worker);
    in->attempt = held.attempt;
    in->token = slice_of (held.token);
    in->journal_data = SLICE ("0 phase download\n");
    story_send (self, NULL);
    story_answer (self, self->request, MSG_JOB_FAIL_OK);
    assert_slice (story_effect (self, EFFECT_ATTEMPT_PUT, 0)->attempt_row.data[STREAM_JOURNAL], "0 phase download\n");
}

static void test_output_after_the_result_is_refused (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_output (self, &held, true);
    story_result (self, &held, true, false, NULL);
    story_output (self, &held, true);
    assert_refused (self, "RESULT_PENDING");
}

static void test_a_job_is_not_returned_while_its_result_is_sealed (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_output (self, &held, true);
    story_result (self, &held, true, false, NULL);
    message_init (&self->message, MSG_JOB_RETURN);
    self->message.job_return.job_id = slice_of (held.job);
    self->message.job_return.worker_id = slice_of (held.worker);
    self->message.job_return.attempt = held.attempt;
    self->message.job_return.token = slice_of (held.token);
    story_send (self, NULL);
    assert_refused (self, "RESULT_PENDING");
    story_sealed (self, &held, 1, ERR_NONE);
    story_final (self, "completed", NULL);
}

static void test_a_cancel_overtakes_a_seal (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_output (self, &held, true);
    story_result (self, &held, true, false, NULL);
    uint64_t result = self->request;
    story_cancel (self, held.job, NULL);
    story_final (self, "failed", "cancelled");
    assert_slice (story_answer (self, result, MSG_ERROR)->error.code, "STALE_ATTEMPT");
    story_sealed (self, &held, 1, ERR_NONE);
    assert_int_equal (self->effects.count, 0);
}

static void test_a_result_that_has_come_outlives_its_worker (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 2);
    story_output (self, &held, true);
    story_result (self, &held, true, false, NULL);
    story_register (self, "w", 1, NULL); /* it starts anew, */
    story_event (self, (event_t){ .kind = EVENT_GONE, .worker_id = SLICE ("w") });
    story_pass (self, 60000); /* is gone, and its lease would be over */
    assert_int_equal (core_counts (self->core).running, 1);
    held.attempt = 7;
    story_sealed (self, &held, 2, ERR_NONE); /* another attempt's */
    assert_int_equal (self->effects.count, 0);
    held.attempt = 1;
    story_sealed (self, &held, 1, ERR_NONE);
    assert_int_equal (story_final (self, "completed", NULL).attempt, 1);
}

static void test_a_full_disk_is_told_and_the_lease_lives (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_output (self, &held, true);
    story_result (self, &held, true, false, NULL);
    uint64_t result = self->request;
    story_sealed (self, &held, 1, ERR_DISK_FULL);
    assert_slice (story_answer (self, result, MSG_ERROR)->error.code, "DISK_FULL");
    story_result (self, &held, true, false, NULL);
    assert_non_null (story_effect (self, EFFECT_SEAL, 0));
}

static void test_output_of_a_cancelled_job_says_stop (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_cancel (self, held.job, NULL);
    job_record_t record = story_final (self, "failed", "cancelled");
    story_output (self, &held, true);
    assert_refused (self, "NO_SUCH_JOB"); /* the driver looks the record up */
    story_send (self, &record);
    assert_int_equal (story_answer (self, self->request, MSG_JOB_OUTPUT_OK)->job_output_ok.cancel_requested, 1);
}

static void send_inline (story_t *self, const held_t *held, int64_t bytes)
{
    msg_job_result_t *in = story_result_begin (self, held, true);
    in->stdout_data = in->stderr_data = SLICE ("abc");
    in->stdout_bytes = bytes;
    story_send (self, NULL);
}

static void test_a_count_that_contradicts_the_bytes_is_refused (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    send_inline (self, &held, 99);
    assert_refused (self, "OUTPUT_MISMATCH");
    assert_int_equal (core_counts (self->core).running, 1);
    send_inline (self, &held, 3);
    story_final (self, "completed", NULL);
}

static void test_a_worker_cannot_say_that_a_job_was_cancelled (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    message_init (&self->message, MSG_JOB_FAIL);
    self->message.job_fail.job_id = slice_of (held.job);
    self->message.job_fail.worker_id = slice_of (held.worker);
    self->message.job_fail.reason = SLICE ("cancelled");
    story_send (self, NULL);
    story_final (self, "failed", "worker-error");
}

static void test_a_signal_is_no_success (void **state)
{
    story_t *self = *state;
    held_t held = story_running (self, 1);
    story_result_begin (self, &held, false)->signal = 9;
    story_send (self, NULL);
    story_final (self, "failed", "signal");
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        STORY (test_a_result_is_accepted_once),
        STORY (test_a_result_waits_for_its_output),
        STORY (test_lengths_of_what_never_came_are_refused),
        STORY (test_how_a_job_failed_is_told_by_a_code),
        STORY (test_what_cannot_get_better_is_final),
        STORY (test_a_workers_own_failure_is_tried_again),
        STORY (test_an_inline_stream_takes_the_place_of_what_was_appended),
        STORY (test_a_long_stream_stays_in_its_file),
        STORY (test_a_result_waits_for_its_journal),
        STORY (test_who_writes_no_journal_waits_for_nothing),
        STORY (test_a_failure_brings_its_journal),
        STORY (test_output_after_the_result_is_refused),
        STORY (test_a_job_is_not_returned_while_its_result_is_sealed),
        STORY (test_a_cancel_overtakes_a_seal),
        STORY (test_a_result_that_has_come_outlives_its_worker),
        STORY (test_a_full_disk_is_told_and_the_lease_lives),
        STORY (test_a_count_that_contradicts_the_bytes_is_refused),
        STORY (test_a_worker_cannot_say_that_a_job_was_cancelled),
        STORY (test_a_signal_is_no_success),
        STORY (test_output_of_a_cancelled_job_says_stop),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
