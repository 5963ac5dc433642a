#include "worker/enclose.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proto/buf.h"
#include "worker/landlock.h"

/* ---- seccomp ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Sanitizers map and unmap as they like, read /proc, and look for leaks from a process of their own: there everything
 * is allowed but what is forbidden by name, and processes are not. */
#define OTHERWISE SCMP_ACT_ALLOW
enum { SANITIZED = 1 };
#else
#define OTHERWISE SCMP_ACT_ERRNO (EPERM)
enum { SANITIZED = 0 };
#endif

/* Memory, what is open, time, and the end. */
static const int needed[] = {
    SCMP_SYS (read),      SCMP_SYS (pread64),      SCMP_SYS (readv),        SCMP_SYS (write),
    SCMP_SYS (lseek),     SCMP_SYS (close),        SCMP_SYS (fstat),        SCMP_SYS (newfstatat),
    SCMP_SYS (fadvise64), SCMP_SYS (munmap),       SCMP_SYS (mremap),       SCMP_SYS (madvise),
    SCMP_SYS (brk),       SCMP_SYS (futex),        SCMP_SYS (getrandom),    SCMP_SYS (clock_gettime),
    SCMP_SYS (time),      SCMP_SYS (gettimeofday), SCMP_SYS (rt_sigreturn), SCMP_SYS (restart_syscall),
    SCMP_SYS (exit),      SCMP_SYS (exit_group),
};
static const int to_extract[] = { SCMP_SYS (mkdirat), SCMP_SYS (utimensat) };
static const int to_renew[] = { SCMP_SYS (mkdirat), SCMP_SYS (utimensat), SCMP_SYS (unlinkat) };
static const int to_collect[] = { SCMP_SYS (getdents64), SCMP_SYS (fcntl) };

/* Nothing here ever asks for these: whoever does has been taken over, and is killed at once. */
static const int forbidden[] = {
    SCMP_SYS (socket),
    SCMP_SYS (socketpair),
    SCMP_SYS (connect),
    SCMP_SYS (bind),
    SCMP_SYS (listen),
    SCMP_SYS (accept),
    SCMP_SYS (accept4),
    SCMP_SYS (sendto),
    SCMP_SYS (sendmsg),
    SCMP_SYS (recvmsg),
    SCMP_SYS (execve),
    SCMP_SYS (execveat),
    SCMP_SYS (bpf),
    SCMP_SYS (mount),
    SCMP_SYS (umount2),
    SCMP_SYS (unshare),
    SCMP_SYS (setns),
    SCMP_SYS (pivot_root),
    SCMP_SYS (chroot),
    SCMP_SYS (io_uring_setup),
    SCMP_SYS (keyctl),
    SCMP_SYS (add_key),
    SCMP_SYS (perf_event_open),
    SCMP_SYS (userfaultfd),
    SCMP_SYS (init_module),
    SCMP_SYS (finit_module),
    SCMP_SYS (open_by_handle_at),
    SCMP_SYS (symlink),
    SCMP_SYS (symlinkat),
    SCMP_SYS (link),
    SCMP_SYS (linkat),
    SCMP_SYS (mknod),
    SCMP_SYS (mknodat),
    SCMP_SYS (pidfd_open),
    SCMP_SYS (pidfd_send_signal),
    SCMP_SYS (pidfd_getfd),
    SCMP_SYS (process_vm_writev),
};
static const int forbidden_processes[] = {
    SCMP_SYS (fork), SCMP_SYS (vfork), SCMP_SYS (clone),  SCMP_SYS (clone3),
    SCMP_SYS (kill), SCMP_SYS (tkill), SCMP_SYS (ptrace), SCMP_SYS (process_vm_readv),
};

#define COUNT(array) (sizeof (array) / sizeof *(array))

/* A system call that a machine of this kind does not have is none to filter. */
static int add_all (scmp_filter_ctx filter, uint32_t action, const int *calls, size_t count)
{
    int error = 0;
    for (size_t i = 0; i < count && !error; i++)
        if (action != OTHERWISE)
            error = -seccomp_rule_add (filter, action, calls[i], 0);
    return error == EDOM ? 0 : error;
}

/* Of openat: in extraction what finds a folder, or makes a file that was not there; in collection what only reads. Of
 * mmap and mprotect: what cannot be executed. */
static int add_bounded (scmp_filter_ctx filter, enclose_use_t use)
{
    const uint64_t makes = O_CREAT | O_EXCL;
    const uint64_t writes = O_ACCMODE | O_CREAT | O_TRUNC;
    const uint32_t allow = SCMP_ACT_ALLOW;
    int error = 0;
    if (SANITIZED)
        return 0;
    if (use != ENCLOSE_COLLECT) {
        error = seccomp_rule_add (filter, allow, SCMP_SYS (openat), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, O_PATH, O_PATH));
        if (!error)
            error = seccomp_rule_add (filter, allow, SCMP_SYS (openat), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, makes, makes));
    } else {
        error = seccomp_rule_add (filter, allow, SCMP_SYS (openat), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, writes, O_RDONLY));
    }
    if (!error)
        error = seccomp_rule_add (filter, allow, SCMP_SYS (mmap), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    if (!error)
        error = seccomp_rule_add (filter, allow, SCMP_SYS (mprotect), 1, SCMP_A2 (SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    return -error;
}

static int add_rules (scmp_filter_ctx filter, enclose_use_t use)
{
    static const struct {
        const int *calls;
        size_t count;
    } own[] = {
        [ENCLOSE_EXTRACT] = { to_extract, COUNT (to_extract) },
        [ENCLOSE_COLLECT] = { to_collect, COUNT (to_collect) },
        [ENCLOSE_RENEW] = { to_renew, COUNT (to_renew) },
    };
    int error = add_all (filter, SCMP_ACT_ALLOW, needed, COUNT (needed));
    if (!error)
        error = add_all (filter, SCMP_ACT_ALLOW, own[use].calls, own[use].count);
    if (!error)
        error = add_bounded (filter, use);
    if (!error)
        error = add_all (filter, SCMP_ACT_KILL_PROCESS, forbidden, COUNT (forbidden));
    if (!error && !SANITIZED)
        error = add_all (filter, SCMP_ACT_KILL_PROCESS, forbidden_processes, COUNT (forbidden_processes));
    return error;
}

/* The library writes it to a file only. */
static int take_program (scmp_filter_ctx filter, struct sock_fprog *out)
{
    int fd = memfd_create ("filter", MFD_CLOEXEC);
    int error = fd < 0 ? errno : -seccomp_export_bpf (filter, fd);
    off_t size = error ? 0 : lseek (fd, 0, SEEK_END);
    if (!error) {
        out->filter = xcalloc (1, (size_t)size);
        out->len = (unsigned short)((size_t)size / sizeof *out->filter);
        error = pread (fd, out->filter, (size_t)size, 0) == size ? 0 : EIO;
    }
    if (fd >= 0)
        close (fd);
    return error;
}

int enclose_prepare (enclose_t *self, enclose_use_t use)
{
    scmp_filter_ctx filter = seccomp_init (OTHERWISE);
    *self = (enclose_t){ .use = use };
    if (!filter)
        return ENOMEM;
    seccomp_attr_set (filter, SCMP_FLTATR_CTL_OPTIMIZE, 2); /* a tree: a few comparisons a call */
    int error = add_rules (filter, use);
    if (!error)
        error = take_program (filter, &self->filter);
    seccomp_release (filter);
    return error;
}

static int enter_landlock (enclose_use_t use, int folder)
{
    static const landlock_may_t may[] = {
        [ENCLOSE_EXTRACT] = MAY_MAKE, [ENCLOSE_COLLECT] = MAY_READ, [ENCLOSE_RENEW] = MAY_RENEW
    };
    int rules;
    int error = landlock_begin (false, &rules);
    if (!error && rules < 0 && use == ENCLOSE_RENEW)
        error = ENOSYS; /* the filter does not see where something is removed */
    if (!error)
        error = landlock_allow (rules, folder, may[use]);
    return landlock_enter (rules, error);
}

int enclose_enter (const enclose_t *self, int folder)
{
    if (prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return errno;
    int error = enter_landlock (self->use, folder);
    if (error)
        return error;
    return prctl (PR_SET_SECCOMP, 2 /* a filter */, &self->filter) == 0 ? 0 : errno;
}
