#include "gateway/options.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/buf.h"
#include "proto/limits.h"
#include "proto/program.h"

#define AT(member) offsetof (gateway_options_t, member)
#define KIB        1024LL
#define GIB        (KIB * KIB * KIB)
#define SECOND     1000
#define DAY        (24LL * 60 * 60 * SECOND)
#define TIB        (KIB * GIB)
#define LOGIN_MAX  (365LL * 24 * 60 * 60 * 1000)

static const option_t rows[] = {
    { .name = "listen",
      .type = OPT_TEXT,
      .at = AT (listen),
      .fallback = "127.0.0.1:3000",
      .value = "ADDR",
      .help = "address and port to serve HTTP on; [::1]:3000 for IPv6; port 0: any free one" },
    { .name = "tls-cert",
      .type = OPT_TEXT,
      .at = AT (tls_cert),
      .value = "FILE",
      .help = "serve HTTPS with this certificate: PEM, the chain behind it; read again on SIGHUP" },
    { .name = "tls-key",
      .type = OPT_TEXT,
      .at = AT (tls_key),
      .value = "FILE",
      .help = "its private key: PEM, without a password, readable by its owner alone" },
    { .name = "host",
      .type = OPT_TEXT,
      .at = AT (host),
      .value = "NAME,...",
      .help = "names it is asked by beside addresses, names without a dot and this machine's name; * takes any" },
    { .name = "broker",
      .type = OPT_TEXT,
      .at = AT (broker),
      .value = "ENDPOINT",
      .help = "where the broker listens; default: where --curve-key says, else tcp://127.0.0.1:5555" },
    { .name = "curve-key",
      .type = OPT_TEXT,
      .at = AT (curve_key),
      .value = "FILE",
      .help = "this gateway's keys for a broker that has --curve; made by --join" },
    { .name = "join",
      .type = OPT_TEXT,
      .at = AT (join),
      .value = "CODE",
      .help = "join the broker by this code (gleaner-broker enroll --role gateway), and make --curve-key" },
    { .name = "web",
      .type = OPT_TEXT,
      .at = AT (web),
      .value = "DIR",
      .help = "folder of the web page; default: the one that was installed or built with this program" },
    { .name = "cache-dir",
      .type = OPT_TEXT,
      .at = AT (cache_dir),
      .value = "DIR",
      .help = "folder for copies of the broker's files; default gleaner/gateway in the user's cache folder" },
    { .name = "cache-max",
      .type = OPT_BYTES,
      .at = AT (cache_max),
      .fallback = "10G",
      .min = 0,
      .max = 1024 * TIB,
      .value = "BYTES",
      .help = "size of that cache; the least recently used files go first" },
    { .name = "upload-max",
      .type = OPT_BYTES,
      .at = AT (upload_max),
      .fallback = "4G",
      .min = KIB,
      .max = 1024 * TIB,
      .value = "BYTES",
      .live = true,
      .help = "largest file that can be uploaded" },
    { .name = "body-max",
      .type = OPT_BYTES,
      .at = AT (body_max),
      .fallback = "1M",
      .min = KIB,
      .max = GIB,
      .value = "BYTES",
      .live = true,
      .help = "largest JSON body, but for those that carry output" },
    { .name = "result-max",
      .type = OPT_BYTES,
      .at = AT (result_max),
      .fallback = "64M",
      .min = KIB,
      .max = GIB,
      .value = "BYTES",
      .live = true,
      .help = "largest JSON body that carries a job's output" },
    { .name = "connection-limit",
      .type = OPT_INT,
      .at = AT (connection_limit),
      .fallback = "10000",
      .min = 1,
      .max = 1000000,
      .value = "N",
      .help = "HTTP connections at once; less when the limit of open files is lower" },
    { .name = "idle-timeout",
      .type = OPT_DURATION,
      .at = AT (idle_timeout_ms),
      .fallback = "30s",
      .min = SECOND,
      .max = DAY,
      .value = "TIME",
      .help = "a connection on which nothing has passed for so long, in whole seconds, is ended" },
    { .name = "header-timeout",
      .type = OPT_DURATION,
      .at = AT (header_timeout_ms),
      .fallback = "10s",
      .min = 100,
      .max = DAY,
      .value = "TIME",
      .help = "how long the head of a request may take" },
    { .name = "body-timeout",
      .type = OPT_DURATION,
      .at = AT (body_timeout_ms),
      .fallback = "30s",
      .min = 100,
      .max = DAY,
      .value = "TIME",
      .help = "how long a body may take to come, and an answer to be taken, when slower than --min-rate" },
    { .name = "min-rate",
      .type = OPT_BYTES,
      .at = AT (min_rate),
      .fallback = "1K",
      .min = 1,
      .max = GIB,
      .value = "BYTES",
      .live = true,
      .help = "bytes a second, on average, of what may take longer" },
    { .name = "broker-timeout",
      .type = OPT_DURATION,
      .at = AT (broker_timeout_ms),
      .fallback = "1500ms",
      .min = 10,
      .max = WAIT_MAX,
      .value = "TIME",
      .help = "how long to wait for the broker before answering 503" },
    { .name = "rate",
      .type = OPT_INT,
      .at = AT (rate),
      .fallback = "200",
      .min = 0,
      .max = 1000000,
      .value = "N",
      .live = true,
      .help = "requests a second of one token, and from one address, where tokens are asked for; 0: no limit" },
    { .name = "rate-burst",
      .type = OPT_INT,
      .at = AT (rate_burst),
      .fallback = "1000",
      .min = 1,
      .max = 1000000,
      .value = "N",
      .live = true,
      .help = "of these, at once after a pause" },
    { .name = "login-idle",
      .type = OPT_DURATION,
      .at = AT (login_idle_ms),
      .fallback = "12h",
      .min = 1000,
      .max = LOGIN_MAX,
      .value = "TIME",
      .help = "a login by the web page ends when it is not used for so long" },
    { .name = "login-max",
      .type = OPT_DURATION,
      .at = AT (login_max_ms),
      .fallback = "7d",
      .min = 1000,
      .max = LOGIN_MAX,
      .value = "TIME",
      .help = "and so long after it began, whatever is done" },
    { .name = "insecure",
      .type = OPT_FLAG,
      .at = AT (insecure),
      .help = "listen in clear text on an address that other machines can reach, whether tokens are asked for or not" },
    OPTIONS_LOG_ROWS (gateway_options_t),
};

static bool check (const void *given, char *problem, size_t problem_size)
{
    const gateway_options_t *options = given;
    if (!options->tls_cert != !options->tls_key)
        snprintf (problem, problem_size, "--tls-cert and --tls-key go together: give both or neither.");
    else if (options->join && !options->curve_key)
        snprintf (problem, problem_size, "--join needs --curve-key FILE, the file that it makes.");
    else
        return true;
    return false;
}

const option_table_t gateway_option_table = {
    .program = "gleaner-gateway",
    .summary = "shows a Gleaner broker to the world as an HTTP API and a web page",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
    .check = check,
};

/* Installed, the page is in the system's folder for data; built, beside the folder of programs. */
void gateway_options_page (gateway_options_t *options)
{
    char path[PATH_MAX];
    if (options->web)
        return;
    if (!program_beside ("../share/gleaner/web", path, sizeof path))
        program_beside ("../web", path, sizeof path);
    options->web = xstrdup (path);
}

int gateway_options_parse (int argc, char **argv, char **environ_p, gateway_options_t *options)
{
    return options_parse (&gateway_option_table, argc, argv, environ_p, options);
}

void gateway_options_fini (gateway_options_t *options)
{
    options_fini (&gateway_option_table, options);
}

char *gateway_cache_dir (const gateway_options_t *options)
{
    if (options->cache_dir)
        return xstrdup (options->cache_dir);
    const char *xdg = getenv ("XDG_CACHE_HOME");
    const char *home = getenv ("HOME");
    buf_t path = { 0 };
    if (xdg && xdg[0] == '/')
        buf_append_str (&path, xdg);
    else if (home && home[0] == '/')
        buf_printf (&path, "%s/.cache", home);
    else
        buf_append_str (&path, "/var/cache");
    buf_append_str (&path, "/gleaner/gateway");
    return path.ptr;
}
