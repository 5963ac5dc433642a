/* Strays: children that this program did not start are ended with all they started, and no other. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "worker/child.h"
#include "worker/strays.h"

enum { SOON_MS = 5 * 1000, TICK_MS = 10 };

static loop_t *loop;
static strays_t *strays;
static loop_timer_t until_none;

static void on_tick (void *ctx)
{
    if (strays_left (strays))
        loop_timer_set (loop, &until_none, TICK_MS, on_tick, ctx);
    else
        loop_stop (loop);
}

/* A shell that child_start knows; its command prints the number of one more process, and both stay. */
static child_t start_known (pid_t *inner)
{
    static const char *const argv[] = { "sh", "-c", "sleep 300 & echo $!; wait", NULL };
    static const char *const env[] = { NULL };
    child_spec_t spec = { .program = "/bin/sh", .argv = argv, .env = env, .folder = "/" };
    child_t child;
    assert_int_equal (child_start (&spec, &child), 0);
    struct pollfd said = { child.out[0], POLLIN, 0 };
    assert_int_equal (poll (&said, 1, SOON_MS), 1);
    char text[32] = "";
    assert_true (read (child.out[0], text, sizeof text - 1) > 0);
    *inner = (pid_t)strtol (text, NULL, 10);
    return child;
}

/* A process of a session of its own, with a child, both deaf to TERM; its parent ends, so that it comes to us. */
static void leave_strays (pid_t pids[2])
{
    int ends[2];
    assert_int_equal (pipe2 (ends, O_CLOEXEC), 0);
    pid_t keeper = fork ();
    if (keeper == 0) {
        signal (SIGTERM, SIG_IGN);
        if (fork () > 0)
            _exit (0);
        setsid ();
        pid_t both[2] = { getpid (), fork () };
        if (both[1] > 0 && write (ends[1], both, sizeof both) != sizeof both)
            _exit (1);
        for (;;)
            pause ();
    }
    assert_int_equal (waitpid (keeper, NULL, 0), keeper);
    assert_int_equal (read (ends[0], pids, 2 * sizeof *pids), 2 * sizeof *pids);
    close (ends[0]);
    close (ends[1]);
}

static bool exists (pid_t pid)
{
    return kill (pid, 0) == 0; /* a zombie, too */
}

static void test_strays_are_ended_and_reaped_and_no_others (void **state)
{
    (void)state;
    pid_t pids[2];
    pid_t inner;
    pid_t before = fork (); /* as of a shell that became the worker */
    if (before == 0)
        for (;;)
            pause ();
    loop = loop_new ();
    strays = strays_new (loop);
    child_t known = start_known (&inner);
    leave_strays (pids);
    assert_true (exists (pids[0]) && exists (pids[1]));
    assert_false (child_is_known (pids[0]));
    assert_true (child_is_known (known.pid));

    int64_t begun_ms = clock_mono_ms ();
    strays_end (strays);
    loop_timer_set (loop, &until_none, 0, on_tick, NULL);
    loop_run (loop);
    assert_in_range (clock_mono_ms () - begun_ms, 0, SOON_MS);
    assert_false (exists (pids[0]) || exists (pids[1]));
    assert_true (exists (known.pid) && exists (inner) && exists (before));
    assert_int_equal (waitpid (known.pid, NULL, WNOHANG), 0);
    assert_int_equal (waitpid (before, NULL, WNOHANG), 0);

    int ignored;
    pid_t pid = known.pid;
    child_kill (&known);
    child_reap (&known, &ignored);
    child_close (&known);
    assert_false (child_is_known (pid));
    assert_int_equal (waitpid (inner, NULL, 0), inner); /* of the group that was killed; it has come to us */
    kill (before, SIGKILL);
    waitpid (before, NULL, 0);
    strays_destroy (&strays);
    loop_destroy (&loop);
}

static void test_what_is_begun_is_brought_to_its_end (void **state)
{
    (void)state;
    pid_t pids[2];
    loop = loop_new ();
    strays = strays_new (loop);
    leave_strays (pids);
    strays_end (strays);
    strays_destroy (&strays);
    assert_false (exists (pids[0]) || exists (pids[1]));
    assert_int_equal (waitpid (-1, NULL, WNOHANG), -1);
    assert_int_equal (errno, ECHILD);
    loop_destroy (&loop);
}

int main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_strays_are_ended_and_reaped_and_no_others),
        cmocka_unit_test (test_what_is_begun_is_brought_to_its_end),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
