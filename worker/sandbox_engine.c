/* sandbox_engine.c - a job that names an `image`: docker or podman runs each of its commands in a container.
 *
 * The keeper runs the engine's client as it would a command. The client is this machine's, outside of any sandbox: it
 * gets nothing of the job's environment, which goes into the container by a file. A container that is left when the
 * client has ended is removed by its name (job_container.c). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "worker/sandbox.h"

enum { TRY_MS_MAX = 10 * 1000, PROCESSES_MAX = 4096, CLIENT_ENV_MAX = 8 };

/* Nothing of the job's: that must not steer the client. */
void sandbox_engine_env (argv_t *env)
{
    static const char *const passed[CLIENT_ENV_MAX] = {
        "PATH",          "HOME",        "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME",
        "XDG_DATA_HOME", "DOCKER_HOST", "DOCKER_CONTEXT",  "CONTAINER_HOST"
    };
    for (int i = 0; i < CLIENT_ENV_MAX; i++)
        if (getenv (passed[i]))
            argv_addf (env, "%s=%s", passed[i], getenv (passed[i]));
    argv_add (env, "TERM=dumb");
}

static bool open_engine (sandbox_t *self, char *problem)
{
    argv_t argv = { 0 };
    char why[SANDBOX_PROBLEM_SIZE];
    if (!sandbox_find_program (self->ops->name, self->program)) {
        snprintf (problem, SANDBOX_PROBLEM_SIZE, "--engine: there is no %s on this machine.", self->ops->name);
        return false;
    }
    argv_add_all (&argv, (const char *const[]){ self->program, "info", NULL });
    argv_t env = { 0 };
    sandbox_engine_env (&env);
    bool works = sandbox_try (&argv, &env, 0, TRY_MS_MAX, why);
    argv_fini (&argv);
    argv_fini (&env);
    if (!works)
        snprintf (problem, SANDBOX_PROBLEM_SIZE, "--engine: %s does not work here (%.300s).", self->ops->name, why);
    return works;
}

static void keeper (sandbox_t *self, const sandbox_job_t *job, argv_t *argv)
{
    (void)job;
    argv_add (argv, self->config.keeper);
}

static void add_limits (const limits_t *limits, argv_t *argv)
{
    const limits_t none = { 0 };
    const limits_t *given = limits ? limits : &none;
    argv_addf (argv, "--pids-limit=%lld", given->pids ? (long long)given->pids : PROCESSES_MAX);
    if (given->memory_bytes)
        argv_addf (argv, "--memory=%lld", (long long)given->memory_bytes);
    if (given->cpus)
        argv_addf (argv, "--cpus=%lld.%02lld", (long long)given->cpus / 100, (long long)given->cpus % 100);
}

/* Its folder is the only one that it shares with this machine, its user is the worker's. */
static void command (const sandbox_t *self, const sandbox_job_t *job, const char *line, argv_t *argv)
{
    bool cut = job->network_none || !self->config.network;
    argv_add_all (argv, (const char *const[]){ self->program, "run", "--rm", "--init", "--name", job->name, NULL });
    argv_add_all (argv, (const char *const[]){ "--network", cut ? "none" : "bridge", "--cap-drop", "ALL",
                                               "--security-opt", "no-new-privileges", NULL });
    add_limits (job->limits, argv);
    argv_addf (argv, "--user=%u:%u", (unsigned)geteuid (), (unsigned)getegid ());
    if (self->ops == &sandbox_podman_ops && geteuid () != 0)
        argv_add (argv, "--userns=keep-id"); /* or the folder would be another user's inside */
    argv_addf (argv, "--tmpfs=/tmp:rw,mode=1777,size=%lld", (long long)self->config.tmp_max);
    argv_addf (argv, "--env-file=%s", job->env_file);
    argv_addf (argv, "--mount=type=bind,source=%s,target=%s", job->folder, SANDBOX_FOLDER);
    argv_add_all (argv, (const char *const[]){ "--workdir", SANDBOX_FOLDER, job->image, "sh", "-c", line, NULL });
}

const sandbox_ops_t sandbox_docker_ops = {
    .name = "docker",
    .cuts_network = true,
    .folder = SANDBOX_FOLDER,
    .open = open_engine,
    .keeper = keeper,
    .command = command,
};

const sandbox_ops_t sandbox_podman_ops = {
    .name = "podman",
    .cuts_network = true,
    .folder = SANDBOX_FOLDER,
    .open = open_engine,
    .keeper = keeper,
    .command = command,
};
