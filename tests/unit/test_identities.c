/* Who may speak to the broker: the file, tokens, and the table of what each role may. */
#include "unit.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "broker/identities.h"

enum { NOW = 1000 * 1000 };

typedef struct {
    char folder[64];
    char path[96];
    char problem[1200];
} place_t;

static int begin (void **state)
{
    place_t *self = xcalloc (1, sizeof *self);
    snprintf (self->folder, sizeof self->folder, "/tmp/gleaner-identities-XXXXXX");
    assert_non_null (mkdtemp (self->folder));
    snprintf (self->path, sizeof self->path, "%s/identities", self->folder);
    *state = self;
    return sodium_init () < 0;
}

static int end (void **state)
{
    place_t *self = *state;
    char made[128];
    snprintf (made, sizeof made, "%s/" IDENTITIES_MADE, self->folder);
    unlink (made);
    unlink (self->path);
    rmdir (self->folder);
    free (self);
    return 0;
}

static bool add (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    snprintf (problem, size, "no more fit");
    return identities_add (fresh, ctx);
}

static bool make (place_t *self, role_t role, const char *name, int64_t expires_ms, char text[TOKEN_TEXT_MAX])
{
    identity_t identity = { .role = role, .created_ms = 1, .expires_ms = expires_ms };
    snprintf (identity.name, sizeof identity.name, "%s", name);
    token_make (&identity, text);
    return identities_change (self->folder, add, &identity, self->problem, sizeof self->problem);
}

static bool revoke_first (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    (void)ctx;
    (void)problem;
    (void)size;
    identities_edit (fresh, 0)->revoked_ms = 7;
    return true;
}

static bool bind_both (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    (void)problem;
    (void)size;
    for (size_t i = 0; i < identities_count (fresh); i++)
        snprintf (identities_edit (fresh, i)->worker_id, ID_MAX + 1, "%s", (const char *)ctx);
    return true;
}

static void write_file (const place_t *self, const char *text, mode_t mode)
{
    unlink (self->path);
    int fd = open (self->path, O_WRONLY | O_CREAT, mode);
    assert_true (fd >= 0 && write (fd, text, strlen (text)) == (ssize_t)strlen (text));
    fchmod (fd, mode);
    close (fd);
}

static void test_a_token_is_known_until_it_is_revoked (void **state)
{
    place_t *self = *state;
    char text[TOKEN_TEXT_MAX];
    assert_true (make (self, ROLE_SUBMITTER, "alice", 0, text));
    struct stat file;
    assert_int_equal (stat (self->path, &file), 0);
    assert_int_equal (file.st_mode & 0777, 0600);
    identities_t *identities = identities_new (self->folder);
    assert_true (identities_moved (identities));
    assert_true (identities_load (identities, self->problem, sizeof self->problem));
    assert_false (identities_moved (identities));
    const identity_t *found = identities_by_token (identities, slice_of (text), NOW);
    assert_non_null (found);
    assert_string_equal (found->name, "alice");
    assert_int_equal (found->role, ROLE_SUBMITTER);
    assert_true (identities_change (self->folder, revoke_first, NULL, self->problem, sizeof self->problem));
    assert_true (identities_moved (identities));
    assert_true (identities_load (identities, self->problem, sizeof self->problem));
    assert_null (identities_by_token (identities, slice_of (text), NOW));
    assert_int_equal (identities_count (identities), 1); /* its line stays */
    identities_destroy (&identities);
}

static void test_the_secret_is_not_in_the_file (void **state)
{
    place_t *self = *state;
    char text[TOKEN_TEXT_MAX];
    char content[1024] = "";
    assert_true (make (self, ROLE_ADMIN, "root", 0, text));
    int fd = open (self->path, O_RDONLY);
    assert_true (read (fd, content, sizeof content - 1) > 0);
    close (fd);
    assert_null (strstr (content, strchr (text + strlen ("gleaner_"), '_') + 1));
    assert_int_equal (strlen (text), 8 + IDENTITY_ID_LEN + 1 + 43);
}

static void test_what_is_no_token (void **state)
{
    place_t *self = *state;
    char good[TOKEN_TEXT_MAX];
    char other[TOKEN_TEXT_MAX];
    assert_true (make (self, ROLE_VIEWER, "v", NOW, good));
    assert_true (make (self, ROLE_VIEWER, "w", 0, other));
    identities_t *identities = identities_new (self->folder);
    assert_true (identities_load (identities, self->problem, sizeof self->problem));
    assert_non_null (identities_by_token (identities, slice_of (good), NOW - 1));
    assert_null (identities_by_token (identities, slice_of (good), NOW)); /* over */
    char mixed[TOKEN_TEXT_MAX];                                           /* one's id, another's secret */
    snprintf (mixed, sizeof mixed, "%.19s%s", other, good + 19);
    assert_null (identities_by_token (identities, slice_of (mixed), 1));
    other[strlen (other) - 5] ^= 1;
    assert_null (identities_by_token (identities, slice_of (other), 1));
    static const char *const wrong[] = { "",
                                         "gleaner_",
                                         "gleaner__",
                                         "gleaner_aaaaaaaaaa_",
                                         "gleaner_aaaaaaaaaa_AAAA",
                                         "x",
                                         "gleaner_aaaaaaaaaa_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_null (identities_by_token (identities, slice_of (wrong[i]), 1));
    identities_destroy (&identities);
}

static void test_a_file_that_cannot_be_trusted_changes_nothing (void **state)
{
    place_t *self = *state;
    char text[TOKEN_TEXT_MAX];
    assert_true (make (self, ROLE_WORKER, "w", 0, text));
    identities_t *identities = identities_new (self->folder);
    assert_true (identities_load (identities, self->problem, sizeof self->problem));
    static const char *const wrong[] = { "what\n",
                                         "a\ttoken\tnohex\tadmin\tn\t0\t0\t\t0\n",
                                         "a\tkey\tK\troot\tn\t0\t0\t\t0\n",
                                         "a\tkey\tK\tadmin\t\t0\t0\t\t0\n",
                                         "a\tkey\tK\tadmin\tn\t-1\t0\t\t0\n",
                                         "a\tkey\tK\tadmin\tn\t0\t0\t\t0\t\n",
                                         "A\tkey\tK\tadmin\tn\t0\t0\t\t0\n",
                                         "a\tk\xe9y\tK\tadmin\tn\t0\t0\t\t0\n", /* or no list could be sent */
                                         "a\tkey\tK\tworker\tn\t0\t0\tpc\xff\t0\n",
                                         "a\tkey\tK\tadmin\tn\t0\t0\t\t0\na\tkey\tL\tadmin\tn\t0\t0\t\t0\n" };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        write_file (self, wrong[i], 0600);
        assert_false (identities_load (identities, self->problem, sizeof self->problem));
        assert_non_null (strstr (self->problem, "/identities:"));
        assert_non_null (identities_by_token (identities, slice_of (text), NOW));
    }
    static const char *const nothing[] = { "", "\n", "# a line that says nothing\n" };
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        write_file (self, nothing[i], 0600);
        assert_false (identities_load (identities, self->problem, sizeof self->problem));
        assert_non_null (strstr (self->problem, "holds nothing"));
        assert_non_null (identities_by_token (identities, slice_of (text), NOW));
    }
    write_file (self, "a\tkey\tK\tadmin\tn\t0\t0\t\t0\nX\nb\tkey\tK\tadmin\tn\t0\t0\t\t0\n", 0600);
    int fd = open (self->path, O_WRONLY);
    assert_true (pwrite (fd, "", 1, strlen ("a\tkey\tK\tadmin\tn\t0\t0\t\t0\n")) == 1 && close (fd) == 0);
    assert_false (identities_load (identities, self->problem, sizeof self->problem));
    assert_non_null (strstr (self->problem, "zero byte"));
    assert_int_equal (unlink (self->path), 0);
    assert_false (identities_load (identities, self->problem, sizeof self->problem));
    assert_non_null (strstr (self->problem, "has gone"));
    assert_non_null (identities_by_token (identities, slice_of (text), NOW));
    write_file (self, "a\tkey\tK\tadmin\tn\t0\t0\t\t0\n", 0640);
    assert_false (identities_load (identities, self->problem, sizeof self->problem));
    assert_non_null (strstr (self->problem, "chmod 600"));
    identities_destroy (&identities);
}

static void test_what_lies_where_a_new_file_is_written_is_replaced (void **state)
{
    place_t *self = *state;
    char text[TOKEN_TEXT_MAX];
    char left[128];
    struct stat file;
    snprintf (left, sizeof left, "%s/identities.new", self->folder);
    assert_int_equal (symlink ("nowhere", left), 0);
    assert_true (make (self, ROLE_ADMIN, "root", 0, text));
    int fd = open (left, O_WRONLY | O_CREAT | O_EXCL, 0400); /* of a program that was killed, as another user's */
    assert_true (fd >= 0 && close (fd) == 0 && lstat (left, &file) == 0);
    assert_true (make (self, ROLE_ADMIN, "second", 0, text));
    assert_int_not_equal (lstat (left, &file), 0);
    assert_int_equal (stat (self->path, &file), 0);
    assert_int_equal (file.st_mode & 0777, 0600);
}

static void test_kinds_that_are_not_known_are_kept (void **state)
{
    place_t *self = *state;
    char text[TOKEN_TEXT_MAX];
    write_file (self, "# a comment\nk1\tmystery\tKEY\tworker\tsome one\t5\t6\tpc-1\t0\n", 0600);
    assert_true (make (self, ROLE_ADMIN, "a", 0, text));
    identities_t *identities = identities_new (self->folder);
    assert_true (identities_load (identities, self->problem, sizeof self->problem));
    const identity_t *kept = identities_by_id (identities, SLICE ("k1"));
    assert_non_null (kept);
    assert_string_equal (kept->kind, "mystery");
    assert_string_equal (kept->key, "KEY");
    assert_string_equal (kept->name, "some one");
    assert_int_equal (kept->expires_ms, 6);
    assert_string_equal (kept->worker_id, "pc-1");
    identities_destroy (&identities);
}

static void test_of_two_that_are_bound_the_lasting_one_stands (void **state)
{
    place_t *self = *state;
    char text[TOKEN_TEXT_MAX];
    char worker[] = "pc-7";
    assert_true (make (self, ROLE_WORKER, "short", 10, text));
    assert_true (make (self, ROLE_WORKER, "long", 0, text));
    assert_true (identities_change (self->folder, bind_both, worker, self->problem, sizeof self->problem));
    identities_t *identities = identities_new (self->folder);
    assert_true (identities_load (identities, self->problem, sizeof self->problem));
    assert_string_equal (identities_by_worker (identities, SLICE ("pc-7"), 11)->name, "long");
    assert_null (identities_by_worker (identities, SLICE ("pc-8"), 11));
    identities_destroy (&identities);
}

static void put (identities_t *set, const char *id, const char *name, int64_t revoked_ms)
{
    identity_t identity = { .role = ROLE_VIEWER, .revoked_ms = revoked_ms };
    snprintf (identity.id, sizeof identity.id, "%s", id);
    snprintf (identity.name, sizeof identity.name, "%s", name);
    assert_true (identities_add (set, &identity));
}

static void test_one_is_found_by_its_id_or_its_only_name (void **state)
{
    place_t *self = *state;
    int same = 0;
    identities_t *set = identities_new (self->folder);
    put (set, "a1", "alice", 5);
    put (set, "a2", "alice", 7);
    put (set, "a3", "alice", 6);
    assert_string_equal (identities_find (set, SLICE ("alice"), &same)->id,
                         "a2"); /* of those that have gone the last */
    put (set, "a4", "alice", 0);
    put (set, "b1", "a1", 0); /* an id goes before a name */
    assert_string_equal (identities_find (set, SLICE ("alice"), &same)->id, "a4");
    assert_string_equal (identities_find (set, SLICE ("a1"), &same)->id, "a1");
    put (set, "a5", "alice", 0);
    assert_null (identities_find (set, SLICE ("alice"), &same));
    assert_int_equal (same, 2);
    assert_string_equal (identities_find (set, SLICE ("a5"), &same)->id, "a5");
    assert_null (identities_find (set, SLICE ("bob"), &same));
    assert_int_equal (same, 0);
    identities_destroy (&set);
}

static void test_a_check_is_quick_among_many (void **state)
{
    place_t *self = *state;
    enum { MANY = 10000, ROUNDS = 20, CHECKS = 1000 };
    identities_t *identities = identities_new (self->folder);
    identity_t identity = { .role = ROLE_VIEWER, .name = "n" };
    char first[TOKEN_TEXT_MAX];
    char text[TOKEN_TEXT_MAX];
    for (int i = 0; i < MANY; i++) {
        token_make (&identity, i ? text : first);
        assert_true (identities_add (identities, &identity));
    }
    token_make (&identity, text);
    assert_false (identities_add (identities, &identity)); /* one too many, and a token of nobody */
    double best = 0; /* of the rounds: the others had the machine's other work in them */
    for (int round = 0; round < ROUNDS; round++) {
        struct timespec from;
        struct timespec to;
        clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &from);
        for (int i = 0; i < CHECKS; i++)
            assert_true (!identities_by_token (identities, slice_of (i % 2 ? first : text), NOW) == !(i % 2));
        clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &to);
        double us = ((double)(to.tv_sec - from.tv_sec) * 1e6 + (double)(to.tv_nsec - from.tv_nsec) / 1e3) / CHECKS;
        best = round && best < us ? best : us;
    }
    print_message ("a check among %d: %.2f us\n", MANY, best);
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
    assert_true (best < 50);
#else
    assert_true (best < 5);
#endif
    identities_destroy (&identities);
}

static void test_names (void **state)
{
    (void)state;
    assert_true (identity_name_good (SLICE ("J\xc3\xb6rg 2")));
    assert_false (identity_name_good (SLICE ("")));
    assert_false (identity_name_good (SLICE ("a\tb")));
    assert_false (identity_name_good (SLICE ("a\xc2\x9b"
                                             "b")));
    assert_false (identity_name_good (SLICE ("a\xff")));
}

static void test_every_request_has_a_role (void **state)
{
    (void)state;
    for (int type = 0; type < MSG_COUNT; type++) {
        char answer[80];
        snprintf (answer, sizeof answer, "%s-ok", message_spec ((msg_type_t)type)->wire);
        bool request = message_find (slice_of (answer)) != MSG_COUNT;
        bool some = false;
        for (role_t role = ROLE_NONE; role < ROLE_ADMIN; role++)
            some = some || role_may (role, (msg_type_t)type);
        assert_true (request || !some); /* what is no request is nobody's */
        assert_true (role_may (ROLE_ADMIN, (msg_type_t)type));
    }
    assert_false (role_may (ROLE_VIEWER, MSG_JOB_CREATE));
    assert_false (role_may (ROLE_WORKER, MSG_JOB_CREATE));
    assert_false (role_may (ROLE_SUBMITTER, MSG_WORKER_DRAIN));
    assert_false (role_may (ROLE_NONE, MSG_BROKER_INFO));
}

int main (void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown (test_a_token_is_known_until_it_is_revoked, begin, end),
        cmocka_unit_test_setup_teardown (test_the_secret_is_not_in_the_file, begin, end),
        cmocka_unit_test_setup_teardown (test_what_is_no_token, begin, end),
        cmocka_unit_test_setup_teardown (test_a_file_that_cannot_be_trusted_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown (test_what_lies_where_a_new_file_is_written_is_replaced, begin, end),
        cmocka_unit_test_setup_teardown (test_kinds_that_are_not_known_are_kept, begin, end),
        cmocka_unit_test_setup_teardown (test_of_two_that_are_bound_the_lasting_one_stands, begin, end),
        cmocka_unit_test_setup_teardown (test_one_is_found_by_its_id_or_its_only_name, begin, end),
        cmocka_unit_test_setup_teardown (test_a_check_is_quick_among_many, begin, end),
        cmocka_unit_test (test_names),
        cmocka_unit_test (test_every_request_has_a_role),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
