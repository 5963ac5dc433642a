#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "proto/nearest.h"

typedef struct {
    const char *name;
    command_fn *run;
    const char *summary;
} command_t;

static const command_t commands[] = {
    { "run", run_command, "run commands on a worker, in a copy of this folder, and show what they print" },
    { "submit", submit_command, "the same, without waiting: prints the job's id" },
    { "status", status_command, "how a job is, and why" },
    { "logs", logs_command, "what a job has printed; -f: as it comes" },
    { "wait", wait_command, "wait until jobs are over" },
    { "cancel", cancel_command, "end jobs" },
    { "retry", retry_command, "submit a job anew: the same project, commands and options" },
    { "artifacts", artifacts_command, "fetch the files that a job has made" },
    { "jobs", jobs_command, "list jobs" },
    { "workers", workers_command, "list workers" },
    { "drain", drain_command, "give a worker no more jobs" },
    { "resume", resume_command, "give it jobs again" },
};

enum { COMMANDS = sizeof commands / sizeof *commands };

/* What could not be printed was not told. */
static int printed (int status)
{
    bool good = fflush (stdout) == 0 && !ferror (stdout);
    return good || status ? status : cli_say (STATUS_LOCAL, "what was asked for cannot be printed: is the disk full?");
}

static int help (FILE *out)
{
    fprintf (out, "gleaner: run jobs on idle PCs\n\nusage: gleaner COMMAND [OPTION ...]\n\n");
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf (out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf (
        out,
        "\n`gleaner COMMAND --help` tells a command's options. The server is --server URL or GLEANER_SERVER, your\n"
        "token GLEANER_TOKEN or --token-file FILE; both can stand in ~/.config/gleaner/gleaner.conf.\n");
    return out == stdout ? STATUS_GOOD : STATUS_USAGE;
}

int main (int argc, char **argv)
{
    signal (SIGPIPE, SIG_DFL);
    setlocale (LC_CTYPE, "C.UTF-8"); /* or the library cannot tell names of files in ZIPs */
    if (argc < 2)
        return help (stderr);
    const char *name = argv[1];
    if (strcmp (name, "--help") == 0 || strcmp (name, "-h") == 0 || strcmp (name, "help") == 0)
        return help (stdout);
    if (strcmp (name, "--version") == 0) {
        printf ("gleaner %s\n", GLEANER_VERSION);
        return STATUS_GOOD;
    }
    nearest_t nearest = nearest_begin (slice_of (name));
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp (name, commands[i].name) == 0)
            return printed (commands[i].run (argc - 1, argv + 1));
        nearest_try (&nearest, commands[i].name);
    }
    if (nearest.known)
        return cli_say (STATUS_USAGE, "unknown command '%.60s'; did you mean '%s'?", name, nearest.known);
    return cli_say (STATUS_USAGE, "unknown command '%.60s'; see gleaner --help.", name);
}
