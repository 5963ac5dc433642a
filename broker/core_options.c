#include "broker/core_internal.h"

#include <stdlib.h>
#include <string.h>

#include "proto/id.h"
#include "proto/lines.h"

static bool name_safe (slice_t key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return key.len > 0;
}

static bool name_allowed (slice_t key)
{
    return name_safe (key) && !(key.len >= 8 && memcmp (key.ptr, "GLEANER_", 8) == 0);
}

static bool env_safe (slice_t env)
{
    slice_t line, key, value;
    while (lines_next (&env, &line)) {
        line_split (line, &key, &value);
        if (!name_allowed (key))
            return false;
    }
    return true;
}

/* A container gets its environment as lines. */
static bool secrets_safe (slice_t secrets, bool lines)
{
    slice_t row, key, value;
    while (rows_next (&secrets, &row)) {
        line_split (row, &key, &value);
        if (!name_allowed (key) || value.len < SECRET_MIN || (lines && memchr (value.ptr, '\n', value.len)))
            return false;
    }
    return true;
}

/* Below the job's folder: relative, without dot segments, and without backslashes, which some worlds take for slashes.
 */
static bool glob_safe (slice_t glob)
{
    if (!glob.len || glob.ptr[0] == '/' || memchr (glob.ptr, '\\', glob.len))
        return false;
    for (size_t from = 0; from <= glob.len;) {
        const char *end = memchr (glob.ptr + from, '/', glob.len - from);
        size_t len = (end ? (size_t)(end - glob.ptr) : glob.len) - from;
        if (len == 2 && memcmp (glob.ptr + from, "..", 2) == 0)
            return false;
        from += len + 1;
    }
    return true;
}

static bool globs_safe (slice_t globs)
{
    slice_t line;
    while (lines_next (&globs, &line))
        if (!glob_safe (line))
            return false;
    return true;
}

/* The exit code that a line names, 0 for any; -1 when it names none. */
static int exit_code_of (slice_t line)
{
    if (slice_eq_str (line, "any") || slice_eq_str (line, "true"))
        return 0;
    int code = 0;
    for (size_t i = 0; i < line.len; i++) {
        if (line.ptr[i] < '0' || line.ptr[i] > '9' || code > 255)
            return -1;
        code = code * 10 + (line.ptr[i] - '0');
    }
    return line.len && code >= 1 && code <= 255 ? code : -1;
}

static bool exits_safe (slice_t exits)
{
    slice_t line;
    while (lines_next (&exits, &line))
        if (!slice_eq_str (line, "false") && exit_code_of (line) < 0)
            return false;
    return true;
}

/* What options require of a worker: one that does not know such an option lacks its label, too. */
typedef struct {
    bool wanted;
    slice_t label;
    slice_t line;
    const char *text;
} implied_t;

enum { IMPLIED = 3, IMPLIED_MAX = 32 };

static void implied_by (slice_t network, slice_t image, slice_t delta_url, implied_t out[IMPLIED])
{
    out[0] = (implied_t){ network.ptr, SLICE ("network-none"), SLICE ("network-none=yes\n"),
                          "`requires` must leave room for `network-none` `yes`, which `network` none requires." };
    out[1] = (implied_t){ image.ptr, SLICE ("images"), SLICE ("images=yes\n"),
                          "`requires` must leave room for `images` `yes`, which an `image` requires." };
    out[2] = (implied_t){ delta_url.ptr, SLICE ("deltas"), SLICE ("deltas=yes\n"),
                          "`requires` must leave room for `deltas` `yes`, which a `deltaUrl` requires." };
}

static const char *implied_problem (const msg_job_create_t *in)
{
    implied_t implied[IMPLIED];
    implied_by (in->network, in->image, in->delta_url, implied);
    for (int i = 0; i < IMPLIED; i++) {
        slice_t asked = lines_get (in->requires, implied[i].label);
        bool fits = asked.ptr ? slice_eq_str (asked, "yes") : in->requires.len + IMPLIED_MAX <= LABELS_MAX;
        if (implied[i].wanted && !fits)
            return implied[i].text;
    }
    return NULL;
}

/* A name, a tag, a digest: no word that could be taken for an option. */
static bool image_safe (slice_t image)
{
    for (size_t i = 0; i < image.len; i++) {
        char c = image.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!plain && !(i && c && strchr ("./:@_-", c)))
            return false;
    }
    return image.len > 0;
}

bool core_options_possible (const worker_t *worker, const msg_job_create_t *in)
{
    implied_t implied[IMPLIED];
    implied_by (in->network, in->image, in->delta_url, implied);
    for (int i = 0; i < IMPLIED; i++)
        if (implied[i].wanted && !slice_eq_str (lines_get (slice_of (worker->labels), implied[i].label), "yes"))
            return false;
    return true;
}

/* A limit of nothing is no limit that a job can run under. NULL: all that are given leave it something. */
static const char *limit_of_nothing (const msg_job_create_t *in, const char **text)
{
    static const struct {
        const char *field, *text;
    } limits[] = {
        { "memoryMb", "`memoryMb` must be 1 at least." },
        { "cpus", "`cpus` must be 0.01 at least." },
        { "diskMb", "`diskMb` must be 1 at least." },
        { "pids", "`pids` must be 1 at least." },
    };
    const int64_t given[] = { in->memory_mb, in->cpus, in->disk_mb, in->pids };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (given[i] != 0)
            continue;
        *text = limits[i].text;
        return limits[i].field;
    }
    return NULL;
}

/* Rules 44 and 45. */
err_t core_options_check_delta (const event_t *event, const char **field, const char **text)
{
    const msg_job_create_t *in = &event->message->job_create;
    if (!in->delta_url.ptr)
        return ERR_NONE;
    if (blob_url_sha256 (in->delta_url).ptr && blob_url_sha256 (in->file_url).ptr && event->blobs)
        return ERR_NONE;
    bool named = blob_url_sha256 (in->delta_url).ptr;
    *field = named ? "fileUrl" : "deltaUrl";
    named = named && blob_url_sha256 (in->file_url).ptr;
    *text = named ? "The ZIP of `fileUrl`, or that of `deltaUrl`, is not here any more: send the whole project."
                  : "A `deltaUrl`, and the `fileUrl` that it goes with, must be paths that uploads were given.";
    return named ? ERR_NO_SUCH_BLOB : ERR_BAD_FILE_URL;
}

err_t core_options_check (const msg_job_create_t *in, const char **field, const char **text)
{
    if (in->on_error.ptr && !slice_eq_str (in->on_error, "stop") && !slice_eq_str (in->on_error, "continue")) {
        *field = "onError";
        *text = "`onError` must be stop or continue.";
        return ERR_SCHEMA;
    }
    if (in->network.ptr && !slice_eq_str (in->network, "none")) {
        *field = "network";
        *text = "`network` must be none, or absent.";
        return ERR_SCHEMA;
    }
    if (in->image.ptr && !image_safe (in->image)) {
        *field = "image";
        *text = "`image` must be a container image's name, such as debian:12.";
        return ERR_SCHEMA;
    }
    *text = implied_problem (in);
    if (*text) {
        *field = "requires";
        return ERR_SCHEMA;
    }
    if (in->name.ptr && !lines_plain (in->name)) {
        *field = "name";
        *text = "`name` must hold no control characters.";
        return ERR_SCHEMA;
    }
    if (in->env.ptr && !env_safe (in->env)) {
        *field = "env";
        *text = "`env` must hold names of letters, digits and _, not beginning with GLEANER_.";
        return ERR_SCHEMA;
    }
    if (in->secrets.ptr && !secrets_safe (in->secrets, in->image.ptr != NULL)) {
        *field = "secrets";
        *text =
            "`secrets` must hold names of letters, digits and _, not beginning with GLEANER_, and values of 4 bytes "
            "or more, of one line each where the job has an image.";
        return ERR_SCHEMA;
    }
    if (in->artifacts.ptr && !globs_safe (in->artifacts)) {
        *field = "artifacts";
        *text = NULL;
        return ERR_BAD_GLOB;
    }
    if (in->retry_on_exit.ptr && !exits_safe (in->retry_on_exit)) {
        *field = "retryOnExit";
        *text = "`retryOnExit` must hold exit codes from 1 to 255, or `any`.";
        return ERR_SCHEMA;
    }
    const char *nothing = limit_of_nothing (in, text);
    if (nothing)
        *field = nothing;
    return nothing ? ERR_SCHEMA : ERR_NONE;
}

void core_options_imply (core_t *self, msg_job_options_t *options)
{
    implied_t implied[IMPLIED];
    implied_by (options->network, options->image, options->delta_url, implied);
    for (int i = 0; i < IMPLIED; i++) {
        if (!implied[i].wanted || lines_get (options->requires, implied[i].label).ptr)
            continue;
        buf_clear (&self->list);
        buf_append (&self->list, options->requires.ptr, options->requires.len);
        buf_append (&self->list, implied[i].line.ptr, implied[i].line.len);
        options->requires = core_keep (self, buf_slice (&self->list));
    }
}

slice_t core_options_encode (core_t *self, const message_t *create)
{
    message_t options;
    message_init (&options, MSG_JOB_OPTIONS);
    message_copy_common (create, &options);
    buf_clear (&self->list);
    message_encode_item (&options, &self->list);
    return self->list.len > 1 ? core_keep (self, buf_slice (&self->list)) : SLICE_ABSENT; /* 1: an empty map */
}

slice_t core_options_secret_names (core_t *self, const msg_job_create_t *in)
{
    slice_t rows = in->secrets;
    slice_t row, key, value;
    buf_clear (&self->list);
    while (rows_next (&rows, &row)) {
        line_split (row, &key, &value);
        lines_add (&self->list, key, SLICE_ABSENT);
    }
    return self->list.len ? core_keep (self, buf_slice (&self->list)) : SLICE_ABSENT;
}

slice_t core_options_brief (core_t *self, const message_t *options)
{
    if (!options->job_options.env.len && !options->job_options.sealed.len)
        return SLICE_ABSENT;
    message_t brief = *options;
    brief.job_options.env = SLICE_ABSENT;
    brief.job_options.sealed = SLICE_ABSENT;
    buf_clear (&self->list);
    message_encode_item (&brief, &self->list);
    return core_keep (self, buf_slice (&self->list));
}

bool core_takes_deltas (const core_t *self)
{
    size_t at = 0;
    size_t online = 0;
    for (const worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at)) {
        if (worker->online && !slice_eq_str (lines_get (slice_of (worker->labels), SLICE ("deltas")), "yes"))
            return false;
        online += worker->online;
    }
    return online > 0;
}

bool core_options_take (core_t *self, job_t *job, const msg_job_options_t *options)
{
    queue_t *queue = job->pinned ? &job->pinned->pinned : core_queue_find (self, options->requires);
    if (!queue)
        return false;
    core_queue_enter (job, queue);
    int64_t priority = options->priority == INT_ABSENT ? 0 : options->priority;
    if (!priority && options->backoff_ms == INT_ABSENT && !options->retry_on_exit.len)
        return true;
    job->options = xcalloc (1, sizeof *job->options);
    job->options->priority = priority;
    job->options->backoff_ms = options->backoff_ms;
    job->options->retry_on_exit = options->retry_on_exit.len ? slice_dup (options->retry_on_exit) : NULL;
    return true;
}

bool core_options_retry (const job_t *job, int64_t exit_code)
{
    slice_t exits = slice_of (job->options ? job->options->retry_on_exit : NULL);
    slice_t line;
    while (lines_next (&exits, &line)) {
        int code = exit_code_of (line);
        if (code == 0 || (code > 0 && code == exit_code))
            return true;
    }
    return false;
}
