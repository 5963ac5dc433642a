/* token_admin.c - an admin makes, lists and revokes tokens from afar (rules 55 to 57 of proto/README.md).
 *
 * A token's secret is made here and never leaves: the server gets its hash, and answers with the id that goes before
 * it. So a request whose answer was lost is sent again, and makes no second token.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "proto/clock.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/message.h"
#include "proto/token_text.h"

enum {
    PAGES_MAX = 40, /* of TOKENS_MAX entries: a broker has 10,000 at most */
};

typedef struct {
    common_t common;
    const char *role, *name, *which;
    int64_t expires_ms;
} options_t;

/* Nobody may go on as if a token were gone, or there were none, by the word of something else. */
static int say_no_gateway (const options_t *options)
{
    return cli_say (STATUS_AWAY, "%s answers, but names no token: is the address right?", options->common.server);
}

/* ---- create ---- */

static const option_t create_rows[] = {
    CLI_COMMON_ROWS,
    { .name = "role",
      .type = OPT_CHOICE,
      .at = offsetof (options_t, role),
      .choices = "admin|submitter|worker|viewer",
      .value = "ROLE",
      .help = "what its holder may do" },
    { .name = "name",
      .type = OPT_TEXT,
      .at = offsetof (options_t, name),
      .value = "NAME",
      .help = "whose it is: the owner of the jobs that are submitted with it; default: the token's id" },
    { .name = "expires",
      .type = OPT_DURATION,
      .at = offsetof (options_t, expires_ms),
      .min = TOKEN_LIFE_MIN,
      .max = TOKEN_LIFE_MAX,
      .value = "TIME",
      .help = "how long it counts, 90d for example; default: until it is revoked" },
};

const option_table_t token_create_table = { .program = "gleaner token create",
                                            .summary = "make a token and print it, this once; for admins",
                                            .rows = create_rows,
                                            .count = sizeof create_rows / sizeof *create_rows };

static json_t *order_of (const options_t *options, const unsigned char secret[TOKEN_SECRET])
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[SHA256_HEX + 1];
    crypto_hash_sha256 (hash, secret, TOKEN_SECRET);
    hex_format (hash, sizeof hash, hex);
    json_t *order = json_pack ("{s:s, s:s}", "role", options->role, "secretHash", hex);
    if (options->name)
        json_object_set_new (order, "name", json_string (options->name));
    if (options->expires_ms)
        json_object_set_new (order, "forMs", json_integer (options->expires_ms));
    return order;
}

static int print_token (const options_t *options, const json_t *made, const char *token)
{
    static const char *const told[] = { "identity", "name", "role", "createdAt", "expiresAt" };
    json_t *out = json_pack ("{s:s}", "token", token);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        json_object_set (out, told[i], json_object_get (made, told[i]));
    if (options->common.json)
        print_json (out);
    else
        puts (token);
    json_decref (out);
    if (fflush (stdout) != 0 || ferror (stdout))
        return cli_say (STATUS_LOCAL, "the token could not be printed: gleaner token revoke %s, and make another.",
                        text_of (made, "identity"));
    cli_say (0, "token %s for %s (%s): keep it, it is not shown again.", text_of (made, "identity"),
             text_of (made, "name"), text_of (made, "role"));
    return STATUS_GOOD;
}

static int create (const options_t *options)
{
    unsigned char secret[TOKEN_SECRET];
    char token[TOKEN_TEXT_MAX];
    answer_t answer = { 0 };
    int status = STATUS_GOOD;
    randombytes_buf (secret, sizeof secret);
    json_t *order = order_of (options, secret);
    client_t *client = client_new (&options->common);
    /* The hash makes a second try safe: the token that the first one may have made is found again. */
    int tries = 0;
    do
        client_ask (client, "POST", "/api/tokens/create", order, &answer);
    while (client_tries_again (&answer, ++tries));
    const json_t *made = client_need (&answer, &status);
    if (made && identity_id_good (text_of (made, "identity"))) {
        token_text_format (text_of (made, "identity"), secret, token);
        status = print_token (options, made, token);
    } else if (made) {
        status = say_no_gateway (options);
    }
    sodium_memzero (secret, sizeof secret);
    sodium_memzero (token, sizeof token);
    json_decref (order);
    answer_fini (&answer);
    client_destroy (&client);
    return status;
}

int token_create_command (int argc, char **argv)
{
    options_t options = { 0 };
    int status = cli_parse (&token_create_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    if (sodium_init () < 0)
        status = cli_say (STATUS_LOCAL, "libsodium cannot start.");
    else if (!options.role)
        status = cli_say (STATUS_USAGE, "--role is missing: admin, submitter, worker or viewer.");
    else if (options.name && !utf8_valid (slice_of (options.name)))
        status = cli_say (STATUS_USAGE, "the value of 'name' is not UTF-8.");
    else
        status = create (&options);
    cli_fini (&token_create_table, &options.common);
    return status;
}

/* ---- list ---- */

static const option_t list_rows[] = { CLI_COMMON_ROWS };

const option_table_t token_list_table = { .program = "gleaner token list",
                                          .summary = "list tokens, keys and join codes, the newest first; for admins",
                                          .rows = list_rows,
                                          .count = sizeof list_rows / sizeof *list_rows };

static void print_tokens (const json_t *tokens)
{
    static const char *const head[] = { "ID", "KIND", "ROLE", "STATE", "CREATED", "ENDS", "WORKER", "NAME" };
    grid_t grid = { .columns = sizeof head / sizeof *head };
    int64_t now = clock_wall_ms ();
    size_t at;
    json_t *token;
    for (size_t i = 0; i < grid.columns; i++)
        grid_add (&grid, head[i]);
    json_array_foreach (tokens, at, token)
    {
        char text[CELL_SIZE];
        char span[32];
        int64_t left = number_of (token, "expiresAt") - now;
        grid_add (&grid, text_of (token, "identity"));
        grid_add (&grid, text_of (token, "kind"));
        grid_add (&grid, text_of (token, "role"));
        grid_add (&grid, text_of (token, "state"));
        ago_format (number_of (token, "createdAt"), now, text, sizeof text);
        grid_add (&grid, text);
        span_format (left, span, sizeof span);
        snprintf (text, sizeof text, "in %s", span);
        grid_add (&grid, left > 0 ? text : "");
        grid_add (&grid, text_of (token, "workerId"));
        grid_add (&grid, text_of (token, "name"));
    }
    if (at)
        grid_print (&grid, stdout);
    else
        puts ("no tokens");
    free (grid.cells);
}

/* Page by page; `tokens` gets the entries. */
static int read_all (client_t *client, const options_t *options, json_t *tokens)
{
    int status = STATUS_GOOD;
    char cursor[ID_MAX + 1] = "";
    for (int page = 0; page < PAGES_MAX; page++) {
        answer_t answer;
        buf_t path = { 0 };
        buf_printf (&path, "/api/tokens?limit=%d", TOKENS_MAX);
        path_add (&path, "cursor", *cursor ? slice_of (cursor) : SLICE_ABSENT);
        client_ask (client, "GET", path.ptr, NULL, &answer);
        const json_t *json = client_need (&answer, &status);
        if (json && json_array_extend (tokens, json_object_get (json, "tokens")) != 0)
            status = say_no_gateway (options);
        snprintf (cursor, sizeof cursor, "%s", json ? text_of (json, "cursor") : "");
        answer_fini (&answer);
        buf_fini (&path);
        if (!*cursor || status != STATUS_GOOD)
            break;
    }
    return status;
}

int token_list_command (int argc, char **argv)
{
    options_t options = { 0 };
    int status = cli_parse (&token_list_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    client_t *client = client_new (&options.common);
    json_t *tokens = json_array ();
    status = read_all (client, &options, tokens);
    if (status == STATUS_GOOD && options.common.json)
        print_json (tokens);
    else if (status == STATUS_GOOD)
        print_tokens (tokens);
    json_decref (tokens);
    client_destroy (&client);
    cli_fini (&token_list_table, &options.common);
    return status;
}

/* ---- revoke ---- */

static const option_t revoke_rows[] = {
    CLI_COMMON_ROWS,
    { .name = "which",
      .type = OPT_TEXT,
      .at = offsetof (options_t, which),
      .value = "ID|NAME",
      .help = "the token's id, or its name when no other one has it" },
};

const option_table_t token_revoke_table = { .program = "gleaner token revoke",
                                            .summary = "take a token, key or join code back; for admins",
                                            .rows = revoke_rows,
                                            .count = sizeof revoke_rows / sizeof *revoke_rows,
                                            .operand = "which" };

/* A whole token is not sent: whoever answers may be another server. */
static int check_which (const char *which)
{
    slice_t id;
    unsigned char secret[TOKEN_SECRET];
    if (!which)
        return cli_say (STATUS_USAGE, "say which: gleaner token revoke ID|NAME, see gleaner token list.");
    if (!utf8_valid (slice_of (which)))
        return cli_say (STATUS_USAGE, "what is to be revoked is no name: it is not UTF-8.");
    bool whole = token_text_read (slice_of (which), &id, secret);
    sodium_memzero (secret, sizeof secret);
    return whole
               ? cli_say (STATUS_USAGE, "that is a whole token: say its id alone, gleaner token revoke " SLICE_FMT ".",
                          SLICE_ARG (id))
               : STATUS_GOOD;
}

static int take_back (const options_t *options)
{
    answer_t answer;
    int status = STATUS_GOOD;
    client_t *client = client_new (&options->common);
    json_t *body = json_pack ("{s:s}", "which", options->which);
    client_ask (client, "POST", "/api/tokens/revoke", body, &answer);
    const json_t *gone = client_need (&answer, &status);
    if (gone && !identity_id_good (text_of (gone, "identity"))) {
        status = say_no_gateway (options);
    } else if (gone && options->common.json) {
        print_json (gone);
    } else if (gone) {
        bool before = json_is_true (json_object_get (gone, "alreadyRevoked"));
        print_text (text_of (gone, "identity"), " of ");
        print_text (text_of (gone, "name"), before ? " was revoked before\n" : " is revoked\n");
    }
    json_decref (body);
    answer_fini (&answer);
    client_destroy (&client);
    return status;
}

int token_revoke_command (int argc, char **argv)
{
    options_t options = { 0 };
    int status = cli_parse (&token_revoke_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    status = check_which (options.which);
    if (status == STATUS_GOOD)
        status = take_back (&options);
    cli_fini (&token_revoke_table, &options.common);
    return status;
}
