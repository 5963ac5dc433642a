/* cli.h - what the commands of `gleaner` share: options, exit statuses, words on stderr.
 *
 * A command is an option table and a function, which commands.c's table names. It gets the arguments behind its name,
 * says what went wrong in one sentence on stderr, and returns the status to exit with.
 */
#ifndef GLEANER_CLI_H
#define GLEANER_CLI_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/options.h"

/* Exit statuses; README.md tells them to users. Those of a job that ended by itself are its own, 0 to 255. */
enum {
    STATUS_GOOD = 0,
    STATUS_NOT_FOUND = 1, /* there is no such thing, or nothing to tell */
    STATUS_USAGE = 2,
    STATUS_NO_CODE = 120, /* the job has ended without an exit code of its own: its reason was told */
    STATUS_AWAY = 121,    /* the server cannot be reached, or does not answer as one */
    STATUS_REFUSED = 122, /* the server has refused */
    STATUS_LOCAL = 123,   /* something of this machine: a folder, a file, its disk */
    STATUS_UNREAD = 141,  /* nobody reads what is printed any more: as a shell has it */
    STATUS_CUT = 130,     /* Ctrl-C; the job was cancelled or left running, as was said */
};

typedef enum {
    TOKEN_NONE,
    TOKEN_VARIABLE, /* GLEANER_TOKEN */
    TOKEN_FILE,     /* --token-file, or its variable */
    TOKEN_CONFIG,   /* the config file's token-file */
    TOKEN_SAVED,
} token_from_t;

/* What every command takes; the first member of its options. */
typedef struct {
    const char *server;
    const char *token_file;
    const char *token; /* the one to show to that server; NULL: none */
    const char *ca;
    bool json;
    token_from_t token_from;
    const char *elsewhere; /* without a token: another server that one is saved for; NULL: none is */
} common_t;

#define CLI_COMMON_ROWS                                                                                                \
    { .name = "server",                                                                                                \
      .type = OPT_TEXT,                                                                                                \
      .at = offsetof (common_t, server),                                                                               \
      .fallback = "http://127.0.0.1:3000",                                                                             \
      .alias = "GLEANER_SERVER",                                                                                       \
      .value = "URL",                                                                                                  \
      .help = "the gateway to ask" },                                                                                  \
        { .name = "token-file",                                                                                        \
          .type = OPT_TEXT,                                                                                            \
          .at = offsetof (common_t, token_file),                                                                       \
          .alias = "GLEANER_TOKEN_FILE",                                                                               \
          .value = "FILE",                                                                                             \
          .help = "file that holds your token; in the config file: for its server alone; or the token itself in "      \
                  "GLEANER_TOKEN" },                                                                                   \
        { .name = "ca",                                                                                                \
          .type = OPT_TEXT,                                                                                            \
          .at = offsetof (common_t, ca),                                                                               \
          .alias = "GLEANER_CA",                                                                                       \
          .value = "FILE",                                                                                             \
          .help = "trust only certificates that lead to one in FILE (PEM); default: the system's" },                   \
    {                                                                                                                  \
        .name = "json", .type = OPT_FLAG, .at = offsetof (common_t, json), .help = "print JSON, for programs"          \
    }

enum { CLI_COMMON = 4, CLI_IN_CONFIG = 3 }; /* rows; those of them that a config file may hold */

enum { CLI_PATH_SIZE = 4096 };

typedef int command_fn (int argc, char **argv);

command_fn artifacts_command, cancel_command, completion_command, doctor_command, drain_command, help_command,
    jobs_command, logs_command, resume_command, retry_command, run_command, status_command, submit_command,
    token_command, token_create_command, token_forget_command, token_list_command, token_revoke_command,
    token_save_command, top_command, up_command, wait_command, workers_command;

/* As options_parse, with the user's config file and the token for the server (tokens.h). `table` need not name a config
 * file. */
int cli_parse (const option_table_t *table, int argc, char **argv, common_t *options);
/* The same without a token. */
int cli_parse_options (const option_table_t *table, int argc, char **argv, common_t *options);
/* Frees what cli_parse has made. */
void cli_fini (const option_table_t *table, common_t *options);
/* The user's config file: $XDG_CONFIG_HOME/gleaner/gleaner.conf, or below ~/.config (XDG Base Directory
 * Specification), whether it is there or not; empty: no home. */
void cli_config_path (char out[CLI_PATH_SIZE]);
/* The path of another program of ours: beside this one, or in PATH. False: there is none. */
bool cli_find_program (const char *name, char path[CLI_PATH_SIZE]);
/* What came from elsewhere must not steer the terminal: its control characters become '?'. Returns `text`. */
char *cli_plain (char *text);
/* Adds SIGHUP, unless it is ignored, as nohup has it: a blocked signal comes whether it is ignored or not. */
void cli_add_hangup (sigset_t *set);
/* Says "gleaner: ..." on stderr, in one line whatever the text holds. Returns `status`. */
int cli_say (int status, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

#endif
