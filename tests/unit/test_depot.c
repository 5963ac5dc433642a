/* The depot: blobs safe under their hash, outputs by offset, seals that see every append before them. */
#include "unit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/depot.h"
#include "proto/limits.h"
#include "proto/message.h"

static char folder[64];
static depot_t *depot;
static char problem[256];

static int setup (void **state)
{
    (void)state;
    snprintf (folder, sizeof folder, "/tmp/gleaner-depot-XXXXXX");
    assert_non_null (mkdtemp (folder));
    depot = depot_new (folder, 1 << 30, problem, sizeof problem);
    assert_non_null (depot);
    return 0;
}

static int teardown (void **state)
{
    (void)state;
    char command[128];
    depot_destroy (&depot);
    snprintf (command, sizeof command, "rm -rf '%s'", folder);
    return system (command);
}

/* Submits one order and waits for its outcome. The caller destroys it. */
static depot_order_t *carry_out (depot_order_t *order)
{
    assert_int_equal (depot_submit (depot, &order), 0);
    assert_null (order);
    struct pollfd fd = { .fd = depot_fd (depot), .events = POLLIN };
    while (!order) {
        assert_int_equal (poll (&fd, 1, 10000), 1);
        order = depot_take (depot);
    }
    return order;
}

static err_t put (const char *upload, int64_t offset, const char *data, size_t len, int64_t *length)
{
    depot_order_t *order = depot_order_new (DEPOT_BLOB_PUT, 1);
    snprintf (order->upload, sizeof order->upload, "%s", upload);
    order->offset = offset;
    order->data = slice_from (data, len);
    order = carry_out (order);
    err_t err = order->err;
    *length = order->bytes;
    depot_order_destroy (&order);
    return err;
}

static err_t commit (const char *upload, int64_t bytes, bool zip, char sha256[65])
{
    depot_order_t *order = depot_order_new (DEPOT_BLOB_COMMIT, 1);
    snprintf (order->upload, sizeof order->upload, "%s", upload);
    order->bytes = bytes;
    order->zip = zip;
    order = carry_out (order);
    err_t err = order->err;
    memcpy (sha256, order->sha256, 65);
    depot_order_destroy (&order);
    return err;
}

static void test_a_blob_is_stored_under_its_hash (void **state)
{
    (void)state;
    int64_t length = 0;
    char sha256[65];
    assert_int_equal (put ("u", 0, "abc", 3, &length), 0);
    assert_int_equal (put ("u", 1, "bcdef", 5, &length), 0); /* two bytes were sent before */
    assert_int_equal (length, 6);
    assert_int_equal (put ("u", 9, "x", 1, &length), ERR_BAD_OFFSET);
    assert_int_equal (commit ("u", 5, false, sha256), ERR_BAD_OFFSET);
    assert_int_equal (commit ("u", 6, false, sha256), 0);
    assert_string_equal (sha256, "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721");
    assert_int_equal (commit ("u", 6, false, sha256), ERR_NO_SUCH_UPLOAD);

    depot_order_t *order = depot_order_new (DEPOT_BLOB_GET, 1);
    snprintf (order->sha256, sizeof order->sha256, "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721");
    order->offset = 2;
    order = carry_out (order);
    assert_int_equal (order->err, 0);
    assert_int_equal (order->bytes, 6);
    assert_slice (buf_slice (&order->got[0]), "cdef");
    depot_order_destroy (&order);
}

static void test_what_is_not_there (void **state)
{
    (void)state;
    int64_t length = 0;
    assert_int_equal (put ("u", 4, "abc", 3, &length), ERR_NO_SUCH_UPLOAD);
    depot_order_t *order = depot_order_new (DEPOT_BLOB_GET, 1);
    memset (order->sha256, 'a', 64);
    order = carry_out (order);
    assert_int_equal (order->err, ERR_NO_SUCH_BLOB);
    depot_order_destroy (&order);
}

static void test_a_zip_is_told_from_what_is_none (void **state)
{
    (void)state;
    static const char empty[] = "PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    static const struct {
        const char *bytes;
        size_t len;
        err_t err;
    } rows[] = {
        { empty, 22, 0 },
        { "PK\3\4 and then it was cut off", 28, ERR_NOT_ZIP },
        { "#!/bin/sh PK\5\6\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32, ERR_NOT_ZIP }, /* something before it */
        { "x", 1, ERR_NOT_ZIP },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t length = 0;
        char sha256[65];
        assert_int_equal (put ("z", 0, rows[i].bytes, rows[i].len, &length), 0);
        assert_int_equal (commit ("z", (int64_t)rows[i].len, true, sha256), rows[i].err);
    }
}

static err_t append (int64_t attempt, stream_t stream, int64_t offset, bool replace, const char *data, size_t len,
                     int64_t *length)
{
    depot_order_t *order = depot_order_new (DEPOT_APPEND, 1);
    order->seq = 4711;
    order->attempt = attempt;
    order->stream = stream;
    order->offset = offset;
    order->replace = replace;
    order->data = slice_from (data, len);
    order = carry_out (order);
    err_t err = order->err;
    *length = order->bytes;
    depot_order_destroy (&order);
    return err;
}

static depot_order_t *seal (int64_t attempt, int64_t out, int64_t err)
{
    depot_order_t *order = depot_order_new (DEPOT_SEAL, 1);
    order->seq = 4711;
    order->attempt = attempt;
    order->want[STREAM_STDOUT].expected = out;
    order->want[STREAM_STDERR].expected = err;
    order->want[STREAM_JOURNAL].expected = INT_ABSENT;
    return carry_out (order);
}

static depot_order_t *read_output (int64_t attempt, int64_t offset, int64_t limit)
{
    depot_order_t *order = depot_order_new (DEPOT_READ, 1);
    order->seq = 4711;
    order->attempt = attempt;
    order->want[STREAM_STDOUT].offset = offset;
    order->want[STREAM_STDOUT].limit = limit;
    order->want[STREAM_STDERR].limit = order->want[STREAM_JOURNAL].limit = -1;
    return carry_out (order);
}

static void test_output_is_appended_by_offset (void **state)
{
    (void)state;
    int64_t length = 0;
    assert_int_equal (append (1, STREAM_STDOUT, 0, false, "hello ", 6, &length), 0);
    assert_int_equal (append (1, STREAM_STDOUT, INT_ABSENT, false, "wor", 3, &length), 0);
    assert_int_equal (append (1, STREAM_STDOUT, 6, false, "world", 5, &length), 0); /* repeated, and more */
    assert_int_equal (length, 11);
    assert_int_equal (append (1, STREAM_STDOUT, 6, false, "world", 5, &length), 0);
    assert_int_equal (length, 11);
    assert_int_equal (append (1, STREAM_STDOUT, 12, false, "x", 1, &length), ERR_OUTPUT_GAP);
    assert_int_equal (length, 11);
    depot_order_t *order = read_output (1, 6, 3);
    assert_slice (buf_slice (&order->got[STREAM_STDOUT]), "wor");
    assert_int_equal (order->length[STREAM_STDOUT], 11);
    depot_order_destroy (&order);
    order = read_output (2, 0, 100); /* another attempt's is empty */
    assert_int_equal (order->got[STREAM_STDOUT].len, 0);
    depot_order_destroy (&order);
}

static void test_a_seal_compares_and_hands_back_what_is_small (void **state)
{
    (void)state;
    int64_t length = 0;
    assert_int_equal (append (1, STREAM_STDOUT, 0, false, "hello", 5, &length), 0);
    depot_order_t *order = seal (1, 4, 0);
    assert_int_equal (order->err, ERR_OUTPUT_MISMATCH);
    assert_int_equal (order->fault_stream, STREAM_STDOUT);
    assert_int_equal (order->bytes, 5);
    depot_order_destroy (&order);
    order = seal (1, 5, 1);
    assert_int_equal (order->err, ERR_OUTPUT_MISMATCH);
    assert_int_equal (order->fault_stream, STREAM_STDERR);
    depot_order_destroy (&order);
    order = seal (1, 5, INT_ABSENT);
    assert_int_equal (order->err, 0);
    assert_true (order->has[STREAM_STDOUT] && order->has[STREAM_STDERR]);
    assert_slice (buf_slice (&order->got[STREAM_STDOUT]), "hello");
    assert_int_equal (order->length[STREAM_STDERR], 0);
    depot_order_destroy (&order);
}

static void test_a_long_stream_stays_in_its_file (void **state)
{
    (void)state;
    static char many[STORE_INLINE_MAX + 1];
    int64_t length = 0;
    memset (many, 'm', sizeof many);
    assert_int_equal (append (1, STREAM_STDERR, 0, false, many, sizeof many, &length), 0);
    depot_order_t *order = seal (1, 0, sizeof many);
    assert_int_equal (order->err, 0);
    assert_false (order->has[STREAM_STDERR]);
    assert_int_equal (order->length[STREAM_STDERR], sizeof many);
    depot_order_destroy (&order);
}

static void test_a_copy_takes_the_streams_place (void **state)
{
    (void)state;
    static char many[STORE_INLINE_MAX + 1];
    int64_t length = 0;
    memset (many, 'n', sizeof many);
    assert_int_equal (append (1, STREAM_STDOUT, 0, false, "streamed before", 15, &length), 0);
    assert_int_equal (append (1, STREAM_STDOUT, 0, true, "begun and given up", 18, &length), 0);
    assert_int_equal (append (1, STREAM_STDOUT, 0, true, many, sizeof many, &length), 0); /* anew */
    assert_int_equal (length, sizeof many);
    depot_order_t *order = seal (1, sizeof many, INT_ABSENT);
    assert_int_equal (order->err, 0);
    depot_order_destroy (&order);
    order = read_output (1, 0, 100);
    assert_int_equal (order->length[STREAM_STDOUT], sizeof many);
    assert_memory_equal (order->got[STREAM_STDOUT].ptr, many, 100);
    depot_order_destroy (&order);
}

static depot_order_t *read_journal (int64_t attempt, int64_t offset, int64_t limit, int64_t tail)
{
    depot_order_t *order = depot_order_new (DEPOT_READ, 1);
    order->seq = 4711;
    order->attempt = attempt;
    order->want[STREAM_STDOUT].limit = order->want[STREAM_STDERR].limit = -1;
    order->want[STREAM_JOURNAL].offset = offset;
    order->want[STREAM_JOURNAL].limit = limit;
    order->tail = tail;
    order->ends_from = attempt;
    order->ends_count = 1;
    return carry_out (order);
}

static depot_order_t *seal_journal (int64_t attempt, int64_t bytes, const char *sha256)
{
    depot_order_t *order = depot_order_new (DEPOT_SEAL, 1);
    order->seq = 4711;
    order->attempt = attempt;
    for (int i = 0; i < STREAM_COUNT; i++)
        order->want[i].expected = INT_ABSENT;
    order->want[STREAM_JOURNAL].expected = bytes;
    snprintf (order->want[STREAM_JOURNAL].sha256, sizeof order->want[STREAM_JOURNAL].sha256, "%s", sha256);
    return carry_out (order);
}

static void test_a_journal_is_a_stream_of_its_own (void **state)
{
    (void)state;
    int64_t length = 0;
    assert_int_equal (append (1, STREAM_STDOUT, 0, false, "out", 3, &length), 0);
    assert_int_equal (append (1, STREAM_JOURNAL, 0, false, "0 phase run\n", 12, &length), 0);
    assert_int_equal (append (1, STREAM_JOURNAL, 12, false, "3 out 3 0\n", 10, &length), 0);
    assert_int_equal (length, 22);
    assert_int_equal (append (1, STREAM_JOURNAL, 30, false, "x", 1, &length), ERR_OUTPUT_GAP);
    depot_order_t *order = read_journal (1, 12, 100, 100);
    assert_slice (buf_slice (&order->got[STREAM_JOURNAL]), "3 out 3 0\n");
    assert_slice (buf_slice (&order->ends[0]), "out"); /* of what was printed: a journal is no evidence */
    depot_order_destroy (&order);
    order = read_journal (1, 0, 0, 100); /* its length alone */
    assert_int_equal (order->length[STREAM_JOURNAL], 22);
    assert_true (!order->got[STREAM_JOURNAL].len && !order->end[STREAM_JOURNAL].len);
    depot_order_destroy (&order);
    order = seal_journal (1, 21, "");
    assert_int_equal (order->err, ERR_OUTPUT_MISMATCH);
    assert_int_equal (order->fault_stream, STREAM_JOURNAL);
    assert_int_equal (order->bytes, 22);
    depot_order_destroy (&order);
    order = seal_journal (1, 22, "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721");
    assert_int_equal (order->err, ERR_OUTPUT_MISMATCH);
    depot_order_destroy (&order);
    order = seal_journal (1, 22, "");
    assert_int_equal (order->err, 0);
    assert_slice (buf_slice (&order->got[STREAM_JOURNAL]), "0 phase run\n3 out 3 0\n");
    assert_slice (buf_slice (&order->got[STREAM_STDOUT]), "out");
    depot_order_destroy (&order);
}

static void test_a_journal_has_its_own_bound (void **state)
{
    (void)state;
    enum { PIECE = 1024 * 1024 };
    int64_t length = 0;
    depot_destroy (&depot);
    depot = depot_new (folder, 10, problem, sizeof problem); /* of what is printed */
    assert_non_null (depot);
    char *piece = xcalloc (1, PIECE);
    assert_int_equal (append (1, STREAM_STDOUT, 0, false, piece, 100, &length), 0);
    assert_int_equal (length, 10);
    for (int64_t at = 0; at < JOURNAL_MAX + PIECE; at += PIECE)
        assert_int_equal (append (1, STREAM_JOURNAL, at, false, piece, PIECE, &length), 0);
    assert_int_equal (length, JOURNAL_MAX);
    assert_int_equal (append (1, STREAM_JOURNAL, JOURNAL_MAX + 5, false, piece, 5, &length), 0);
    assert_int_equal (length, JOURNAL_MAX);
    assert_int_equal (depot_output_bytes (depot), JOURNAL_MAX + 10);
    free (piece);
}

static void test_discarded_output_is_gone (void **state)
{
    (void)state;
    int64_t length = 0;
    assert_int_equal (append (1, STREAM_STDOUT, 0, false, "hello", 5, &length), 0);
    assert_int_equal (append (1, STREAM_JOURNAL, 0, false, "hello", 5, &length), 0);
    depot_order_t *order = depot_order_new (DEPOT_DISCARD, 1);
    order->seq = 4711;
    order->attempt = 1;
    order->streams = STREAMS_ALL;
    order = carry_out (order);
    assert_int_equal (order->err, 0);
    depot_order_destroy (&order);
    order = read_output (1, 0, 100);
    assert_int_equal (order->length[STREAM_STDOUT], 0);
    depot_order_destroy (&order);
    assert_int_equal (depot_output_bytes (depot), 0);
}

static void test_output_survives_a_restart (void **state)
{
    (void)state;
    int64_t length = 0;
    assert_int_equal (append (1, STREAM_STDOUT, 0, false, "hello", 5, &length), 0);
    depot_destroy (&depot);
    depot = depot_new (folder, 1 << 30, problem, sizeof problem);
    assert_non_null (depot);
    assert_int_equal (append (1, STREAM_STDOUT, INT_ABSENT, false, "!", 1, &length), 0);
    assert_int_equal (length, 6);
}

static void test_a_folder_that_cannot_be_used (void **state)
{
    (void)state;
    assert_null (depot_new ("/proc/nowhere", 1 << 30, problem, sizeof problem));
    assert_non_null (strstr (problem, "/proc/nowhere"));
}

int main (void)
{
#define STORY(test) cmocka_unit_test_setup_teardown (test, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY (test_a_blob_is_stored_under_its_hash),
        STORY (test_what_is_not_there),
        STORY (test_a_zip_is_told_from_what_is_none),
        STORY (test_output_is_appended_by_offset),
        STORY (test_a_seal_compares_and_hands_back_what_is_small),
        STORY (test_a_long_stream_stays_in_its_file),
        STORY (test_a_copy_takes_the_streams_place),
        STORY (test_a_journal_is_a_stream_of_its_own),
        STORY (test_a_journal_has_its_own_bound),
        STORY (test_discarded_output_is_gone),
        STORY (test_output_survives_a_restart),
        STORY (test_a_folder_that_cannot_be_used),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
