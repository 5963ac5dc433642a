/* Processes that are shut in: each tries one thing, and ends by how that went. */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/enclose.h"
#include "worker/landlock.h"

static char inside[64];
static char outside[64];

/* Sanitizers' builds have a wider filter (enclose.c). */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

static void make_file (const char *folder, const char *name)
{
    char path[96];
    snprintf (path, sizeof path, "%s/%s", folder, name);
    int fd = open (path, O_WRONLY | O_CREAT, 0644);
    assert_int_equal (write (fd, "secret", 6), 6);
    close (fd);
}

static int setup (void **state)
{
    (void)state;
    snprintf (inside, sizeof inside, "/tmp/gleaner-in-XXXXXX");
    snprintf (outside, sizeof outside, "/tmp/gleaner-out-XXXXXX");
    assert_non_null (mkdtemp (inside));
    assert_non_null (mkdtemp (outside));
    make_file (inside, "there");
    make_file (outside, "there");
    return 0;
}

static int teardown (void **state)
{
    (void)state;
    char command[192];
    snprintf (command, sizeof command, "rm -rf '%s' '%s'", inside, outside);
    return system (command);
}

/* What `act` returns (0, or an errno) in a process that is shut in; the negative signal that ended it. */
static int shut_in (enclose_use_t use, int (*act) (int folder))
{
    enclose_t walls;
    assert_int_equal (enclose_prepare (&walls, use), 0);
    int folder = open (inside, use != ENCLOSE_COLLECT ? O_PATH | O_DIRECTORY : O_RDONLY | O_DIRECTORY);
    pid_t pid = fork ();
    if (pid == 0)
        _exit (enclose_enter (&walls, folder) ? 99 : act (folder));
    int status = 0;
    assert_int_equal (waitpid (pid, &status, 0), pid);
    close (folder);
    free (walls.filter.filter);
    return WIFSIGNALED (status) ? -WTERMSIG (status) : WEXITSTATUS (status);
}

static int outcome (long result)
{
    return result < 0 ? errno : 0;
}

static int make_inside (int folder)
{
    if (mkdirat (folder, "a", 0755) != 0)
        return errno;
    int sub = openat (folder, "a", O_PATH | O_DIRECTORY | O_NOFOLLOW);
    int fd = sub < 0 ? -1 : openat (sub, "f", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0644);
    return fd < 0 ? errno : write (fd, "x", 1) == 1 ? 0 : EIO;
}

static int read_file_there (int folder)
{
    return outcome (openat (folder, "there", O_RDONLY));
}

static int write_file_there (int folder)
{
    return outcome (openat (folder, "there", O_WRONLY));
}

static int read_system_file (int folder)
{
    (void)folder;
    return outcome (open ("/etc/passwd", O_RDONLY));
}

static int read_file_outside (int folder)
{
    char path[96];
    (void)folder;
    snprintf (path, sizeof path, "%s/there", outside);
    return outcome (open (path, O_RDONLY));
}

static int make_file_outside (int folder)
{
    char path[96];
    (void)folder;
    snprintf (path, sizeof path, "%s/new", outside);
    return outcome (open (path, O_WRONLY | O_CREAT | O_EXCL, 0644));
}

static int make_file_inside (int folder)
{
    return outcome (openat (folder, "new", O_WRONLY | O_CREAT | O_EXCL, 0644));
}

static int make_folder_outside (int folder)
{
    char path[96];
    (void)folder;
    snprintf (path, sizeof path, "%s/sub", outside);
    return outcome (mkdirat (AT_FDCWD, path, 0755));
}

static int remove_there (int folder)
{
    return outcome (unlinkat (folder, "there", 0));
}

static int remove_outside (int folder)
{
    char path[96];
    (void)folder;
    snprintf (path, sizeof path, "%s/there", outside);
    return outcome (unlinkat (AT_FDCWD, path, 0));
}

static int remove_outside_by_a_link (int folder)
{
    return outcome (unlinkat (folder, "out/there", 0));
}

static int remove_itself (int folder)
{
    (void)folder;
    return outcome (unlinkat (AT_FDCWD, inside, AT_REMOVEDIR));
}

static int make_link (int folder)
{
    return outcome (symlinkat ("/etc/passwd", folder, "link"));
}

static int call_network (int folder)
{
    (void)folder;
    return outcome (socket (AF_INET, SOCK_STREAM, 0));
}

static int run_program (int folder)
{
    (void)folder;
    char name[] = "true";
    char *argv[] = { name, NULL };
    return outcome (execv ("/bin/true", argv));
}

static int start_process (int folder)
{
    (void)folder;
    return outcome (syscall (SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL));
}

static int send_signal (int folder)
{
    (void)folder;
    return outcome (kill (getppid (), 0));
}

static int make_code (int folder)
{
    (void)folder;
    void *at = mmap (NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? errno : 0;
}

static void test_extraction_makes_what_is_new (void **state)
{
    (void)state;
    assert_int_equal (shut_in (ENCLOSE_EXTRACT, make_inside), 0);
}

static void test_extraction_reads_nothing (void **state)
{
    (void)state;
    if (SANITIZED && !landlock_version ())
        skip (); /* this kernel has no Landlock */
    assert_in_range (shut_in (ENCLOSE_EXTRACT, read_file_there), EPERM, EACCES);
    assert_in_range (shut_in (ENCLOSE_EXTRACT, read_system_file), EPERM, EACCES);
    assert_in_range (shut_in (ENCLOSE_EXTRACT, read_file_outside), EPERM, EACCES);
}

static void test_extraction_makes_nothing_outside (void **state)
{
    (void)state;
    if (!landlock_version ())
        skip (); /* this kernel has no Landlock */
    assert_int_equal (shut_in (ENCLOSE_EXTRACT, make_file_outside), EACCES);
    assert_int_equal (shut_in (ENCLOSE_EXTRACT, make_folder_outside), EACCES);
}

static void test_renewal_removes_what_is_inside (void **state)
{
    char link[96];
    (void)state;
    if (!landlock_version ()) {
        assert_int_equal (shut_in (ENCLOSE_RENEW, remove_there), 99);
        return;
    }
    snprintf (link, sizeof link, "%s/out", inside);
    assert_int_equal (symlink (outside, link), 0);
    assert_int_equal (shut_in (ENCLOSE_RENEW, make_inside), 0);
    assert_int_equal (shut_in (ENCLOSE_RENEW, make_file_outside), EACCES);
    assert_in_range (shut_in (ENCLOSE_RENEW, read_file_there), EPERM, EACCES);
    assert_int_equal (shut_in (ENCLOSE_RENEW, remove_outside), EACCES);
    assert_int_equal (shut_in (ENCLOSE_RENEW, remove_outside_by_a_link), EACCES);
    assert_int_equal (shut_in (ENCLOSE_RENEW, remove_itself), EACCES);
    assert_int_equal (shut_in (ENCLOSE_RENEW, remove_there), 0);
    assert_int_equal (shut_in (ENCLOSE_RENEW, remove_there), ENOENT);
}

static void test_collection_reads_what_is_there (void **state)
{
    (void)state;
    assert_int_equal (shut_in (ENCLOSE_COLLECT, read_file_there), 0);
}

static void test_collection_reads_nothing_outside (void **state)
{
    (void)state;
    if (!landlock_version ())
        skip (); /* this kernel has no Landlock */
    assert_int_equal (shut_in (ENCLOSE_COLLECT, read_system_file), EACCES);
    assert_int_equal (shut_in (ENCLOSE_COLLECT, read_file_outside), EACCES);
}

static void test_collection_makes_nothing (void **state)
{
    (void)state;
    if (SANITIZED && !landlock_version ())
        skip (); /* this kernel has no Landlock */
    assert_in_range (shut_in (ENCLOSE_COLLECT, write_file_there), EPERM, EACCES);
    assert_in_range (shut_in (ENCLOSE_COLLECT, make_file_inside), EPERM, EACCES);
    assert_in_range (shut_in (ENCLOSE_COLLECT, make_file_outside), EPERM, EACCES);
}

static void test_neither_does_anything_else (void **state)
{
    (void)state;
    for (enclose_use_t use = ENCLOSE_EXTRACT; use <= ENCLOSE_RENEW; use++) {
        if (use == ENCLOSE_RENEW && !landlock_version ())
            continue; /* it is refused then */
        assert_int_equal (shut_in (use, call_network), -SIGSYS);
        assert_int_equal (shut_in (use, run_program), -SIGSYS);
        assert_int_equal (shut_in (use, make_link), -SIGSYS);
        if (use != ENCLOSE_RENEW && (landlock_version () || !SANITIZED))
            assert_in_range (shut_in (use, remove_there), EPERM, EACCES);
        if (SANITIZED)
            continue;
        assert_int_equal (shut_in (use, start_process), -SIGSYS);
        assert_int_equal (shut_in (use, send_signal), -SIGSYS);
        assert_int_equal (shut_in (use, make_code), EPERM);
    }
}

int main (void)
{
#define STORY(test) cmocka_unit_test_setup_teardown (test, setup, teardown)
    const struct CMUnitTest tests[] = {
        STORY (test_extraction_makes_what_is_new),     STORY (test_extraction_reads_nothing),
        STORY (test_extraction_makes_nothing_outside), STORY (test_collection_reads_what_is_there),
        STORY (test_collection_reads_nothing_outside), STORY (test_collection_makes_nothing),
        STORY (test_renewal_removes_what_is_inside),   STORY (test_neither_does_anything_else),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
