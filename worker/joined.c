#include "worker/joined.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/curve_client.h"
#include "proto/join.h"
#include "proto/lines.h"
#include "proto/log.h"
#include "proto/secret.h"
#include "worker/folders.h"
#include "worker/join_http.h"

enum { PATH_SIZE = FOLDER_PATH_MAX + 16 };

/* The two ways; each one's file says that it was gone. */
typedef struct {
    char broker[PATH_SIZE], gateway[PATH_SIZE];
} paths_t;

static bool there (const char *path)
{
    return access (path, F_OK) == 0;
}

/* ---- joining ---- */

static bool join (const worker_options_t *options, const char *work_dir, const paths_t *paths, const char *id,
                  char *problem, size_t size)
{
    message_t code;
    buf_t raw = { 0 };
    bool over_http = join_code_read (slice_of (options->join), &raw, &code) && code.join_code.server.ptr;
    bool good;
    if (over_http && options->broker) {
        snprintf (problem, size, "this join code is for a gateway: leave --broker out.");
        good = false;
    } else if (over_http) {
        good = join_http (&code, work_dir, id, problem, size);
    } else {
        good = curve_join (options->join, paths->broker, id, problem, size);
    }
    secret_fini (&raw);
    if (good)
        unlink (over_http ? paths->broker : paths->gateway);
    int error = good ? folders_keep_id (work_dir, id) : 0;
    if (error)
        log_event (LEVEL_WARN, "id-not-kept", "start with --id %s from now on: %s", id, strerror (error));
    return good;
}

/* ---- what was kept ---- */

static bool read_gateway (worker_options_t *options, const char *work_dir, const char *path, joined_t *out,
                          char *problem, size_t size)
{
    buf_t text = { 0 };
    buf_t pem = { 0 };
    if (!secret_read (path, &text, problem, size))
        return false;
    slice_t server = lines_get (buf_slice (&text), SLICE ("server"));
    slice_t token = lines_get (buf_slice (&text), SLICE ("token"));
    bool pinned = lines_get (buf_slice (&text), SLICE ("pinned")).ptr;
    bool good = server.len && token.len && token.len <= AUTH_MAX;
    buf_printf (&pem, "%s/gateway.pem", work_dir);
    if (good) {
        options->server = slice_dup (server);
        options->ca = pinned ? xstrdup (pem.ptr) : NULL;
        out->token = slice_dup (token);
    } else {
        snprintf (problem, size, "'%.300s' is not what joining has written: join anew.", path);
    }
    buf_fini (&pem);
    secret_fini (&text);
    return good;
}

static bool read_broker (worker_options_t *options, const char *path, joined_t *out, char *problem, size_t size)
{
    if (!curve_keys_read (path, &out->keys, problem, size))
        return false;
    if (!options->broker && out->keys.endpoint[0])
        options->broker = xstrdup (out->keys.endpoint);
    return true;
}

bool joined_find (worker_options_t *options, const char *work_dir, const char *worker_id, joined_t *out, char *problem,
                  size_t problem_size)
{
    paths_t paths;
    snprintf (paths.broker, sizeof paths.broker, "%s/broker.key", work_dir);
    snprintf (paths.gateway, sizeof paths.gateway, "%s/gateway.key", work_dir);
    if (options->join && !join (options, work_dir, &paths, worker_id, problem, problem_size)) {
        /* A code that was used before says nothing more to who has what it gave. */
        const char *kept = there (paths.broker) ? paths.broker : paths.gateway;
        if (!there (kept))
            return false;
        log_event (LEVEL_WARN, "not-joined", "%s What is in %s is used.", problem, kept);
    }
    bool good = true;
    if (!options->server && there (paths.broker))
        good = read_broker (options, paths.broker, out, problem, problem_size);
    else if (!options->server && !options->broker && there (paths.gateway))
        good = read_gateway (options, work_dir, paths.gateway, out, problem, problem_size);
    if (!good || options->server || options->broker)
        return good;
    snprintf (
        problem, problem_size,
        "give one of --server http://HOST:3000, --broker tcp://HOST:5555 and --join CODE; this worker has not joined.");
    return false;
}

void joined_fini (joined_t *self)
{
    if (self->token)
        sodium_memzero (self->token, strlen (self->token));
    free (self->token);
    sodium_memzero (self, sizeof *self);
}
