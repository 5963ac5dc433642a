/* The key of the jobs' secrets: sealed and opened, made once, refused when it is not what it was. */
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/secrets.h"
#include "proto/log.h"

#define ROWS SLICE ("TOKEN=hunter2\0KEY=two\nlines\0")

typedef struct {
    char folder[64];
    char path[96];
    char problem[1024];
    secrets_t secrets;
    buf_t sealed, opened;
    unsigned char mark[SECRETS_MARK];
} fixture_t;

static int begin (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    snprintf (self->folder, sizeof self->folder, "/tmp/gleaner-secrets-XXXXXX");
    assert_non_null (mkdtemp (self->folder));
    snprintf (self->path, sizeof self->path, "%s/secrets.key", self->folder);
    assert_true (secrets_init (&self->secrets, self->path, self->problem, sizeof self->problem));
    *state = self;
    return 0;
}

static int end (void **state)
{
    fixture_t *self = *state;
    secrets_fini (&self->secrets);
    buf_fini (&self->sealed);
    buf_fini (&self->opened);
    chmod (self->folder, 0700);
    unlink (self->path);
    rmdir (self->folder);
    free (self);
    return 0;
}

static bool again (fixture_t *self)
{
    secrets_fini (&self->secrets);
    return secrets_init (&self->secrets, self->path, self->problem, sizeof self->problem);
}

static void seal (fixture_t *self)
{
    assert_int_equal (secrets_seal (&self->secrets, ROWS, &self->sealed, self->mark), ERR_NONE);
}

static void test_the_first_secret_makes_the_key_for_the_owner_alone (void **state)
{
    fixture_t *self = *state;
    struct stat info;
    assert_int_not_equal (stat (self->path, &info), 0);
    seal (self);
    assert_int_equal (stat (self->path, &info), 0);
    assert_int_equal (info.st_mode & 0777, 0600);
}

static void test_what_was_sealed_is_opened_after_a_restart (void **state)
{
    fixture_t *self = *state;
    seal (self);
    assert_null (memmem (self->sealed.ptr, self->sealed.len, "hunter2", 7));
    assert_true (again (self));
    assert_true (secrets_open (&self->secrets, buf_slice (&self->sealed), &self->opened));
    assert_true (slice_eq (buf_slice (&self->opened), ROWS));
}

static void test_the_same_is_sealed_otherwise_but_has_the_same_mark (void **state)
{
    fixture_t *self = *state;
    unsigned char mark[SECRETS_MARK];
    buf_t first = { 0 };
    seal (self);
    memcpy (mark, self->mark, sizeof mark);
    buf_append (&first, self->sealed.ptr, self->sealed.len);
    seal (self);
    assert_memory_equal (mark, self->mark, sizeof mark);
    assert_false (slice_eq (buf_slice (&first), buf_slice (&self->sealed)));
    assert_int_equal (secrets_seal (&self->secrets, SLICE ("TOKEN=hunter3\0"), &self->sealed, self->mark), ERR_NONE);
    assert_memory_not_equal (mark, self->mark, sizeof mark);
    buf_fini (&first);
}

static void test_another_key_or_a_changed_byte_opens_nothing (void **state)
{
    fixture_t *self = *state;
    buf_t opened = { 0 };
    seal (self);
    for (size_t at = 0; at < self->sealed.len; at++) {
        self->sealed.ptr[at] ^= 1;
        assert_false (secrets_open (&self->secrets, buf_slice (&self->sealed), &opened));
        self->sealed.ptr[at] ^= 1;
        assert_false (secrets_open (&self->secrets, slice_from (self->sealed.ptr, at), &opened));
    }
    unlink (self->path);
    assert_true (again (self));
    assert_false (secrets_open (&self->secrets, buf_slice (&self->sealed), &opened));
    buf_t other = { 0 };
    assert_int_equal (secrets_seal (&self->secrets, SLICE ("A=bbbb\0"), &other, self->mark), ERR_NONE);
    assert_false (secrets_open (&self->secrets, buf_slice (&self->sealed), &opened));
    buf_fini (&other);
    buf_fini (&opened);
}

static void test_a_key_that_others_read_or_that_is_damaged_is_refused (void **state)
{
    fixture_t *self = *state;
    seal (self);
    assert_int_equal (chmod (self->path, 0640), 0);
    assert_false (again (self));
    assert_non_null (strstr (self->problem, "chmod 600"));
    assert_int_equal (chmod (self->path, 0600), 0);
    assert_int_equal (truncate (self->path, 31), 0);
    assert_false (again (self));
    assert_non_null (strstr (self->problem, "damaged"));
}

static void test_without_a_key_on_the_disk_nothing_is_sealed (void **state)
{
    fixture_t *self = *state;
    secrets_fini (&self->secrets);
    assert_true (secrets_init (&self->secrets, "/nowhere/secrets.key", self->problem, sizeof self->problem));
    assert_int_equal (secrets_seal (&self->secrets, ROWS, &self->sealed, self->mark), ERR_INTERNAL);
}

int main (void)
{
    log_init ("test", LEVEL_ERROR);
    if (sodium_init () < 0)
        return 1;
#define TEST(name) cmocka_unit_test_setup_teardown (name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST (test_the_first_secret_makes_the_key_for_the_owner_alone),
        TEST (test_what_was_sealed_is_opened_after_a_restart),
        TEST (test_the_same_is_sealed_otherwise_but_has_the_same_mark),
        TEST (test_another_key_or_a_changed_byte_opens_nothing),
        TEST (test_a_key_that_others_read_or_that_is_damaged_is_refused),
        TEST (test_without_a_key_on_the_disk_nothing_is_sealed),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
