#include <errno.h>
#include <fts.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "worker/sandbox.h"

enum { LOOKED_AT_MAX = 50 * 1000, HIDDEN_MAX = 512 };

void sandbox_hide_file (argv_t *argv, const char *path)
{
    argv_add (argv, "--ro-bind");
    argv_add (argv, "/dev/null");
    argv_add (argv, path);
}

void sandbox_hide_folder (argv_t *argv, const char *path)
{
    const char *const hide[] = { "--perms", "0555", "--tmpfs", path, "--remount-ro", path, NULL };
    argv_add_all (argv, hide);
}

static bool is_private (mode_t mode)
{
    if (S_ISDIR (mode)) /* into one that can be searched but not listed, others reach what they know the name of */
        return !(mode & (S_IROTH | S_IXOTH));
    return S_ISREG (mode) ? !(mode & S_IROTH) : !S_ISLNK (mode);
}

bool sandbox_private_find (const char *root, argv_t *argv)
{
    char *roots[] = { (char *)(uintptr_t)root, NULL };
    FTS *walk = fts_open (roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    int seen = 0;
    int hidden = 0;
    if (!walk)
        return errno == ENOENT;
    for (FTSENT *entry = fts_read (walk); entry; entry = fts_read (walk)) {
        bool leaves = entry->fts_info == FTS_DP || entry->fts_info == FTS_NS || entry->fts_info == FTS_ERR;
        if (++seen > LOOKED_AT_MAX || hidden > HIDDEN_MAX)
            break;
        if (leaves || !is_private (entry->fts_statp->st_mode))
            continue;
        hidden++;
        if (!S_ISDIR (entry->fts_statp->st_mode)) {
            sandbox_hide_file (argv, entry->fts_path);
            continue;
        }
        sandbox_hide_folder (argv, entry->fts_path);
        fts_set (walk, entry, FTS_SKIP);
    }
    fts_close (walk);
    return seen <= LOOKED_AT_MAX && hidden <= HIDDEN_MAX;
}
