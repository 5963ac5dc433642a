#include "broker/enroll.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/curve.h"
#include "broker/folder.h"
#include "broker/identities.h"
#include "broker/issuer.h"
#include "proto/clock.h"
#include "proto/join.h"
#include "proto/options.h"
#include "proto/pem.h"
#include "proto/program.h"

enum { PROBLEM_SIZE = 1200, USES_MAX = 1000 };
#define HOUR_MS (60LL * 60 * 1000)

typedef struct {
    const char *data;
    const char *role;
    const char *name;
    const char *broker;
    const char *server;
    const char *ca;
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
      .help = "where the broker is, seen from there: tcp://THIS-PC:5555; it joins over ZeroMQ, with --curve" },
    { .name = "server",
      .type = OPT_TEXT,
      .at = AT (server),
      .value = "URL",
      .help = "or where a gateway is: https://THIS-PC:3000; the worker joins over HTTP" },
    { .name = "ca",
      .type = OPT_TEXT,
      .at = AT (ca),
      .value = "FILE",
      .help = "certificate that the gateway shows, its own or its authority's (PEM), and that alone is trusted there; "
              "default: the system's authorities" },
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

/* What the code says beside its secret. */
typedef struct {
    curve_keys_t keys; /* the broker's */
    unsigned char fingerprint[FINGERPRINT];
} trust_t;

static int print (const enroll_options_t *options, const trust_t *trust, const char *secret)
{
    message_t code;
    buf_t text = { 0 };
    message_init (&code, MSG_JOIN_CODE);
    code.join_code.code = slice_of (secret);
    code.join_code.role = slice_of (options->role);
    if (options->broker) {
        code.join_code.endpoint = slice_of (options->broker);
        code.join_code.broker_key = slice_from (trust->keys.public_key, CURVE_KEY);
    } else {
        code.join_code.server = slice_of (options->server);
    }
    if (options->ca)
        code.join_code.fingerprint = slice_from (trust->fingerprint, FINGERPRINT);
    join_code_format (&code, &text);
    printf (SLICE_FMT "\n", SLICE_ARG (buf_slice (&text)));
    buf_fini (&text);
    fprintf (stderr, "There, once: gleaner-%s --join CODE\n", options->role);
    return ferror (stdout) || fflush (stdout) ? refuse ("the code could not be printed: make another.") : 0;
}

static bool has_prefix (const char *text, const char *prefix)
{
    return text && strncmp (text, prefix, strlen (prefix)) == 0;
}

/* What options must be; NULL: they are good. */
static const char *check (const enroll_options_t *options)
{
    if (!options->broker == !options->server)
        return "say where it joins, seen from there: --broker tcp://THIS-PC:5555, or --server https://THIS-PC:3000.";
    if (options->broker && !has_prefix (options->broker, "tcp://"))
        return "--broker must begin with tcp://, as --broker tcp://THIS-PC:5555.";
    if (options->server && !has_prefix (options->server, "http://") && !has_prefix (options->server, "https://"))
        return "--server must begin with http:// or https://.";
    if (options->server && strcmp (options->role, "worker") != 0)
        return "--server is for workers: a gateway joins by --broker tcp://THIS-PC:5555.";
    if (options->ca && !has_prefix (options->server, "https://"))
        return "--ca needs --server https://THIS-PC:3000.";
    if (strlen (options->server ? options->server : options->broker) > URL_MAX)
        return "the address is too long.";
    if (!identity_name_good (slice_of (options->name)))
        return "--name is longer than 64 bytes, or holds control characters.";
    if (has_prefix (options->name, ISSUER_PREFIX))
        return "--name must not begin with '" ISSUER_PREFIX "': whom a JWT names is called so.";
    return NULL;
}

/* The first certificate of the file is the one. */
static bool read_fingerprint (const char *path, unsigned char out[FINGERPRINT], char *problem, size_t size)
{
    enum { FILE_MAX = 256 * 1024 };
    buf_t text = { 0 };
    slice_t certificate;
    FILE *file = fopen (path, "re");
    buf_reserve (&text, FILE_MAX);
    text.len = file ? fread (text.ptr, 1, FILE_MAX, file) : 0;
    slice_t rest = buf_slice (&text);
    bool good = file && !ferror (file) && pem_next (&rest, &certificate, out);
    if (!file || ferror (file))
        snprintf (problem, size, "--ca: cannot read '%.300s': %s.", path, strerror (errno));
    else if (!good)
        snprintf (problem, size, "--ca: '%.300s' holds no certificate in PEM.", path);
    if (file)
        fclose (file);
    buf_fini (&text);
    return good;
}

static int enroll (const enroll_options_t *options)
{
    char problem[PROBLEM_SIZE];
    char folder[FOLDER_PATH_MAX];
    char secret[TOKEN_TEXT_MAX];
    trust_t trust;
    identity_t identity;
    const char *wrong = check (options);
    if (wrong)
        return refuse (wrong);
    if ((options->ca && !read_fingerprint (options->ca, trust.fingerprint, problem, sizeof problem)) ||
        !folder_find (options->data, true, folder, problem, sizeof problem) ||
        (options->broker && !curve_keys_ensure (folder, &trust.keys, problem, sizeof problem)))
        return refuse (problem);
    make (options, &identity, secret);
    int status = identities_change (folder, add, &identity, problem, sizeof problem) ? print (options, &trust, secret)
                                                                                     : refuse (problem);
    sodium_memzero (secret, sizeof secret);
    sodium_memzero (&trust, sizeof trust);
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
