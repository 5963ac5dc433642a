#include <string.h>

#include "proto/options.h"

#include "broker/broker.h"
#include "broker/tariff.h"

#define AT(member) offsetof (broker_options_t, member)
enum { MINUTE = 60 * 1000, DAY = 24 * 60 * MINUTE };
#define YEARS (100LL * 365 * DAY)

static const option_t rows[] = {
    { .name = "listen",
      .type = OPT_TEXT,
      .at = AT (listen),
      .fallback = "tcp://127.0.0.1:5555",
      .value = "ENDPOINT",
      .help = "ZeroMQ endpoint for gateways and native workers; port 0 takes a free one" },
    { .name = "data",
      .type = OPT_TEXT,
      .at = AT (data),
      .value = "DIR",
      .help = "folder of the record and the files; default ~/.local/state/gleaner-broker" },
    { .name = "secrets-key",
      .type = OPT_TEXT,
      .at = AT (secrets_key),
      .value = "FILE",
      .help = "key that jobs' secrets are kept with, made when missing; default secrets.key in the data folder" },
    { .name = "lease",
      .type = OPT_DURATION,
      .at = AT (lease_ms),
      .fallback = "60s",
      .min = 500,
      .max = DAY,
      .value = "TIME",
      .help = "how long a lease lives without renewal" },
    { .name = "offline",
      .type = OPT_DURATION,
      .at = AT (offline_ms),
      .fallback = "30s",
      .min = 500,
      .max = DAY,
      .value = "TIME",
      .help = "a worker not heard of for this long is offline" },
    { .name = "heartbeat",
      .type = OPT_DURATION,
      .at = AT (heartbeat_ms),
      .fallback = "10s",
      .min = 100,
      .max = DAY,
      .value = "TIME",
      .help = "how often workers are told to be heard of" },
    { .name = "grace",
      .type = OPT_DURATION,
      .at = AT (grace_ms),
      .fallback = "30s",
      .min = 0,
      .max = DAY,
      .value = "TIME",
      .help = "beyond a job's timeout, before the broker ends the attempt itself" },
    { .name = "retry-backoff",
      .type = OPT_DURATION,
      .at = AT (backoff_ms),
      .fallback = "1s",
      .min = 1,
      .max = DAY,
      .value = "TIME",
      .help = "pause before a second attempt, doubled with each further one" },
    { .name = "retry-backoff-max",
      .type = OPT_DURATION,
      .at = AT (backoff_max_ms),
      .fallback = "5m",
      .min = 1,
      .max = DAY,
      .value = "TIME",
      .help = "and no longer than this" },
    { .name = "sleep-max",
      .type = OPT_DURATION,
      .at = AT (sleep_max_ms),
      .fallback = "15m",
      .min = 0,
      .max = DAY,
      .value = "TIME",
      .help = "how long a sleeping worker's leases are kept" },
    { .name = "output-max",
      .type = OPT_BYTES,
      .at = AT (output_max),
      .fallback = "64M",
      .min = 1024,
      .max = (1LL << 40),
      .value = "SIZE",
      .help = "bytes kept of a stream; what is printed beyond is dropped and counted" },
    { .name = "keep-jobs",
      .type = OPT_DURATION,
      .at = AT (keep_jobs_ms),
      .fallback = "8760h",
      .min = 0,
      .max = YEARS,
      .value = "TIME",
      .live = true,
      .help = "how long the record of a job that is over is kept; 0: for ever" },
    { .name = "keep-output",
      .type = OPT_DURATION,
      .at = AT (keep_output_ms),
      .fallback = "720h",
      .min = 0,
      .max = YEARS,
      .value = "TIME",
      .live = true,
      .help = "how long its output is kept; 0: as long as the record" },
    { .name = "keep-artifacts",
      .type = OPT_DURATION,
      .at = AT (keep_artifacts_ms),
      .fallback = "720h",
      .min = 0,
      .max = YEARS,
      .value = "TIME",
      .live = true,
      .help = "how long its artifacts are kept; 0: as long as the record" },
    { .name = "keep-uploads",
      .type = OPT_DURATION,
      .at = AT (keep_uploads_ms),
      .fallback = "24h",
      .min = 0,
      .max = YEARS,
      .value = "TIME",
      .live = true,
      .help = "how long an upload that no job refers to is kept; 0: for ever" },
    { .name = "data-max",
      .type = OPT_BYTES,
      .at = AT (data_max),
      .min = 0,
      .max = (1LL << 50),
      .value = "SIZE",
      .live = true,
      .help = "beyond this, unused uploads and then the oldest jobs that are over go; default: no limit" },
    { .name = "check",
      .type = OPT_FLAG,
      .at = AT (check),
      .help = "examine the data directory, say what is wrong, and end" },
    { .name = "backup",
      .type = OPT_TEXT,
      .at = AT (backup),
      .value = "FILE",
      .help = "write the data directory into a tar file, while a broker uses it or not, and end" },
    { .name = "auth",
      .type = OPT_CHOICE,
      .at = AT (auth),
      .fallback = "auto",
      .choices = "auto|on|off",
      .value = "WHEN",
      .help = "whether a token is needed; auto: as soon as there is one (gleaner-broker token create), or --jwt-key" },
    { .name = "jwt-key",
      .type = OPT_TEXT,
      .at = AT (jwt.key),
      .value = "FILE",
      .help = "JWTs count as well: their issuer's public key in PEM, or for HS256 the secret that it shares" },
    { .name = "jwt-algorithm",
      .type = OPT_CHOICE,
      .at = AT (jwt.algorithm),
      .fallback = "RS256",
      .choices = "RS256|ES256|HS256",
      .value = "NAME",
      .help = "how they are signed; one that names another way is refused" },
    { .name = "jwt-issuer",
      .type = OPT_TEXT,
      .at = AT (jwt.issuer),
      .value = "NAME",
      .help = "what their `iss` must be" },
    { .name = "jwt-audience",
      .type = OPT_TEXT,
      .at = AT (jwt.audience),
      .value = "NAME",
      .help = "what their `aud` must name" },
    { .name = "jwt-role-claim",
      .type = OPT_TEXT,
      .at = AT (jwt.role_claim),
      .fallback = "role",
      .value = "NAME",
      .help = "the claim that holds viewer, submitter, worker or admin" },
    { .name = "tariff-run-hour",
      .type = OPT_TEXT,
      .at = AT (tariff_run_hour),
      .value = "PRICE",
      .live = true,
      .help = "what usage costs: an attempt's running for an hour, as 0.05; six decimals at most" },
    { .name = "tariff-cpu-hour",
      .type = OPT_TEXT,
      .at = AT (tariff_cpu_hour),
      .value = "PRICE",
      .live = true,
      .help = "an hour of CPU time" },
    { .name = "tariff-gib-hour",
      .type = OPT_TEXT,
      .at = AT (tariff_gib_hour),
      .value = "PRICE",
      .live = true,
      .help = "a GiB of memory for an hour: the most that an attempt used, for as long as it ran" },
    { .name = "tariff-gib-in",
      .type = OPT_TEXT,
      .at = AT (tariff_gib_in),
      .value = "PRICE",
      .live = true,
      .help = "a GiB that is downloaded for an attempt" },
    { .name = "tariff-gib-out",
      .type = OPT_TEXT,
      .at = AT (tariff_gib_out),
      .value = "PRICE",
      .live = true,
      .help = "a GiB of an attempt's output, journal and artifacts" },
    { .name = "currency",
      .type = OPT_TEXT,
      .at = AT (currency),
      .value = "NAME",
      .live = true,
      .help = "what the prices are in, as EUR" },
    { .name = "insecure",
      .type = OPT_FLAG,
      .at = AT (insecure),
      .help = "listen in clear text on an address that other machines can reach" },
    { .name = "curve",
      .type = OPT_FLAG,
      .at = AT (curve),
      .help = "take encrypted connections only, by keys that are known (gleaner-broker enroll)" },
    { .name = "webhook",
      .type = OPT_LINES,
      .at = AT (webhook.urls),
      .value = "URL",
      .help = "is told of each job's end by a signed POST; may be given again" },
    { .name = "webhook-on",
      .type = OPT_CHOICE,
      .at = AT (webhook.on),
      .fallback = "all",
      .choices = "all|completed|failed",
      .value = "WHICH",
      .help = "of which ends" },
    { .name = "webhook-allow",
      .type = OPT_LINES,
      .at = AT (webhook.allow),
      .value = "PREFIX",
      .help = "a job may name a `webhook` of its own that begins so; may be given again" },
    { .name = "webhook-secret-file",
      .type = OPT_TEXT,
      .at = AT (webhook.secret_file),
      .value = "FILE",
      .live = true,
      .help = "what webhooks are signed with: a line whsec_BASE64, or several while one takes another's place" },
    { .name = "webhook-keep",
      .type = OPT_DURATION,
      .at = AT (webhook.keep_ms),
      .fallback = "24h",
      .min = 1000,
      .max = 90LL * DAY,
      .live = true,
      .value = "TIME",
      .help = "how long a receiver is tried that does not take it" },
    { .name = "otlp",
      .type = OPT_TEXT,
      .at = AT (otlp),
      .alias = "OTEL_EXPORTER_OTLP_ENDPOINT",
      .value = "URL",
      .help = "OpenTelemetry collector that gets each job's spans: http://HOST:4318, /v1/traces is added" },
    { .name = "otlp-headers",
      .type = OPT_TEXT,
      .at = AT (otlp_headers),
      .alias = "OTEL_EXPORTER_OTLP_HEADERS",
      .value = "LIST",
      .help = "headers for it, as NAME=VALUE,NAME=VALUE with escapes like %20" },
    OPTIONS_LOG_ROWS (broker_options_t),
};

enum { CURRENCY_MAX = 16 };

static bool check_tariffs (const broker_options_t *options, char *problem, size_t problem_size)
{
    const struct {
        const char *name, *text;
    } prices[] = {
        { "run-hour", options->tariff_run_hour }, { "cpu-hour", options->tariff_cpu_hour },
        { "gib-hour", options->tariff_gib_hour }, { "gib-in", options->tariff_gib_in },
        { "gib-out", options->tariff_gib_out },
    };
    int64_t micros;
    for (size_t i = 0; i < sizeof prices / sizeof *prices; i++)
        if (!tariff_parse (prices[i].text, &micros)) {
            snprintf (problem, problem_size,
                      "--tariff-%s: '%.40s' is no price: say a number of at most six decimals and a million, as 0.05.",
                      prices[i].name, prices[i].text);
            return false;
        }
    if (options->currency &&
        (strlen (options->currency) > CURRENCY_MAX || !utf8_valid (slice_of (options->currency)))) {
        snprintf (problem, problem_size, "--currency: a name of at most %d bytes is needed, as EUR.", CURRENCY_MAX);
        return false;
    }
    return true;
}

static bool check (const void *given, char *problem, size_t problem_size)
{
    const broker_options_t *options = given;
    if (!check_tariffs (options, problem, problem_size))
        return false;
    const issuer_config_t *jwt = &options->jwt;
    if (!jwt->key && !jwt->issuer && !jwt->audience)
        return true;
    if (!jwt->key || !jwt->issuer || !jwt->audience) {
        snprintf (problem, problem_size, "--jwt-key, --jwt-issuer and --jwt-audience go together: give all of them.");
        return false;
    }
    issuer_t *issuer = issuer_new (jwt, problem, problem_size);
    bool good = issuer != NULL;
    issuer_destroy (&issuer);
    return good;
}

const option_table_t broker_option_table = {
    .program = "gleaner-broker",
    .summary = "owns the durable job queue and the registry of workers",
    .rows = rows,
    .count = sizeof rows / sizeof *rows,
    .check = check,
};

extern char **environ;

int broker_options_parse (int argc, char **argv, broker_options_t *options)
{
    return options_parse (&broker_option_table, argc, argv, environ, options);
}

void broker_options_fini (broker_options_t *options)
{
    options_fini (&broker_option_table, options);
}
