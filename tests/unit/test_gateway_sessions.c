/* Who has logged in by the page: ids that are known once, ends, and a table that stays as large as it is. */
#include "unit.h"

#include <sodium.h>
#include <stdio.h>

#include "gateway/sessions.h"

enum { IDLE_MS = 1000, MAX_MS = 5000 };

typedef struct {
    int ended;
    uint64_t last;
} ends_t;

static void note_end (void *ctx, const session_t *session)
{
    ends_t *ends = ctx;
    assert_non_null (session->token); /* still whole */
    ends->ended++;
    ends->last = session->number;
}

static ends_t ends;

static sessions_t *fresh (void)
{
    ends = (ends_t){ 0 };
    return sessions_new (IDLE_MS, MAX_MS, note_end, &ends);
}

static void test_an_id_is_of_one_session (void **state)
{
    (void)state;
    char id[SESSION_ID + 1], other[SESSION_ID + 1];
    sessions_t *sessions = fresh ();
    const session_t *session = sessions_open (sessions, SLICE ("a-token"), 1000, id);
    const session_t *second = sessions_open (sessions, SLICE ("a-token"), 1000, other);
    assert_string_not_equal (id, other);
    assert_string_not_equal (session->key, second->key);
    assert_string_equal (session->token, "a-token");
    assert_ptr_equal (sessions_find (sessions, slice_of (id), 1001), session);
    assert_ptr_equal (sessions_find (sessions, slice_of (other), 1001), second);
    assert_ptr_equal (sessions_get (sessions, session->number), session);
    assert_null (sessions_get (sessions, 0));
    id[0] = id[0] == '0' ? '1' : '0';
    assert_null (sessions_find (sessions, slice_of (id), 1001));
    assert_null (sessions_find (sessions, SLICE (""), 1001));
    assert_null (sessions_find (sessions, SLICE ("a-token"), 1001));
    sessions_destroy (&sessions);
    assert_int_equal (ends.ended, 0);
}

static void test_it_ends_when_it_is_not_used (void **state)
{
    (void)state;
    char id[SESSION_ID + 1];
    sessions_t *sessions = fresh ();
    uint64_t number = sessions_open (sessions, SLICE ("t"), 1000, id)->number;
    assert_non_null (sessions_find (sessions, slice_of (id), 1000 + IDLE_MS - 1));
    assert_non_null (sessions_find (sessions, slice_of (id), 1000 + 2 * IDLE_MS - 2)); /* used in between */
    assert_non_null (sessions_get (sessions, number));                                 /* which is no use */
    assert_null (sessions_find (sessions, slice_of (id), 1000 + 3 * IDLE_MS - 2));
    assert_int_equal (ends.ended, 1);
    assert_int_equal (ends.last, number);
    assert_null (sessions_get (sessions, number));
    sessions_destroy (&sessions);
}

static void test_it_ends_however_much_it_is_used (void **state)
{
    (void)state;
    char id[SESSION_ID + 1];
    sessions_t *sessions = fresh ();
    sessions_open (sessions, SLICE ("t"), 0, id);
    for (int64_t now_ms = 0; now_ms < MAX_MS; now_ms += IDLE_MS / 2)
        assert_non_null (sessions_find (sessions, slice_of (id), now_ms));
    sessions_sweep (sessions, MAX_MS - 1);
    assert_int_equal (ends.ended, 0);
    sessions_sweep (sessions, MAX_MS);
    assert_int_equal (ends.ended, 1);
    sessions_destroy (&sessions);
}

static void test_who_signs_out_is_out (void **state)
{
    (void)state;
    char id[SESSION_ID + 1];
    sessions_t *sessions = fresh ();
    uint64_t number = sessions_open (sessions, SLICE ("t"), 0, id)->number;
    sessions_end (sessions, number);
    sessions_end (sessions, number);
    sessions_end (sessions, 0);
    assert_int_equal (ends.ended, 1);
    assert_null (sessions_find (sessions, slice_of (id), 1));
    assert_true (sessions_open (sessions, SLICE ("t"), 1, id)->number > number);
    sessions_destroy (&sessions);
}

static void test_one_token_pushes_out_its_own_alone (void **state)
{
    (void)state;
    char other[SESSION_ID + 1], first[SESSION_ID + 1], id[SESSION_ID + 1];
    sessions_t *sessions = fresh ();
    sessions_open (sessions, SLICE ("other"), 0, other);
    sessions_open (sessions, SLICE ("t"), 1, first);
    for (int i = 1; i < SESSIONS_OF_ONE; i++)
        sessions_open (sessions, SLICE ("t"), 2, id);
    assert_int_equal (ends.ended, 0);
    for (int i = 0; i < 100; i++)
        sessions_open (sessions, SLICE ("t"), 3, id);
    assert_int_equal (ends.ended, 100);
    assert_null (sessions_find (sessions, slice_of (first), 4));
    assert_non_null (sessions_find (sessions, slice_of (other), 4));
    assert_non_null (sessions_find (sessions, slice_of (id), 4));
    sessions_destroy (&sessions);
}

static void test_a_full_table_loses_the_one_that_was_quiet (void **state)
{
    (void)state;
    char quiet[SESSION_ID + 1], busy[SESSION_ID + 1], id[SESSION_ID + 1], token[32];
    sessions_t *sessions = fresh ();
    sessions_open (sessions, SLICE ("busy"), 0, busy);
    sessions_open (sessions, SLICE ("quiet"), 1, quiet);
    for (int i = 2; i < SESSIONS_MAX; i++) {
        snprintf (token, sizeof token, "t%d", i);
        sessions_open (sessions, slice_of (token), 2, id);
    }
    assert_int_equal (ends.ended, 0);
    assert_non_null (sessions_find (sessions, slice_of (busy), 3));
    sessions_open (sessions, SLICE ("one more"), 4, id);
    assert_int_equal (ends.ended, 1);
    assert_null (sessions_find (sessions, slice_of (quiet), 5));
    assert_non_null (sessions_find (sessions, slice_of (busy), 5));
    assert_non_null (sessions_find (sessions, slice_of (id), 5));
    sessions_destroy (&sessions);
}

int main (void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_an_id_is_of_one_session),
        cmocka_unit_test (test_it_ends_when_it_is_not_used),
        cmocka_unit_test (test_it_ends_however_much_it_is_used),
        cmocka_unit_test (test_who_signs_out_is_out),
        cmocka_unit_test (test_one_token_pushes_out_its_own_alone),
        cmocka_unit_test (test_a_full_table_loses_the_one_that_was_quiet),
    };
    return sodium_init () < 0 || cmocka_run_group_tests (tests, NULL, NULL);
}
