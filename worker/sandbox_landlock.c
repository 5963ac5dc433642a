#include "worker/sandbox_landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights and parts of the ruleset by the version that brought them: the build machine's headers may be older than the
 * kernel that runs. */
enum {
    VERSION_REFER = 2,
    VERSION_TRUNCATE = 3,
    VERSION_IOCTL = 5,
    VERSION_SCOPES = 6,
};
#define FS_READ     (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_FIRST    ((1ULL << 13) - 1)
#define FS_REFER    (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL    (1ULL << 15)
#define FS_DEVICES  (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define SCOPES_ALL  3ULL /* abstract sockets, signals */

typedef struct {
    uint64_t files;
    uint64_t network; /* nothing of it is handled: a port that builds need is not known before */
    uint64_t scopes;
} ruleset_t;

static uint64_t rights_of (long version)
{
    return FS_FIRST | (version >= VERSION_REFER ? FS_REFER : 0) | (version >= VERSION_TRUNCATE ? FS_TRUNCATE : 0) |
           (version >= VERSION_IOCTL ? FS_IOCTL : 0);
}

static int allow (int ruleset, const char *path, uint64_t rights)
{
    int folder = open (path, O_PATH | O_CLOEXEC);
    if (folder < 0)
        return errno;
    struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = folder };
    int error = syscall (SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U) != 0 ? errno : 0;
    close (folder);
    return error;
}

int landlock_restrict (char *const writable[])
{
    long version = syscall (SYS_landlock_create_ruleset, NULL, 0UL, LANDLOCK_CREATE_RULESET_VERSION);
    if (version < 1)
        return 0;
    ruleset_t wanted = { .files = rights_of (version), .scopes = version >= VERSION_SCOPES ? SCOPES_ALL : 0 };
    size_t size = version >= VERSION_SCOPES ? sizeof wanted : sizeof wanted.files;
    int ruleset = (int)syscall (SYS_landlock_create_ruleset, &wanted, size, 0U);
    if (ruleset < 0)
        return errno;
    int error = allow (ruleset, "/", FS_READ & wanted.files);
    for (; *writable && !error; writable++)
        error = allow (ruleset, *writable, wanted.files & ~FS_DEVICES);
    if (!error && syscall (SYS_landlock_restrict_self, ruleset, 0U) != 0)
        error = errno;
    close (ruleset);
    return error;
}
