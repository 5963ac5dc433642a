/* token.c - whose token is used here, and keeping one: in a file of one's own, which the config file names. */
#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/config.h"
#include "cli/print.h"
#include "proto/clock.h"
#include "proto/secret.h"

enum { TOKEN_MAX = 4096 }; /* bytes; a JWT has its place */

static const option_t rows[] = { CLI_COMMON_ROWS };

#define TABLE(words, text)                                                                                             \
    {                                                                                                                  \
        .program = "gleaner " words, .summary = text, .rows = rows, .count = sizeof rows / sizeof *rows                \
    }

const option_table_t token_table = TABLE ("token", "whose token you use, and what it allows");
const option_table_t token_save_table =
    TABLE ("token save", "read a token from stdin, try it, and use it from now on; the server is kept with it");
const option_table_t token_forget_table = TABLE ("token forget", "use the saved token no more, and remove it");

/* ---- show ---- */

static const struct {
    const char *call;
    const char *words;
} abilities[] = {
    { "GET /api/jobs", "see jobs and what they print" }, { "POST /api/jobs/create", "submit and cancel jobs" },
    { "GET /api/jobs/get-job", "work as a worker" },     { "POST /api/workers/drain", "drain and resume workers" },
    { "GET /api/audit", "read who did what" },
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
    int64_t ends = number_of (who, "expiresAt");
    const char *name = text_of (who, "name");
    print_text (text_of (who, "role"), *name ? ", of " : "");
    print_text (name, "");
    if (ends) {
        span_format (ends - clock_wall_ms (), span, sizeof span);
        printf (", ends in %s", span);
    }
    puts (json_is_true (json_object_get (who, "required")) ? "" : ": the server asks for no token");
    for (size_t i = 0; i < sizeof abilities / sizeof *abilities; i++)
        if (allows (who, abilities[i].call))
            printf ("  may %s\n", abilities[i].words);
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
        print_json (who);
    else if (who)
        print_who (who);
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
        *status = cli_say (STATUS_USAGE, "there is no token on stdin: echo TOKEN | gleaner token save.");
    return plain;
}

/* The file beside the config file. */
static void token_path (const char *config, char out[CLI_PATH_SIZE])
{
    snprintf (out, CLI_PATH_SIZE, "%.*stoken", (int)(strrchr (config, '/') + 1 - config), config);
}

/* The config file stays as it was: so must what it names, or a token would go to the server of another. */
static void put_back (const char *path, const buf_t *old)
{
    if (old->len)
        config_write (path, buf_slice (old));
    else
        unlink (path);
}

/* As it is named from everywhere; a link stays one, since it may lead to another file some day. */
static const char *absolute (const char *path, char out[CLI_PATH_SIZE])
{
    size_t len = 0;
    if (path[0] == '/' || !getcwd (out, CLI_PATH_SIZE) || (len = strlen (out)) + strlen (path) + 2 > CLI_PATH_SIZE)
        return path;
    snprintf (out + len, CLI_PATH_SIZE - len, "%s%s", len > 1 ? "/" : "", path);
    return out;
}

static int keep (const common_t *options, const char *config)
{
    char path[CLI_PATH_SIZE];
    char problem[CLI_PATH_SIZE]; /* of a file that is not there, or of no use */
    char ca[CLI_PATH_SIZE];
    buf_t line = { 0 };
    buf_t old = { 0 };
    token_path (config, path);
    const config_line_t lines[] = { { "server", options->server },
                                    { "token-file", path },
                                    { "ca", options->ca ? absolute (options->ca, ca) : NULL } };
    secret_read (path, &old, problem, sizeof problem);
    int status = config_make_folders (path);
    buf_printf (&line, "%s\n", options->token);
    if (status == STATUS_GOOD)
        status = config_write (path, buf_slice (&line));
    if (status == STATUS_GOOD) {
        status = config_set (config, lines, options->ca ? 3 : 2);
        if (status != STATUS_GOOD)
            put_back (path, &old);
    }
    secret_fini (&line);
    secret_fini (&old);
    return status;
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
        status = keep (options, config);
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
    static const config_line_t none = { "token-file", NULL };
    char config[CLI_PATH_SIZE];
    char path[CLI_PATH_SIZE];
    cli_config_path (config);
    if (!*config)
        return cli_say (STATUS_NOT_FOUND, "no token is saved.");
    token_path (config, path);
    bool ours = access (path, F_OK) == 0;
    bool named = options->token_file && access (config, F_OK) == 0;
    if (!ours && !named)
        return cli_say (STATUS_NOT_FOUND, "no token is saved.");
    int status = named ? config_set (config, &none, 1) : STATUS_GOOD;
    if (status == STATUS_GOOD && ours && unlink (path) != 0)
        status = cli_say (STATUS_LOCAL, "cannot remove '%s': %s.", path, strerror (errno));
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
