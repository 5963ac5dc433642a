/* job_container.c - a job with an image: its commands as those of the engine's client, and the end of its container.
 *
 * The client that is killed leaves its container running: that belongs to the engine. So a process of our own waits,
 * beside the keeper, until the job is over or this program is gone, and then removes the container by its name. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/job_internal.h"

enum { REMOVE_MS_MAX = 10 * 1000, NAME_SIZE = 256, ENV_FILE_SIZE = FOLDER_PATH_MAX + 320 };

/* The end of its third descriptor is the job's. */
#define REMOVE_SCRIPT "cat <&3 >/dev/null; exec \"$0\" rm --force \"$1\" 3<&-"

static void name_of (const job_t *self, char name[NAME_SIZE])
{
    snprintf (name, NAME_SIZE, "gleaner-%s-%lld", self->lease.job_id, (long long)self->lease.attempt);
}

int job_container_begin (job_t *self)
{
    char name[NAME_SIZE];
    argv_t env = { 0 };
    if (self->container.pid)
        return 0;
    name_of (self, name);
    sandbox_engine_env (&env);
    const char *const argv[] = { "/bin/sh", "-c", REMOVE_SCRIPT, self->sandbox->program, name, NULL };
    const child_spec_t spec = {
        .program = argv[0], .argv = argv, .env = argv_items (&env), .folder = "/", .talks = true, .outlives = true
    };
    int error = child_start (&spec, &self->container);
    argv_fini (&env);
    return error;
}

static void env_file_of (const job_t *self, char path[ENV_FILE_SIZE])
{
    snprintf (path, ENV_FILE_SIZE, "%s/env", self->spool);
}

static void forget (job_t *self)
{
    char env_file[ENV_FILE_SIZE];
    int ignored;
    env_file_of (self, env_file);
    unlink (env_file);
    loop_unwatch (self->host->loop, self->container.pidfd);
    loop_timer_stop (&self->kill_timer);
    child_reap (&self->container, &ignored); /* and kills what does not end */
    child_close (&self->container);
}

static void on_late (void *ctx)
{
    job_t *self = ctx;
    forget (self);
    self->container_then (self);
}

static void on_removed (void *ctx, uint32_t events)
{
    (void)events;
    on_late (ctx);
}

bool job_container_end (job_t *self, loop_fn *then)
{
    if (!self->container.pid)
        return false;
    self->container_then = then;
    shutdown (self->container.talk, SHUT_WR);
    loop_watch (self->host->loop, self->container.pidfd, EPOLLIN, on_removed, self);
    loop_timer_set (self->host->loop, &self->kill_timer, REMOVE_MS_MAX, on_late, self);
    return true;
}

void job_container_fini (job_t *self)
{
    if (!self->container.pid)
        return;
    shutdown (self->container.talk, SHUT_WR);
    struct pollfd ended = { self->container.pidfd, POLLIN, 0 };
    poll (&ended, 1, REMOVE_MS_MAX);
    forget (self);
}

/* ---- commands ---- */

static void append_quoted (buf_t *input, const char *word)
{
    buf_append_str (input, "'");
    for (const char *at = word; *at; at++)
        if (*at == '\'')
            buf_append_str (input, "'\\''");
        else
            buf_append (input, at, 1);
    buf_append_str (input, "' ");
}

static void append_command (const job_t *self, const sandbox_job_t *job, const char *line, buf_t *input)
{
    argv_t argv = { 0 };
    self->sandbox->ops->command (self->sandbox, job, line, &argv);
    buf_append_str (input, "exec ");
    for (size_t i = 0; i < argv.count; i++)
        append_quoted (input, argv.items[i]);
    buf_append_str (input, "\n");
    argv_fini (&argv);
}

int job_container_input (const job_t *self, slice_t env, buf_t *input)
{
    char name[NAME_SIZE];
    char env_file[ENV_FILE_SIZE];
    name_of (self, name);
    env_file_of (self, env_file);
    const sandbox_job_t job = { .folder = self->folder,
                                .network_none = self->network_none,
                                .image = self->image,
                                .name = name,
                                .env_file = env_file,
                                .limits = &self->limits };
    int error = file_write (env_file, env);
    if (error)
        return error;
    char *commands = xstrdup (self->command);
    char *rest = NULL;
    for (char *line = strtok_r (commands, "\r\n", &rest); line; line = strtok_r (NULL, "\r\n", &rest))
        if (line[strspn (line, " \t")])
            append_command (self, &job, line, input);
    free (commands);
    buf_append (input, "", 1);
    argv_t client = { 0 };
    sandbox_engine_env (&client);
    for (size_t i = 0; i < client.count; i++)
        buf_append (input, client.items[i], strlen (client.items[i]) + 1);
    argv_fini (&client);
    return 0;
}
