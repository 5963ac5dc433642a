/* list_commands.c - jobs and workers, a line each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "proto/clock.h"

typedef struct {
    common_t common;
    const char *state, *worker, *label, *text;
    int64_t limit;
} options_t;

static int list (const option_table_t *table, int argc, char **argv, void (*path_of) (const options_t *, buf_t *),
                 void (*print) (const json_t *))
{
    options_t options = { 0 };
    int status = cli_parse (table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    client_t *client = client_new (&options.common);
    answer_t answer;
    buf_t path = { 0 };
    path_of (&options, &path);
    client_ask (client, "GET", path.ptr, NULL, &answer);
    status = STATUS_GOOD;
    const json_t *json = client_need (&answer, &status);
    if (json && options.common.json)
        print_json (json);
    else if (json)
        print (json);
    answer_fini (&answer);
    buf_fini (&path);
    client_destroy (&client);
    cli_fini (table, &options.common);
    return status;
}

static void add_head (grid_t *grid, const char *const *names)
{
    for (size_t i = 0; i < grid->columns; i++)
        grid_add (grid, names[i]);
}

/* ---- jobs ---- */

static void jobs_path (const options_t *options, buf_t *path)
{
    char limit[32];
    snprintf (limit, sizeof limit, "%lld", (long long)options->limit);
    buf_append_str (path, "/api/jobs?brief=true");
    path_add (path, "limit", slice_of (limit));
    path_add (path, "state", slice_of (options->state));
    path_add (path, "worker", slice_of (options->worker));
    path_add (path, "label", slice_of (options->label));
    path_add (path, "text", slice_of (options->text));
}

static void print_jobs (const json_t *answer)
{
    static const char *const head[] = { "JOB", "STATE", "CREATED", "TOOK", "WORKER", "WHAT" };
    grid_t grid = { .columns = 6 };
    size_t at;
    json_t *job;
    int64_t now = clock_wall_ms ();
    add_head (&grid, head);
    json_array_foreach (json_object_get (answer, "jobs"), at, job)
    {
        char text[CELL_SIZE];
        int64_t began = number_of (job, "startedAt");
        int64_t ended = number_of (job, "completedAt");
        const char *name = text_of (job, "name");
        const char *command = text_of (job, "command");
        grid_add (&grid, text_of (job, "jobId"));
        state_format (job, text, sizeof text);
        grid_add (&grid, text);
        ago_format (number_of (job, "createdAt"), now, text, sizeof text);
        grid_add (&grid, text);
        span_format ((ended ? ended : now) - began, text, sizeof text);
        grid_add (&grid, began ? text : "");
        grid_add (&grid, text_of (job, "workerId"));
        snprintf (text, sizeof text, "%.*s", (int)strcspn (command, "\n"), command);
        grid_add (&grid, *name ? name : text);
    }
    if (at)
        grid_print (&grid, stdout);
    else
        puts ("no jobs");
    free (grid.cells);
}

static const option_t jobs_rows[] = {
    CLI_COMMON_ROWS,
    { .name = "state",
      .type = OPT_CHOICE,
      .at = offsetof (options_t, state),
      .choices = "pending|running|completed|failed",
      .value = "STATE",
      .help = "only those in this state" },
    { .name = "worker",
      .type = OPT_TEXT,
      .at = offsetof (options_t, worker),
      .value = "WORKER",
      .help = "only those whose last attempt this worker had" },
    { .name = "label",
      .type = OPT_TEXT,
      .at = offsetof (options_t, label),
      .value = "K=V",
      .help = "only those with this label; K alone: with any value" },
    { .name = "text",
      .type = OPT_TEXT,
      .at = offsetof (options_t, text),
      .value = "TEXT",
      .help = "only those whose id, command, file or name holds it" },
    { .name = "limit",
      .type = OPT_INT,
      .at = offsetof (options_t, limit),
      .fallback = "20",
      .min = 1,
      .max = 1000,
      .value = "N",
      .help = "so many at most, the newest first" },
};

const option_table_t jobs_table = { .program = "gleaner jobs",
                                    .summary = "list jobs, the newest first",
                                    .rows = jobs_rows,
                                    .count = sizeof jobs_rows / sizeof *jobs_rows };

int jobs_command (int argc, char **argv)
{
    return list (&jobs_table, argc, argv, jobs_path, print_jobs);
}

/* ---- workers ---- */

static void workers_path (const options_t *options, buf_t *path)
{
    (void)options;
    buf_append_str (path, "/api/workers/list");
}

static void print_workers (const json_t *answer)
{
    static const char *const head[] = { "WORKER", "HOST", "STATE", "JOBS", "SEEN" };
    grid_t grid = { .columns = 5 };
    size_t at;
    json_t *worker;
    add_head (&grid, head);
    json_array_foreach (json_object_get (answer, "workers"), at, worker)
    {
        char text[CELL_SIZE];
        const char *state = text_of (worker, "status");
        grid_add (&grid, text_of (worker, "workerId"));
        grid_add (&grid, text_of (worker, "hostname"));
        snprintf (text, sizeof text, "%s%s", state,
                  json_is_true (json_object_get (worker, "draining")) ? ", draining" : "");
        grid_add (&grid, text);
        snprintf (text, sizeof text, "%lld of %lld", (long long)number_of (worker, "runningJobs"),
                  (long long)number_of (worker, "slots"));
        grid_add (&grid, text);
        ago_format (number_of (worker, "lastHeartbeat"), clock_wall_ms (), text, sizeof text);
        grid_add (&grid, text);
    }
    if (at)
        grid_print (&grid, stdout);
    else
        puts ("no workers");
    free (grid.cells);
}

static const option_t workers_rows[] = { CLI_COMMON_ROWS };

const option_table_t workers_table = { .program = "gleaner workers",
                                       .summary = "list workers",
                                       .rows = workers_rows,
                                       .count = sizeof workers_rows / sizeof *workers_rows };

int workers_command (int argc, char **argv)
{
    return list (&workers_table, argc, argv, workers_path, print_workers);
}
