/* Control groups, by a folder of plain files that stands for the kernel's: which file gets what, what is read from
 * which, and when they are left alone. tests/e2e/test_cgroup.py has the real ones, where there are such. */
#include "unit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "worker/cgroup.h"

enum { MIB = 1024 * 1024 };

static char root[FOLDER_PATH_MAX / 4];
static char why[CGROUP_WHY_SIZE];

static const char *at (const char *name)
{
    static char path[FOLDER_PATH_MAX];
    snprintf (path, sizeof path, "%s/%s", root, name);
    return path;
}

static void put (const char *name, const char *text)
{
    assert_int_equal (file_write (at (name), slice_of (text)), 0);
}

static void assert_file (const char *name, const char *expected)
{
    buf_t text = { 0 };
    assert_int_equal (file_read (at (name), 4096, &text), 0);
    assert_slice (text.len ? buf_slice (&text) : SLICE (""), expected);
    buf_fini (&text);
}

/* As a unit of its own has it, with this process in it. */
static int set_up (void **state)
{
    char own[32];
    (void)state;
    snprintf (root, sizeof root, "/tmp/gleaner-cgroup-XXXXXX");
    assert_non_null (mkdtemp (root));
    snprintf (own, sizeof own, "%d\n", (int)getpid ());
    put ("cgroup.controllers", "cpuset cpu io memory pids\n");
    put ("cgroup.procs", own);
    put ("cgroup.subtree_control", "");
    assert_int_equal (mkdir (at ("worker"), 0700), 0);
    put ("worker/cgroup.procs", "");
    put ("worker/cgroup.kill", "");
    return 0;
}

static int tear_down (void **state)
{
    (void)state;
    folder_remove (root);
    return 0;
}

static void make_job (const char *name)
{
    static const char *const files[] = { "cgroup.procs", "cgroup.kill", "memory.max",  "memory.swap.max",
                                         "pids.max",     "cpu.max",     "memory.peak", "memory.oom.group",
                                         "pids.peak",    "cpu.stat",    "pids.events", "memory.events" };
    char path[256];
    assert_int_equal (mkdir (at (name), 0700), 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf (path, sizeof path, "%s/%s", name, files[i]);
        put (path, "");
    }
}

/* ---- finding it ---- */

static bool find (const char *cgroup, const char *mounts, char found[FOLDER_PATH_MAX])
{
    put ("cgroup", cgroup);
    put ("mountinfo", mounts);
    return cgroup_find (root, found, why);
}

static void test_it_is_found_below_its_mount (void **state)
{
    char mounts[FOLDER_PATH_MAX];
    char found[FOLDER_PATH_MAX];
    (void)state;
    assert_int_equal (mkdir (at ("w.service"), 0700), 0);
    if (geteuid () == 0 && setxattr (at ("w.service"), "user.delegate", "1", 1, 0) != 0)
        skip (); /* a file system without such */
    snprintf (mounts, sizeof mounts,
              "22 1 0:5 / /proc rw - proc proc rw\n30 22 0:26 / %s rw,nosuid shared:9 - cgroup2 cgroup2 rw\n", root);
    assert_true (find ("4:memory:/other\n0::/w.service\n", mounts, found));
    assert_string_equal (found, at ("w.service"));
    snprintf (mounts, sizeof mounts, "30 22 0:26 /above %s rw - cgroup2 cgroup2 rw\n", root);
    assert_true (find ("0::/above/w.service\n", mounts, found));
    assert_string_equal (found, at ("w.service"));
    assert_false (find ("0::/elsewhere/w.service\n", mounts, found));
    assert_non_null (strstr (why, "/elsewhere/w.service is not in sight"));
}

static void test_it_is_not_taken_undelegated (void **state)
{
    char mounts[FOLDER_PATH_MAX];
    char found[FOLDER_PATH_MAX];
    (void)state;
    snprintf (mounts, sizeof mounts, "30 22 0:26 / %s rw - cgroup2 cgroup2 rw\n", root);
    assert_int_equal (mkdir (at ("w.service"), 0500), 0);
    assert_false (find ("0::/w.service\n", mounts, found));
    assert_non_null (strstr (why, "is not delegated to this worker (Delegate=yes in its unit)"));
    assert_false (find ("4:memory:/w.service\n", mounts, found));
    assert_string_equal (why, "cgroup v2 is not mounted here");
    assert_false (find ("0::/w.service\n", "22 1 0:5 / /proc rw - proc proc rw\n", found));
    assert_string_equal (why, "cgroup v2 is not mounted here");
}

/* ---- taking it over ---- */

static void test_it_is_taken_over (void **state)
{
    cgroup_t cgroup;
    (void)state;
    assert_true (cgroup_open (&cgroup, root, why));
    assert_true (cgroup.cpu);
    assert_string_equal (cgroup.root, root);
    assert_file ("worker/cgroup.procs", "0");
    assert_file ("cgroup.subtree_control", "+memory +pids +cpu");
    cgroup_close (&cgroup);
}

static void test_processors_may_be_missing (void **state)
{
    cgroup_t cgroup;
    cgroup_job_t job;
    const limits_t limits = { .cpus = 50 };
    (void)state;
    put ("cgroup.controllers", "memory pids cpuset\n");
    assert_true (cgroup_open (&cgroup, root, why));
    assert_false (cgroup.cpu);
    assert_file ("cgroup.subtree_control", "+memory +pids");
    make_job ("job-a.1");
    assert_int_equal (cgroup_job_open (&cgroup, "a.1", &limits, &job), 0);
    assert_file ("job-a.1/cpu.max", "");
    cgroup_job_close (&cgroup, &job);
    cgroup_close (&cgroup);
}

static void assert_refused (const char *because)
{
    cgroup_t cgroup;
    assert_false (cgroup_open (&cgroup, root, why));
    assert_non_null (strstr (why, because));
}

static void test_it_is_left_alone_when_it_cannot_be_used (void **state)
{
    char others[64];
    (void)state;
    put ("cgroup.controllers", "cpu pids\n");
    assert_refused ("has no memory controller (Delegate=memory pids cpu in its unit)");
    put ("cgroup.controllers", "cpu memory pidsx\n");
    assert_refused ("has no pids controller");
    put ("cgroup.controllers", "cpu memory pids\n");
    snprintf (others, sizeof others, "%d\n1\n", (int)getpid ());
    put ("cgroup.procs", others);
    assert_refused ("has other processes in it");
    put ("cgroup.procs", "");
    assert_refused ("has other processes in it");
    assert_file ("worker/cgroup.procs", "");
    assert_file ("cgroup.subtree_control", "");
}

static void test_a_kernel_that_cannot_kill_groups (void **state)
{
    (void)state;
    unlink (at ("worker/cgroup.kill"));
    assert_refused ("no cgroup.kill");
    assert_file ("worker/cgroup.procs", "");
    assert_file ("cgroup.subtree_control", "");
}

static void test_it_goes_back_when_it_may_not_limit (void **state)
{
    char own[32];
    (void)state;
    unlink (at ("cgroup.subtree_control"));
    assert_int_equal (mkdir (at ("cgroup.subtree_control"), 0700), 0); /* nobody can write there, root included */
    assert_refused ("cannot be taken over: Is a directory");
    assert_file ("worker/cgroup.procs", "0");
    snprintf (own, sizeof own, "%d\n", (int)getpid ());
    own[0] = '0'; /* written over the number that stood there */
    assert_file ("cgroup.procs", own);
}

static void test_what_was_left_is_swept (void **state)
{
    cgroup_t cgroup;
    (void)state;
    make_job ("job-old.1"); /* plain files keep it from being removed */
    assert_int_equal (mkdir (at ("job-old.2"), 0700), 0);
    assert_int_equal (mkdir (at ("job-old.2/inner"), 0700), 0);
    assert_int_equal (mkdir (at ("other"), 0700), 0);
    assert_true (cgroup_open (&cgroup, root, why));
    assert_file ("job-old.1/cgroup.kill", "1");
    assert_int_not_equal (access (at ("job-old.2"), F_OK), 0);
    assert_int_equal (access (at ("other"), F_OK), 0);
    assert_file ("worker/cgroup.kill", "");
    cgroup_close (&cgroup);
}

/* ---- an attempt's ---- */

static void test_limits_are_written (void **state)
{
    cgroup_t cgroup;
    cgroup_job_t job;
    const limits_t limits = { .memory_bytes = 300 * MIB, .disk_bytes = 7, .pids = 64, .cpus = 150 };
    const limits_t none = { 0 };
    (void)state;
    assert_true (cgroup_open (&cgroup, root, why));
    make_job ("job-a.1");
    assert_int_equal (cgroup_job_open (&cgroup, "a.1", &limits, &job), 0);
    assert_file ("job-a.1/memory.max", "314572800");
    assert_file ("job-a.1/memory.swap.max", "0");
    assert_file ("job-a.1/memory.oom.group", "1");
    assert_file ("job-a.1/pids.max", "64");
    assert_file ("job-a.1/cpu.max", "150000 100000");
    assert_int_equal (write (job.procs, "0", 1), 1);
    assert_file ("job-a.1/cgroup.procs", "0");
    cgroup_job_kill (&job);
    assert_file ("job-a.1/cgroup.kill", "1");
    cgroup_job_close (&cgroup, &job);
    assert_null (job.path);

    make_job ("job-b.1");
    assert_int_equal (cgroup_job_open (&cgroup, "b.1", &none, &job), 0);
    assert_file ("job-b.1/memory.max", "");
    assert_file ("job-b.1/memory.swap.max", "");
    assert_file ("job-b.1/memory.oom.group", "1");
    assert_file ("job-b.1/pids.max", "");
    assert_file ("job-b.1/cpu.max", "");
    cgroup_job_close (&cgroup, &job);
    assert_file ("job-b.1/cgroup.kill", "1");
    cgroup_close (&cgroup);
}

static void test_a_limit_that_cannot_be_set_is_told (void **state)
{
    cgroup_t cgroup;
    cgroup_job_t job;
    const limits_t limits = { .memory_bytes = MIB };
    (void)state;
    assert_true (cgroup_open (&cgroup, root, why));
    make_job ("job-a.1");
    unlink (at ("job-a.1/memory.swap.max")); /* a kernel without swap */
    assert_int_equal (cgroup_job_open (&cgroup, "a.1", &limits, &job), 0);
    cgroup_job_close (&cgroup, &job);
    unlink (at ("job-a.1/memory.max"));
    assert_int_not_equal (cgroup_job_open (&cgroup, "a.1", &limits, &job), 0);
    assert_null (job.path);
    assert_int_not_equal (cgroup_job_open (&cgroup, "new.1", &limits, &job), 0); /* made, and without any file */
    assert_int_not_equal (access (at ("job-new.1"), F_OK), 0);
    cgroup_close (&cgroup);
}

static void test_what_the_kernel_tells_is_read (void **state)
{
    cgroup_t cgroup;
    cgroup_job_t job;
    cgroup_counts_t counts;
    const limits_t limits = { .memory_bytes = MIB, .pids = 5 };
    (void)state;
    assert_true (cgroup_open (&cgroup, root, why));
    make_job ("job-a.1");
    assert_int_equal (cgroup_job_open (&cgroup, "a.1", &limits, &job), 0);
    cgroup_job_count (&job, &counts);
    const cgroup_counts_t nothing = { 0 };
    assert_memory_equal (&counts, &nothing, sizeof counts);

    put ("job-a.1/cpu.stat", "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\n");
    put ("job-a.1/memory.peak", "1048576\n");
    put ("job-a.1/pids.peak", "5\n");
    put ("job-a.1/memory.events", "low 0\nhigh 0\nmax 9\noom 2\noom_kill 3\noom_group_kill 1\n");
    put ("job-a.1/pids.events", "max 4\n");
    cgroup_job_close (&cgroup, &job);
    assert_int_equal (cgroup_job_open (&cgroup, "a.1", &limits, &job), 0); /* file_write puts new files there */
    cgroup_job_count (&job, &counts);
    const cgroup_counts_t expected = { 1234, MIB, 5, 3, 4 };
    assert_memory_equal (&counts, &expected, sizeof counts);

    put ("job-a.1/memory.events", "low 0\nhigh 0\nmax 0\noom 0\noom_kill 3\n"); /* for want of memory in the machine */
    cgroup_job_close (&cgroup, &job);
    assert_int_equal (cgroup_job_open (&cgroup, "a.1", &limits, &job), 0);
    cgroup_job_count (&job, &counts);
    assert_int_equal (counts.memory_kills, 0);
    cgroup_job_close (&cgroup, &job);
    cgroup_close (&cgroup);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_it_is_found_below_its_mount),
        TEST (test_it_is_not_taken_undelegated),
        TEST (test_it_is_taken_over),
        TEST (test_processors_may_be_missing),
        TEST (test_it_is_left_alone_when_it_cannot_be_used),
        TEST (test_a_kernel_that_cannot_kill_groups),
        TEST (test_it_goes_back_when_it_may_not_limit),
        TEST (test_what_was_left_is_swept),
        TEST (test_limits_are_written),
        TEST (test_a_limit_that_cannot_be_set_is_told),
        TEST (test_what_the_kernel_tells_is_read),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
