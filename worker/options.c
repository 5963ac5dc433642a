#include "worker/options.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "proto/json.h"
#include "proto/limits.h"
#include "proto/lines.h"
#include "proto/message.h"
#include "proto/options.h"
#include "worker/folders.h"

#define AT(member) offsetof (worker_options_t, member)

enum { SLOTS_LIMIT = 256, PROBLEM_SIZE = 512, CA_BYTES_MAX = 4 * 1024 * 1024 };

#define TEXT_OF(number) #number
#define TEXT(number)    TEXT_OF (number)

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
      .help = "join by this code (gleaner-broker enroll), over either way, and work there from then on; needed once" },
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
      .live = true,
      .help = "patience of a request for a job" },
    { .name = "network",
      .type = OPT_CHOICE,
      .at = AT (network),
      .fallback = "allow",
      .choices = "allow|none",
      .value = "WHAT",
      .help = "allow: jobs have this machine's network, unless they ask for none; none: no job has one" },
    { .name = "tmp-max",
      .type = OPT_BYTES,
      .at = AT (tmp_max),
      .fallback = "1G",
      .min = 64 * 1024,
      .max = OFFSET_MAX,
      .value = "SIZE",
      .help = "room in a job's /tmp, and in its /dev/shm: memory of this machine" },
    { .name = "expose",
      .type = OPT_TEXT,
      .at = AT (expose),
      .value = "DIR,...",
      .help = "more folders of this machine that jobs may read, such as a toolchain's" },
    { .name = "engine",
      .type = OPT_CHOICE,
      .at = AT (engine),
      .fallback = "none",
      .choices = "docker|podman|none",
      .value = "NAME",
      .help =
          "docker or podman: jobs may name a container image that they run in; none: this worker gets no such job" },
    { .name = "unsafe-no-sandbox",
      .type = OPT_FLAG,
      .at = AT (unsafe_no_sandbox),
      .help = "run jobs with all that this user can do and read" },
    { .name = "max-memory",
      .type = OPT_BYTES,
      .at = AT (max_memory),
      .min = 1024 * 1024,
      .max = (int64_t)JOB_MB_MAX * 1024 * 1024,
      .value = "SIZE",
      .live = true,
      .help = "memory that a job gets at most, as 4G; default: no limit of this worker's" },
    { .name = "max-cpus",
      .type = OPT_TEXT,
      .at = AT (max_cpus),
      .value = "N",
      .live = true,
      .help = "processors that a job gets at most, as 1.5; default: all" },
    { .name = "max-disk",
      .type = OPT_BYTES,
      .at = AT (max_disk),
      .min = 1024 * 1024,
      .max = (int64_t)JOB_MB_MAX * 1024 * 1024,
      .value = "SIZE",
      .live = true,
      .help = "what a job's folder takes at most, as 10G; default: no limit of this worker's" },
    { .name = "max-pids",
      .type = OPT_INT,
      .at = AT (max_pids),
      .fallback = "4096",
      .min = 1,
      .max = PIDS_MAX,
      .value = "N",
      .live = true,
      .help = "processes and threads that a job has at once, at most" },
    { .name = "cgroup",
      .type = OPT_CHOICE,
      .at = AT (cgroup),
      .fallback = "auto",
      .choices = "auto|off",
      .value = "HOW",
      .help =
          "auto: the kernel keeps jobs to their limits where this worker has a control group; off: they are watched" },
    { .name = "archive-files",
      .type = OPT_INT,
      .at = AT (archive.files),
      .fallback = TEXT (ARCHIVE_FILES_DEFAULT),
      .min = 1,
      .max = ARCHIVE_FILES_LIMIT,
      .value = "N",
      .live = true,
      .help = "files and folders that a job's archive may make" },
    { .name = "archive-size",
      .type = OPT_BYTES,
      .at = AT (archive.bytes),
      .fallback = "1G",
      .min = 1024,
      .max = 1LL << 40,
      .value = "SIZE",
      .live = true,
      .help = "bytes that a job's archive may become" },
    { .name = "archive-ratio",
      .type = OPT_INT,
      .at = AT (archive.ratio),
      .fallback = "100",
      .min = 1,
      .max = 100000,
      .value = "N",
      .live = true,
      .help = "how many times its size an archive may become, once that is more than 16 MiB" },
    { .name = "archive-depth",
      .type = OPT_INT,
      .at = AT (archive.depth),
      .fallback = TEXT (ARCHIVE_DEPTH_DEFAULT),
      .min = 1,
      .max = 256,
      .value = "N",
      .live = true,
      .help = "how deep folders may be nested in an archive" },
    { .name = "stop-wait",
      .type = OPT_DURATION,
      .at = AT (stop_wait_ms),
      .fallback = "0",
      .min = 0,
      .max = 366LL * 24 * 60 * 60 * 1000,
      .value = "TIME",
      .live = true,
      .help = "on SIGTERM, how long running jobs may go on before they are given back; 0: until they end" },
    { .name = "cache-max",
      .type = OPT_BYTES,
      .at = AT (cache_max),
      .fallback = "2G",
      .min = 0,
      .max = OFFSET_MAX,
      .value = "SIZE",
      .help = "archives of projects, and one unpacked, that are kept for when they come again; 0: none" },
    { .name = "once", .type = OPT_FLAG, .at = AT (once), .help = "run one job, then stop" },
    { .name = "check",
      .type = OPT_FLAG,
      .at = AT (check),
      .help = "say a line of whatever jobs need of this machine, and end: with 1 when something fails" },
    OPTIONS_LOG_ROWS (worker_options_t),
};

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

/* The broker hands jobs out by these: nobody shall set them by hand. */
static bool sandbox_labels (const sandbox_t *sandbox, const sandbox_t *engine, buf_t *lines, char *problem, size_t size)
{
    static const char *const names[] = { "sandbox", "network-none", "engine", "images", "deltas" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!lines_get (buf_slice (lines), slice_of (names[i])).ptr)
            continue;
        snprintf (problem, size, "--label: '%s' is set by the worker itself.", names[i]);
        return false;
    }
    label_default (lines, "deltas", "yes");
    if (sandbox)
        label_default (lines, "sandbox", sandbox->ops->name);
    if (sandbox && sandbox->ops->cuts_network)
        label_default (lines, "network-none", "yes");
    if (engine) {
        label_default (lines, "engine", engine->ops->name);
        label_default (lines, "images", "yes");
    }
    return true;
}

bool worker_options_labels (const worker_options_t *options, const sandbox_t *sandbox, const sandbox_t *engine,
                            bool grouped, buf_t *lines, char *problem, size_t problem_size)
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
    if (!sandbox_labels (sandbox, engine, lines, problem, problem_size))
        return false;
    label_default (lines, "limits", grouped ? "cgroup" : "watch");
    if (lines->len <= LABELS_MAX)
        return true;
    snprintf (problem, problem_size, "--label: more than %d bytes of labels.", LABELS_MAX);
    return false;
}

/* ---- limits ---- */

bool worker_options_limits (const worker_options_t *options, limits_t *limits, char *problem, size_t problem_size)
{
    message_t job;
    fault_t fault;
    message_init (&job, MSG_JOB_OPTIONS);
    *limits = (limits_t){ options->max_memory, options->max_disk, options->max_pids, 0 };
    if (!options->max_cpus)
        return true;
    bool fine = !message_set_text (&job, SLICE ("cpus"), slice_of (options->max_cpus), &fault) &&
                !message_check (&job, &fault) && job.job_options.cpus > 0;
    limits->cpus = fine ? job.job_options.cpus : 0;
    if (!fine)
        snprintf (problem, problem_size, "--max-cpus must be from 0.01 to %d, as 1.5, not '%.40s'.", CPUS_MAX / 100,
                  options->max_cpus);
    return fine;
}

/* ---- all of them ---- */

static bool labels_check (const worker_options_t *options, char *problem, size_t problem_size)
{
    buf_t lines = { 0 };
    bool fine = worker_options_labels (options, NULL, NULL, false, &lines, problem, problem_size);
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

static bool check (const void *given, char *problem, size_t problem_size)
{
    const worker_options_t *options = given;
    limits_t limits;
    if (options->server && (options->broker || options->join))
        snprintf (problem, problem_size,
                  "give one of --server http://HOST:3000, --broker tcp://HOST:5555 and --join CODE.");
    else if (options->server && !has_prefix (options->server, "http://") && !has_prefix (options->server, "https://"))
        snprintf (problem, problem_size, "--server must begin with http:// or https://.");
    else if (options->broker && !has_prefix (options->broker, "tcp://") && !has_prefix (options->broker, "ipc://"))
        snprintf (problem, problem_size, "--broker must begin with tcp:// or ipc://.");
    else
        return (!options->ca || ca_check (options, problem, problem_size)) &&
               labels_check (options, problem, problem_size) &&
               worker_options_limits (options, &limits, problem, problem_size);
    return false;
}

const option_table_t worker_option_table = {
    .program = "gleaner-worker",
    .summary = "lends this machine: pulls jobs and runs them",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .check = check,
};

extern char **environ;

int worker_options_parse (int argc, char **argv, worker_options_t *options)
{
    return options_parse (&worker_option_table, argc, argv, environ, options);
}

void worker_options_fini (worker_options_t *options)
{
    options_fini (&worker_option_table, options);
}
