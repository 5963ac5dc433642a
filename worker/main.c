#include <assert.h>
#include <curl/curl.h>
#include <czmq.h>
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "proto/log.h"
#include "proto/notify.h"
#include "proto/options.h"
#include "proto/program.h"
#include "proto/reload.h"
#include "worker/cgroup.h"
#include "worker/check.h"
#include "worker/folders.h"
#include "worker/joined.h"
#include "worker/landlock.h"
#include "worker/sandbox.h"
#include "worker/session.h"
#include "worker/sweeper.h"
#include "worker/token.h"

enum { PROBLEM_SIZE = 1024 };

static int refuse (const char *problem)
{
    return program_refuse ("gleaner-worker", problem);
}

/* What the handler on the loop works on. */
typedef struct {
    int fd;
    session_t *session;
    reload_t *reload;
    const worker_options_t *options;
    char **token; /* that of --token-file */
    transport_t *transport;
} signals_t;

/* Another token shows from the next call on. One that cannot be used changes nothing. */
static void read_token_again (const signals_t *self)
{
    char problem[PROBLEM_SIZE];
    char *token = NULL;
    if (!self->options->token_file)
        return;
    if (!worker_token_read (self->options->token_file, &token, problem, sizeof problem)) {
        log_event (LEVEL_ERROR, "token-refused", "the one from before stays in use: %s", problem);
        return;
    }
    self->transport->auth = token;
    free (*self->token);
    *self->token = token;
}

static void reload (const signals_t *self)
{
    notify_reloading ();
    if (reload_run (self->reload))
        session_reload (self->session);
    read_token_again (self);
    notify_reloaded ();
}

static void on_signal (void *ctx, uint32_t events)
{
    (void)events;
    const signals_t *self = ctx;
    int number = 0;
    for (program_asked_t asked; (asked = program_asked (self->fd, &number)) != ASKED_NOTHING;) {
        if (number == SIGUSR1)
            session_sleep (self->session);
        else if (number == SIGUSR2)
            session_wake (self->session);
        else if (asked == ASKED_RELOAD)
            reload (self);
        else
            session_stop (self->session);
    }
}

/* As program_signals, and SIGUSR1 and SIGUSR2: the machine goes to sleep, it is awake again. */
static int all_signals (void)
{
    int fd = program_signals ();
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGUSR1);
    sigaddset (&set, SIGUSR2);
    sigprocmask (SIG_BLOCK, &set, NULL);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGTERM);
    sigaddset (&set, SIGHUP);
    return signalfd (fd, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* The programs that a job needs stand beside this one, or where an installation keeps what is not for a shell. */
static bool find_beside (const char *name, char path[FOLDER_PATH_MAX], char *problem)
{
    char installed[128];
    snprintf (installed, sizeof installed, "../libexec/gleaner/%s", name);
    if (program_beside (installed, path, FOLDER_PATH_MAX) || program_beside (name, path, FOLDER_PATH_MAX))
        return true;
    snprintf (problem, PROBLEM_SIZE, "'%.900s' is missing: install it beside gleaner-worker.", path);
    return false;
}

/* Jobs run as this user: root's files are root's to read, sandbox or not. */
static void warn_of_root (void)
{
    if (geteuid () == 0)
        log_event (LEVEL_WARN, "worker-is-root", "start workers as a user of their own: what escapes is root here");
}

/* Opens what runs jobs, and what runs those with an image; the latter has no `ops` when there is none. */
static bool open_sandboxes (const worker_options_t *options, const char *work_dir, const char *keeper,
                            sandbox_t *sandbox, sandbox_t *engine, char *problem)
{
    const sandbox_config_t config = {
        .keeper = keeper,
        .work_dir = work_dir,
        .expose = options->expose,
        .tmp_max = options->tmp_max,
        .network = strcmp (options->network, "allow") == 0,
    };
    const sandbox_ops_t *ops = options->unsafe_no_sandbox ? &sandbox_none_ops : &sandbox_bwrap_ops;
    if (options->unsafe_no_sandbox && !config.network) {
        snprintf (problem, PROBLEM_SIZE, "--network none needs a sandbox: it cannot go with --unsafe-no-sandbox.");
        return false;
    }
    if (!sandbox_open (sandbox, ops, &config, problem))
        return false;
    ops = strcmp (options->engine, "docker") == 0 ? &sandbox_docker_ops : &sandbox_podman_ops;
    if (strcmp (options->engine, "none") != 0 && !sandbox_open (engine, ops, &config, problem))
        return false;
    return true;
}

/* True when jobs are to have control groups. No child of this program may be there yet. */
static bool open_cgroup (const worker_options_t *options, cgroup_t *cgroup)
{
    char root[FOLDER_PATH_MAX];
    char why[CGROUP_WHY_SIZE] = "--cgroup off says so";
    bool open = strcmp (options->cgroup, "auto") == 0 && cgroup_find ("/proc/self", root, why) &&
                cgroup_open (cgroup, root, why);
    if (open)
        log_event (LEVEL_INFO, "cgroup", "jobs have control groups below %s", root);
    else
        log_event (LEVEL_INFO, "no-cgroup", "jobs are watched, without control groups: %s", why);
    return open;
}

static int run (session_config_t *config, const curve_keys_t *keys, signals_t *signals)
{
    const worker_options_t *options = config->options;
    assert (config->sandbox->ops); /* a worker without one has been refused */
    log_event (LEVEL_INFO, "sandbox", "%s", config->sandbox->ops->name);
    if (!landlock_version ())
        log_event (LEVEL_WARN, "landlock-missing",
                   "archives are unpacked behind a seccomp filter alone: this kernel has no Landlock");
    config->loop = loop_new ();
    if (!config->loop)
        return refuse ("cannot make an event loop.");
    if (options->server)
        config->transport = transport_http_new (config->loop, options->server, options->ca);
    else
        config->transport = transport_zmq_new (config->loop, options->broker, keys->has_broker ? keys : NULL);
    if (!config->transport) {
        loop_destroy (&config->loop);
        return refuse ("--broker is no ZeroMQ endpoint such as tcp://HOST:5555.");
    }
    config->transport->auth = config->token;
    cgroup_t cgroup = { 0 };
    config->cgroup = open_cgroup (options, &cgroup) ? &cgroup : NULL;
    session_t *session = session_new (config);
    signals->session = session;
    signals->transport = config->transport;
    loop_watch (config->loop, signals->fd, EPOLLIN, on_signal, signals);
    loop_run (config->loop);
    int status = session_status (session);
    session_destroy (&session);
    cgroup_close (&cgroup);
    config->transport->ops->destroy (&config->transport);
    loop_destroy (&config->loop);
    log_event (LEVEL_INFO, "worker-stopped", "goodbye");
    return status;
}

static int serve (worker_options_t *options, reload_t *reload)
{
    int status = OPTIONS_RUN;
    char problem[PROBLEM_SIZE];
    if (!notify_begin (problem, sizeof problem))
        return refuse (problem);
    signals_t signals = { .fd = all_signals (), .reload = reload, .options = options };
    zsys_handler_set (NULL); /* signals are ours */
    char work_dir[FOLDER_PATH_MAX];
    char extractor[FOLDER_PATH_MAX];
    char collector[FOLDER_PATH_MAX];
    char keeper[FOLDER_PATH_MAX];
    char hostname[256] = "unknown";
    gethostname (hostname, sizeof hostname - 1);
    if (!options->hostname)
        options->hostname = xstrdup (hostname);
    char *id = NULL;
    sandbox_t sandbox = { .filter_fd = -1 };
    joined_t joined = { 0 };
    char *token = NULL;
    signals.token = &token;
    sandbox_t engine = { .filter_fd = -1 };
    if (!worker_token_read (options->token_file, &token, problem, sizeof problem) ||
        !find_beside ("gleaner-extract", extractor, problem) || !find_beside ("gleaner-collect", collector, problem) ||
        !find_beside ("gleaner-keeper", keeper, problem) ||
        !folders_open (options->work_dir, work_dir, problem, sizeof problem) ||
        !open_sandboxes (options, work_dir, keeper, &sandbox, &engine, problem) ||
        !(id = folders_worker_id (work_dir, options->id, options->hostname, problem, sizeof problem)) ||
        !joined_find (options, work_dir, id, &joined, problem, sizeof problem))
        status = refuse (problem);
    sweeper_t *sweeper = status == OPTIONS_RUN ? sweeper_new (work_dir) : NULL;
    if (status == OPTIONS_RUN && !sweeper) {
        snprintf (problem, sizeof problem, "'%.900s/trash' cannot be used: %s.", work_dir, strerror (errno));
        status = refuse (problem);
    }
    session_config_t config = {
        .options = options,
        .worker_id = id,
        .token = token ? token : joined.token,
        .hostname = options->hostname,
        .work_dir = work_dir,
        .sweeper = sweeper,
        .extractor = extractor,
        .collector = collector,
        .sandbox = &sandbox,
        .engine = engine.ops ? &engine : NULL,
    };
    if (status == OPTIONS_RUN)
        warn_of_root ();
    if (status == OPTIONS_RUN)
        status = run (&config, &joined.keys, &signals);
    sweeper_destroy (&sweeper);
    joined_fini (&joined);
    free (id);
    sandbox_close (&sandbox);
    sandbox_close (&engine);
    free (token);
    notify_end ();
    return status;
}

/* --check: no server is needed. */
static int check_machine (const worker_options_t *options)
{
    char problem[PROBLEM_SIZE];
    char path[FOLDER_PATH_MAX];
    bool there = find_beside ("gleaner-extract", path, problem) && find_beside ("gleaner-collect", path, problem) &&
                 find_beside ("gleaner-keeper", path, problem);
    return worker_check (options, there ? path : NULL, problem);
}

/* --check-config */
static int check_config (const worker_options_t *options)
{
    char problem[PROBLEM_SIZE];
    char *token = NULL;
    if (!worker_token_read (options->token_file, &token, problem, sizeof problem))
        return refuse (problem);
    free (token);
    return options_fine (&worker_option_table);
}

extern char **environ;

int main (int argc, char **argv)
{
    program_begin ();
    worker_options_t options = { 0 };
    int status = worker_options_parse (argc, argv, &options);
    if (status != OPTIONS_RUN && status != OPTIONS_CHECK)
        return status;
    log_init ("worker", log_level_find (options.log_level));
    log_form (options.log_format);
    curl_global_init (CURL_GLOBAL_DEFAULT);
    if (sodium_init () < 0) {
        status = refuse ("libsodium cannot start.");
    } else if (status == OPTIONS_CHECK) {
        status = check_config (&options);
    } else if (options.check) {
        status = check_machine (&options);
    } else {
        reload_t *reload = reload_new (&worker_option_table, argc, argv, environ, &options, sizeof options);
        status = serve (&options, reload);
        reload_destroy (&reload);
    }
    worker_options_fini (&options);
    curl_global_cleanup ();
    return status;
}
