/* doctor.c - whether this machine can use the server, a line a question, and what to do about what is not well. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/print.h"
#include "cli/temporary.h"
#include "proto/checkup.h"
#include "proto/clock.h"

enum {
    CLOCK_OFF_MS = 5 * 1000,
    DAY_MS = 24 * 3600 * 1000,
    EXPIRY_DAYS = 14, /* a certificate or token that ends sooner is told of */
    PROBE_MS = 15 * 1000,
};

#define TEMPORARY_SCANT (256LL << 20) /* bytes */

typedef struct {
    common_t common;
    bool worker;
} options_t;

static const option_t rows[] = {
    CLI_COMMON_ROWS,
    { .name = "worker",
      .type = OPT_FLAG,
      .at = offsetof (options_t, worker),
      .help = "look at this machine as a worker, too; default: where gleaner-worker is found" },
};

const option_table_t doctor_table = { .program = "gleaner doctor",
                                      .summary = "check server, clock, TLS, token and this machine; says what to do",
                                      .rows = rows,
                                      .count = sizeof rows / sizeof *rows };

typedef struct {
    const options_t *options;
    client_t *client;
    checkup_t checkup;
    time_t date; /* that the server told; 0: none */
    int64_t asked_ms, answered_ms;
    json_t *info; /* NULL: not known */
} doctor_t;

/* ---- the server ---- */

static bool is_secure (const doctor_t *self)
{
    return strncasecmp (self->options->common.server, "https://", 8) == 0;
}

static size_t on_header (char *bytes, size_t size, size_t count, void *ctx)
{
    doctor_t *self = ctx;
    char value[64];
    if (size * count > 5 && strncasecmp (bytes, "Date:", 5) == 0) {
        slice_copy (slice_from (bytes + 5, size * count - 5), value, sizeof value);
        time_t date = curl_getdate (value, NULL);
        self->date = date > 0 ? date : 0;
    }
    return size * count;
}

static size_t on_bytes (char *bytes, size_t size, size_t count, void *ctx)
{
    buf_t *body = ctx;
    if (body->len < 65536)
        buf_append (body, bytes, size * count);
    return size * count;
}

static void say_unreachable (doctor_t *self, CURLcode code, const char *fault)
{
    const char *server = self->options->common.server;
    const char *why = fault[0] ? fault : curl_easy_strerror (code);
    if (code == CURLE_COULDNT_RESOLVE_HOST)
        checkup_say (&self->checkup, CHECK_FAIL, "server", "%s: nobody knows that name (%s): mend --server, or DNS",
                     server, why);
    else if (code == CURLE_COULDNT_CONNECT)
        checkup_say (&self->checkup, CHECK_FAIL, "server",
                     "%s: %s: start gleaner-gateway there, on an address that others reach, or mend the port", server,
                     why);
    else if (code == CURLE_OPERATION_TIMEDOUT)
        checkup_say (&self->checkup, CHECK_FAIL, "server", "%s: %s: a firewall drops it, or the machine is off", server,
                     why);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        checkup_say (
            &self->checkup, CHECK_FAIL, "tls",
            "the certificate of %s is of nobody that is trusted here, has expired, or is for another name (%s): say "
            "whom to trust by --ca FILE",
            server, why);
    else if (code == CURLE_SSL_CONNECT_ERROR)
        checkup_say (&self->checkup, CHECK_FAIL, "tls", "%s: no TLS comes about (%s): is it http:// there?", server,
                     why);
    else
        checkup_say (&self->checkup, CHECK_FAIL, "server", "%s: %s: mend the address, or what is between", server, why);
}

/* When the server's certificate ends, ms since the epoch; 0: not known. */
static int64_t certificate_end (CURL *easy)
{
    struct curl_certinfo *info = NULL;
    curl_easy_getinfo (easy, CURLINFO_CERTINFO, &info);
    for (struct curl_slist *line = info && info->num_of_certs ? info->certinfo[0] : NULL; line; line = line->next)
        if (strncmp (line->data, "Expire date:", 12) == 0)
            return (int64_t)curl_getdate (line->data + 12, NULL) * 1000;
    return 0;
}

static void check_tls (doctor_t *self, CURL *easy)
{
    const char *address = NULL;
    curl_easy_getinfo (easy, CURLINFO_PRIMARY_IP, &address);
    bool here = address && (strncmp (address, "127.", 4) == 0 || strcmp (address, "::1") == 0);
    if (!is_secure (self)) {
        if (here)
            checkup_say (&self->checkup, CHECK_OK, "tls", "none, on this machine");
        else
            checkup_say (&self->checkup, CHECK_WARN, "tls",
                         "%s goes in clear text: give the gateway a certificate (--tls-cert), and say https://",
                         self->options->common.token ? "your token" : "what you send");
        return;
    }
    int64_t end = certificate_end (easy);
    long long days = (long long)((end - clock_wall_ms ()) / DAY_MS);
    if (end <= 0)
        checkup_say (&self->checkup, CHECK_OK, "tls", "its certificate is trusted");
    else if (days < EXPIRY_DAYS)
        checkup_say (&self->checkup, CHECK_WARN, "tls", "its certificate ends in %lld days: renew it", days);
    else
        checkup_say (&self->checkup, CHECK_OK, "tls", "its certificate is trusted, for %lld more days", days);
}

static void check_clock (doctor_t *self)
{
    if (!self->date) {
        checkup_say (&self->checkup, CHECK_WARN, "clock", "the server tells no time: a proxy may have left it out");
        return;
    }
    /* The header has whole seconds, cut. */
    int64_t from = (int64_t)self->date * 1000;
    int64_t off = self->asked_ms > from + 1000 ? self->asked_ms - from - 1000
                  : self->answered_ms < from   ? self->answered_ms - from
                                               : 0;
    if (off > CLOCK_OFF_MS || off < -CLOCK_OFF_MS)
        checkup_say (&self->checkup, CHECK_WARN, "clock",
                     "this machine is %lld s %s the server: set both by NTP (timedatectl set-ntp true)",
                     (long long)(off > 0 ? off : -off) / 1000, off > 0 ? "ahead of" : "behind");
    else
        checkup_say (&self->checkup, CHECK_OK, "clock", "as the server's");
}

static void check_token (doctor_t *self, const json_t *who)
{
    const char *role = text_of (who, "role");
    const char *name = text_of (who, "name");
    int64_t days = (number_of (who, "expiresAt") - clock_wall_ms ()) / DAY_MS;
    bool has = self->options->common.token != NULL;
    if (!json_is_true (json_object_get (who, "required")))
        checkup_say (&self->checkup, CHECK_OK, "token", "the server asks for none");
    else if (!has && self->options->common.elsewhere)
        checkup_say (
            &self->checkup, CHECK_FAIL, "token",
            "the server asks for one; the one that is saved for %s goes to no other server: gleaner token save",
            self->options->common.elsewhere);
    else if (!has)
        checkup_say (&self->checkup, CHECK_FAIL, "token",
                     "the server asks for one: gleaner token save, with what gleaner-broker token create printed");
    else if (number_of (who, "expiresAt") && days < EXPIRY_DAYS)
        checkup_say (&self->checkup, CHECK_WARN, "token", "%s, of %s: it ends in %lld days, get another", role, name,
                     (long long)days);
    else
        checkup_say (&self->checkup, CHECK_OK, "token", "%s, of %s", role, *name ? name : "nobody");
}

/* What GET /api/session said: it is a gateway if it said anything of that kind. */
static bool check_gateway (doctor_t *self, long status, slice_t body)
{
    char *code = NULL;
    char *text = NULL;
    json_t *json = json_loadb (body.ptr ? body.ptr : "", body.len, 0, NULL);
    bool good = status == 200 && *text_of (json, "role");
    client_refusal (self->client, status, body, &code, &text);
    if (good)
        check_token (self, json);
    else if (status == 401)
        checkup_say (&self->checkup, CHECK_FAIL, "token",
                     "it does not count (mistyped, expired or taken back): get another, and gleaner token save");
    else if (code && strcmp (code, "BROKER_UNAVAILABLE") == 0)
        checkup_say (&self->checkup, CHECK_FAIL, "broker",
                     "the gateway does not reach it: start gleaner-broker, or mend the gateway's --broker");
    else if (code)
        checkup_say (&self->checkup, CHECK_FAIL, "gateway", "it refuses: %s", text);
    else
        checkup_say (&self->checkup, CHECK_FAIL, "gateway",
                     "%s answers with HTTP status %ld, but not as a gateway: mend address and port, or what is between",
                     self->options->common.server, status);
    json_decref (json);
    free (code);
    free (text);
    return good;
}

/* Asks who we are, and looks at everything that such an answer tells beside. */
static bool check_server (doctor_t *self)
{
    char fault[CURL_ERROR_SIZE];
    buf_t body = { 0 };
    long status = 0;
    CURL *easy = client_transfer (self->client, "/api/session", fault);
    curl_easy_setopt (easy, CURLOPT_TIMEOUT_MS, (long)PROBE_MS);
    curl_easy_setopt (easy, CURLOPT_CERTINFO, 1L);
    curl_easy_setopt (easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt (easy, CURLOPT_HEADERDATA, self);
    curl_easy_setopt (easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt (easy, CURLOPT_WRITEDATA, &body);
    self->asked_ms = clock_wall_ms ();
    CURLcode code = curl_easy_perform (easy);
    self->answered_ms = clock_wall_ms ();
    curl_easy_getinfo (easy, CURLINFO_RESPONSE_CODE, &status);
    bool good = code == CURLE_OK;
    if (!good) {
        say_unreachable (self, code, fault);
    } else {
        checkup_say (&self->checkup, CHECK_OK, "server", "%s answers in %lld ms", self->options->common.server,
                     (long long)(self->answered_ms - self->asked_ms));
        check_tls (self, easy);
        check_clock (self);
        good = check_gateway (self, status, buf_slice (&body));
    }
    curl_easy_cleanup (easy);
    buf_fini (&body);
    return good;
}

/* ---- what is behind it ---- */

/* The first two numbers of a version, which tell whether two programs speak alike. */
static int version_number (const char *version)
{
    int major = 0;
    int minor = 0;
    return sscanf (version, "%d.%d", &major, &minor) == 2 && major >= 0 && major < 1000 && minor >= 0 && minor < 1000
               ? major * 1000 + minor
               : -1;
}

static void check_version (doctor_t *self)
{
    const char *broker = text_of (self->info, "version");
    const char *gateway = text_of (json_object_get (self->info, "gateway"), "version");
    int ours = version_number (GLEANER_VERSION);
    int least = version_number (gateway) < version_number (broker) ? version_number (gateway) : version_number (broker);
    if (version_number (gateway) != version_number (broker))
        checkup_say (&self->checkup, CHECK_WARN, "version", "gateway %s, broker %s: upgrade the %s", gateway, broker,
                     version_number (gateway) < version_number (broker) ? "gateway" : "broker");
    else if (least != ours)
        checkup_say (&self->checkup, CHECK_WARN, "version", "the server is %s, this is %s: upgrade %s", broker,
                     GLEANER_VERSION, least < ours ? "the server" : "this program");
    else
        checkup_say (&self->checkup, CHECK_OK, "version", "%s on both sides", GLEANER_VERSION);
}

static void check_broker (doctor_t *self)
{
    answer_t answer;
    char size[32];
    client_ask (self->client, "GET", "/api/info", NULL, &answer);
    if (answer.fault) {
        checkup_say (&self->checkup, CHECK_FAIL, "broker", "%s", answer.fault);
    } else {
        self->info = json_incref (answer.json);
        check_version (self);
        bytes_format (number_of (self->info, "diskFreeBytes"), size, sizeof size);
        if (json_is_true (json_object_get (self->info, "diskFull")))
            checkup_say (&self->checkup, CHECK_FAIL, "broker", "its disk is full (%s free): make room there", size);
        else
            checkup_say (&self->checkup, CHECK_OK, "broker", "%lld jobs wait, %lld run; %s of disk free",
                         (long long)number_of (self->info, "pendingJobs"),
                         (long long)number_of (self->info, "runningJobs"), size);
    }
    answer_fini (&answer);
}

static void check_workers (doctor_t *self)
{
    answer_t answer;
    size_t at;
    json_t *worker;
    size_t online = 0;
    client_ask (self->client, "GET", "/api/workers/list", NULL, &answer);
    json_array_foreach (json_object_get (answer.json, "workers"), at, worker) online +=
        strcmp (text_of (worker, "status"), "offline") != 0;
    if (answer.fault && answer.status == 403)
        checkup_say (&self->checkup, CHECK_OK, "workers", "your role may not ask for them");
    else if (answer.fault)
        checkup_say (&self->checkup, CHECK_FAIL, "workers", "%s", answer.fault);
    else if (!online)
        checkup_say (&self->checkup, CHECK_WARN, "workers",
                     "none is online, so that jobs wait: gleaner-worker --server %s, on an idle PC",
                     self->options->common.server);
    else
        checkup_say (&self->checkup, CHECK_OK, "workers", "%zu of %zu online", online, at);
    answer_fini (&answer);
}

/* ---- this machine ---- */

static void check_config (doctor_t *self)
{
    char path[CLI_PATH_SIZE];
    cli_config_path (path);
    if (*path && access (path, F_OK) == 0)
        checkup_say (&self->checkup, CHECK_OK, "config", "'%s' is good", path);
    else
        checkup_say (&self->checkup, CHECK_OK, "config", "there is no '%s'; none is needed", path);
}

static void check_temporary (doctor_t *self)
{
    struct statvfs info;
    char size[32];
    const char *folder = temporary_folder ();
    if (access (folder, W_OK | X_OK) != 0 || statvfs (folder, &info) != 0) {
        checkup_say (&self->checkup, CHECK_FAIL, "disk",
                     "'%s': %s: set TMPDIR to a folder where projects can be packed", folder, strerror (errno));
        return;
    }
    long long left = (long long)info.f_bavail * (long long)info.f_frsize;
    bytes_format (left, size, sizeof size);
    if (left < TEMPORARY_SCANT)
        checkup_say (&self->checkup, CHECK_WARN, "disk", "%s are free in '%s': make room, or set TMPDIR", size, folder);
    else
        checkup_say (&self->checkup, CHECK_OK, "disk", "%s are free in '%s', to pack projects in", size, folder);
}

/* The worker's own words. */
static void check_worker (doctor_t *self)
{
    char path[CLI_PATH_SIZE];
    char line[CHECKUP_TEXT_MAX + 64];
    char last[CHECKUP_TEXT_MAX / 2] = "nothing";
    bool told = false;
    if (!cli_find_program ("gleaner-worker", path)) {
        if (self->options->worker)
            checkup_say (&self->checkup, CHECK_FAIL, "worker", "gleaner-worker is not in PATH: install it");
        return;
    }
    setenv ("GLEANER_CHECKED", path, 1); /* whatever is in it, the shell does not take it apart */
    FILE *out = popen ("exec \"$GLEANER_CHECKED\" --check 2>&1", "re");
    while (out && fgets (line, sizeof line, out))
        if (checkup_take (&self->checkup, line))
            told = true;
        else
            snprintf (last, sizeof last, "%.*s", (int)strcspn (line, "\n"), line);
    int status = out ? pclose (out) : -1;
    if (!told || !WIFEXITED (status))
        checkup_say (&self->checkup, CHECK_FAIL, "worker",
                     "'%.300s --check' ended with %s: mend its options, or upgrade it", path, last);
}

int doctor_command (int argc, char **argv)
{
    options_t options = { 0 };
    int status = cli_parse (&doctor_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    doctor_t self = { .options = &options, .client = client_new (&options.common) };
    checkup_begin (&self.checkup, options.common.json);
    check_config (&self);
    if (check_server (&self)) {
        check_broker (&self);
        check_workers (&self);
    }
    check_temporary (&self);
    check_worker (&self);
    status = checkup_end (&self.checkup) ? STATUS_GOOD : STATUS_NOT_FOUND;
    json_decref (self.info);
    client_destroy (&self.client);
    cli_fini (&doctor_table, &options.common);
    return status;
}
