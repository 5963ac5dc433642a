#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/artifacts.h"
#include "cli/commands.h"
#include "cli/follow.h"
#include "cli/print.h"
#include "cli/submit.h"

/* The job's files come back into the folder that was sent, or beside the ZIP: into the current one. */
static int fetch (client_t *client, const submit_options_t *options, const json_t *job)
{
    const char *note = text_of (job, "artifactsNote");
    if (*note)
        cli_say (0, "%s", note);
    if (!*text_of (job, "artifactsUrl"))
        return STATUS_GOOD;
    struct stat info;
    bool folder = stat (options->project, &info) == 0 && S_ISDIR (info.st_mode);
    return artifacts_fetch (client, text_of (job, "jobId"), folder ? options->project : ".",
                            options->artifact ? options->artifact : "", UNPACK_MAX);
}

static int run (client_t *client, const submit_options_t *options)
{
    json_t *made = NULL;
    json_t *job = NULL;
    int status = submit (client, options, &made);
    if (status)
        return status;
    follow_order_t order = { .job = text_of (made, "jobId"), .tell = true, .ctrl_c = CTRL_C_ASKS };
    if (isatty (STDERR_FILENO))
        cli_say (0, "%s", order.job);
    order.silent = options->common.json;
    order.raw = options->raw;
    status = follow_job (client, &order, &job);
    if (job)
        json_object_set (job, "sentBytes", json_object_get (made, "sentBytes"));
    json_decref (made);
    if (!job)
        return status;
    int fetched = fetch (client, options, job);
    if (options->common.json)
        print_json (job);
    status = ended_status (job);
    json_decref (job);
    return status ? status : fetched;
}

int run_command (int argc, char **argv)
{
    submit_options_t options = { 0 };
    int status = cli_parse (&run_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    client_t *client = client_new (&options.common);
    status = run (client, &options);
    client_destroy (&client);
    cli_fini (&run_table, &options.common);
    return status;
}
