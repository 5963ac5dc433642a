#include "worker/check.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include "proto/checkup.h"
#include "proto/clock.h"
#include "worker/cgroup.h"
#include "worker/folders.h"
#include "worker/keepers.h"
#include "worker/landlock.h"

enum {
    KILL_MS_MAX = 10 * 1000, /* for the probe to begin, and to end */
    FDS_FEW = 1024,
    TASKS_FEW = 256,
    BUS_US = 2 * 1000 * 1000,
};

#define DISK_LITTLE (64LL << 20) /* bytes: no job fits */
#define DISK_SCANT  (1LL << 30)

/* ---- the work directory ---- */

static int write_probe (const char *path)
{
    char block[4096];
    memset (block, 'x', sizeof block);
    return file_write (path, slice_from (block, sizeof block));
}

static bool check_disk (checkup_t *checkup, const char *wanted, char path[FOLDER_PATH_MAX])
{
    char problem[CHECKUP_TEXT_MAX];
    char probe[FOLDER_PATH_MAX + 16];
    struct statvfs info;
    path[0] = '\0';
    bool idle = folders_open (wanted, path, problem, sizeof problem);
    if (!path[0] || statvfs (path, &info) != 0) {
        checkup_say (checkup, CHECK_FAIL, "work-dir", "%s Choose another --work-dir, or mend its owner and mode.",
                     problem);
        return false;
    }
    snprintf (probe, sizeof probe, "%s/check-probe", path);
    int error = write_probe (probe);
    unlink (probe);
    long long free_bytes = (long long)info.f_bavail * (long long)info.f_frsize;
    double gib = (double)free_bytes / (1 << 30);
    if (error)
        checkup_say (checkup, CHECK_FAIL, "work-dir",
                     "'%s' cannot be written: %s: make room, or choose another --work-dir.", path, strerror (error));
    else if (info.f_flag & ST_NOEXEC)
        checkup_say (checkup, CHECK_FAIL, "work-dir",
                     "'%s' is mounted noexec, so that jobs cannot run what they build: choose a --work-dir elsewhere.",
                     path);
    else if (free_bytes < DISK_LITTLE)
        checkup_say (checkup, CHECK_FAIL, "work-dir",
                     "%.2f GiB are free in '%s': make room, or choose another --work-dir.", gib, path);
    else
        checkup_say (checkup, free_bytes < DISK_SCANT ? CHECK_WARN : CHECK_OK, "work-dir",
                     "%.1f GiB are free in '%s'%s", gib, path, idle ? "" : ", where a worker runs");
    return !error;
}

/* What folders_open has made where no worker has been yet. */
static void leave_folder (const char *path)
{
    static const char *const names[] = { "jobs", "spool" };
    char file[FOLDER_PATH_MAX + 16];
    snprintf (file, sizeof file, "%s/worker-id", path);
    if (!*path || access (file, F_OK) == 0)
        return;
    for (size_t i = 0; i < 2; i++) {
        snprintf (file, sizeof file, "%s/%s", path, names[i]);
        rmdir (file);
    }
    snprintf (file, sizeof file, "%s/lock", path);
    unlink (file);
}

/* ---- the sandbox ---- */

/* What would outlive a job if anything did: in sessions of their own, one of them orphaned. */
static const char probe_command[] = "(setsid sleep 3600 &) ; setsid sleep 3600 & echo begun; wait";

static int open_input (void)
{
    buf_t input = { 0 };
    static const char limits[] = "0 0 0 0";
    static const char path[] = "PATH=/usr/local/bin:/usr/bin:/bin";
    buf_append (&input, limits, sizeof limits);
    buf_append (&input, probe_command, sizeof probe_command);
    buf_append (&input, path, sizeof path);
    int fd = memfd_create ("gleaner-input", MFD_CLOEXEC);
    if (fd >= 0 && pwrite (fd, input.ptr, input.len, 0) != (ssize_t)input.len) {
        close (fd);
        fd = -1;
    }
    buf_fini (&input);
    return fd;
}

/* Reads what the job prints until `wanted` bytes have come, or with 0 until nobody can print any more. */
static bool await_output (const child_t *child, size_t wanted)
{
    char bytes[256];
    int64_t end = clock_mono_ms () + KILL_MS_MAX;
    for (size_t had = 0; !wanted || had < wanted;) {
        struct pollfd ready = { child->out[0], POLLIN, 0 };
        int64_t left = end - clock_mono_ms ();
        if (left <= 0 || poll (&ready, 1, (int)left) <= 0)
            return false;
        ssize_t got = read (child->out[0], bytes, sizeof bytes);
        if (got == 0)
            return wanted == 0;
        if (got < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        had += got > 0 ? (size_t)got : 0;
    }
    return true;
}

/* All that a job has started holds its stdout open: when that is shut, all are gone. */
static bool kill_works (sandbox_t *sandbox, const char *folder)
{
    int ignored;
    keepers_t keepers = { 0 };
    child_t child = CHILD_NONE;
    keeper_job_t job = { .sandbox = sandbox, .wants = { .folder = folder }, .input = open_input (), .group = -1 };
    if (job.input < 0 || keepers_run (&keepers, &job, &child) != 0)
        return false;
    close (job.input);
    bool begun = await_output (&child, strlen ("begun\n"));
    child_kill (&child);
    bool gone = await_output (&child, 0);
    child_reap (&child, &ignored);
    child_close (&child);
    return begun && gone;
}

static void check_kill (checkup_t *checkup, sandbox_t *sandbox, const char *path)
{
    char folder[FOLDER_PATH_MAX + 32];
    snprintf (folder, sizeof folder, "%s/jobs/.check", path);
    mkdir (folder, 0700);
    bool works = kill_works (sandbox, folder);
    folder_remove (folder);
    if (works)
        checkup_say (checkup, CHECK_OK, "kill", "a job's processes end with it, in sessions of their own too");
    else
        checkup_say (
            checkup, CHECK_FAIL, "kill",
            "what a job started was not all gone %d s after it was killed: use a sandbox (apt-get install bubblewrap), "
            "or report this with the kernel's version.",
            KILL_MS_MAX / 1000);
}

static void check_sandbox (checkup_t *checkup, const worker_options_t *options, const char *path, const char *keeper)
{
    char problem[SANDBOX_PROBLEM_SIZE];
    const sandbox_config_t config = { .keeper = keeper,
                                      .work_dir = path,
                                      .expose = options->expose,
                                      .tmp_max = options->tmp_max,
                                      .network = strcmp (options->network, "allow") == 0 };
    sandbox_t sandbox = { .filter_fd = -1 };
    const sandbox_ops_t *ops = options->unsafe_no_sandbox ? &sandbox_none_ops : &sandbox_bwrap_ops;
    if (!sandbox_open (&sandbox, ops, &config, problem)) {
        checkup_say (checkup, CHECK_FAIL, "sandbox", "%s", problem);
    } else {
        if (options->unsafe_no_sandbox)
            checkup_say (checkup, CHECK_WARN, "sandbox",
                         "none: jobs can do what this user can; leave --unsafe-no-sandbox out");
        else
            checkup_say (checkup, CHECK_OK, "sandbox", "bubblewrap works");
        if (sandbox.ops->cuts_network)
            checkup_say (checkup, CHECK_OK, "network", "jobs can be cut off from it%s",
                         config.network ? "" : ", and are, as --network none says");
        else
            checkup_say (
                checkup, CHECK_WARN, "network",
                "no job can be cut off from it, so that those with --no-network go elsewhere: it needs the sandbox");
        check_kill (checkup, &sandbox, path);
    }
    sandbox_close (&sandbox);
    if (landlock_version ())
        checkup_say (checkup, CHECK_OK, "landlock", "version %d", landlock_version ());
    else
        checkup_say (checkup, CHECK_WARN, "landlock",
                     "this kernel has none, so that archives are unpacked behind a filter of system calls alone: boot "
                     "one of 5.13 "
                     "or later, with lsm=landlock");
}

static void check_engine (checkup_t *checkup, const worker_options_t *options, const char *path, const char *keeper)
{
    char problem[SANDBOX_PROBLEM_SIZE];
    char found[FOLDER_PATH_MAX];
    const sandbox_config_t config = {
        .keeper = keeper, .work_dir = path, .tmp_max = options->tmp_max, .network = true
    };
    sandbox_t engine = { .filter_fd = -1 };
    if (strcmp (options->engine, "none") == 0) {
        const char *here =
            sandbox_find_program ("podman", found)   ? "; podman is here: --engine podman lets jobs name an image"
            : sandbox_find_program ("docker", found) ? "; docker is here: --engine docker lets jobs name an image"
                                                     : "";
        checkup_say (checkup, CHECK_OK, "engine", "none is asked for%s", here);
        return;
    }
    bool docker = strcmp (options->engine, "docker") == 0;
    if (sandbox_open (&engine, docker ? &sandbox_docker_ops : &sandbox_podman_ops, &config, problem))
        checkup_say (checkup, CHECK_OK, "engine", "%s works", options->engine);
    else
        checkup_say (checkup, CHECK_FAIL, "engine", "%s", problem);
    sandbox_close (&engine);
}

/* ---- the machine ---- */

static void check_limits (checkup_t *checkup, const worker_options_t *options)
{
    char root[FOLDER_PATH_MAX];
    char why[CGROUP_WHY_SIZE];
    struct rlimit files;
    struct rlimit tasks;
    if (strcmp (options->cgroup, "auto") != 0)
        checkup_say (checkup, CHECK_OK, "limits", "jobs are watched, without control groups, as --cgroup off says");
    else if (cgroup_find ("/proc/self", root, why))
        checkup_say (checkup, CHECK_OK, "limits", "jobs can have control groups below %s", root);
    else
        checkup_say (checkup, CHECK_WARN, "limits",
                     "jobs are watched, without control groups: %s: start the worker by systemd with Delegate=yes "
                     "(systemd-run --user -p Delegate=yes gleaner-worker ...)",
                     why);
    getrlimit (RLIMIT_NOFILE, &files);
    getrlimit (RLIMIT_NPROC, &tasks);
    if (files.rlim_max < FDS_FEW)
        checkup_say (checkup, CHECK_WARN, "files",
                     "%llu files can be open at once: raise it to %d (ulimit -n, LimitNOFILE=)",
                     (unsigned long long)files.rlim_max, FDS_FEW);
    if (tasks.rlim_cur < TASKS_FEW)
        checkup_say (checkup, CHECK_WARN, "processes",
                     "this user may have %llu: raise it to %d (ulimit -u, LimitNPROC=)",
                     (unsigned long long)tasks.rlim_cur, TASKS_FEW);
}

static void check_clock (checkup_t *checkup)
{
    struct timex now = { 0 };
    if (adjtimex (&now) == TIME_ERROR)
        checkup_say (
            checkup, CHECK_WARN, "time-sync",
            "the kernel's is not kept in step, so that times in logs may differ: install systemd-timesyncd or chrony");
    else
        checkup_say (checkup, CHECK_OK, "time-sync", "the clock is kept in step");
}

/* logind is asked nothing, only whether it is there. */
static void check_sleep (checkup_t *checkup)
{
    sd_bus *bus = NULL;
    sd_bus_message *reply = NULL;
    int owned = 0;
    if (sd_bus_open_system (&bus) >= 0) {
        sd_bus_set_method_call_timeout (bus, BUS_US);
        if (sd_bus_call_method (bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                "NameHasOwner", NULL, &reply, "s", "org.freedesktop.login1") >= 0)
            sd_bus_message_read (reply, "b", &owned);
    }
    sd_bus_message_unref (reply);
    sd_bus_flush_close_unref (bus);
    if (owned)
        checkup_say (checkup, CHECK_OK, "sleep", "logind tells when this machine goes to sleep");
    else
        checkup_say (
            checkup, CHECK_WARN, "sleep",
            "no logind on the system bus, so that sleep is noticed only on waking, and jobs may be given to others: "
            "install systemd and dbus, or send SIGUSR1 before sleep");
}

static void check_user (checkup_t *checkup)
{
    if (geteuid () == 0)
        checkup_say (checkup, CHECK_WARN, "user",
                     "root: start workers as a user of their own (adduser --system gleaner)");
    else
        checkup_say (checkup, CHECK_OK, "user", "not root");
}

int worker_check (const worker_options_t *options, const char *keeper, const char *missing)
{
    char path[FOLDER_PATH_MAX];
    checkup_t checkup;
    checkup_begin (&checkup, false);
    prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* as a worker is: keepers rely on it */
    check_user (&checkup);
    if (keeper)
        checkup_say (&checkup, CHECK_OK, "programs", "gleaner-extract, gleaner-collect and gleaner-keeper are there");
    else
        checkup_say (&checkup, CHECK_FAIL, "programs", "%s", missing);
    if (check_disk (&checkup, options->work_dir, path) && keeper) {
        check_sandbox (&checkup, options, path, keeper);
        check_engine (&checkup, options, path, keeper);
    }
    leave_folder (path);
    check_limits (&checkup, options);
    check_clock (&checkup);
    check_sleep (&checkup);
    return checkup_end (&checkup) ? 0 : 1;
}
