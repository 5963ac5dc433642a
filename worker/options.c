#include "worker/options.h"

#include <stddef.h>
#include <string.h>

#include "proto/limits.h"
#include "proto/options.h"
#include "proto/program.h"

#define AT(member) offsetof (worker_options_t, member)

enum { SLOTS_LIMIT = 256 };

static const option_t rows[] = {
    { .name = "server",
      .type = OPT_TEXT,
      .at = AT (server),
      .value = "URL",
      .help = "gateway to work for over HTTP: http://HOST:3000" },
    { .name = "broker",
      .type = OPT_TEXT,
      .at = AT (broker),
      .value = "ENDPOINT",
      .help = "broker to work for over ZeroMQ: tcp://HOST:5555" },
    { .name = "id",
      .type = OPT_TEXT,
      .at = AT (id),
      .alias = "WORKER_ID",
      .value = "ID",
      .help = "the worker's id; default: made once and kept in the work directory" },
    { .name = "hostname",
      .type = OPT_TEXT,
      .at = AT (hostname),
      .alias = "HOSTNAME",
      .value = "NAME",
      .help = "name shown for this machine; default: the system's" },
    { .name = "work-dir",
      .type = OPT_TEXT,
      .at = AT (work_dir),
      .value = "DIR",
      .help = "folder for jobs and unsent results; default ~/.local/state/gleaner-worker" },
    { .name = "slots",
      .type = OPT_INT,
      .at = AT (slots),
      .fallback = "1",
      .min = 1,
      .max = SLOTS_LIMIT,
      .value = "N",
      .help = "jobs to run at once" },
    { .name = "poll-wait",
      .type = OPT_DURATION,
      .at = AT (poll_wait_ms),
      .fallback = "25s",
      .min = 100,
      .max = WAIT_MAX,
      .value = "TIME",
      .help = "patience of a request for a job" },
    { .name = "once", .type = OPT_FLAG, .at = AT (once), .help = "run one job, then stop" },
    { .name = "log-level",
      .type = OPT_CHOICE,
      .at = AT (log_level),
      .fallback = "info",
      .choices = "debug|info|warn|error",
      .value = "LEVEL",
      .help = "lowest level that is logged: debug, info, warn or error" },
};

static const option_table_t table = {
    .program = "gleaner-worker",
    .summary = "lends this machine: pulls jobs and runs them",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

extern char **environ;

static int refuse (worker_options_t *options, const char *problem)
{
    worker_options_fini (options);
    return program_refuse (table.program, problem);
}

static bool has_prefix (const char *text, const char *prefix)
{
    return strncmp (text, prefix, strlen (prefix)) == 0;
}

int worker_options_parse (int argc, char **argv, worker_options_t *options)
{
    int status = options_parse (&table, argc, argv, environ, options);
    if (status != OPTIONS_RUN)
        return status;
    if (!options->server == !options->broker)
        return refuse (options, "give one of --server http://HOST:3000 and --broker tcp://HOST:5555.");
    if (options->server && !has_prefix (options->server, "http://") && !has_prefix (options->server, "https://"))
        return refuse (options, "--server must begin with http:// or https://.");
    if (options->broker && !has_prefix (options->broker, "tcp://") && !has_prefix (options->broker, "ipc://"))
        return refuse (options, "--broker must begin with tcp:// or ipc://.");
    return OPTIONS_RUN;
}

void worker_options_fini (worker_options_t *options)
{
    options_fini (&table, options);
}
