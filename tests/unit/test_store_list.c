/* Lists of jobs from both stores: each filter, alone and together, in bounded pieces that miss and repeat nothing. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/store.h"

enum { JOBS = LIST_LOOKS_MAX + 1000, WORKERS = 7 };

typedef struct {
    store_t *store;
    char folder[64];
} fixture_t;

static slice_t options_of (slice_t name, slice_t env, slice_t labels, buf_t *raw)
{
    message_t message;
    message_init (&message, MSG_JOB_OPTIONS);
    message.job_options.name = name;
    message.job_options.env = env;
    message.job_options.labels = labels;
    buf_clear (raw);
    message_encode_item (&message, raw);
    return buf_slice (raw);
}

/* Every fifth has a name and labels, every hundredth a long environment. */
static void add (store_t *store, int64_t seq)
{
    static char env[ENV_MAX / 2];
    char worker[16];
    char command[32];
    char label[32];
    buf_t raw = { 0 };
    buf_t brief = { 0 };
    memset (env, 'x', sizeof env);
    memcpy (env, "KEY=", 4);
    env[sizeof env - 1] = '\n';
    snprintf (worker, sizeof worker, "w%d", (int)(seq % WORKERS));
    snprintf (command, sizeof command, "make Target-%d", (int)(seq % 1000));
    snprintf (label, sizeof label, "team=t%d\n", (int)(seq % 3));
    job_record_t job = {
        .id = { .seq = seq, .salt = "abc123" },
        .command = slice_of (command),
        .file_url = SLICE ("/uploads/x.zip"),
        .filename = seq % 997 ? SLICE ("x.zip") : SLICE ("Needle.zip"),
        .max_attempts = 3,
        .created_ms = 42,
        .state = seq % 100   ? (seq % 2 ? JOB_COMPLETED : JOB_FAILED)
                 : seq % 200 ? JOB_PENDING
                             : JOB_RUNNING,
        .worker_id = slice_of (worker),
        .slot = SLOT_NONE,
        .exit_code = 0,
        .signal = INT_ABSENT,
        .reason = SLICE ("exit-nonzero"),
        .token = SLICE ("token"),
        .data = { SLICE ("out"), SLICE (""), SLICE ("") },
        .bytes = { 3, 0, 0 },
        .receipt = SLICE ("\x80"),
        .artifacts = SLICE ("hash"),
    };
    if (seq % 5 == 0) {
        job.labels = slice_of (label);
        bool large = seq % 100 == 0;
        job.options =
            options_of (SLICE ("Nightly Build"), large ? slice_from (env, sizeof env) : SLICE_ABSENT, job.labels, &raw);
        job.brief_options =
            large ? options_of (SLICE ("Nightly Build"), SLICE_ABSENT, job.labels, &brief) : SLICE_ABSENT;
    }
    assert_int_equal (store->ops->job_insert (store, &job), 0);
    buf_fini (&raw);
    buf_fini (&brief);
}

static void fill (store_t *store, int64_t jobs)
{
    for (int64_t seq = 1; seq <= jobs; seq++)
        add (store, seq);
    assert_int_equal (store->ops->commit (store), 0);
}

static int setup_sqlite (void **state)
{
    char path[96];
    char problem[512];
    fixture_t *self = xcalloc (1, sizeof *self);
    snprintf (self->folder, sizeof self->folder, "/tmp/gleaner-list-XXXXXX");
    assert_non_null (mkdtemp (self->folder));
    snprintf (path, sizeof path, "%s/gleaner.db", self->folder);
    self->store = store_sqlite_open (path, problem, sizeof problem);
    assert_non_null (self->store);
    fill (self->store, JOBS);
    *state = self;
    return 0;
}

static int setup_ram (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    self->store = store_ram_new ();
    fill (self->store, JOBS);
    *state = self;
    return 0;
}

static int teardown (void **state)
{
    char command[128];
    fixture_t *self = *state;
    self->store->ops->close (&self->store);
    snprintf (command, sizeof command, "rm -rf '%s'", self->folder);
    if (self->folder[0])
        assert_int_equal (system (command), 0);
    free (self);
    return 0;
}

/* What one walk over all pages has seen: each job must be below the one before. */
typedef struct {
    int64_t last, count, page, left;
} walk_t;

static bool see (void *ctx, const job_record_t *job)
{
    walk_t *walk = ctx;
    if (!walk->left)
        return false;
    assert_true (job->id.seq < walk->last);
    walk->last = job->id.seq;
    walk->left--;
    walk->count++;
    return true;
}

/* How many jobs all pages have together; `*calls` is how many pages there were. */
static int64_t walk (store_t *store, job_filter_t filter, int64_t page, int64_t patience_ms, int64_t *calls)
{
    walk_t seen = { .last = INT64_MAX };
    int64_t next = filter.before_seq = filter.before_seq ? filter.before_seq : INT64_MAX;
    for (*calls = 0; next; ++*calls) {
        seen.left = page;
        assert_int_equal (store->ops->job_list (store, &filter, patience_ms, see, &seen, &next), 0);
        assert_true (!next || next <= filter.before_seq);
        assert_true (next < filter.before_seq); /* every call gets on */
        filter.before_seq = next;
    }
    return seen.count;
}

static int64_t expected (const job_filter_t *filter)
{
    int64_t count = 0;
    for (int64_t seq = 1; seq <= JOBS; seq++) {
        int state = seq % 100 ? (seq % 2 ? JOB_COMPLETED : JOB_FAILED) : seq % 200 ? JOB_PENDING : JOB_RUNNING;
        bool labelled = seq % 5 == 0;
        bool whole = filter->label.ptr && memchr (filter->label.ptr, '=', filter->label.len);
        bool label = !filter->label.ptr || (labelled && (!whole || seq % 3 == filter->label.ptr[6] - '0'));
        bool worker = !filter->worker.ptr || seq % WORKERS == filter->worker.ptr[1] - '0';
        bool text =
            !filter->text.ptr || (slice_eq_str (filter->text, "needle")    ? seq % 997 == 0
                                  : slice_eq_str (filter->text, "NIGHTLY") ? labelled
                                  : slice_eq_str (filter->text, "get-77")  ? seq % 1000 == 77 || seq % 1000 / 10 == 77
                                                                           : false);
        count += (filter->state < 0 || filter->state == state) && label && worker && text;
    }
    return count;
}

static void test_every_combination_of_filters (void **state)
{
    fixture_t *self = *state;
    const slice_t workers[] = { SLICE_ABSENT, SLICE ("w3") };
    const slice_t labels[] = { SLICE_ABSENT, SLICE ("team"), SLICE ("team=t1") };
    const slice_t texts[] = { SLICE_ABSENT, SLICE ("needle"), SLICE ("NIGHTLY"), SLICE ("get-77"), SLICE ("nowhere") };
    int64_t calls;
    for (int kind = -1; kind <= JOB_FAILED; kind++)
        for (int at = 0; at < 2 * 3 * 5; at++) {
            job_filter_t filter = { .state = kind,
                                    .worker = workers[at % 2],
                                    .label = labels[at / 2 % 3],
                                    .text = texts[at / 6],
                                    .brief = true };
            assert_int_equal (walk (self->store, filter, 100000, 10000, &calls), expected (&filter));
        }
}

static void test_pages_of_any_size (void **state)
{
    fixture_t *self = *state;
    int64_t calls;
    job_filter_t filter = { .state = JOB_FAILED, .worker = SLICE ("w3") };
    assert_int_equal (walk (self->store, filter, 7, 10000, &calls), expected (&filter));
    filter = (job_filter_t){ .state = -1 };
    assert_int_equal (walk (self->store, filter, JOBS / 10, 10000, &calls), JOBS);
    assert_int_equal (calls, 10);
}

static void test_a_call_looks_at_so_many_and_no_more (void **state)
{
    fixture_t *self = *state;
    int64_t calls;
    job_filter_t filter = { .state = -1, .text = SLICE ("nowhere at all") };
    assert_int_equal (walk (self->store, filter, 50, 100000, &calls), 0);
    assert_int_equal (calls, 2);
}

static void test_without_patience_it_gets_on_all_the_same (void **state)
{
    fixture_t *self = *state;
    int64_t calls;
    job_filter_t filter = { .state = -1, .text = SLICE ("needle") };
    assert_int_equal (walk (self->store, filter, 50, 0, &calls), expected (&filter));
    filter = (job_filter_t){ .state = -1, .before_seq = LIST_SURE + 1 };
    assert_int_equal (walk (self->store, filter, LIST_SURE, 0, &calls), LIST_SURE);
    assert_int_equal (calls, 1); /* a plain page is whole, however long it takes */
}

static void test_new_jobs_between_pages (void **state)
{
    fixture_t *self = *state;
    walk_t seen = { .last = INT64_MAX };
    job_filter_t filter = { .before_seq = INT64_MAX, .state = -1 };
    int64_t next = 1;
    for (int64_t seq = JOBS + 1; next; seq++) {
        seen.left = 5000;
        assert_int_equal (self->store->ops->job_list (self->store, &filter, 10000, see, &seen, &next), 0);
        filter.before_seq = next;
        add (self->store, seq);
    }
    assert_int_equal (seen.count, JOBS);
}

static bool check_brief (void *ctx, const job_record_t *job)
{
    message_t options;
    fault_t fault;
    decoder_t *decoder = decoder_new ();
    *(int *)ctx += 1;
    assert_null (job->data[STREAM_STDOUT].ptr);
    assert_null (job->data[STREAM_STDERR].ptr);
    assert_int_equal (message_decode_item (decoder, job->options, MSG_JOB_OPTIONS, &options, &fault), 0);
    assert_null (options.job_options.env.ptr);
    assert_slice (options.job_options.name, "Nightly Build");
    assert_slice (job->command, "make Target-500");
    assert_slice (job->filename, "x.zip");
    assert_slice (job->worker_id, "w3");
    assert_slice (job->reason, "exit-nonzero");
    assert_slice (job->receipt, "\x80");
    assert_slice (job->artifacts, "hash");
    assert_string_equal (job->id.salt, "abc123");
    assert_int_equal (job->state, JOB_PENDING);
    assert_int_equal (job->max_attempts, 3);
    assert_int_equal (job->created_ms, 42);
    assert_int_equal (job->slot, SLOT_NONE);
    assert_int_equal (job->bytes[STREAM_STDOUT], 3);
    assert_int_equal (job->bytes[STREAM_STDERR], 0);
    assert_int_equal (job->signal, INT_ABSENT);
    assert_int_equal (job->purged, 0);
    decoder_destroy (&decoder);
    return true;
}

static void test_a_brief_list_reads_what_it_shows (void **state)
{
    fixture_t *self = *state;
    int64_t next;
    int count = 0;
    job_filter_t filter = { .before_seq = 501, .state = JOB_PENDING, .worker = SLICE ("w3"), .brief = true };
    assert_int_equal (self->store->ops->job_list (self->store, &filter, 10000, check_brief, &count, &next), 0);
    assert_int_equal (count, 1);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_every_combination_of_filters),
        cmocka_unit_test (test_pages_of_any_size),
        cmocka_unit_test (test_a_call_looks_at_so_many_and_no_more),
        cmocka_unit_test (test_without_patience_it_gets_on_all_the_same),
        cmocka_unit_test (test_a_brief_list_reads_what_it_shows),
        cmocka_unit_test (test_new_jobs_between_pages), /* last: it adds some */
    };
    int sqlite = cmocka_run_group_tests_name ("sqlite", tests, setup_sqlite, teardown);
    int ram = cmocka_run_group_tests_name ("ram", tests, setup_ram, teardown);
    return sqlite || ram;
}
