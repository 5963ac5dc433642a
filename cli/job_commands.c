/* job_commands.c - the commands that name jobs, or workers: one question to the server for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/print.h"
#include "proto/clock.h"
#include "proto/id.h"
#include "proto/lines.h"

typedef struct {
    common_t common;
    const char *names; /* lines */
    bool follow;
    int64_t attempt;
    bool raw;
} options_t;

#define NAMES_ROW(word, text)                                                                                          \
    {                                                                                                                  \
        .name = "id", .type = OPT_LINES, .at = offsetof (options_t, names), .value = word, .help = text                \
    }

static const option_t job_rows[] = { CLI_COMMON_ROWS, NAMES_ROW ("JOB...", "the jobs") };
static const option_t worker_rows[] = { CLI_COMMON_ROWS, NAMES_ROW ("WORKER...", "the workers' ids") };

/* What a command does with one name; its status. `out` may be given what --json prints of it. */
typedef int one_fn (client_t *client, const options_t *options, const char *name, json_t **out);

/* Takes all names, whatever becomes of one, until Ctrl-C; the first status that is not good counts. */
static int each (client_t *client, const options_t *options, one_fn *one)
{
    slice_t rest = slice_of (options->names);
    slice_t line;
    int first = STATUS_GOOD;
    json_t *all = json_array ();
    while (first != STATUS_CUT && first != STATUS_UNREAD && rest.ptr && lines_next (&rest, &line)) {
        json_t *out = NULL;
        char *name = slice_dup (line);
        int status = one (client, options, name, &out);
        if (out)
            json_array_append_new (all, out);
        first = first ? first : status;
        free (name);
    }
    if (options->common.json)
        print_json (json_array_size (all) == 1 ? json_array_get (all, 0) : all);
    json_decref (all);
    return first;
}

static int command (const option_table_t *table, int argc, char **argv, one_fn *one, const char *what)
{
    options_t options = { 0 };
    int status = cli_parse (table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    client_t *client = client_new (&options.common);
    status = options.names ? each (client, &options, one)
                           : cli_say (STATUS_USAGE, "which %s? See %s --help.", what, table->program);
    client_destroy (&client);
    cli_fini (table, &options.common);
    return status;
}

static int ask_about (client_t *client, const char *path, const char *job, answer_t *answer, json_t **json)
{
    buf_t whole = { 0 };
    int status = STATUS_GOOD;
    buf_append_str (&whole, path);
    path_add (&whole, "jobId", slice_of (job));
    client_ask (client, "GET", whole.ptr, NULL, answer);
    buf_fini (&whole);
    *json = client_need (answer, &status);
    return status;
}

/* ---- status ---- */

static void print_line (const char *name, const char *text)
{
    if (!*text)
        return;
    printf ("  %-10s ", name);
    print_text (text, "\n");
}

static void print_when (const char *name, const json_t *job, const char *field)
{
    char ago[48];
    ago_format (number_of (job, field), clock_wall_ms (), ago, sizeof ago);
    print_line (name, ago);
}

static void print_attempts (const json_t *job)
{
    size_t at;
    json_t *attempt;
    grid_t grid = { .columns = 5 };
    static const char *const head[] = { "  ATTEMPT", "STATE", "WORKER", "TOOK", "WHY" };
    for (size_t i = 0; i < 5; i++)
        grid_add (&grid, head[i]);
    json_array_foreach (json_object_get (job, "attempts"), at, attempt)
    {
        char text[64];
        int64_t began = number_of (attempt, "startedAt");
        int64_t ended = number_of (attempt, "completedAt");
        snprintf (text, sizeof text, "  %lld", (long long)number_of (attempt, "attempt"));
        grid_add (&grid, text);
        grid_add (&grid, text_of (attempt, "status"));
        grid_add (&grid, text_of (attempt, "workerId"));
        span_format ((ended ? ended : clock_wall_ms ()) - began, text, sizeof text);
        grid_add (&grid, began ? text : "");
        grid_add (&grid, text_of (attempt, "reason"));
    }
    if (grid.rows > 5)
        grid_print (&grid, stdout);
    free (grid.cells);
}

static void print_job (const json_t *job)
{
    char text[128];
    state_format (job, text, sizeof text);
    print_text (text_of (job, "jobId"), "  ");
    print_text (text, "\n");
    print_line ("name", text_of (job, "name"));
    print_line ("owner", text_of (job, "owner"));
    slice_t rest = slice_of (text_of (job, "command"));
    slice_t line;
    for (const char *name = "command"; rest.len && lines_next (&rest, &line); name = "") {
        char *one = slice_dup (line);
        print_line (*name ? name : " ", one);
        free (one);
    }
    print_line ("project", text_of (job, "filename"));
    print_line ("waiting", text_of (job, "waiting"));
    print_line ("why", text_of (job, "errorMessage"));
    print_when ("created", job, "createdAt");
    print_when ("started", job, "startedAt");
    print_when ("ended", job, "completedAt");
    bytes_format (number_of (job, "memoryPeakBytes"), text, sizeof text);
    print_line ("memory", number_of (job, "memoryPeakBytes") ? text : "");
    span_format (number_of (job, "cpuMs"), text, sizeof text);
    print_line ("cpu", json_is_integer (json_object_get (job, "cpuMs")) ? text : "");
    print_line ("artifacts", text_of (job, "artifactsUrl"));
    print_attempts (job);
}

static int show_one (client_t *client, const options_t *options, const char *name, json_t **out)
{
    answer_t answer;
    json_t *job = NULL;
    int status = ask_about (client, "/api/jobs/status", name, &answer, &job);
    if (job && options->common.json)
        *out = json_incref (job);
    else if (job)
        print_job (job);
    answer_fini (&answer);
    return status;
}

const option_table_t status_table = { .program = "gleaner status",
                                      .summary = "how a job is, and why",
                                      .rows = job_rows,
                                      .count = sizeof job_rows / sizeof *job_rows,
                                      .operand = "id" };

int status_command (int argc, char **argv)
{
    return command (&status_table, argc, argv, show_one, "job");
}

/* ---- logs, wait ---- */

static int logs_one (client_t *client, const options_t *options, const char *name, json_t **out)
{
    const follow_order_t order = {
        .job = name, .attempt = (int)options->attempt, .as_it_is = !options->follow, .raw = options->raw
    };
    int status = follow_job (client, &order, out);
    if (!options->common.json) {
        json_decref (*out);
        *out = NULL;
    }
    return status;
}

static const option_t logs_rows[] = {
    CLI_COMMON_ROWS,
    NAMES_ROW ("JOB...", "the jobs"),
    { .name = "follow",
      .letter = 'f',
      .type = OPT_FLAG,
      .at = offsetof (options_t, follow),
      .help = "go on until the job is over, with every attempt that comes" },
    { .name = "attempt",
      .type = OPT_INT,
      .at = offsetof (options_t, attempt),
      .min = 0,
      .max = 1000000,
      .value = "N",
      .help = "of that attempt; default: the last one" },
    { .name = "raw",
      .type = OPT_FLAG,
      .at = offsetof (options_t, raw),
      .help = "leave control characters as they are on a terminal: colours, but whatever else, too" },
};

const option_table_t logs_table = { .program = "gleaner logs",
                                    .summary = "what a job has printed, stdout and stderr apart",
                                    .rows = logs_rows,
                                    .count = sizeof logs_rows / sizeof *logs_rows,
                                    .operand = "id" };

int logs_command (int argc, char **argv)
{
    return command (&logs_table, argc, argv, logs_one, "job");
}

static int wait_one (client_t *client, const options_t *options, const char *name, json_t **out)
{
    const follow_order_t order = { .job = name, .silent = true };
    json_t *job = NULL;
    int status = follow_job (client, &order, &job);
    if (!job)
        return status;
    char state[96];
    state_format (job, state, sizeof state);
    if (options->common.json) {
        *out = json_incref (job);
    } else {
        print_text (name, "  ");
        print_text (state, "\n");
    }
    status = ended_status (job);
    json_decref (job);
    return status;
}

const option_table_t wait_table = { .program = "gleaner wait",
                                    .summary = "wait until jobs are over; exits as `gleaner run` would",
                                    .rows = job_rows,
                                    .count = sizeof job_rows / sizeof *job_rows,
                                    .operand = "id" };

int wait_command (int argc, char **argv)
{
    return command (&wait_table, argc, argv, wait_one, "job");
}

/* ---- cancel, drain, resume ---- */

static int post (client_t *client, const options_t *options, const char *path, json_t *body, json_t **out)
{
    answer_t answer;
    int status = STATUS_GOOD;
    client_ask (client, "POST", path, body, &answer);
    json_decref (body);
    json_t *json = client_need (&answer, &status);
    if (json && options->common.json)
        *out = json_incref (json);
    else if (json)
        print_text (text_of (json, "message"), "\n");
    answer_fini (&answer);
    return status;
}

static int cancel_one (client_t *client, const options_t *options, const char *name, json_t **out)
{
    return post (client, options, "/api/jobs/cancel", json_pack ("{s:s}", "jobId", name), out);
}

static int drain_one (client_t *client, const options_t *options, const char *name, json_t **out)
{
    return post (client, options, "/api/workers/drain", json_pack ("{s:s}", "workerId", name), out);
}

static int resume_one (client_t *client, const options_t *options, const char *name, json_t **out)
{
    return post (client, options, "/api/workers/resume", json_pack ("{s:s}", "workerId", name), out);
}

const option_table_t cancel_table = { .program = "gleaner cancel",
                                      .summary = "end jobs: at once in the record, and on their machines",
                                      .rows = job_rows,
                                      .count = sizeof job_rows / sizeof *job_rows,
                                      .operand = "id" };

int cancel_command (int argc, char **argv)
{
    return command (&cancel_table, argc, argv, cancel_one, "job");
}

const option_table_t drain_table = { .program = "gleaner drain",
                                     .summary = "give workers no more jobs; those that run there go on",
                                     .rows = worker_rows,
                                     .count = sizeof worker_rows / sizeof *worker_rows,
                                     .operand = "id" };

int drain_command (int argc, char **argv)
{
    return command (&drain_table, argc, argv, drain_one, "worker");
}

const option_table_t resume_table = { .program = "gleaner resume",
                                      .summary = "give workers jobs again",
                                      .rows = worker_rows,
                                      .count = sizeof worker_rows / sizeof *worker_rows,
                                      .operand = "id" };

int resume_command (int argc, char **argv)
{
    return command (&resume_table, argc, argv, resume_one, "worker");
}

/* ---- retry ---- */

/* What asks for the same job again; a direct job's worker was chosen by its machine, and the same one waits for it. */
static json_t *request_again (const json_t *job)
{
    static const char *const fields[] = { "command", "fileUrl",  "filename",    "timeoutMs", "maxAttempts",
                                          "name",    "priority", "env",         "onError",   "artifacts",
                                          "labels",  "requires", "retryOnExit", "backoffMs", "network",
                                          "image",   "memoryMb", "cpus",        "diskMb",    "pids",
                                          "deltaUrl" };
    json_t *request = json_object ();
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        json_t *value = json_object_get (job, fields[i]);
        if (value && !json_is_null (value))
            json_object_set (request, fields[i], value);
    }
    json_t *worker = json_object_get (job, "directWorker");
    if (json_is_string (worker)) {
        json_t *old = json_object_get (request, "requires");
        json_t *requires = json_is_object (old) ? json_copy (old) : json_object ();
        json_object_set (requires, "worker", worker);
        json_object_set_new (request, "requires", requires);
    }
    return request;
}

static int retry_one (client_t *client, const options_t *options, const char *name, json_t **out)
{
    answer_t answer;
    answer_t made = { 0 };
    json_t *job = NULL;
    char key[33];
    int status = ask_about (client, "/api/jobs/status", name, &answer, &job);
    if (job && json_array_size (json_object_get (job, "secretNames"))) {
        status =
            cli_say (STATUS_REFUSED, "%s had secrets, which nobody can read back: submit it anew, with them.", name);
    } else if (job) {
        json_t *request = request_again (job);
        random_id_make (key);
        json_object_set_new (request, "idempotencyKey", json_string (key));
        client_ask (client, "POST", "/api/jobs/create", request, &made);
        json_decref (request);
        job = client_need (&made, &status);
        if (job && options->common.json)
            *out = json_incref (job);
        else if (job)
            print_text (text_of (job, "jobId"), "\n");
    }
    answer_fini (&answer);
    answer_fini (&made);
    return status;
}

const option_table_t retry_table = { .program = "gleaner retry",
                                     .summary = "submit a job anew, and print the new one's id",
                                     .rows = job_rows,
                                     .count = sizeof job_rows / sizeof *job_rows,
                                     .operand = "id" };

int retry_command (int argc, char **argv)
{
    return command (&retry_table, argc, argv, retry_one, "job");
}
