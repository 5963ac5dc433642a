/* token.c - whose token is used here, and keeping one: in a file of one's own, which the config file names. */
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/tokens.h"
#include "proto/clock.h"

enum { TOKEN_MAX = 4096 }; /* bytes; a JWT has its place */

static const option_t rows[] = { CLI_COMMON_ROWS };

#define TABLE(words, text)                                                                                             \
    {                                                                                                                  \
        .program = "gleaner " words, .summary = text, .rows = rows, .count = sizeof rows / sizeof *rows                \
    }

const option_table_t token_table = TABLE ("token", "whose token you use, where it is kept, and what it allows");
const option_table_t token_save_table = TABLE (
    "token save",
    "read a token from stdin, try it, and use it for its server from now on; that server is the one to ask, then");
const option_table_t token_forget_table =
    TABLE ("token forget", "remove the token that is saved for the server, and use it no more");

/* ---- show ---- */

static const struct {
    const char *call;
    const char *words;
    bool asked; /* only where a token is asked for */
} abilities[] = {
    { "GET /api/jobs", "see jobs and what they print", false },
    { "POST /api/jobs/create", "submit and cancel jobs", false },
    { "GET /api/jobs/get-job", "work as a worker", false },
    { "POST /api/workers/drain", "drain and resume workers", false },
    { "GET /api/audit", "read who did what", false },
    { "POST /api/tokens/create", "make and revoke tokens", true },
};

static bool allows (const json_t *who, const char *call)
{
    size_t at;
    json_t *one;
    json_array_foreach (json_object_get (who, "calls"), at, one)
    {
        if (json_is_string (one) && strcmp (json_string_value (one), call) == 0)
            return true;
    }
    return false;
}

static void print_who (const json_t *who)
{
    char span[32];
    bool asks = json_is_true (json_object_get (who, "required"));
    int64_t ends = number_of (who, "expiresAt");
    const char *name = text_of (who, "name");
    print_text (text_of (who, "role"), *name ? ", of " : "");
    print_text (name, "");
    if (ends) {
        span_format (ends - clock_wall_ms (), span, sizeof span);
        printf (", ends in %s", span);
    }
    puts (asks ? "" : ": the server asks for no token");
    for (size_t i = 0; i < sizeof abilities / sizeof *abilities; i++)
        if (allows (who, abilities[i].call) && (asks || !abilities[i].asked))
            printf ("  may %s\n", abilities[i].words);
}

static void print_source (const common_t *options)
{
    char source[CLI_PATH_SIZE + 64];
    tokens_source (options, source, sizeof source);
    if (*source)
        printf ("  the token %s\n", source);
    else if (options->elsewhere)
        printf ("  a token is saved for %s, and goes to no other server\n", options->elsewhere);
}

static void print_source_json (const common_t *options, json_t *who)
{
    static const char *const words[] = { "none", "variable", "file", "config", "saved" };
    json_object_set_new (who, "server", json_string (options->server));
    json_object_set_new (who, "tokenFrom", json_string (words[options->token_from]));
    print_json (who);
}

/* Who the token makes us. The answer is the caller's to end; NULL after one sentence. */
static const json_t *ask_who (client_t *client, answer_t *answer, int *status)
{
    client_ask (client, "GET", "/api/session", NULL, answer);
    const json_t *who = client_need (answer, status);
    if (who && !*text_of (who, "role")) {
        *status = cli_say (STATUS_AWAY, "the server answers, but not as a gateway does: is the address right?");
        return NULL;
    }
    return who;
}

int token_command (int argc, char **argv)
{
    common_t options = { 0 };
    answer_t answer;
    int status = cli_parse (&token_table, argc, argv, &options);
    if (status != OPTIONS_RUN)
        return status;
    status = STATUS_GOOD;
    client_t *client = client_new (&options);
    const json_t *who = ask_who (client, &answer, &status);
    if (who && options.json)
        print_source_json (&options, answer.json);
    else if (who)
        print_who (who), print_source (&options);
    answer_fini (&answer);
    client_destroy (&client);
    cli_fini (&token_table, &options);
    return status;
}

/* ---- save ---- */

static volatile sig_atomic_t ended_by;

static void on_end (int number)
{
    ended_by = number;
}

/* What is typed, unseen, up to Enter. False: it was given up. */
static bool read_keys (char text[TOKEN_MAX])
{
    size_t len = 0;
    for (char key;;) {
        if (read (STDIN_FILENO, &key, 1) != 1 || key == 3)
            return false;
        if (key == '\r' || key == '\n' || key == 4)
            break;
        if (key == 127 || key == '\b')
            len -= len > 0;
        else if (key == 21)
            len = 0;
        else if (len < TOKEN_MAX - 1)
            text[len++] = key;
    }
    text[len] = '\0';
    return true;
}

/* At a terminal, which is as before afterwards, even when a signal ends us. */
static bool ask (char text[TOKEN_MAX])
{
    struct termios before;
    struct sigaction end = { .sa_handler = on_end };
    tcgetattr (STDIN_FILENO, &before);
    struct termios silent = before;
    silent.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    sigaction (SIGTERM, &end, NULL);
    sigaction (SIGHUP, &end, NULL);
    fputs ("Token (it is not shown): ", stderr);
    tcsetattr (STDIN_FILENO, TCSAFLUSH, &silent);
    bool good = read_keys (text);
    tcsetattr (STDIN_FILENO, TCSAFLUSH, &before);
    fputs ("\n", stderr);
    signal (SIGTERM, SIG_DFL);
    signal (SIGHUP, SIG_DFL);
    if (ended_by)
        raise (ended_by);
    return good;
}

static bool read_token (char text[TOKEN_MAX], int *status)
{
    if (isatty (STDIN_FILENO)) {
        if (!ask (text)) {
            *status = STATUS_CUT;
            return false;
        }
    } else if (!fgets (text, TOKEN_MAX, stdin)) {
        text[0] = '\0';
    }
    size_t begin = strspn (text, " \t\r\n");
    size_t len = strcspn (text + begin, " \t\r\n");
    memmove (text, text + begin, len);
    text[len] = '\0';
    bool plain = len > 0 && len < TOKEN_MAX - 2;
    for (size_t i = 0; i < len; i++)
        plain = plain && text[i] > ' ' && text[i] < 127;
    if (!plain)
        *status =
            cli_say (STATUS_USAGE, "there is no token on stdin: gleaner token save <FILE; or alone, and type it.");
    return plain;
}

static int save (common_t *options)
{
    char config[CLI_PATH_SIZE];
    answer_t answer;
    int status = STATUS_GOOD;
    cli_config_path (config);
    if (!*config)
        return cli_say (STATUS_LOCAL, "neither HOME nor XDG_CONFIG_HOME says where to keep it.");
    client_t *client = client_new (options);
    const json_t *who = ask_who (client, &answer, &status);
    if (who && !json_is_true (json_object_get (who, "required")))
        status = cli_say (STATUS_REFUSED, "%s asks for no token, so that this one cannot be tried: nothing was kept.",
                          options->server);
    else if (who)
        status = tokens_keep (config, options);
    if (who && status == STATUS_GOOD && options->json)
        print_json (who);
    else if (who && status == STATUS_GOOD)
        print_who (who);
    answer_fini (&answer);
    client_destroy (&client);
    return status;
}

int token_save_command (int argc, char **argv)
{
    common_t options = { 0 };
    char text[TOKEN_MAX];
    int status = cli_parse_options (&token_save_table, argc, argv, &options);
    if (status != OPTIONS_RUN)
        return status;
    if (read_token (text, &status)) {
        options.token = xstrdup (text);
        status = save (&options);
        sodium_memzero ((char *)(uintptr_t)options.token, strlen (options.token));
    }
    sodium_memzero (text, sizeof text);
    cli_fini (&token_save_table, &options);
    return status;
}

/* ---- forget ---- */

static int forget (const common_t *options)
{
    char config[CLI_PATH_SIZE];
    cli_config_path (config);
    if (!*config)
        return cli_say (STATUS_NOT_FOUND, "no token is saved.");
    int status = tokens_forget (config, options);
    if (status == STATUS_GOOD && getenv ("GLEANER_TOKEN"))
        cli_say (
            0, "it is forgotten here, but GLEANER_TOKEN still counts; the server still takes it until it is revoked.");
    else if (status == STATUS_GOOD)
        cli_say (0, "it is forgotten here; the server still takes it until it is revoked.");
    return status;
}

int token_forget_command (int argc, char **argv)
{
    common_t options = { 0 };
    int status = cli_parse_options (&token_forget_table, argc, argv, &options);
    if (status != OPTIONS_RUN)
        return status;
    status = forget (&options);
    cli_fini (&token_forget_table, &options);
    return status;
}
