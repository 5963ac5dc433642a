#include "broker/auth_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "proto/log.h"

enum { PATH_SIZE = 4096 + 32, PROBLEM_SIZE = 1200 };

#define CONTROL_FILE "control-token"

/* ---- life ---- */

static bool control_write (auth_t *self, char *problem, size_t size)
{
    char path[PATH_SIZE];
    char text[TOKEN_TEXT_MAX];
    snprintf (path, sizeof path, "%.4000s/" CONTROL_FILE, self->folder);
    token_make (&self->control, text);
    self->control.role = ROLE_ADMIN;
    snprintf (self->control.name, sizeof self->control.name, "control");
    unlink (path);
    int fd = open (path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t len = strlen (text);
    bool good = fd >= 0 && write (fd, text, len) == (ssize_t)len;
    if (!good)
        snprintf (problem, size, "cannot write '%.900s': %s.", path, strerror (errno));
    if (fd >= 0)
        close (fd);
    sodium_memzero (text, sizeof text);
    return good;
}

void auth_control_read (const char *folder, char token[TOKEN_TEXT_MAX])
{
    char path[PATH_SIZE];
    snprintf (path, sizeof path, "%.4000s/" CONTROL_FILE, folder);
    int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t len = fd < 0 ? 0 : read (fd, token, TOKEN_TEXT_MAX - 1);
    token[len > 0 ? len : 0] = '\0';
    if (fd >= 0)
        close (fd);
}

static bool any_token (const identities_t *identities)
{
    for (size_t i = 0; i < identities_count (identities); i++)
        if (strcmp (identities_at (identities, i)->kind, IDENTITY_TOKEN) == 0)
            return true;
    return false;
}

static void settle (auth_t *self)
{
    bool any = any_token (self->identities);         /* keys are asked for where there is CURVE, whatever this says */
    bool wanted = any || self->issuer || self->asks; /* a file that has gone meanwhile opens nothing */
    bool asks = strcmp (self->mode, "on") == 0 || (strcmp (self->mode, "off") != 0 && wanted);
    if (asks != self->asks)
        log_event (LEVEL_INFO, asks ? "auth-on" : "auth-off", "%s",
                   asks ? "who says nothing of itself may do nothing" : "everybody may do everything");
    self->asks = asks;
}

auth_t *auth_new (const char *folder, const char *mode, char *problem, size_t problem_size)
{
    auth_t *self = xcalloc (1, sizeof *self);
    self->folder = xstrdup (folder);
    self->mode = mode;
    self->identities = identities_new (folder);
    self->watch = inotify_init1 (IN_NONBLOCK | IN_CLOEXEC);
    /* A file that is moved into the folder, or one that was written there by hand. */
    if (self->watch >= 0 && inotify_add_watch (self->watch, folder, IN_MOVED_TO | IN_CLOSE_WRITE | IN_DELETE) < 0) {
        close (self->watch);
        self->watch = -1;
    }
    if (!control_write (self, problem, problem_size) || !identities_load (self->identities, problem, problem_size) ||
        !identities_keep (self->identities, problem, problem_size)) {
        auth_destroy (&self);
        return NULL;
    }
    settle (self);
    return self;
}

void auth_destroy (auth_t **self_p)
{
    auth_t *self = *self_p;
    if (!self)
        return;
    if (self->watch >= 0)
        close (self->watch);
    identities_destroy (&self->identities);
    issuer_destroy (&self->issuer);
    free (self->folder);
    free (self);
    *self_p = NULL;
}

bool auth_asks (const auth_t *self)
{
    return self->asks;
}

void auth_trust (auth_t *self, issuer_t **issuer_p)
{
    self->issuer = *issuer_p;
    *issuer_p = NULL;
    settle (self);
}

int auth_fd (const auth_t *self)
{
    return self->watch;
}

/* ---- changes ---- */

static void take_notices (auth_t *self)
{
    char events[4096];
    while (self->watch >= 0 && read (self->watch, events, sizeof events) > 0)
        ;
}

void auth_on_change (auth_t *self, auth_change_fn *fn, void *ctx)
{
    self->change = fn;
    self->change_ctx = ctx;
}

static void tell_changes (auth_t *self, const identities_t *old, int64_t wall_ms)
{
    const identities_t *now = self->identities;
    for (size_t i = 0; self->change && i < identities_count (old); i++) {
        const identity_t *was = identities_at (old, i);
        const identity_t *is = identities_by_id (now, slice_of (was->id));
        if (identity_counts (was, wall_ms) && (!is || !identity_counts (is, wall_ms)))
            self->change (self->change_ctx, was, true);
    }
    for (size_t i = 0; self->change && i < identities_count (now); i++)
        if (!identities_by_id (old, slice_of (identities_at (now, i)->id)))
            self->change (self->change_ctx, identities_at (now, i), false);
}

void auth_refresh (auth_t *self, int64_t wall_ms)
{
    char problem[PROBLEM_SIZE];
    take_notices (self);
    if (!identities_moved (self->identities))
        return;
    identities_t *fresh = identities_new (self->folder);
    bool good = identities_load (fresh, problem, sizeof problem);
    if (good && !identities_keep (fresh, problem, sizeof problem)) /* whoever was revoked must not stay in for that */
        log_event (LEVEL_ERROR, "identities-unmarked", "%s A later loss of the file would not be noticed.", problem);
    if (good) {
        identities_t *old = self->identities;
        self->identities = fresh;
        tell_changes (self, old, wall_ms);
        fresh = old;
        log_event (LEVEL_INFO, "identities-read", "%zu identities", identities_count (self->identities));
    } else if (!self->damaged) {
        log_event (LEVEL_ERROR, "identities-unreadable", "%s What was read before still counts.", problem);
    }
    self->damaged = !good;
    identities_destroy (&fresh);
    settle (self);
}

/* ---- who ---- */

static void who_fill (who_t *out, const identity_t *identity, const identity_t *line)
{
    *out = (who_t){ .role = identity->role,
                    .id = identity->id,
                    .name = identity->name,
                    .worker_id = identity->worker_id,
                    .expires_ms = identity->expires_ms,
                    .identity = line };
}

static err_t by_issuer (auth_t *self, slice_t token, int64_t wall_ms, who_t *out)
{
    const grant_t *grant = NULL;
    err_t err = issuer_check (self->issuer, token, wall_ms, &grant, &out->why);
    if (err)
        return err;
    *out = (who_t){ .role = grant->role, .id = "jwt", .name = grant->name, .expires_ms = grant->expires_ms };
    out->worker_id = grant->role == ROLE_WORKER ? grant->name + strlen (ISSUER_PREFIX) : "";
    return ERR_NONE;
}

err_t auth_identify (auth_t *self, slice_t auth, int64_t wall_ms, who_t *out)
{
    *out = (who_t){ .role = self->asks ? ROLE_NONE : ROLE_ADMIN, .id = "", .name = "", .worker_id = "" };
    if (!self->asks || !auth.ptr)
        return ERR_NONE;
    slice_t id;
    unsigned char hash[32];
    const identity_t *identity = identities_by_token (self->identities, auth, wall_ms);
    if (identity) {
        who_fill (out, identity, identity);
        return ERR_NONE;
    }
    bool token = token_read (auth, &id, hash);
    if (self->issuer && !token)
        return by_issuer (self, auth, wall_ms, out);
    bool control = token && sodium_memcmp (self->control.hash, hash, sizeof hash) == 0;
    if (control)
        who_fill (out, &self->control, NULL);
    return control ? ERR_NONE : ERR_UNAUTHORIZED;
}

err_t auth_identify_key (auth_t *self, slice_t key, slice_t auth, int64_t wall_ms, who_t *out)
{
    *out = (who_t){ .role = ROLE_NONE, .id = "", .name = "", .worker_id = "" };
    const identity_t *identity = identities_by_key (self->identities, key, wall_ms);
    if (identity && identity->role == ROLE_GATEWAY)
        return auth_identify (self, auth, wall_ms, out);
    if (identity)
        who_fill (out, identity, identity);
    return identity ? ERR_NONE : ERR_UNAUTHORIZED;
}

/* ---- workers ---- */

bool auth_taken (const auth_t *self, const who_t *who, slice_t worker_id, int64_t wall_ms)
{
    const identity_t *other = identities_by_worker (self->identities, worker_id, wall_ms);
    return other && other != who->identity;
}

typedef struct {
    const char *id;
    slice_t worker_id;
} binding_t;

static bool write_binding (identities_t *fresh, void *ctx, char *problem, size_t size)
{
    const binding_t *binding = ctx;
    for (size_t i = 0; i < identities_count (fresh); i++) {
        identity_t *identity = identities_edit (fresh, i);
        if (strcmp (identity->id, binding->id) == 0)
            return slice_copy (binding->worker_id, identity->worker_id, sizeof identity->worker_id);
    }
    snprintf (problem, size, "the identity has gone.");
    return false;
}

bool auth_bind (auth_t *self, who_t *who, slice_t worker_id, int64_t wall_ms)
{
    char problem[PROBLEM_SIZE] = "";
    char id[IDENTITY_ID_MAX + 1];
    snprintf (id, sizeof id, "%s", who->id);
    binding_t binding = { id, worker_id };
    if (!identities_change (self->folder, write_binding, &binding, problem, sizeof problem))
        log_event (LEVEL_ERROR, "identity-unbound", "%s could not be bound to a worker: %s", id, problem);
    auth_refresh (self, wall_ms); /* whatever else has changed */
    const identity_t *bound = identities_by_id (self->identities, slice_of (id));
    if (!bound || !identity_counts (bound, wall_ms) || !slice_eq_str (worker_id, bound->worker_id))
        return false;
    who_fill (who, bound, bound);
    return true;
}
