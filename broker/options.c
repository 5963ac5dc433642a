#include "proto/options.h"

#include "broker/broker.h"

#define AT(member) offsetof (broker_options_t, member)
enum { MINUTE = 60 * 1000, DAY = 24 * 60 * MINUTE };

static const option_t rows[] = {
    { .name = "listen",
      .type = OPT_TEXT,
      .at = AT (listen),
      .fallback = "tcp://127.0.0.1:5555",
      .value = "ENDPOINT",
      .help = "ZeroMQ endpoint for gateways and native workers; port 0 takes a free one" },
    { .name = "data",
      .type = OPT_TEXT,
      .at = AT (data),
      .value = "DIR",
      .help = "folder of the record and the files; default ~/.local/state/gleaner-broker" },
    { .name = "lease",
      .type = OPT_DURATION,
      .at = AT (lease_ms),
      .fallback = "60s",
      .min = 500,
      .max = DAY,
      .value = "TIME",
      .help = "how long a lease lives without renewal" },
    { .name = "offline",
      .type = OPT_DURATION,
      .at = AT (offline_ms),
      .fallback = "30s",
      .min = 500,
      .max = DAY,
      .value = "TIME",
      .help = "a worker not heard of for this long is offline" },
    { .name = "heartbeat",
      .type = OPT_DURATION,
      .at = AT (heartbeat_ms),
      .fallback = "10s",
      .min = 100,
      .max = DAY,
      .value = "TIME",
      .help = "how often workers are told to be heard of" },
    { .name = "grace",
      .type = OPT_DURATION,
      .at = AT (grace_ms),
      .fallback = "30s",
      .min = 0,
      .max = DAY,
      .value = "TIME",
      .help = "beyond a job's timeout, before the broker ends the attempt itself" },
    { .name = "log-level",
      .type = OPT_CHOICE,
      .at = AT (log_level),
      .fallback = "info",
      .choices = "debug|info|warn|error",
      .value = "LEVEL",
      .help = "lowest level that is logged: debug, info, warn or error" },
};

static const option_table_t table = {
    .program = "gleaner-broker",
    .summary = "owns the durable job queue and the registry of workers",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

extern char **environ;

int broker_options_parse (int argc, char **argv, broker_options_t *options)
{
    return options_parse (&table, argc, argv, environ, options);
}

void broker_options_fini (broker_options_t *options)
{
    options_fini (&table, options);
}
