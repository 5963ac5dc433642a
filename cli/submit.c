#include "cli/submit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/pack.h"
#include "cli/print.h"
#include "proto/clock.h"
#include "proto/id.h"
#include "proto/limits.h"
#include "proto/lines.h"

#define AT(member) offsetof (submit_options_t, member)

enum {
    TRIES = 4,          /* of an upload, with the same idempotency key */
    TRY_AGAIN_MS = 500, /* before the second one, doubled each time */
    BAR_AFTER_MS = 500, /* an upload that is quicker shows no bar */
    BAR_EVERY_MS = 100,
    BAR_WIDTH = 30,
    MIB_SHIFT = 20,
    STALL_S = 60, /* an upload without a byte for so long has ended */
    ATTEMPTS_LIMIT = 1000,
};

static const option_t submit_rows[] = {
    CLI_COMMON_ROWS,
    { .name = "project",
      .type = OPT_TEXT,
      .at = AT (project),
      .fallback = ".",
      .value = "DIR|ZIP",
      .help = "what goes along, less what .gitignore and .gleanerignore name" },
    { .name = "on",
      .type = OPT_LINES,
      .at = AT (on),
      .value = "LABEL",
      .help = "only on a worker with this label: K=V, or `worker=ID`; may be given again" },
    { .name = "artifact",
      .type = OPT_LINES,
      .at = AT (artifact),
      .value = "GLOB",
      .help = "files that come back; may be given again" },
    { .name = "env",
      .type = OPT_LINES,
      .at = AT (env),
      .value = "K=V",
      .help = "a variable of the commands' environment; K alone takes yours; may be given again" },
    { .name = "secret",
      .type = OPT_LINES,
      .at = AT (secret),
      .value = "K",
      .help = "the same, of your environment, kept encrypted and masked in what is printed; K=@FILE takes a file" },
    { .name = "label",
      .type = OPT_LINES,
      .at = AT (label),
      .value = "K=V",
      .help = "the job's own label, to find it by; may be given again" },
    { .name = "name", .type = OPT_TEXT, .at = AT (name), .value = "NAME", .help = "a name for people" },
    { .name = "timeout",
      .type = OPT_DURATION,
      .at = AT (timeout_ms),
      .min = 0,
      .max = TIMEOUT_MAX,
      .value = "TIME",
      .help = "how long an attempt may run; default: the server's, one hour" },
    { .name = "attempts",
      .type = OPT_INT,
      .at = AT (attempts),
      .min = 0,
      .max = ATTEMPTS_LIMIT,
      .value = "N",
      .help = "how often it may be started, when a worker is lost; default: the server's, 3" },
    { .name = "priority",
      .type = OPT_INT,
      .at = AT (priority),
      .min = -PRIORITY_MAX,
      .max = PRIORITY_MAX,
      .value = "N",
      .help = "a higher one comes first" },
    { .name = "memory",
      .type = OPT_BYTES,
      .at = AT (memory),
      .min = 0,
      .max = 1LL << 50,
      .value = "SIZE",
      .help = "memory that it may use, 512M, say" },
    { .name = "cpus", .type = OPT_TEXT, .at = AT (cpus), .value = "N", .help = "processors that it may use, 1.5, say" },
    { .name = "no-network", .type = OPT_FLAG, .at = AT (no_network), .help = "its commands reach no network" },
    { .name = "keep-going",
      .type = OPT_FLAG,
      .at = AT (keep_going),
      .help = "run all commands, whether one fails or not" },
    { .name = "image", .type = OPT_TEXT, .at = AT (image), .value = "IMAGE", .help = "container image to run in" },
    { .name = "all", .type = OPT_FLAG, .at = AT (all), .help = "send what the ignore files name, and .git, too" },
    { .name = "key",
      .type = OPT_TEXT,
      .at = AT (key),
      .value = "KEY",
      .help = "idempotency key: the same submission again gives the same job" },
    { .name = "raw",
      .type = OPT_FLAG,
      .at = AT (raw),
      .help = "leave control characters of the output as they are on a terminal: colours, but whatever else, too" },
};
enum { SUBMIT_ROWS = sizeof submit_rows / sizeof *submit_rows, RUN_ONLY = 1 /* the last rows */ };

const option_table_t run_table = { .program = "gleaner run",
                                   .summary =
                                       "run commands on a worker, in a copy of a folder, and show what they print",
                                   .rows = submit_rows,
                                   .count = SUBMIT_ROWS,
                                   .operand = "project",
                                   .rest = "COMMAND...",
                                   .rest_at = AT (commands) };
const option_table_t submit_table = { .program = "gleaner submit",
                                      .summary = "send a project and commands, and print the job's id",
                                      .rows = submit_rows,
                                      .count = SUBMIT_ROWS - RUN_ONLY,
                                      .operand = "project",
                                      .rest = "COMMAND...",
                                      .rest_at = AT (commands) };

/* ---- the form ---- */

typedef struct {
    const submit_options_t *options;
    buf_t commands;
    json_t *fields; /* of texts: what the form says beside file and commands */
    char key[33];
    const char *wrong; /* the field that could not be said */
} form_t;

/* One command, as one shell takes it apart again: its words quoted when there are several. */
static bool quote_commands (const options_rest_t *rest, buf_t *out)
{
    for (int i = 0; i < rest->count; i++) {
        const char *word = rest->args[i];
        bool plain =
            *word && !word[strspn (word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%")];
        if (strchr (word, '\n') && rest->count > 1)
            return false;
        buf_append_str (out, i ? " " : "");
        if (rest->count == 1 || plain) {
            buf_append_str (out, word);
            continue;
        }
        buf_append_str (out, "'");
        for (; *word; word++)
            if (*word == '\'')
                buf_append_str (out, "'\\''");
            else
                buf_append (out, word, 1);
        buf_append_str (out, "'");
    }
    return true;
}

static void set_text (form_t *form, const char *name, const char *value)
{
    if (value && *value && json_object_set_new (form->fields, name, json_string (value)) != 0)
        form->wrong = name;
}

static void set_number (form_t *form, const char *name, int64_t number)
{
    char text[32];
    snprintf (text, sizeof text, "%lld", (long long)number);
    if (number)
        set_text (form, name, text);
}

/* What a line K or K=V of an option means for K; NULL after one sentence. The caller frees it. */
typedef char *value_fn (const char *key, const char *value);

static char *label_value (const char *key, const char *value)
{
    (void)key;
    return xstrdup (value ? value : "true");
}

static char *own_variable (const char *key, const char *value)
{
    const char *own = value ? value : getenv (key);
    if (!own)
        cli_say (0, "your environment has no variable '%s' to send.", key);
    return own ? xstrdup (own) : NULL;
}

static char *file_text (const char *path)
{
    FILE *file = fopen (path, "re");
    if (!file) {
        cli_say (0, "cannot read '%s': %s.", path, strerror (errno));
        return NULL;
    }
    char *text = xcalloc (1, SECRETS_MAX + 1);
    size_t len = fread (text, 1, SECRETS_MAX, file);
    bool good = !ferror (file) && len < SECRETS_MAX && strlen (text) == len;
    fclose (file);
    if (good)
        return text;
    cli_say (0, "'%s' is no text of less than %d bytes.", path, SECRETS_MAX);
    free (text);
    return NULL;
}

static char *secret_value (const char *key, const char *value)
{
    if (!value)
        return own_variable (key, NULL);
    if (value[0] == '@')
        return file_text (value + 1);
    cli_say (0,
             "a secret on a command line can be read by others: export it and say --secret %s, or --secret %s=@FILE.",
             key, key);
    return NULL;
}

/* Lines K or K=V as the JSON map of a field. */
static bool add_map (form_t *form, const char *field, const char *lines, value_fn *meaning)
{
    json_t *map = json_object ();
    slice_t rest = slice_of (lines);
    slice_t line;
    bool good = true;
    while (good && rest.ptr && lines_next (&rest, &line)) {
        slice_t key;
        slice_t value;
        line_split (line, &key, &value);
        char *name = slice_dup (key);
        char *said = slice_dup (value);
        char *text = meaning (name, said);
        good = text && json_object_set_new (map, name, json_string (text)) == 0;
        if (text && !good)
            cli_say (0, "the value of '%s' is not UTF-8.", name);
        free (name);
        free (said);
        free (text);
    }
    char *text = good && json_object_size (map) ? json_dumps (map, JSON_COMPACT) : NULL;
    set_text (form, field, text);
    free (text);
    json_decref (map);
    return good;
}

static bool fill_form (form_t *form)
{
    const submit_options_t *options = form->options;
    if (options->commands.count == 0)
        return cli_say (0, "what is to be run? Put it behind --: gleaner run -- make test");
    if (!quote_commands (&options->commands, &form->commands))
        return cli_say (0, "a command of several words cannot hold a line break: give the script as one word.");
    random_id_make (form->key);
    set_text (form, "mode", "distributed");
    set_text (form, "idempotencyKey", options->key ? options->key : form->key);
    set_text (form, "name", options->name);
    set_text (form, "artifacts", options->artifact);
    set_number (form, "timeoutMs", options->timeout_ms);
    set_number (form, "maxAttempts", options->attempts);
    set_number (form, "priority", options->priority);
    set_number (form, "memoryMb", (options->memory + (1 << MIB_SHIFT) - 1) >> MIB_SHIFT);
    set_text (form, "cpus", options->cpus);
    set_text (form, "network", options->no_network ? "none" : NULL);
    set_text (form, "onError", options->keep_going ? "continue" : NULL);
    set_text (form, "image", options->image);
    if (form->wrong)
        return cli_say (0, "the value of '%s' is not UTF-8.", form->wrong);
    return add_map (form, "requires", options->on, label_value) &&
           add_map (form, "labels", options->label, label_value) && add_map (form, "env", options->env, own_variable) &&
           add_map (form, "secrets", options->secret, secret_value);
}

/* ---- the upload ---- */

typedef struct {
    int fd;
    int64_t at, bytes;
    int64_t begun_ms, shown_ms; /* of the bar; 0: not shown */
    bool bar;
} source_t;

static void show_bar (source_t *source)
{
    int64_t now = clock_mono_ms ();
    bool done = source->at >= source->bytes;
    if (!source->bar || now - source->begun_ms < BAR_AFTER_MS || (now - source->shown_ms < BAR_EVERY_MS && !done))
        return;
    char sent[32];
    char all[32];
    char bar[BAR_WIDTH + 1];
    int filled = source->bytes ? (int)(source->at * BAR_WIDTH / source->bytes) : BAR_WIDTH;
    memset (bar, '.', BAR_WIDTH);
    memset (bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = '\0';
    bytes_format (source->at, sent, sizeof sent);
    bytes_format (source->bytes, all, sizeof all);
    fprintf (stderr, "\rsending [%s] %s of %s ", bar, sent, all);
    source->shown_ms = now;
}

static void end_bar (source_t *source)
{
    if (source->shown_ms)
        fprintf (stderr, "\r%*s\r", BAR_WIDTH + 50, "");
    source->shown_ms = 0;
}

static size_t on_read (char *out, size_t size, size_t count, void *ctx)
{
    source_t *source = ctx;
    ssize_t got = pread (source->fd, out, size * count, source->at);
    if (got < 0)
        return CURL_READFUNC_ABORT;
    source->at += got;
    show_bar (source);
    return (size_t)got;
}

static int on_seek (void *ctx, curl_off_t offset, int origin)
{
    source_t *source = ctx;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_FAIL;
    source->at = offset;
    return CURL_SEEKFUNC_OK;
}

static curl_mime *make_mime (CURL *easy, const form_t *form, const pack_t *pack, source_t *source)
{
    curl_mime *mime = curl_mime_init (easy);
    const char *name;
    json_t *value;
    json_object_foreach (form->fields, name, value)
    {
        curl_mimepart *part = curl_mime_addpart (mime);
        curl_mime_name (part, name);
        curl_mime_data (part, json_string_value (value), CURL_ZERO_TERMINATED);
    }
    curl_mimepart *part = curl_mime_addpart (mime);
    curl_mime_name (part, "commands");
    curl_mime_data (part, form->commands.ptr, form->commands.len);
    part = curl_mime_addpart (mime);
    curl_mime_name (part, "file");
    curl_mime_filename (part, pack->name);
    curl_mime_type (part, "application/zip");
    curl_mime_data_cb (part, pack->bytes, on_read, on_seek, NULL, source);
    return mime;
}

static void send_once (client_t *client, const form_t *form, const pack_t *pack, answer_t *answer)
{
    char fault[CURL_ERROR_SIZE];
    source_t source = {
        .fd = pack->fd, .bytes = pack->bytes, .begun_ms = clock_mono_ms (), .bar = isatty (STDERR_FILENO)
    };
    CURL *easy = client_transfer (client, "/api/execute", fault);
    curl_mime *mime = make_mime (easy, form, pack, &source);
    struct curl_slist *headers = curl_slist_append (NULL, "Expect:");
    if (pack->bytes > 1 << MIB_SHIFT) { /* a refusal then comes before the bytes are sent */
        curl_slist_free_all (headers);
        headers = curl_slist_append (NULL, "Expect: 100-continue");
    }
    curl_easy_setopt (easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt (easy, CURLOPT_MIMEPOST, mime);
    curl_easy_setopt (easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt (easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    client_perform (client, easy, answer);
    end_bar (&source);
    curl_mime_free (mime);
    curl_slist_free_all (headers);
}

/* The key makes a second try safe: the job that the first one may have made is found again. */
static int send_form (client_t *client, const form_t *form, const pack_t *pack, json_t **job_p)
{
    answer_t answer = { 0 };
    int status = STATUS_GOOD;
    for (int try = 0; try < TRIES; try++) {
        int64_t pause_ms = (int64_t)TRY_AGAIN_MS << try;
        const struct timespec pause = { pause_ms / 1000, pause_ms % 1000 * 1000000 };
        answer_fini (&answer);
        send_once (client, form, pack, &answer);
        bool passes = answer.fault && (answer_status (&answer) == STATUS_AWAY || answer.status == 429);
        if (!passes || answer.status / 100 == 2)
            break;
        if (try == 0)
            cli_say (0, "%s Trying again.", answer.fault);
        if (try < TRIES - 1)
            nanosleep (&pause, NULL);
    }
    *job_p = json_incref (client_need (&answer, &status));
    if (*job_p && !*text_of (*job_p, "jobId")) {
        json_decref (*job_p);
        *job_p = NULL;
        status =
            cli_say (STATUS_AWAY, "%s answers, but names no job: is the address right?", form->options->common.server);
    }
    if (status == STATUS_AWAY)
        cli_say (0, "whether there is a job now is not known; with --key %s the same submission makes no second one.",
                 json_string_value (json_object_get (form->fields, "idempotencyKey")));
    answer_fini (&answer);
    return status;
}

int submit (client_t *client, const submit_options_t *options, json_t **job_p)
{
    form_t form = { .options = options, .fields = json_object () };
    pack_t pack = { .fd = -1 };
    int status = fill_form (&form) ? 0 : STATUS_USAGE;
    if (!status)
        status = pack_project (options->project, options->all, &pack);
    if (!status)
        status = send_form (client, &form, &pack, job_p);
    if (pack.fd >= 0)
        close (pack.fd);
    json_decref (form.fields);
    buf_fini (&form.commands);
    return status;
}

int submit_command (int argc, char **argv)
{
    submit_options_t options = { 0 };
    int status = cli_parse (&submit_table, argc, argv, &options.common);
    if (status != OPTIONS_RUN)
        return status;
    json_t *job = NULL;
    client_t *client = client_new (&options.common);
    status = submit (client, &options, &job);
    if (job && options.common.json)
        print_json (job);
    else if (job)
        print_text (text_of (job, "jobId"), "\n");
    json_decref (job);
    client_destroy (&client);
    cli_fini (&submit_table, &options.common);
    return status;
}
