/* sandbox_bwrap.c - a job in namespaces of its own, made by bubblewrap (bwrap(1)).
 *
 * The keeper is the first process of the job's process namespace: it cannot be killed from inside, and with it ends
 * everything, by the kernel. bwrap itself stays outside as the worker's child and dies with the worker, and the keeper
 * with bwrap (--die-with-parent). What is visible of the machine is its system, to be read; writable are the job's
 * folder, a sized /tmp and /dev/shm. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/child.h"
#include "worker/keepers.h"
#include "worker/sandbox.h"

enum {
    TRY_MS_MAX = 10 * 1000,
    LOOK_MS = 1000, /* between two looks at the system, at least, */
    LOOK_COST = 20, /* and so many times what one takes */
    NOBODY = 65534, /* what root is inside: programs that find themselves root want more than they may here */
};
#define KEEPER_INSIDE "/run/gleaner-keeper"

/* What a system is made of. Of /nix and /gnu the stores alone: their other folders hold sockets. */
static const char *const system_folders[] = {
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc", "/opt", "/nix/store", "/gnu/store",
};
/* Those of them that may hold what is not for everybody's eyes. */
static const char *const looked_into[] = { "/etc", "/opt" };

static bool is_inside (const char *path, const char *folder)
{
    size_t len = strlen (folder);
    return strncmp (path, folder, len) == 0 && path[len] == '/';
}

static void bind_read_only (argv_t *argv, const char *from, const char *to)
{
    argv_add (argv, "--ro-bind");
    argv_add (argv, from);
    argv_add (argv, to);
}

/* ---- the system ---- */

static bool hide_private (argv_t *argv, const char *folder)
{
    size_t before = argv->count;
    for (size_t i = 0; i < sizeof looked_into / sizeof *looked_into; i++) {
        if (strcmp (folder, looked_into[i]) != 0 || sandbox_private_find (folder, argv))
            continue;
        while (argv->count > before)
            free (argv->items[--argv->count]);
        return false;
    }
    return true;
}

static void show_system_folder (argv_t *argv, const char *folder, bool tell)
{
    char target[FOLDER_PATH_MAX];
    struct stat info;
    if (lstat (folder, &info) != 0)
        return;
    if (S_ISDIR (info.st_mode)) {
        bind_read_only (argv, folder, folder);
        if (!hide_private (argv, folder)) {
            if (tell)
                log_event (LEVEL_WARN, "sandbox-hidden",
                           "%s is too large to look for private files in: jobs do not see it", folder);
            sandbox_hide_folder (argv, folder);
        }
        return;
    }
    ssize_t len = readlink (folder, target, sizeof target - 1);
    if (len <= 0)
        return;
    target[len] = '\0';
    const char *const link[] = { "--symlink", target, folder, NULL };
    argv_add_all (argv, link);
}

/* Home and work folders stand outside of the system, mostly, and so are not there. */
static void hide_own_folder (argv_t *argv, const char *folder)
{
    char path[FOLDER_PATH_MAX];
    struct stat info;
    if (!folder || !realpath (folder, path) || stat (path, &info) != 0 || info.st_uid != geteuid ())
        return; /* some users' home is one of the system's folders, such as /usr/sbin */
    for (size_t i = 0; i < sizeof system_folders / sizeof *system_folders; i++)
        if (is_inside (path, system_folders[i]) || strcmp (path, system_folders[i]) == 0)
            sandbox_hide_folder (argv, path);
}

/* /etc/resolv.conf often leads to where its owner keeps it. */
static void show_name_resolution (argv_t *argv)
{
    char path[FOLDER_PATH_MAX];
    if (realpath ("/etc/resolv.conf", path) && !is_inside (path, "/etc") && !is_inside (path, "/usr"))
        bind_read_only (argv, path, path);
}

static void show_system (const sandbox_t *self, argv_t *argv)
{
    for (size_t i = 0; i < sizeof system_folders / sizeof *system_folders; i++)
        show_system_folder (argv, system_folders[i], !self->look_ms);
    const struct passwd *user = getpwuid (geteuid ());
    hide_own_folder (argv, user ? user->pw_dir : NULL);
    hide_own_folder (argv, getenv ("HOME"));
    hide_own_folder (argv, self->config.work_dir);
    show_name_resolution (argv);
}

/* ---- what is the job's own ---- */

/* Root's settings of the machine ask for no capability, so that nothing but a read-only mount keeps root from them. */
static void close_proc (argv_t *argv)
{
    static const char *const folders[] = { "sys", "fs", "acpi", "driver", "scsi", "irq", "bus", "tty" };
    static const char *const files[] = { "sysrq-trigger", "kcore",       "kmsg",       "slabinfo",
                                         "vmallocinfo",   "kpagecount",  "kpageflags", "timer_list",
                                         "pagetypeinfo",  "kpagecgroup", "mtrr",       "keys" };
    char path[64];
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        snprintf (path, sizeof path, "/proc/%s", folders[i]);
        if (access (path, F_OK) == 0)
            bind_read_only (argv, path, path);
    }
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf (path, sizeof path, "/proc/%s", files[i]);
        if (access (path, F_OK) == 0)
            sandbox_hide_file (argv, path);
    }
}

static void add_sized (argv_t *argv, int64_t bytes, const char *folder)
{
    argv_add_all (argv, (const char *const[]){ "--perms", "1777", "--size", NULL });
    argv_addf (argv, "%lld", (long long)bytes);
    argv_add (argv, "--tmpfs");
    argv_add (argv, folder);
}

static void add_own (const sandbox_t *self, argv_t *argv)
{
    static const char cpu[] = "/sys/devices/system/cpu"; /* runtimes count processors there */
    argv_add_all (argv, (const char *const[]){ "--proc", "/proc", "--dev", "/dev", NULL });
    if (geteuid () == 0)
        close_proc (argv);
    add_sized (argv, self->config.tmp_max, "/dev/shm");
    argv_add_all (argv, (const char *const[]){ "--remount-ro", "/dev", NULL });
    add_sized (argv, self->config.tmp_max, "/tmp");
    argv_add_all (argv, (const char *const[]){ "--dir", "/run", "--dir", "/var", "--symlink", "/run", "/var/run",
                                               "--symlink", "/tmp", "/var/tmp", NULL });
    if (access (cpu, F_OK) == 0)
        bind_read_only (argv, cpu, cpu);
    bind_read_only (argv, self->config.keeper, KEEPER_INSIDE);
}

static bool add_exposed (const sandbox_t *self, argv_t *argv, char *problem)
{
    char folder[FOLDER_PATH_MAX];
    for (const char *at = self->config.expose; at && *at;) {
        size_t len = strcspn (at, ",");
        snprintf (folder, sizeof folder, "%.*s", (int)len, at);
        if (len >= sizeof folder || folder[0] != '/' || access (folder, R_OK) != 0) {
            snprintf (problem, SANDBOX_PROBLEM_SIZE, "--expose: '%.300s' is no absolute path of something readable.",
                      folder);
            return false;
        }
        bind_read_only (argv, folder, folder);
        at += len + (at[len] == ',');
    }
    return true;
}

/* ---- the vector ---- */

static bool begin (sandbox_t *self, bool nested_refused, char *problem)
{
    static const char *const first[] = {
        "--unshare-user",
        "--unshare-pid",
        "--unshare-ipc",
        "--unshare-uts",
        "--unshare-cgroup-try",
        "--die-with-parent",
        "--new-session",
        "--as-pid-1",
        "--clearenv",
        "--cap-drop",
        "ALL",
        "--hostname",
        "localhost",
        "--seccomp",
        CHILD_PASSED_STRING,
        NULL,
    };
    argv_t *argv = &self->begin;
    argv_fini (argv);
    argv_add (argv, self->program);
    argv_add_all (argv, first);
    if (nested_refused)
        argv_add (argv, "--disable-userns");
    if (geteuid () == 0)
        for (int i = 0; i < 2; i++) {
            argv_add (argv, i ? "--gid" : "--uid");
            argv_addf (argv, "%d", NOBODY);
        }
    show_system (self, argv);
    add_own (self, argv);
    return add_exposed (self, argv, problem);
}

static void fill (const sandbox_t *self, const sandbox_job_t *job, const char *how, argv_t *argv)
{
    argv_add_all (argv, argv_items (&self->begin));
    argv_add_all (argv, (const char *const[]){ "--bind", job->folder, SANDBOX_FOLDER, NULL });
    if (job->network_none || !self->config.network)
        argv_add (argv, "--unshare-net");
    argv_add_all (argv, (const char *const[]){ "--remount-ro", "/", "--chdir", "/", KEEPER_INSIDE, how, SANDBOX_FOLDER,
                                               "/tmp", "/dev", NULL });
    if (geteuid () != 0)
        argv_add (argv, "/proc");
}

/* bwrap cannot hide what has gone, and fails. */
static bool all_there (const argv_t *argv)
{
    for (size_t i = 1; i < argv->count; i++) {
        bool hides = strcmp (argv->items[i - 1], "/dev/null") == 0 || strcmp (argv->items[i - 1], "--tmpfs") == 0;
        if (hides && access (argv->items[i], F_OK) != 0)
            return false;
    }
    return true;
}

/* What must be hidden comes and goes while the worker runs. */
static bool look (sandbox_t *self, char *problem)
{
    int64_t began_ms = clock_mono_ms ();
    bool good = begin (self, self->nested_refused, problem);
    int64_t ended_ms = clock_mono_ms ();
    int64_t pause_ms = LOOK_COST * (ended_ms - began_ms);
    self->look_ms = ended_ms + (pause_ms > LOOK_MS ? pause_ms : LOOK_MS);
    return good;
}

static void keeper (sandbox_t *self, const sandbox_job_t *job, argv_t *argv)
{
    char problem[SANDBOX_PROBLEM_SIZE];
    if ((clock_mono_ms () >= self->look_ms || !all_there (&self->begin)) && !look (self, problem))
        log_event (LEVEL_WARN, "sandbox-changed", "%s", problem);
    fill (self, job, KEEPER_CONTAINED, argv);
}

/* ---- does it work here? ---- */

static bool try_once (sandbox_t *self, bool nested_refused, char *problem)
{
    char folder[FOLDER_PATH_MAX + 16];
    char why[SANDBOX_PROBLEM_SIZE];
    argv_t argv = { 0 };
    self->nested_refused = nested_refused;
    if (!look (self, problem))
        return false;
    snprintf (folder, sizeof folder, "%s/jobs/.probe", self->config.work_dir);
    mkdir (folder, 0700);
    const sandbox_job_t job = { .folder = folder, .network_none = true };
    fill (self, &job, KEEPER_CHECK, &argv);
    bool works = sandbox_try (&argv, NULL, self->filter_fd, TRY_MS_MAX, why);
    argv_fini (&argv);
    rmdir (folder);
    if (!works)
        snprintf (
            problem, SANDBOX_PROBLEM_SIZE,
            "no working sandbox: bubblewrap fails here (%.300s): allow user namespaces (sysctl "
            "user.max_user_namespaces, kernel.unprivileged_userns_clone=1 on Debian, "
            "kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu), or give --unsafe-no-sandbox, and jobs can do "
            "what this user can.",
            why);
    return works;
}

static bool open_bwrap (sandbox_t *self, char *problem)
{
    if (!sandbox_find_program ("bwrap", self->program)) {
        snprintf (problem, SANDBOX_PROBLEM_SIZE,
                  "no working sandbox: install bubblewrap (apt-get install bubblewrap), or give --unsafe-no-sandbox, "
                  "and jobs "
                  "can do what this user can.");
        return false;
    }
    self->filter_fd = sandbox_filter_open ();
    if (self->filter_fd < 0) {
        snprintf (problem, SANDBOX_PROBLEM_SIZE,
                  "no working sandbox: libseccomp cannot make the filter of system calls.");
        return false;
    }
    /* In a container /proc/sys may be read-only, so that bwrap cannot refuse further user namespaces; the filter does.
     */
    return try_once (self, true, problem) || try_once (self, false, problem);
}

const sandbox_ops_t sandbox_bwrap_ops = {
    .name = "bwrap",
    .one_job = true,
    .cuts_network = true,
    .folder = SANDBOX_FOLDER,
    .open = open_bwrap,
    .keeper = keeper,
};
