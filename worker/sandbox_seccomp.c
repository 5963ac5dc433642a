/* sandbox_seccomp.c - the system calls that a build or a test never needs, and that have been ways out.
 *
 * bwrap loads it last, before it becomes the keeper, so that it holds for the keeper as well and costs nothing a job:
 * it is made once. What is not named here is allowed: a list of all that builds need would never be whole. ptrace(2)
 * stays, for debuggers and leak checkers; it reaches nothing outside the job's process namespace, and not the keeper. A
 * program of another architecture (32 bits) is killed: its calls would be other ones. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/sandbox.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

enum {
    FAMILIES_KNOWN = 46,
    KEEPER_PID = 1,     /* in there, and that of its process group */
    IOPRIO_OF_USER = 3, /* IOPRIO_WHO_USER of ioprio_set(2), which no header has */
};
#define ALL_32 0xffffffffULL /* the kernel looks at these bits of an int alone */

/* Refused as if they needed a right that the job does not have. */
static const int refused[] = {
    /* the machine itself */
    SCMP_SYS (kexec_load),
    SCMP_SYS (kexec_file_load),
    SCMP_SYS (init_module),
    SCMP_SYS (finit_module),
    SCMP_SYS (delete_module),
    SCMP_SYS (reboot),
    SCMP_SYS (swapon),
    SCMP_SYS (swapoff),
    SCMP_SYS (acct),
    SCMP_SYS (quotactl),
    SCMP_SYS (quotactl_fd),
    SCMP_SYS (settimeofday),
    SCMP_SYS (clock_settime),
    SCMP_SYS (clock_adjtime),
    SCMP_SYS (adjtimex),
    SCMP_SYS (syslog),
    SCMP_SYS (vhangup),
    SCMP_SYS (ioperm),
    SCMP_SYS (iopl),
    SCMP_SYS (modify_ldt),
    SCMP_SYS (uselib),
    SCMP_SYS (nfsservctl),
    SCMP_SYS (lookup_dcookie),
    /* mounts and namespaces */
    SCMP_SYS (mount),
    SCMP_SYS (umount),
    SCMP_SYS (umount2),
    SCMP_SYS (pivot_root),
    SCMP_SYS (chroot),
    SCMP_SYS (setns),
    SCMP_SYS (open_by_handle_at),
    SCMP_SYS (fanotify_init),
    /* wide parts of the kernel, with a history */
    SCMP_SYS (bpf),
    SCMP_SYS (perf_event_open),
    SCMP_SYS (userfaultfd),
    SCMP_SYS (keyctl),
    SCMP_SYS (add_key),
    SCMP_SYS (request_key),
};

/* Refused as if the kernel did not have them: callers then take an older way, which is filtered, or do without. */
static const int unknown[] = {
    SCMP_SYS (clone3), /* its flags are in memory, where no filter can look */
    SCMP_SYS (open_tree),      SCMP_SYS (move_mount),
    SCMP_SYS (fsopen),         SCMP_SYS (fsconfig),
    SCMP_SYS (fsmount),        SCMP_SYS (fspick),
    SCMP_SYS (mount_setattr),  SCMP_SYS (io_uring_setup),
    SCMP_SYS (io_uring_enter), SCMP_SYS (io_uring_register),
};

static const uint64_t new_namespaces[] = {
    CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP,
};

/* A call that this architecture never had is no fault. */
static int add (scmp_filter_ctx filter, int error, int call)
{
    int result = seccomp_rule_add (filter, SCMP_ACT_ERRNO (error), call, 0);
    return result == -EDOM ? 0 : result;
}

static int add_all (scmp_filter_ctx filter, int error, const int *calls, size_t count)
{
    int result = 0;
    for (size_t i = 0; i < count && !result; i++)
        result = add (filter, error, calls[i]);
    return result;
}

static int refuse_bit (scmp_filter_ctx filter, int call, uint64_t bit)
{
    return seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), call, 1, SCMP_A0 (SCMP_CMP_MASKED_EQ, bit, bit));
}

static int refuse_namespaces (scmp_filter_ctx filter)
{
    int result = refuse_bit (filter, SCMP_SYS (unshare), CLONE_NEWTIME); /* clone(2) has a signal there */
    for (size_t i = 0; i < sizeof new_namespaces / sizeof *new_namespaces && !result; i++) {
        result = refuse_bit (filter, SCMP_SYS (unshare), new_namespaces[i]);
        if (!result)
            result = refuse_bit (filter, SCMP_SYS (clone), new_namespaces[i]);
    }
    return result;
}

static int refuse_value (scmp_filter_ctx filter, int call, unsigned argument, uint64_t value)
{
    const struct scmp_arg_cmp same = SCMP_CMP (argument, SCMP_CMP_MASKED_EQ, ALL_32, value);
    return seccomp_rule_add_array (filter, SCMP_ACT_ERRNO (EPERM), call, 1, &same);
}

/* Its user is the job's, so that the kernel lets the job take files, memory or processors from it; it would then no
 * longer see what the job uses, nor end it. Nor may the job come into its group, or name all that the user has. */
static int protect_keeper (scmp_filter_ctx filter)
{
    const struct {
        int call;
        unsigned argument;
        uint64_t value;
    } rules[] = {
        { SCMP_SYS (prlimit64), 0, KEEPER_PID },         { SCMP_SYS (sched_setscheduler), 0, KEEPER_PID },
        { SCMP_SYS (sched_setparam), 0, KEEPER_PID },    { SCMP_SYS (sched_setattr), 0, KEEPER_PID },
        { SCMP_SYS (sched_setaffinity), 0, KEEPER_PID }, { SCMP_SYS (setpgid), 1, KEEPER_PID },
        { SCMP_SYS (setpriority), 1, KEEPER_PID },       { SCMP_SYS (ioprio_set), 1, KEEPER_PID },
        { SCMP_SYS (setpriority), 0, PRIO_USER },        { SCMP_SYS (ioprio_set), 0, IOPRIO_OF_USER },
    };
    int result = 0;
    for (size_t i = 0; i < sizeof rules / sizeof *rules && !result; i++)
        result = refuse_value (filter, rules[i].call, rules[i].argument, rules[i].value);
    return result;
}

static bool is_common (int family)
{
    return family == AF_UNIX || family == AF_INET || family == AF_INET6 || family == AF_NETLINK;
}

static int refuse_families (scmp_filter_ctx filter)
{
    const uint32_t action = SCMP_ACT_ERRNO (EAFNOSUPPORT);
    int result = seccomp_rule_add (filter, action, SCMP_SYS (socket), 1, SCMP_A0 (SCMP_CMP_GE, FAMILIES_KNOWN, 0));
    for (int family = 0; family < FAMILIES_KNOWN && !result; family++)
        if (!is_common (family))
            result = seccomp_rule_add (filter, action, SCMP_SYS (socket), 1,
                                       SCMP_A0 (SCMP_CMP_MASKED_EQ, ALL_32, (uint64_t)family));
    return result;
}

/* Keys pressed for another reader of the terminal. */
static int refuse_terminal_input (scmp_filter_ctx filter)
{
    const uint64_t requests[] = { TIOCSTI, TIOCLINUX };
    int result = 0;
    for (size_t i = 0; i < sizeof requests / sizeof *requests && !result; i++)
        result = seccomp_rule_add (filter, SCMP_ACT_ERRNO (EPERM), SCMP_SYS (ioctl), 1,
                                   SCMP_A1 (SCMP_CMP_MASKED_EQ, ALL_32, requests[i]));
    return result;
}

static int fill (scmp_filter_ctx filter)
{
    int result = seccomp_attr_set (filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (!result)
        result = add_all (filter, EPERM, refused, sizeof refused / sizeof *refused);
    if (!result)
        result = add_all (filter, ENOSYS, unknown, sizeof unknown / sizeof *unknown);
    if (!result)
        result = refuse_namespaces (filter);
    if (!result)
        result = refuse_families (filter);
    if (!result)
        result = protect_keeper (filter);
    return result ? result : refuse_terminal_input (filter);
}

int sandbox_filter_open (void)
{
    scmp_filter_ctx filter = seccomp_init (SCMP_ACT_ALLOW);
    int fd = filter ? memfd_create ("gleaner-filter", MFD_CLOEXEC) : -1;
    int result = fd < 0 ? -ENOMEM : fill (filter);
    if (!result)
        result = seccomp_export_bpf (filter, fd);
    if (filter)
        seccomp_release (filter);
    if (!result)
        return fd;
    if (fd >= 0)
        close (fd);
    errno = -result;
    return -1;
}
