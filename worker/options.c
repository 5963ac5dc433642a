#include "worker/options.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "proto/limits.h"
#include "proto/lines.h"
#include "proto/message.h"
#include "proto/options.h"
#include "proto/program.h"
#include "worker/folders.h"

#define AT(member) offsetof (worker_options_t, member)

enum { SLOTS_LIMIT = 256, PROBLEM_SIZE = 512, CA_BYTES_MAX = 4 * 1024 * 1024 };

static const option_t rows[] = {
    { .name = "server",
      .type = OPT_TEXT,
      .at = AT (server),
      .value = "URL",
      .help = "gateway to work for over HTTP: http://HOST:3000 or https://HOST:3000" },
    { .name = "ca",
      .type = OPT_TEXT,
      .at = AT (ca),
      .value = "FILE",
      .help = "trust only certificates that lead to one in FILE (PEM) for --server; default: the system's" },
    { .name = "broker",
      .type = OPT_TEXT,
      .at = AT (broker),
      .value = "ENDPOINT",
      .help = "broker to work for over ZeroMQ: tcp://HOST:5555" },
    { .name = "join",
      .type = OPT_TEXT,
      .at = AT (join),
      .value = "CODE",
      .help = "join a broker by this code (gleaner-broker enroll), and work for it from then on; needed once" },
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
    { .name = "token-file",
      .type = OPT_TEXT,
      .at = AT (token_file),
      .value = "FILE",
      .help = "file that holds the worker's token; or the token itself in GLEANER_WORKER_TOKEN" },
    { .name = "label",
      .type = OPT_TEXT,
      .at = AT (label),
      .value = "K=V,...",
      .help = "what this machine has, for jobs that require it; os and arch are set by themselves" },
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

/* ---- labels ---- */

static slice_t trim (slice_t text)
{
    while (text.len && isspace ((unsigned char)*text.ptr))
        text = slice_from (text.ptr + 1, text.len - 1);
    while (text.len && isspace ((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return text;
}

static bool label_add (slice_t item, buf_t *lines, char *problem, size_t size)
{
    slice_t key, value;
    const char *why = NULL;
    line_split (item, &key, &value);
    key = trim (key);
    value = value.ptr ? trim (value) : value;
    if (!key.len || !value.len)
        why = "is not KEY=VALUE";
    else if (!utf8_valid (item))
        why = "is not UTF-8";
    else if (lines_get (buf_slice (lines), key).ptr)
        why = "gives a key again that was there before";
    else if (!lines_add (lines, key, value))
        why = "has control characters";
    if (why)
        snprintf (problem, size, "--label: '%.*s' %s.", item.len > 100 ? 100 : (int)item.len, item.ptr, why);
    return !why;
}

static void label_default (buf_t *lines, const char *key, const char *value)
{
    if (!lines_get (buf_slice (lines), slice_of (key)).ptr)
        lines_add (lines, slice_of (key), slice_of (value));
}

bool worker_options_labels (const worker_options_t *options, buf_t *lines, char *problem, size_t problem_size)
{
    for (const char *at = options->label; at && *at;) {
        size_t len = strcspn (at, ",");
        if (!label_add (trim (slice_from (at, len)), lines, problem, problem_size))
            return false;
        at += len + (at[len] == ',');
    }
    struct utsname system;
    uname (&system);
    for (char *at = system.sysname; *at; at++)
        *at = (char)tolower ((unsigned char)*at);
    label_default (lines, "os", system.sysname);
    label_default (lines, "arch", system.machine);
    if (lines->len <= LABELS_MAX)
        return true;
    snprintf (problem, problem_size, "--label: more than %d bytes of labels.", LABELS_MAX);
    return false;
}

/* ---- all of them ---- */

static bool labels_check (const worker_options_t *options, char *problem, size_t problem_size)
{
    buf_t lines = { 0 };
    bool fine = worker_options_labels (options, &lines, problem, problem_size);
    buf_fini (&lines);
    return fine;
}

/* What curl says of such a file would come with every call, and much later. */
static bool ca_check (const worker_options_t *options, char *problem, size_t problem_size)
{
    buf_t text = { 0 };
    int error = file_read (options->ca, CA_BYTES_MAX, &text);
    buf_append (&text, "", 1);
    bool pem = strstr (text.ptr, "-----BEGIN CERTIFICATE-----");
    buf_fini (&text);
    if (!options->server || !has_prefix (options->server, "https://"))
        snprintf (problem, problem_size, "--ca needs --server https://HOST:PORT.");
    else if (error)
        snprintf (problem, problem_size, "--ca: cannot read '%.300s': %s.", options->ca, strerror (error));
    else if (!pem)
        snprintf (problem, problem_size, "--ca: '%.300s' holds no certificate in PEM.", options->ca);
    else
        return true;
    return false;
}

int worker_options_parse (int argc, char **argv, worker_options_t *options)
{
    int status = options_parse (&table, argc, argv, environ, options);
    if (status != OPTIONS_RUN)
        return status;
    if (options->server && (options->broker || options->join))
        return refuse (options, "give one of --server http://HOST:3000, --broker tcp://HOST:5555 and --join CODE.");
    if (options->server && !has_prefix (options->server, "http://") && !has_prefix (options->server, "https://"))
        return refuse (options, "--server must begin with http:// or https://.");
    if (options->broker && !has_prefix (options->broker, "tcp://") && !has_prefix (options->broker, "ipc://"))
        return refuse (options, "--broker must begin with tcp:// or ipc://.");
    char problem[PROBLEM_SIZE];
    if (options->ca && !ca_check (options, problem, sizeof problem))
        return refuse (options, problem);
    if (!labels_check (options, problem, sizeof problem))
        return refuse (options, problem);
    return OPTIONS_RUN;
}

void worker_options_fini (worker_options_t *options)
{
    options_fini (&table, options);
}
