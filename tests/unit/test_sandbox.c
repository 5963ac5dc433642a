/* test_sandbox - the vectors that run a job's commands in containers. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "worker/sandbox.h"

static const sandbox_config_t config = { .keeper = "/lib/keeper", .work_dir = "/w", .tmp_max = 1024, .network = true };
static const sandbox_job_t job = {
    .folder = "/w/jobs/j.1", .image = "debian:12", .name = "gleaner-j-1", .env_file = "/w/spool/j.1/env"
};

static void check (const sandbox_t *sandbox, const sandbox_job_t *wanted, const char *network, bool keeps_id)
{
    char user[64];
    argv_t argv = { 0 };
    snprintf (user, sizeof user, "--user=%u:%u", (unsigned)geteuid (), (unsigned)getegid ());
    const char *const words[] = {
        sandbox->program,
        "run",
        "--rm",
        "--init",
        "--name",
        "gleaner-j-1",
        "--network",
        network,
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--pids-limit=4096",
        user,
        keeps_id ? "--userns=keep-id" : NULL,
        "--tmpfs=/tmp:rw,mode=1777,size=1024",
        "--env-file=/w/spool/j.1/env",
        "--mount=type=bind,source=/w/jobs/j.1,target=/job",
        "--workdir",
        "/job",
        "debian:12",
        "sh",
        "-c",
        "echo \"it's\"; ls",
    };
    sandbox->ops->command (sandbox, wanted, "echo \"it's\"; ls", &argv);
    size_t at = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i])
            assert_string_equal (argv.items[at++], words[i]);
    assert_int_equal (at, argv.count);
    argv_fini (&argv);
}

static void test_docker (void **state)
{
    (void)state;
    sandbox_t sandbox = { .ops = &sandbox_docker_ops, .config = config, .program = "/usr/bin/docker", .filter_fd = -1 };
    check (&sandbox, &job, "bridge", false);
    sandbox_job_t cut = job;
    cut.network_none = true;
    check (&sandbox, &cut, "none", false);
    sandbox.config.network = false;
    check (&sandbox, &job, "none", false);
}

static void test_podman (void **state)
{
    (void)state;
    sandbox_t sandbox = { .ops = &sandbox_podman_ops, .config = config, .program = "/usr/bin/podman", .filter_fd = -1 };
    check (&sandbox, &job, "bridge", geteuid () != 0);
}

/* The keeper of a job in a container is a plain one. */
static void test_keeper (void **state)
{
    (void)state;
    const sandbox_ops_t *const kinds[] = { &sandbox_none_ops, &sandbox_docker_ops, &sandbox_podman_ops };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        sandbox_t sandbox = { .ops = kinds[i], .config = config, .filter_fd = -1 };
        argv_t argv = { 0 };
        sandbox.ops->keeper (&sandbox, &job, &argv);
        assert_int_equal (argv.count, 1);
        assert_string_equal (argv.items[0], "/lib/keeper");
        assert_false (sandbox.ops->one_job);
        assert_string_equal (sandbox_folder (&sandbox, "/w/jobs/j.1"), i ? "/job" : "/w/jobs/j.1");
        argv_fini (&argv);
    }
}

/* What cannot be tried is said, and costs nothing. */
static void test_try (void **state)
{
    (void)state;
    char why[SANDBOX_PROBLEM_SIZE];
    argv_t argv = { 0 };
    argv_add_all (&argv, (const char *const[]){ "/bin/sh", "-c", "echo first >&2; echo last >&2; exit 3", NULL });
    assert_false (sandbox_try (&argv, NULL, 0, 5000, why));
    assert_string_equal (why, "last");
    argv_fini (&argv);
    argv_add_all (&argv, (const char *const[]){ "/bin/sh", "-c", "sleep 60", NULL });
    assert_false (sandbox_try (&argv, NULL, 0, 100, why));
    assert_non_null (strstr (why, "did not end"));
    argv_fini (&argv);
    argv_add (&argv, "/none/such");
    assert_false (sandbox_try (&argv, NULL, 0, 100, why));
#if defined(__SANITIZE_THREAD__) /* under it the child's memory is its own, and posix_spawn does not hear of its       \
                                    failure */
    assert_string_equal (why, "/none/such ended with status 127");
#else
    assert_string_equal (why, "/none/such: No such file or directory");
#endif
    argv_fini (&argv);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_docker),
        cmocka_unit_test (test_podman),
        cmocka_unit_test (test_keeper),
        cmocka_unit_test (test_try),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
