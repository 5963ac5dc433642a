#include "worker/sandbox.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/child.h"

enum { SAID_MAX = 400 };

bool sandbox_open (sandbox_t *self, const sandbox_ops_t *ops, const sandbox_config_t *config, char *problem)
{
    *self = (sandbox_t){ .ops = ops, .config = *config, .filter_fd = -1 };
    if (ops->open (self, problem))
        return true;
    sandbox_close (self);
    return false;
}

void sandbox_close (sandbox_t *self)
{
    argv_fini (&self->begin);
    if (self->filter_fd >= 0)
        close (self->filter_fd);
    self->filter_fd = -1;
}

const char *sandbox_folder (const sandbox_t *self, const char *folder)
{
    return self->ops->folder ? self->ops->folder : folder;
}

bool sandbox_find_program (const char *name, char path[FOLDER_PATH_MAX])
{
    static const char usual[] = "/usr/bin:/bin:/usr/local/bin";
    const char *const lists[] = { getenv ("PATH"), usual };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        for (const char *at = lists[i]; at && *at;) {
            size_t len = strcspn (at, ":");
            int full = snprintf (path, FOLDER_PATH_MAX, "%.*s/%s", (int)len, at, name);
            if (at[0] == '/' && full < FOLDER_PATH_MAX && access (path, X_OK) == 0)
                return true;
            at += len + (at[len] == ':');
        }
    }
    return false;
}

/* The last line that is not empty. */
static void read_last_line (int fd, char line[SAID_MAX])
{
    char text[4096];
    ssize_t got = read (fd, text, sizeof text - 1);
    char *end = text + (got > 0 ? got : 0);
    while (end > text && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    *end = '\0';
    char *begin = strrchr (text, '\n');
    snprintf (line, SAID_MAX, "%.*s", SAID_MAX - 1, begin ? begin + 1 : text);
    for (char *at = line; *at; at++)
        if ((unsigned char)*at < ' ')
            *at = ' ';
}

bool sandbox_try (const argv_t *argv, const argv_t *env, int passed, int within_ms, char why[SANDBOX_PROBLEM_SIZE])
{
    static const char *const nothing[] = { NULL };
    const child_spec_t spec = { .program = argv->items[0],
                                .argv = argv_items (argv),
                                .env = env ? argv_items (env) : nothing,
                                .folder = "/",
                                .passed = passed };
    child_t child;
    char said[SAID_MAX];
    int number;
    int error = child_start (&spec, &child);
    if (error) {
        snprintf (why, SANDBOX_PROBLEM_SIZE, "%s: %s", argv->items[0], strerror (error));
        return false;
    }
    struct pollfd ended = { child.pidfd, POLLIN, 0 };
    int ready;
    do
        ready = poll (&ended, 1, within_ms);
    while (ready < 0 && errno == EINTR);
    int status = child_reap (&child, &number); /* it kills what did not end */
    read_last_line (child.out[1], said);
    child_close (&child);
    if (ready == 1 && status == 0)
        return true;
    if (ready != 1)
        snprintf (why, SANDBOX_PROBLEM_SIZE, "%s did not end within %d s", argv->items[0], within_ms / 1000);
    else if (*said)
        snprintf (why, SANDBOX_PROBLEM_SIZE, "%s", said);
    else
        snprintf (why, SANDBOX_PROBLEM_SIZE, "%s ended with status %d", argv->items[0], status);
    return false;
}
