/* up.c - broker, gateway and worker on this machine, for trying out: started in that order, ended the other way round,
 * and never started again by themselves. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/config.h"
#include "cli/print.h"
#include "proto/clock.h"

enum {
    PORT_USUAL = 3000,
    START_MS = 30 * 1000, /* for one to be ready */
    LOOK_MS = 20,         /* between two looks at its log */
    STOP_MS = 20 * 1000,  /* for gateway and broker to end; a worker's jobs may take their time */
    LAST_LINES = 5,
    LOG_TAIL = 64 * 1024, /* bytes, in which they are looked for */
    ARGS_MAX = 16,
};

typedef struct {
    common_t common; /* only `json` counts */
    const char *data;
    int64_t port;
    int64_t slots;
    bool unsafe_no_sandbox;
} options_t;

static const option_t rows[] = {
    { .name = "data",
      .type = OPT_TEXT,
      .at = offsetof (options_t, data),
      .value = "DIR",
      .help = "folder of queue, files and logs; default ~/.local/state/gleaner-up" },
    { .name = "port",
      .type = OPT_INT,
      .at = offsetof (options_t, port),
      .min = 1,
      .max = 65535,
      .value = "N",
      .help = "the page's and the API's port on this machine; default 3000, or a free one where that is taken" },
    { .name = "slots",
      .type = OPT_INT,
      .at = offsetof (options_t, slots),
      .fallback = "2",
      .min = 1,
      .max = 256, /* what a worker takes */
      .value = "N",
      .help = "jobs that the worker runs at once" },
    { .name = "unsafe-no-sandbox",
      .type = OPT_FLAG,
      .at = offsetof (options_t, unsafe_no_sandbox),
      .help = "let jobs do all that you can do here, where bubblewrap does not work: in most containers" },
    { .name = "json",
      .type = OPT_FLAG,
      .at = offsetof (options_t, common.json),
      .help = "print JSON, for programs: once, when all is ready" },
};

const option_table_t up_table = { .program = "gleaner up",
                                  .summary = "broker, gateway and worker on this machine, to try things out",
                                  .rows = rows,
                                  .count = sizeof rows / sizeof *rows };

typedef enum { BROKER, GATEWAY, WORKER, CHILDREN } which_t;

static const char *const names[CHILDREN] = { "broker", "gateway", "worker" };

typedef struct {
    pid_t pid; /* 0: it does not run */
    int pidfd;
    char log[CLI_PATH_SIZE + 16];
    off_t began; /* where in its log it does */
} child_t;

typedef struct {
    const options_t *options;
    char data[CLI_PATH_SIZE];
    char broker_url[128], server[128];
    child_t children[CHILDREN];
    int signals;
    sigset_t before;
    int signalled; /* how often */
} up_t;

/* ---- one of them ---- */

/* No option, id or socket that was meant for another program of ours. */
static char **clean_environment (void)
{
    static const char *const others[] = { "NOTIFY_SOCKET=", "LISTEN_", "WORKER_ID=", "HOSTNAME=", "GLEANER_" };
    size_t count = 0;
    size_t kept = 0;
    while (environ[count])
        count++;
    char **clean = xcalloc (count + 1, sizeof *clean);
    for (size_t i = 0; i < count; i++) {
        bool ours = false;
        for (size_t at = 0; at < sizeof others / sizeof *others; at++)
            ours = ours || strncmp (environ[i], others[at], strlen (others[at])) == 0;
        if (!ours)
            clean[kept++] = environ[i];
    }
    return clean;
}

/* In a session of its own, so that Ctrl-C reaches us alone, who end all in their order; and it ends with us whatever
 * ends us. */
static void become (const up_t *self, const char *path, char *const *args, char **env, int log, pid_t parent)
{
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (getppid () != parent)
        _exit (1);
    setsid ();
    sigprocmask (SIG_SETMASK, &self->before, NULL);
    int null = open ("/dev/null", O_RDONLY | O_CLOEXEC);
    dup2 (null, STDIN_FILENO);
    dup2 (log, STDOUT_FILENO);
    dup2 (log, STDERR_FILENO);
    execve (path, args, env);
    dprintf (STDERR_FILENO, "%s: %s\n", path, strerror (errno));
    _exit (127);
}

static int child_begin (up_t *self, which_t which, const char *const *args)
{
    child_t *child = &self->children[which];
    char name[32];
    char path[CLI_PATH_SIZE];
    const char *all[ARGS_MAX + 2] = { path };
    snprintf (name, sizeof name, "gleaner-%s", names[which]);
    if (!cli_find_program (name, path))
        return cli_say (STATUS_LOCAL, "%s is neither beside gleaner nor in PATH: install it.", name);
    for (size_t i = 0; i < ARGS_MAX && args[i]; i++)
        all[i + 1] = args[i];
    snprintf (child->log, sizeof child->log, "%s/%s.log", self->data, names[which]);
    int log = open (child->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0)
        return cli_say (STATUS_LOCAL, "cannot write '%s': %s.", child->log, strerror (errno));
    child->began = lseek (log, 0, SEEK_END);
    char **env = clean_environment ();
    pid_t parent = getpid ();
    child->pid = fork ();
    if (child->pid == 0)
        become (self, path, (char *const *)all, env, log, parent);
    int error = errno;
    free (env);
    close (log);
    if (child->pid < 0) {
        child->pid = 0;
        return cli_say (STATUS_LOCAL, "%s cannot be started: %s.", name, strerror (error));
    }
    child->pidfd = (int)syscall (SYS_pidfd_open, child->pid, 0U);
    return STATUS_GOOD;
}

/* What it has logged since it was started, or the end of that; the caller's. */
static void read_log (const child_t *child, buf_t *out)
{
    int fd = open (child->log, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek (fd, 0, SEEK_END) : 0;
    off_t from = end - child->began > LOG_TAIL ? end - LOG_TAIL : child->began;
    buf_reserve (out, LOG_TAIL + 1);
    ssize_t got = fd >= 0 ? pread (fd, out->ptr, LOG_TAIL, from) : 0;
    out->len = got > 0 ? (size_t)got : 0;
    out->ptr[out->len] = '\0';
    if (fd >= 0)
        close (fd);
}

static void say_last_lines (const child_t *child)
{
    buf_t log = { 0 };
    read_log (child, &log);
    char *end = log.ptr + log.len;
    while (end > log.ptr && end[-1] == '\n')
        *--end = '\0';
    char *begin = end;
    for (int lines = 0; begin > log.ptr; begin--)
        if (begin[-1] == '\n' && ++lines == LAST_LINES)
            break;
    for (char *line; (line = strsep (&begin, "\n"));)
        fprintf (stderr, "  %s\n", cli_plain (line));
    buf_fini (&log);
}

/* Reaps it, and says how it ended. */
static int say_ended (up_t *self, which_t which, const char *when)
{
    child_t *child = &self->children[which];
    int status = 0;
    waitpid (child->pid, &status, 0);
    child->pid = 0;
    close (child->pidfd);
    if (WIFSIGNALED (status))
        cli_say (0, "the %s has ended %s, by signal %d. Its log, %s, ends so:", names[which], when, WTERMSIG (status),
                 child->log);
    else
        cli_say (0, "the %s has ended %s, with status %d. Its log, %s, ends so:", names[which], when,
                 WEXITSTATUS (status), child->log);
    say_last_lines (child);
    return STATUS_LOCAL;
}

/* ---- waiting ---- */

/* Until a signal has come (which is counted), one has ended (its number), or so much time has passed; -1: no limit. */
static which_t await (up_t *self, int ms)
{
    struct pollfd fds[CHILDREN + 1];
    struct signalfd_siginfo info;
    for (int i = 0; i < CHILDREN; i++)
        fds[i] = (struct pollfd){ .fd = self->children[i].pid ? self->children[i].pidfd : -1, .events = POLLIN };
    fds[CHILDREN] = (struct pollfd){ .fd = self->signals, .events = POLLIN };
    poll (fds, CHILDREN + 1, ms);
    while (read (self->signals, &info, sizeof info) == sizeof info)
        self->signalled++;
    for (which_t i = BROKER; i < CHILDREN; i++)
        if (fds[i].revents)
            return i;
    return CHILDREN;
}

/* Until it has logged that it is ready. `address`: what it listens on, or NULL. */
static int await_ready (up_t *self, which_t which, char *address, size_t size)
{
    static const char listening[] = "listening on ";
    char event[32];
    int64_t end = clock_mono_ms () + START_MS;
    snprintf (event, sizeof event, " %s-ready ", names[which]);
    while (clock_mono_ms () < end) {
        buf_t log = { 0 };
        read_log (&self->children[which], &log);
        const char *line = strstr (log.ptr, event);
        bool ready = line && strchr (line, '\n');
        const char *at = ready && address ? strstr (line, listening) : NULL;
        if (at) {
            at += sizeof listening - 1;
            snprintf (address, size, "%.*s", (int)strcspn (at, ", \n"), at);
        }
        buf_fini (&log);
        if (ready)
            return STATUS_GOOD;
        which_t ended = await (self, LOOK_MS);
        if (self->signalled)
            return STATUS_CUT;
        if (ended != CHILDREN)
            return say_ended (self, ended, "at its start");
    }
    return cli_say (STATUS_LOCAL, "the %s was not ready within %d s; its log is %s.", names[which], START_MS / 1000,
                    self->children[which].log);
}

/* ---- all of them ---- */

static bool port_is_free (int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons ((uint16_t)port) };
    int yes = 1;
    address.sin_addr.s_addr = htonl (INADDR_LOOPBACK);
    int fd = socket (AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool good = fd >= 0 && bind (fd, (struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        close (fd);
    return good;
}

static int begin_broker (up_t *self)
{
    char data[CLI_PATH_SIZE + 16];
    snprintf (data, sizeof data, "%s/broker", self->data);
    int status = child_begin (
        self, BROKER,
        (const char *const[]){ "--listen", "tcp://127.0.0.1:0", "--data", data, "--log-format", "text", NULL });
    return status ? status : await_ready (self, BROKER, self->broker_url, sizeof self->broker_url);
}

static int begin_gateway (up_t *self)
{
    char listen[32];
    char cache[CLI_PATH_SIZE + 16];
    int port = self->options->port ? (int)self->options->port : port_is_free (PORT_USUAL) ? PORT_USUAL : 0;
    snprintf (listen, sizeof listen, "127.0.0.1:%d", port);
    snprintf (cache, sizeof cache, "%s/cache", self->data);
    int status = child_begin (self, GATEWAY,
                              (const char *const[]){ "--listen", listen, "--broker", self->broker_url, "--cache-dir",
                                                     cache, "--log-format", "text", NULL });
    return status ? status : await_ready (self, GATEWAY, self->server, sizeof self->server);
}

static int begin_worker (up_t *self)
{
    char folder[CLI_PATH_SIZE + 16];
    char slots[16];
    snprintf (folder, sizeof folder, "%s/worker", self->data);
    snprintf (slots, sizeof slots, "%d", (int)self->options->slots);
    int status = child_begin (
        self, WORKER,
        (const char *const[]){ "--server", self->server, "--work-dir", folder, "--slots", slots, "--log-format", "text",
                               self->options->unsafe_no_sandbox ? "--unsafe-no-sandbox" : NULL, NULL });
    if (!status)
        status = await_ready (self, WORKER, NULL, 0);
    if (status == STATUS_LOCAL && !self->options->unsafe_no_sandbox && !self->children[WORKER].pid)
        cli_say (0, "where no sandbox works, and jobs may do all that you can: gleaner up --unsafe-no-sandbox.");
    return status;
}

static void say_ready (const up_t *self)
{
    const char *server = self->server;
    if (self->options->common.json) {
        json_t *json = json_pack ("{s:s, s:s, s:s, s:i, s:i, s:i}", "server", server, "broker", self->broker_url,
                                  "data", self->data, "brokerPid", (int)self->children[BROKER].pid, "gatewayPid",
                                  (int)self->children[GATEWAY].pid, "workerPid", (int)self->children[WORKER].pid);
        print_json (json);
        json_decref (json);
    } else {
        bool usual = strcmp (server, "http://127.0.0.1:3000") == 0;
        printf ("Gleaner runs.\n\n"
                "  page   %s/\n"
                "  try    gleaner run %s%s%s-- hostname\n"
                "  look   gleaner top%s%s\n"
                "  data   %s\n\n"
                "Ctrl-C ends it.\n",
                server, usual ? "" : "--server ", usual ? "" : server, usual ? "" : " ", usual ? "" : " --server ",
                usual ? "" : server, self->data);
    }
    fflush (stdout);
}

/* The worker first: it says goodbye while somebody hears it. Its jobs may end, or are given back at another signal; at
 * the third it is killed. */
static void end_child (up_t *self, which_t which)
{
    child_t *child = &self->children[which];
    int64_t end = which == WORKER ? INT64_MAX : clock_mono_ms () + STOP_MS;
    int first = self->signalled;
    int told = self->signalled;
    kill (child->pid, SIGTERM);
    while (waitpid (child->pid, NULL, WNOHANG) == 0) {
        await (self, LOOK_MS);
        if (self->signalled > first + 1 || clock_mono_ms () > end) {
            kill (child->pid, SIGKILL);
        } else if (self->signalled > told) {
            kill (child->pid, SIGTERM);
            told = self->signalled;
        }
    }
    child->pid = 0;
    close (child->pidfd);
}

static void end_all (up_t *self)
{
    if (self->children[WORKER].pid && !self->options->common.json)
        cli_say (0, "stopping; running jobs may end. Ctrl-C again gives them back at once.");
    for (int i = CHILDREN - 1; i >= 0; i--)
        if (self->children[i].pid)
            end_child (self, (which_t)i);
}

/* The folder, as an absolute path. */
static int find_data (up_t *self)
{
    char path[CLI_PATH_SIZE];
    const char *state = getenv ("XDG_STATE_HOME");
    const char *home = getenv ("HOME");
    if (self->options->data)
        snprintf (path, sizeof path, "%s/", self->options->data);
    else if (state && *state == '/')
        snprintf (path, sizeof path, "%s/gleaner-up/", state);
    else if (home && *home)
        snprintf (path, sizeof path, "%s/.local/state/gleaner-up/", home);
    else
        return cli_say (STATUS_LOCAL, "HOME is not set: say --data DIR.");
    int status = config_make_folders (path);
    char *real = status == STATUS_GOOD ? realpath (path, NULL) : NULL;
    if (status == STATUS_GOOD && (!real || access (real, W_OK | X_OK) != 0))
        status = cli_say (STATUS_LOCAL, "cannot use the folder '%s': %s.", path, strerror (errno));
    if (real)
        snprintf (self->data, sizeof self->data, "%s", real);
    free (real);
    return status;
}

static int run (up_t *self)
{
    int status = find_data (self);
    if (!status)
        status = begin_broker (self);
    if (!status)
        status = begin_gateway (self);
    if (!status)
        status = begin_worker (self);
    if (status == STATUS_GOOD) {
        say_ready (self);
        which_t ended = CHILDREN;
        while (!self->signalled && ended == CHILDREN)
            ended = await (self, -1);
        if (ended != CHILDREN)
            status = say_ended (self, ended, "by itself");
    }
    end_all (self);
    return status;
}

int up_command (int argc, char **argv)
{
    options_t options = { 0 };
    sigset_t set;
    int status = options_parse (&up_table, argc, argv, environ, &options);
    if (status != OPTIONS_RUN)
        return status;
    up_t self = { .options = &options };
    sigemptyset (&set);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGTERM);
    cli_add_hangup (&set);
    sigprocmask (SIG_BLOCK, &set, &self.before);
    self.signals = signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    status = run (&self);
    close (self.signals);
    sigprocmask (SIG_SETMASK, &self.before, NULL);
    options_fini (&up_table, &options);
    return status;
}
