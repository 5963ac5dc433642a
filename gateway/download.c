#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/range.h"
#include "gateway/traffic.h"
#include "proto/id.h"
#include "proto/log.h"

enum {
    PIECES_MAX = 8,  /* in flight, of one blob */
    PIECES_ALL = 32, /* likewise of all, except that each may have one */
};

/* A blob on its way from the broker into the cache. All requests for it wait for the one copy. */
typedef struct download {
    gateway_t *gateway;
    char sha256[SHA256_HEX + 1];
    char *auth; /* of the request that was the first; NULL: none */
    int fd;
    char *path;
    int64_t bytes;   /* whole length; -1: not yet known */
    int64_t asked;   /* where the next call begins */
    int64_t written; /* bytes on the disk */
    int64_t hashed;  /* from the front */
    unsigned in_flight;
    bool over;
    struct sha256_ctx hash;
    request_t **waiting;
    size_t waiting_count;
    struct download *prev, *next;
} download_t;

/* ---- answering from a file ---- */

/* Consumes `fd`. */
static void answer_file (request_t *request, int fd, const char *sha256, int64_t bytes)
{
    range_t range;
    int64_t from = 0;
    int64_t count = bytes;
    char text[2 * SHA256_HEX];
    snprintf (text, sizeof text, "\"%s\"", sha256);
    slice_t condition = request_header (request, "If-Range");
    bool ranged =
        range_parse (request_header (request, "Range"), &range) && (!condition.ptr || slice_eq_str (condition, text));
    if (ranged && !range_resolve (&range, bytes, &from, &count)) {
        close (fd);
        request_fail_beyond (request, NULL, bytes);
        return;
    }
    struct MHD_Response *response = MHD_create_response_from_fd_at_offset64 ((uint64_t)count, fd, (uint64_t)from);
    MHD_add_response_header (response, "Content-Type", "application/zip");
    MHD_add_response_header (response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header (response, "Accept-Ranges", "bytes");
    MHD_add_response_header (response, "ETag", text);
    if (request->attachment[0]) { /* by the job's name: it may be another file one day */
        MHD_add_response_header (response, "Content-Disposition", request->attachment);
        MHD_add_response_header (response, "Content-Security-Policy", "sandbox");
        MHD_add_response_header (response, "Cache-Control", "private, no-cache");
    } else { /* the name is the content's hash */
        MHD_add_response_header (response, "Cache-Control", "private, max-age=31536000, immutable");
    }
    if (ranged) {
        range_format (from, count, bytes, text, sizeof text);
        MHD_add_response_header (response, "Content-Range", text);
    }
    request->file = true;
    request->gateway->files_out++;
    request_answer (request, ranged ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK, response);
}

/* ---- fetching ---- */

static void download_destroy (download_t **self_p)
{
    download_t *self = *self_p;
    *self_p = NULL;
    free (self->waiting);
    free (self->path);
    free (self->auth);
    free (self);
}

/* Nobody joins any more, and those who waited are the caller's to answer. */
static void download_end (download_t *self)
{
    self->over = true;
    self->gateway->download_count--;
    if (self->prev)
        self->prev->next = self->next;
    else
        self->gateway->downloads = self->next;
    if (self->next)
        self->next->prev = self->prev;
}

static void download_close (download_t *self)
{
    close (self->fd);
    unlink (self->path);
    download_end (self);
}

static void download_fail (download_t *self, const message_t *error)
{
    if (self->over)
        return;
    /* The token of the first counts no longer: that is not what the others did wrong, and who asks again is asked who
     * it is. */
    message_t again;
    message_error (&again, ERR_BUSY, NULL);
    bool turned_away = error->type == MSG_ERROR && error_find (error->error.code) == ERR_UNAUTHORIZED;
    download_close (self);
    for (size_t at = 0; at < self->waiting_count; at++)
        request_fail_message (self->waiting[at], turned_away ? &again : error);
}

static void download_fail_err (download_t *self, err_t err)
{
    message_t error;
    message_error (&error, err, NULL);
    download_fail (self, &error);
}

/* What came out of order is hashed from the disk. */
static bool hash_rest (download_t *self)
{
    unsigned char block[64 * 1024];
    while (self->hashed < self->bytes) {
        ssize_t got = pread (self->fd, block, sizeof block, self->hashed);
        if (got <= 0)
            return false;
        sha256_update (&self->hash, (size_t)got, block);
        self->hashed += got;
    }
    return true;
}

static bool verify (download_t *self)
{
    unsigned char digest[SHA256_DIGEST_SIZE];
    char hex[SHA256_HEX + 1];
    if (!hash_rest (self))
        return false;
    sha256_digest (&self->hash, SHA256_DIGEST_SIZE, digest);
    hex_format (digest, sizeof digest, hex);
    return strcmp (hex, self->sha256) == 0;
}

static void download_finish (download_t *self)
{
    if (!verify (self)) {
        log_event (LEVEL_ERROR, "blob-damaged", "sha256=%s what the broker sent has another hash", self->sha256);
        download_fail_err (self, ERR_INTERNAL);
        return;
    }
    err_t err = cache_commit (self->gateway->cache, self->path, self->sha256, self->bytes);
    if (err) {
        download_fail_err (self, err);
        return;
    }
    download_end (self);
    for (size_t at = 0; at < self->waiting_count; at++) {
        /* Each answer reads on its own; the copy may have been evicted already, but this descriptor holds it. */
        int fd = fcntl (self->fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            request_fail (self->waiting[at], ERR_BUSY, NULL, NULL);
        else
            answer_file (self->waiting[at], fd, self->sha256, self->bytes);
    }
    close (self->fd);
}

static err_t store_piece (download_t *self, const msg_blob_get_ok_t *piece)
{
    int64_t len = (int64_t)piece->data.len;
    int64_t due = piece->bytes - piece->offset < CHUNK_MAX ? piece->bytes - piece->offset : CHUNK_MAX;
    if ((self->bytes >= 0 && piece->bytes != self->bytes) || piece->offset % CHUNK_MAX || len != due)
        return ERR_INTERNAL;
    self->bytes = piece->bytes;
    for (size_t done = 0; done < piece->data.len;) {
        ssize_t put = pwrite (self->fd, piece->data.ptr + done, piece->data.len - done, piece->offset + (int64_t)done);
        if (put < 0 && errno != EINTR)
            return errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_INTERNAL;
        done += put > 0 ? (size_t)put : 0;
    }
    self->written += len;
    if (piece->offset == self->hashed) {
        sha256_update (&self->hash, piece->data.len, (const uint8_t *)piece->data.ptr);
        self->hashed += len;
    }
    return 0;
}

static void ask_more (download_t *self);

static void piece_done (void *ctx, link_end_t end, const message_t *reply)
{
    download_t *self = ctx;
    (void)end;
    self->in_flight--;
    if (!self->over) {
        err_t err = reply->type == MSG_BLOB_GET_OK ? store_piece (self, &reply->blob_get_ok) : 0;
        if (reply->type != MSG_BLOB_GET_OK)
            download_fail (self, reply);
        else if (err)
            download_fail_err (self, err);
        else if (self->written == self->bytes)
            download_finish (self);
        else
            ask_more (self);
    }
    if (self->over && self->in_flight == 0)
        download_destroy (&self);
}

static err_t ask (download_t *self)
{
    message_t message;
    message_init (&message, MSG_BLOB_GET);
    message.auth = slice_of (self->auth);
    message.blob_get.sha256 = slice_of (self->sha256);
    message.blob_get.offset = self->asked;
    link_order_t order = { .done = piece_done, .ctx = self, .patience_ms = LINK_SLOW_MS, .repeatable = true };
    err_t err = link_call (self->gateway->link, &message, &order);
    if (err)
        return err;
    self->asked += CHUNK_MAX;
    self->in_flight++;
    return 0;
}

static bool window_full (const download_t *self)
{
    size_t fair = PIECES_ALL / self->gateway->download_count;
    return self->in_flight >= (fair > PIECES_MAX ? PIECES_MAX : fair < 1 ? 1 : fair);
}

/* The first call tells the length; from then on the window is kept full. */
static void ask_more (download_t *self)
{
    while (!window_full (self) && self->asked < self->bytes) {
        err_t err = ask (self);
        if (err) {
            download_fail_err (self, err);
            return;
        }
    }
}

static err_t download_begin (const request_t *request, slice_t sha256, download_t **out)
{
    gateway_t *gateway = request->gateway;
    download_t *self = xcalloc (1, sizeof *self);
    self->gateway = gateway;
    self->auth = slice_dup (request->auth);
    slice_copy (sha256, self->sha256, sizeof self->sha256);
    self->bytes = -1;
    sha256_init (&self->hash);
    self->fd = cache_begin (gateway->cache, &self->path);
    if (self->fd < 0) {
        err_t err = errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_INTERNAL;
        log_event (LEVEL_ERROR, "cache-failed", "%s cannot be made: %s", self->path, strerror (errno));
        download_destroy (&self);
        return err;
    }
    err_t err = ask (self);
    if (err) {
        close (self->fd);
        unlink (self->path);
        download_destroy (&self);
        return err;
    }
    self->next = gateway->downloads;
    if (self->next)
        self->next->prev = self;
    gateway->downloads = self;
    gateway->download_count++;
    *out = self;
    return 0;
}

static void join (download_t *self, request_t *request)
{
    self->waiting = xrealloc (self->waiting, (self->waiting_count + 1) * sizeof (request_t *));
    self->waiting[self->waiting_count++] = request;
    if (!request->parked)
        request_park (request);
}

void download_answer (request_t *request, slice_t sha256, const char *attachment)
{
    gateway_t *gateway = request->gateway;
    char name[SHA256_HEX + 1];
    int64_t bytes = 0;
    if (attachment)
        snprintf (request->attachment, sizeof request->attachment, "attachment; filename=\"%s\"", attachment);
    slice_copy (sha256, name, sizeof name);
    int fd = cache_open (gateway->cache, name, &bytes);
    traffic_cache (gateway->traffic, fd >= 0);
    if (fd >= 0) {
        answer_file (request, fd, name, bytes);
        return;
    }
    download_t *download = gateway->downloads;
    while (download && strcmp (download->sha256, name) != 0)
        download = download->next;
    err_t err = download ? 0 : download_begin (request, sha256, &download);
    if (err)
        request_fail (request, err, NULL, NULL);
    else
        join (download, request);
}

void download_handle (request_t *request)
{
    slice_t sha256 = blob_url_sha256 (slice_of (request->path));
    if (sha256.ptr)
        download_answer (request, sha256, NULL);
    else
        request_fail (request, ERR_NO_SUCH_BLOB, NULL, NULL);
}
