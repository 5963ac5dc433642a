#include "broker/token.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "broker/folder.h"
#include "broker/identities.h"
#include "broker/issuer.h"
#include "proto/clock.h"
#include "proto/options.h"
#include "proto/program.h"

enum { PROBLEM_SIZE = 1200, WHEN_SIZE = 24 };

typedef struct {
    const char *data;
    const char *role;
    const char *name;
    const char *which;
    int64_t expires_ms;
    bool json;
} token_options_t;

#define AT(member) offsetof (token_options_t, member)
#define DATA_ROW                                                                                                       \
    {                                                                                                                  \
        .name = "data", .type = OPT_TEXT, .at = AT (data), .alias = "GLEANER_BROKER_DATA", .value = "DIR",             \
        .help = "the broker's data directory; default ~/.local/state/gleaner-broker"                                   \
    }

static const option_t create_rows[] = {
    DATA_ROW,
    { .name = "role",
      .type = OPT_CHOICE,
      .at = AT (role),
      .choices = "admin|submitter|worker|viewer",
      .value = "ROLE",
      .help = "what its holder may do" },
    { .name = "name",
      .type = OPT_TEXT,
      .at = AT (name),
      .value = "NAME",
      .help = "whose it is: the owner of the jobs that are submitted with it" },
    { .name = "expires",
      .type = OPT_DURATION,
      .at = AT (expires_ms),
      .min = TOKEN_LIFE_MIN,
      .max = TOKEN_LIFE_MAX,
      .value = "TIME",
      .help = "how long it counts, 90d for example; default: until it is revoked" },
};

static const option_t list_rows[] = {
    DATA_ROW,
    { .name = "json", .type = OPT_FLAG, .at = AT (json), .help = "as a JSON list" },
};

static const option_t revoke_rows[] = {
    DATA_ROW,
    { .name = "which",
      .type = OPT_TEXT,
      .at = AT (which),
      .value = "ID|NAME",
      .help = "the token's id, or its name when no other one has it" },
};

#define COUNT(rows) (sizeof (rows) / sizeof *(rows))

static const option_table_t create_table = {
    .program = "gleaner-broker token create",
    .summary = "makes a token and prints it, this once",
    .rows = create_rows,
    .count = COUNT (create_rows),
};

static const option_table_t list_table = {
    .program = "gleaner-broker token list",
    .summary = "shows the tokens there are, without their secrets",
    .rows = list_rows,
    .count = COUNT (list_rows),
};

static const option_table_t revoke_table = {
    .program = "gleaner-broker token revoke",
    .summary = "takes a token back: within a second it counts no longer",
    .rows = revoke_rows,
    .count = COUNT (revoke_rows),
    .operand = "which",
};

static int refuse (const char *problem)
{
    return program_refuse ("gleaner-broker token", problem);
}

/* ---- create ---- */

static bool add (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    if (identities_add (fresh, ctx))
        return true;
    snprintf (problem, size, "there are %d identities already: no more fit.", IDENTITIES_MAX);
    return false;
}

static int create (const token_options_t *options, const char *folder)
{
    char problem[PROBLEM_SIZE];
    char text[TOKEN_TEXT_MAX];
    if (!options->role)
        return refuse ("--role is missing: admin, submitter, worker or viewer.");
    if (!options->name || !identity_name_good (slice_of (options->name)))
        return refuse ("--name is missing, longer than 64 bytes, or holds control characters.");
    if (strncmp (options->name, ISSUER_PREFIX, strlen (ISSUER_PREFIX)) == 0)
        return refuse ("--name must not begin with '" ISSUER_PREFIX "': whom a JWT names is called so.");
    identity_t identity = { .created_ms = clock_wall_ms () };
    role_find (slice_of (options->role), &identity.role);
    snprintf (identity.name, sizeof identity.name, "%s", options->name);
    if (options->expires_ms)
        identity.expires_ms = identity.created_ms + options->expires_ms;
    token_make (&identity, text);
    if (!identities_change (folder, add, &identity, problem, sizeof problem))
        return refuse (problem);
    printf ("%s\n", text);
    sodium_memzero (text, sizeof text);
    fprintf (stderr, "Token %s for %s (%s): keep it, it is not shown again.\n", identity.id, identity.name,
             options->role);
    return ferror (stdout) || fflush (stdout) ? refuse ("the token could not be printed: revoke it and make another.")
                                              : 0;
}

/* ---- list ---- */

static const char *when (int64_t ms, char text[WHEN_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    if (!ms || !gmtime_r (&seconds, &parts) || !strftime (text, WHEN_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf (text, WHEN_SIZE, "-");
    return text;
}

static void print_table (const identities_t *identities)
{
    int64_t now_ms = clock_wall_ms ();
    printf ("%-12s %-7s %-9s %-8s %-20s %-20s %-20s %s\n", "ID", "KIND", "ROLE", "STATE", "CREATED", "EXPIRES",
            "WORKER", "NAME");
    for (size_t i = 0; i < identities_count (identities); i++) {
        const identity_t *identity = identities_at (identities, i);
        char created[WHEN_SIZE];
        char expires[WHEN_SIZE];
        printf ("%-12s %-7s %-9s %-8s %-20s %-20s %-20s %s\n", identity->id, identity->kind, role_name (identity->role),
                identity_state (identity, now_ms), when (identity->created_ms, created),
                when (identity->expires_ms, expires), identity->worker_id[0] ? identity->worker_id : "-",
                identity->name);
    }
}

static void print_json (const identities_t *identities)
{
    int64_t now_ms = clock_wall_ms ();
    json_t *list = json_array ();
    for (size_t i = 0; i < identities_count (identities); i++) {
        const identity_t *identity = identities_at (identities, i);
        json_t *item = json_pack ("{s:s, s:s, s:s, s:s, s:s, s:I}", "id", identity->id, "kind", identity->kind, "role",
                                  role_name (identity->role), "name", identity->name, "state",
                                  identity_state (identity, now_ms), "createdAt", (json_int_t)identity->created_ms);
        if (identity->expires_ms)
            json_object_set_new (item, "expiresAt", json_integer (identity->expires_ms));
        if (identity->revoked_ms)
            json_object_set_new (item, "revokedAt", json_integer (identity->revoked_ms));
        if (identity->worker_id[0])
            json_object_set_new (item, "workerId", json_string (identity->worker_id));
        json_array_append_new (list, item);
    }
    json_dumpf (list, stdout, JSON_INDENT (2));
    printf ("\n");
    json_decref (list);
}

static int list (const token_options_t *options, const char *folder)
{
    char problem[PROBLEM_SIZE];
    identities_t *identities = identities_new (folder);
    bool good = identities_load (identities, problem, sizeof problem);
    if (good && options->json)
        print_json (identities);
    else if (good)
        print_table (identities);
    identities_destroy (&identities);
    return good ? 0 : refuse (problem);
}

/* ---- revoke ---- */

typedef struct {
    const char *which;
    identity_t revoked;
} revoke_t;

/* NULL with one sentence. */
static identity_t *find (identities_t *set, const char *which, char *problem, size_t size)
{
    int same = 0;
    identity_t *found = identities_find (set, slice_of (which), &same);
    if (same > 1)
        snprintf (problem, size, "%d identities are named '%.100s': say the id, see `gleaner-broker token list`.", same,
                  which);
    else if (!found)
        snprintf (problem, size, "there is no identity '%.100s': see `gleaner-broker token list`.", which);
    return found;
}

static bool mark (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    revoke_t *revoke = ctx;
    identity_t *identity = find (fresh, revoke->which, problem, size);
    if (!identity)
        return false;
    if (!identity->revoked_ms)
        identity->revoked_ms = clock_wall_ms ();
    revoke->revoked = *identity;
    return true;
}

static int revoke (const token_options_t *options, const char *folder)
{
    char problem[PROBLEM_SIZE];
    revoke_t revoke = { .which = options->which };
    slice_t id;
    unsigned char hash[32];
    if (!options->which)
        return refuse ("say which: gleaner-broker token revoke ID|NAME.");
    if (token_read (slice_of (options->which), &id, hash)) {
        snprintf (problem, sizeof problem, "that is a whole token: say its id alone, " SLICE_FMT ".", SLICE_ARG (id));
        return refuse (problem);
    }
    if (!identities_change (folder, mark, &revoke, problem, sizeof problem))
        return refuse (problem);
    fprintf (stderr, "Token %s of %s is revoked.\n", revoke.revoked.id, revoke.revoked.name);
    return 0;
}

/* ---- all of them ---- */

extern char **environ;

typedef struct {
    const char *name;
    const option_table_t *table;
    bool make; /* the folder */
    int (*run) (const token_options_t *options, const char *folder);
} command_t;

static int run (const command_t *command, int argc, char **argv)
{
    char problem[PROBLEM_SIZE];
    char folder[FOLDER_PATH_MAX];
    token_options_t options = { 0 };
    int status = options_parse (command->table, argc, argv, environ, &options);
    if (status != OPTIONS_RUN)
        return status;
    if (!folder_find (options.data, command->make, folder, problem, sizeof problem))
        status = refuse (problem);
    else
        status = command->run (&options, folder);
    options_fini (command->table, &options);
    return status;
}

int token_command (int argc, char **argv)
{
    static const command_t commands[] = {
        { "create", &create_table, true, create },
        { "list", &list_table, false, list },
        { "revoke", &revoke_table, false, revoke },
    };
    if (sodium_init () < 0)
        return refuse ("libsodium cannot start.");
    for (size_t i = 0; i < COUNT (commands) && argc > 1; i++)
        if (strcmp (argv[1], commands[i].name) == 0)
            return run (&commands[i], argc - 1, argv + 1);
    return refuse ("say what to do: token create, token list or token revoke; each has --help.");
}
