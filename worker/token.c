#include "worker/token.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/buf.h"
#include "proto/limits.h"
#include "proto/secret.h"

/* Takes the blanks from its end; false when what is left is no token. */
static bool clean (char *text)
{
    size_t len = strlen (text);
    while (len && strchr (" \t\r\n", text[len - 1]))
        text[--len] = '\0';
    for (size_t at = 0; at < len; at++)
        if (text[at] <= ' ' || text[at] > '~')
            return false;
    return len > 0 && len <= AUTH_MAX;
}

static bool read_file (const char *path, char text[AUTH_MAX + 2], char *problem, size_t size)
{
    struct stat info = { 0 };
    int fd = open (path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 || fstat (fd, &info) != 0 ? -1 : read (fd, text, AUTH_MAX + 1);
    if (got < 0)
        snprintf (problem, size, "--token-file: cannot read '%.300s': %s.", path, strerror (errno));
    else if (!secret_is_private (path, info.st_mode))
        snprintf (problem, size, "--token-file: others can read '%.300s': chmod 600 it.", path);
    if (fd >= 0)
        close (fd);
    text[got > 0 ? got : 0] = '\0';
    return got >= 0 && secret_is_private (path, info.st_mode);
}

bool worker_token_read (const char *path, char **token, char *problem, size_t problem_size)
{
    char text[AUTH_MAX + 2] = "";
    char *inherited = getenv ("GLEANER_WORKER_TOKEN");
    bool given = path || (inherited && *inherited);
    *token = NULL;
    bool good = !path || read_file (path, text, problem, problem_size);
    if (!path && given)
        snprintf (text, sizeof text, "%s", inherited);
    if (inherited)
        sodium_memzero (inherited, strlen (inherited));
    unsetenv ("GLEANER_WORKER_TOKEN");
    if (good && given && !clean (text)) {
        good = false;
        snprintf (problem, problem_size,
                  "%s holds no token: it is one word, as `gleaner-broker token create` prints it.",
                  path ? "--token-file" : "GLEANER_WORKER_TOKEN");
    }
    if (good && given)
        *token = xstrdup (text);
    sodium_memzero (text, sizeof text);
    return good;
}
