#include "broker/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/network_disk.h"

static void make_folders (char *path)
{
    for (char *slash = strchr (path + 1, '/'); slash; slash = strchr (slash + 1, '/')) {
        *slash = '\0';
        mkdir (path, 0700);
        *slash = '/';
    }
    mkdir (path, 0700);
}

bool folder_find (const char *data, bool make, char path[FOLDER_PATH_MAX], char *problem, size_t problem_size)
{
    const char *state = getenv ("XDG_STATE_HOME");
    const char *home = getenv ("HOME");
    if (data)
        snprintf (path, FOLDER_PATH_MAX, "%s", data);
    else if (state && *state)
        snprintf (path, FOLDER_PATH_MAX, "%s/gleaner-broker", state);
    else
        snprintf (path, FOLDER_PATH_MAX, "%s/.local/state/gleaner-broker", home ? home : "");
    if (make)
        make_folders (path);
    if (access (path, R_OK | W_OK | X_OK) != 0) {
        snprintf (problem, problem_size, "cannot use data directory '%.900s': %s.", path, strerror (errno));
        return false;
    }
    const char *network = make ? network_disk (path) : NULL;
    if (network)
        snprintf (
            problem, problem_size,
            "'%.900s' is on a network disk (%s), where the record is not safe: give --data a folder of this machine.",
            path, network);
    return !network;
}

bool folder_lock (const char *folder, bool *busy, char *problem, size_t problem_size)
{
    char path[FOLDER_PATH_MAX + 8];
    snprintf (path, sizeof path, "%s/lock", folder);
    int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    *busy = fd >= 0 && errno == EWOULDBLOCK;
    if (*busy)
        snprintf (problem, problem_size, "another broker uses '%.900s': stop it, or give this one another --data.",
                  folder);
    else
        snprintf (problem, problem_size, "cannot lock data directory '%.900s': %s.", folder, strerror (errno));
    return false;
}

bool folder_control (const char *folder, char endpoint[FOLDER_ENDPOINT_SIZE])
{
    int fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf (endpoint, FOLDER_ENDPOINT_SIZE, "ipc:///proc/self/fd/%d/control", fd);
    return fd >= 0;
}
