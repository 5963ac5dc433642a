#include "broker/enroll.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/curve.h"
#include "broker/folder.h"
#include "broker/identities.h"
#include "proto/clock.h"
#include "proto/join.h"
#include "proto/options.h"
#include "proto/program.h"

enum { PROBLEM_SIZE = 1200, USES_MAX = 1000 };
#define HOUR_MS (60LL * 60 * 1000)

typedef struct {
    const char *data;
    const char *role;
    const char *name;
    const char *broker;
    int64_t expires_ms;
    int64_t uses;
} enroll_options_t;

#define AT(member) offsetof (enroll_options_t, member)

static const option_t rows[] = {
    { .name = "role",
      .type = OPT_CHOICE,
      .at = AT (role),
      .fallback = "worker",
      .choices = "worker|gateway",
      .value = "ROLE",
      .help = "what joins by it" },
    { .name = "broker",
      .type = OPT_TEXT,
      .at = AT (broker),
      .value = "ENDPOINT",
      .help = "where the broker is, seen from there: tcp://THIS-PC:5555" },
    { .name = "name",
      .type = OPT_TEXT,
      .at = AT (name),
      .fallback = "enrolled",
      .value = "NAME",
      .help = "a name for what joins by it, in `gleaner-broker token list`" },
    { .name = "expires",
      .type = OPT_DURATION,
      .at = AT (expires_ms),
      .fallback = "1h",
      .min = 1000,
      .max = 30 * 24 * HOUR_MS,
      .value = "TIME",
      .help = "how long the code can be used" },
    { .name = "uses",
      .type = OPT_INT,
      .at = AT (uses),
      .fallback = "1",
      .min = 1,
      .max = USES_MAX,
      .value = "N",
      .help = "how many may join by it" },
    { .name = "data",
      .type = OPT_TEXT,
      .at = AT (data),
      .alias = "GLEANER_BROKER_DATA",
      .value = "DIR",
      .help = "the broker's data directory; default ~/.local/state/gleaner-broker" },
};

static const option_table_t table = {
    .program = "gleaner-broker enroll",
    .summary = "makes a join code for --join of a worker or a gateway, and prints it, this once",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
};

extern char **environ;

static int refuse (const char *problem)
{
    return program_refuse ("gleaner-broker enroll", problem);
}

static bool add (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    if (identities_add (fresh, ctx))
        return true;
    snprintf (problem, size, "there are %d identities already: no more fit.", IDENTITIES_MAX);
    return false;
}

/* A join code's identity, and its secret. */
static void make (const enroll_options_t *options, identity_t *out, char secret[TOKEN_TEXT_MAX])
{
    char hash[SHA256_HEX + 1];
    *out = (identity_t){ .created_ms = clock_wall_ms () };
    token_make (out, secret);
    snprintf (hash, sizeof hash, "%.*s", SHA256_HEX, out->key);
    snprintf (out->kind, sizeof out->kind, IDENTITY_JOIN);
    snprintf (out->key, sizeof out->key, "%s:%lld", hash, (long long)options->uses);
    snprintf (out->name, sizeof out->name, "%s", options->name);
    role_find (slice_of (options->role), &out->role);
    out->expires_ms = out->created_ms + options->expires_ms;
}

static int print (const enroll_options_t *options, const curve_keys_t *keys, const char *secret)
{
    message_t code;
    buf_t text = { 0 };
    message_init (&code, MSG_JOIN_CODE);
    code.join_code.code = slice_of (secret);
    code.join_code.role = slice_of (options->role);
    code.join_code.endpoint = slice_of (options->broker);
    code.join_code.broker_key = slice_from (keys->public_key, CURVE_KEY);
    join_code_format (&code, &text);
    printf (SLICE_FMT "\n", SLICE_ARG (buf_slice (&text)));
    buf_fini (&text);
    fprintf (stderr, "There, once: gleaner-%s --join CODE\n", options->role);
    return ferror (stdout) || fflush (stdout) ? refuse ("the code could not be printed: make another.") : 0;
}

static int enroll (const enroll_options_t *options)
{
    char problem[PROBLEM_SIZE];
    char folder[FOLDER_PATH_MAX];
    char secret[TOKEN_TEXT_MAX];
    curve_keys_t keys;
    identity_t identity;
    if (!options->broker || strncmp (options->broker, "tcp://", 6) != 0)
        return refuse ("say where the broker is, seen from there: --broker tcp://THIS-PC:5555.");
    if (!identity_name_good (slice_of (options->name)))
        return refuse ("--name is longer than 64 bytes, or holds control characters.");
    if (!folder_find (options->data, true, folder, problem, sizeof problem) ||
        !curve_keys_ensure (folder, &keys, problem, sizeof problem))
        return refuse (problem);
    make (options, &identity, secret);
    int status = identities_change (folder, add, &identity, problem, sizeof problem) ? print (options, &keys, secret)
                                                                                     : refuse (problem);
    sodium_memzero (secret, sizeof secret);
    sodium_memzero (&keys, sizeof keys);
    return status;
}

int enroll_command (int argc, char **argv)
{
    enroll_options_t options = { 0 };
    if (sodium_init () < 0)
        return refuse ("libsodium cannot start.");
    int status = options_parse (&table, argc, argv, environ, &options);
    if (status != OPTIONS_RUN)
        return status;
    status = enroll (&options);
    options_fini (&table, &options);
    return status;
}
