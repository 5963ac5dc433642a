#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "proto/buf.h"
#include "worker/cgroup.h"

enum { LINE_SIZE = 3 * FOLDER_PATH_MAX };

/* Reads `proc`/`file` line by line until `fn` has found in one what it looks for. */
static bool each_line (const char *proc, const char *file, bool (*fn) (char *line, void *ctx), void *ctx)
{
    char path[CGROUP_PATH_MAX];
    char line[LINE_SIZE];
    bool found = false;
    snprintf (path, sizeof path, "%s/%s", proc, file);
    FILE *in = fopen (path, "re");
    if (!in)
        return false;
    while (!found && fgets (line, sizeof line, in)) {
        line[strcspn (line, "\n")] = '\0';
        found = fn (line, ctx);
    }
    fclose (in);
    return found;
}

/* "0::PATH"; the other lines are of version 1. */
static bool take_group (char *line, void *ctx)
{
    if (strncmp (line, "0::/", 4) != 0)
        return false;
    return snprintf (ctx, FOLDER_PATH_MAX, "%s", line + 3) < FOLDER_PATH_MAX;
}

typedef struct {
    char from[FOLDER_PATH_MAX]; /* the group that is mounted */
    char at[FOLDER_PATH_MAX];
} mount_t;

/* "ID PARENT DEVICE FROM AT OPTIONS... - cgroup2 ...", see proc(5). */
static bool take_mount (char *line, void *ctx)
{
    mount_t *mount = ctx;
    char *rest = NULL;
    char *words[5] = { NULL };
    if (!strstr (line, " - cgroup2 "))
        return false;
    for (int i = 0; i < 5; i++)
        words[i] = strtok_r (i ? NULL : line, " ", &rest);
    if (!words[4] || strchr (words[4], '\\') || words[4][0] != '/')
        return false;
    return snprintf (mount->from, sizeof mount->from, "%s", words[3]) < FOLDER_PATH_MAX &&
           snprintf (mount->at, sizeof mount->at, "%s", words[4]) < FOLDER_PATH_MAX;
}

static bool is_marked (const char *folder)
{
    static const char *const names[] = { "user.delegate", "trusted.delegate" };
    char value = '0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (getxattr (folder, names[i], &value, 1) == 1 && value == '1')
            return true;
    return false;
}

bool cgroup_find (const char *proc, char root[FOLDER_PATH_MAX], char why[CGROUP_WHY_SIZE])
{
    char group[FOLDER_PATH_MAX];
    mount_t mount;
    if (!each_line (proc, "cgroup", take_group, group) || !each_line (proc, "mountinfo", take_mount, &mount)) {
        snprintf (why, CGROUP_WHY_SIZE, "cgroup v2 is not mounted here");
        return false;
    }
    size_t skip = strcmp (mount.from, "/") == 0 ? 0 : strlen (mount.from);
    const char *below = group + skip;
    bool seen = strncmp (group, mount.from, skip) == 0 && (*below == '/' || !*below);
    int len = seen ? snprintf (root, FOLDER_PATH_MAX, "%s%s", mount.at, strcmp (below, "/") == 0 ? "" : below) : 0;
    if (!seen || len >= FOLDER_PATH_MAX) {
        snprintf (why, CGROUP_WHY_SIZE, "this process's cgroup %s is not in sight", group);
        return false;
    }
    bool ours = geteuid () == 0 ? is_marked (root) : access (root, W_OK) == 0;
    if (!ours)
        snprintf (why, CGROUP_WHY_SIZE, "%s is not delegated to this worker (Delegate=yes in its unit)", root);
    return ours;
}
