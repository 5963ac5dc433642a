#include "cli/travel.h"

#include <limits.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/print.h"
#include "cli/sent.h"
#include "proto/id.h"

typedef struct {
    client_t *client;
    const submit_options_t *options;
    form_t *form;
    char folder[PATH_MAX]; /* its real path; empty: a ZIP */
    sent_t *sent;          /* what the server has of it; NULL: not known */
    bool asked;            /* the server answers what it has */
    bool deltas;           /* it takes them, as do its workers */
} travel_t;

/* Asks whether the server has that ZIP; then it is the form's. False: no, or not to be had by asking. */
static bool ask_for (travel_t *self, const char *sha256)
{
    buf_t path = { 0 };
    answer_t answer = { 0 };
    buf_printf (&path, "/api/blobs/check?sha256=%s", sha256);
    client_ask (self->client, "GET", path.ptr, NULL, &answer);
    self->asked = answer.status / 100 == 2 && answer.json;
    self->deltas = self->asked && json_is_true (json_object_get (answer.json, "deltas"));
    const char *url = self->asked ? text_of (answer.json, "fileUrl") : "";
    bool known = self->asked && json_is_true (json_object_get (answer.json, "known")) && *url;
    free (self->form->there);
    self->form->there = known ? xstrdup (url) : NULL;
    buf_fini (&path);
    answer_fini (&answer);
    return known;
}

/* That the server has something. */
static void forget (form_t *form)
{
    free (form->there);
    form->there = NULL;
    form->gone = false;
}

static const char *server_of (const travel_t *self)
{
    return self->options->common.server;
}

static void tell_travel (const travel_t *self, const pack_t *pack, json_t *job)
{
    char bytes[32];
    int64_t sent = pack->fd < 0 ? 0 : pack->bytes;
    bytes_format (sent, bytes, sizeof bytes);
    json_object_set_new (job, "sentBytes", json_integer (sent));
    if (pack->files)
        json_object_set_new (job, "files", json_integer (pack->files));
    if (pack->changed < 0 && pack->fd >= 0)
        return;
    if (pack->changed >= 0)
        json_object_set_new (job, "changedFiles", json_integer (pack->changed));
    if (!isatty (STDERR_FILENO))
        return;
    if (pack->changed < 0)
        cli_say (0, "%s has this project already: nothing sent.", server_of (self));
    else
        cli_say (0, "%lld of %lld files changed, %s sent.", (long long)pack->changed, (long long)pack->files, bytes);
}

static int send_pack (travel_t *self, pack_t *pack, json_t **job_p)
{
    int status = upload_form (self->client, self->form, pack, job_p);
    if (*job_p)
        tell_travel (self, pack, *job_p);
    if (pack->fd >= 0)
        close (pack->fd);
    pack->fd = -1;
    return status;
}

/* PACK_WHOLE: all of it must be sent. */
static int send_delta (travel_t *self, json_t **job_p)
{
    pack_t pack;
    if (!self->sent || !ask_for (self, self->sent->base) || !self->deltas)
        return PACK_WHOLE;
    int status = pack_delta (self->options->project, self->options->all, self->sent, &pack);
    if (status)
        return status;
    if (self->sent->stale)
        sent_save (self->sent, server_of (self), self->folder);
    status = send_pack (self, &pack, job_p);
    return self->form->gone ? PACK_WHOLE : status;
}

static bool hash_zip (const pack_t *pack, char hex[SHA256_HEX + 1])
{
    static unsigned char piece[256 * 1024];
    unsigned char digest[SHA256_DIGEST_SIZE];
    struct sha256_ctx hash;
    ssize_t got;
    sha256_init (&hash);
    for (off_t at = 0; (got = pread (pack->fd, piece, sizeof piece, at)) > 0; at += got)
        sha256_update (&hash, (size_t)got, piece);
    sha256_digest (&hash, sizeof digest, digest);
    hex_format (digest, sizeof digest, hex);
    return got == 0;
}

/* All of it, unless the server has just that. */
static int send_whole (travel_t *self, json_t **job_p)
{
    pack_t pack;
    const submit_options_t *options = self->options;
    sent_t *index = self->folder[0] ? sent_new () : NULL;
    int status = index ? pack_folder (options->project, options->all, index, &pack)
                       : pack_project (options->project, options->all, &pack);
    char sha256[SHA256_HEX + 1] = "";
    bool hashed = !status && hash_zip (&pack, sha256);
    if (hashed && !options->full && ask_for (self, sha256)) {
        close (pack.fd);
        pack.fd = -1;
    }
    int64_t bytes = status ? 0 : pack.bytes;
    if (!status)
        status = send_pack (self, &pack, job_p);
    if (*job_p && index && hashed) {
        snprintf (index->base, sizeof index->base, "%s", sha256);
        index->base_bytes = bytes;
        sent_save (index, server_of (self), self->folder);
    }
    sent_destroy (&index);
    return status;
}

int travel (client_t *client, form_t *form, json_t **job_p)
{
    struct stat info;
    const submit_options_t *options = form->options;
    travel_t self = { .client = client, .options = options, .form = form };
    if (stat (options->project, &info) != 0 || !S_ISDIR (info.st_mode) || !realpath (options->project, self.folder))
        self.folder[0] = '\0';
    /* The same submission must be the same request: a delta would be another one when its base is another. */
    if (self.folder[0] && !options->full && !options->key)
        self.sent = sent_load (server_of (&self), self.folder);
    int status = send_delta (&self, job_p);
    forget (form);
    if (status == PACK_WHOLE)
        status = send_whole (&self, job_p);
    if (form->gone) /* between two calls */
        status = cli_say (STATUS_REFUSED, "%s has let go of this project just now: try again.", server_of (&self));
    sent_destroy (&self.sent);
    return status;
}
