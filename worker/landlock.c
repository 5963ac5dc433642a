#include "worker/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Versions, and the rights that they brought beyond the first; not all headers have them. */
enum { VERSION_REFER = 2, VERSION_TRUNCATE = 3, VERSION_NETWORK = 4, VERSION_IOCTL = 5, VERSION_SCOPES = 6 };
#define FS_READ     (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_MAKE     (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG)
#define FS_DEVICES  (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define FS_FIRST    ((1ULL << 13) - 1)
#define FS_REFER    (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL    (1ULL << 15)
#define NETWORK_ALL 3ULL /* bind, connect */
#define SCOPES_ALL  3ULL /* abstract sockets, signals */

typedef struct {
    uint64_t files, network, scopes;
} ruleset_t;

int landlock_version (void)
{
    long version = syscall (SYS_landlock_create_ruleset, NULL, 0UL, LANDLOCK_CREATE_RULESET_VERSION);
    return version > 0 ? (int)version : 0;
}

static uint64_t all_of_files (int version)
{
    return FS_FIRST | (version >= VERSION_REFER ? FS_REFER : 0) | (version >= VERSION_TRUNCATE ? FS_TRUNCATE : 0) |
           (version >= VERSION_IOCTL ? FS_IOCTL : 0);
}

int landlock_begin (bool network, int *rules)
{
    int version = landlock_version ();
    const ruleset_t handled = {
        .files = all_of_files (version),
        .network = version >= VERSION_NETWORK && !network ? NETWORK_ALL : 0,
        .scopes = version >= VERSION_SCOPES ? SCOPES_ALL : 0,
    };
    /* a kernel refuses what is longer than it knows */
    size_t size = version >= VERSION_SCOPES    ? sizeof handled
                  : version >= VERSION_NETWORK ? offsetof (ruleset_t, scopes)
                                               : offsetof (ruleset_t, network);
    *rules = -1;
    if (!version)
        return 0;
    *rules = (int)syscall (SYS_landlock_create_ruleset, &handled, size, 0U);
    return *rules < 0 ? errno : 0;
}

int landlock_allow (int rules, int folder, landlock_may_t may)
{
    const uint64_t rights[] = {
        [MAY_READ] = FS_READ,
        [MAY_RUN] = FS_READ | LANDLOCK_ACCESS_FS_EXECUTE,
        [MAY_MAKE] = FS_MAKE,
        [MAY_RENEW] = FS_MAKE | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR,
        [MAY_BUT_DEVICES] = all_of_files (landlock_version ()) & ~FS_DEVICES,
    };
    const struct landlock_path_beneath_attr rule = { .allowed_access = rights[may], .parent_fd = folder };
    if (rules < 0)
        return 0;
    return syscall (SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) != 0 ? errno : 0;
}

int landlock_enter (int rules, int error)
{
    if (rules < 0)
        return error;
    if (!error && syscall (SYS_landlock_restrict_self, rules, 0U) != 0)
        error = errno;
    close (rules);
    return error;
}
