/* options.h - options declared once: a row gives the command line, environment and config-file form, default, range and
 * help.
 *
 * Precedence: command line, then environment (GLEANER_<PROGRAM>_<NAME>, and the row's own alias), then config file
 * (--config FILE, lines `name = value`, `#` comments), then the default. Every program also has --help, --version,
 * --config and --options-as, and those with a `check` have --check-config. An empty variable, and an empty value in a
 * config file, are none. What cannot be used is one sentence that names where it stood (flag, variable, or file:line)
 * and the nearest known name, and exit status 2.
 */
#ifndef GLEANER_OPTIONS_H
#define GLEANER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum {
    OPT_TEXT,     /* const char * */
    OPT_INT,      /* int64_t */
    OPT_BYTES,    /* int64_t; "64K", "10M", "1G" (powers of 1024) */
    OPT_DURATION, /* int64_t in ms; "500ms", "30s", "5m", "2h"; a bare number is seconds */
    OPT_FLAG,     /* bool; on the command line without a value, elsewhere true/false/1/0/yes/no */
    OPT_CHOICE,   /* const char *; one of `choices`, separated by '|' */
    OPT_LINES,    /* const char *; given again and again on the command line: the values, each ended by a newline */
} option_type_t;

/* What stands behind `--`: another program's arguments. Borrowed from argv. */
typedef struct {
    int count;
    char **args;
} options_rest_t;

typedef struct {
    const char *name; /* "work-dir": --work-dir, GLEANER_WORKER_WORK_DIR, work-dir = */
    option_type_t type;
    size_t at;            /* offsetof in the program's options struct */
    const char *fallback; /* default, in the form a user would type; NULL: unset (NULL, 0 or false) */
    int64_t min, max;     /* of numbers, in the type's base unit; both 0: unbounded */
    const char *alias;    /* another environment variable that is honoured, or NULL */
    const char *choices;  /* OPT_CHOICE */
    const char *value;    /* word for the value in --help: "DIR", "ADDR"; NULL for flags */
    char letter;          /* 'f': -f is the same; 0: none */
    bool live;            /* a running program takes another value over on SIGHUP (reload.h) */
    const char *help;     /* one line */
} option_t;

/* Whether values that are good by themselves are so together, and files that they name can be used. False and one
 * sentence in `problem`. Nothing is started or changed. */
typedef bool options_check_fn (const void *options, char *problem, size_t problem_size);

typedef struct {
    const char *program; /* "gleaner-broker", or "gleaner-broker token create"; what follows "gleaner-" or "gleaner "
                          * makes the environment prefix */
    const char *summary; /* one line for --help */
    const option_t *rows;
    size_t count;
    const char *operand;     /* the row that a bare argument stands for; NULL: none may */
    const char *rest;        /* word in --help for what may stand behind `--`; NULL: nothing may */
    size_t rest_at;          /* offsetof an options_rest_t in the options struct */
    const char *config;      /* a config file that is read if it is there, and no other is named; NULL: none */
    size_t config_rows;      /* a config file may hold the first so many rows; 0: all */
    size_t common;           /* the first so many rows are told of elsewhere, for all commands at once */
    options_check_fn *check; /* NULL: there is no more to check, and no --check-config */
} option_table_t;

enum {
    OPTIONS_RUN = -1,   /* go on and run */
    OPTIONS_CHECK = -2, /* --check-config: look at what only the program can tell, say options_fine, and end */
};

/* The rows of every program that runs on: its log. `of` is the struct that has `log_level` and `log_format`. */
#define OPTIONS_LOG_ROWS(of)                                                                                           \
    { .name = "log-level",                                                                                             \
      .type = OPT_CHOICE,                                                                                              \
      .at = offsetof (of, log_level),                                                                                  \
      .fallback = "info",                                                                                              \
      .choices = "debug|info|warn|error",                                                                              \
      .value = "LEVEL",                                                                                                \
      .live = true,                                                                                                    \
      .help = "lowest level that is logged" },                                                                         \
    {                                                                                                                  \
        .name = "log-format", .type = OPT_CHOICE, .at = offsetof (of, log_format), .fallback = "auto",                 \
        .choices = "auto|text|json|journal", .value = "FORM",                                                          \
        .help = "form of the log on stderr; auto: the journal's where it leads to the journal, else text"              \
    }

/* Fills `options` (the caller's struct, zeroed) from argv, environment, config file and defaults. Returns OPTIONS_RUN,
 * or the status to exit with: 0 after --help, --version or --options-as (printed to stdout), 2 after one sentence on
 * stderr. Text values live until options_fini; there are none unless OPTIONS_RUN or OPTIONS_CHECK is returned. */
int options_parse (const option_table_t *table, int argc, char **argv, char **environ_p, void *options);
/* The same of defaults and config file alone, for one that has been parsed already. True, and the text values live
 * until options_fini, or false and there are none. */
bool options_read_config (const option_table_t *table, int argc, char **argv, char **environ_p, void *options);
/* Whether the environment sets that option. */
bool options_by_environment (const option_table_t *table, const char *option, char **environ_p);
/* Whether the command line, which has been parsed already, sets it. */
bool options_by_line (const option_table_t *table, const char *option, int argc, char **argv);
/* Frees what the text values of `options` own. */
void options_fini (const option_table_t *table, void *options);
/* What --check-config says when nothing is wrong. Returns 0, the status to exit with. */
int options_fine (const option_table_t *table);
/* Prints the table as --help does. */
void options_help (const option_table_t *table, FILE *out);
/* Prints the table as --options-as does: `config`, a config file in which every row stands at its default, commented
 * out; `man` and `man-config`, a list in mdoc(7) of a program's options or of its config file's names; `markdown`, a
 * table. False when there is no such format, and nothing was printed. */
bool options_reference (const option_table_t *table, const char *format, FILE *out);

#define GLEANER_VERSION "0.3.0"

#endif
