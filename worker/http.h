/* http.h - HTTP requests on the worker's loop (libcurl multi): calls with small answers, and downloads. */
#ifndef GLEANER_WORKER_HTTP_H
#define GLEANER_WORKER_HTTP_H

#include "worker/loop.h"
#include "worker/transport.h"

typedef struct http http_t;
typedef struct http_call http_call_t;

/* `status` is the HTTP status, 0 when there was no answer; then `fault` says why. `body` is valid during the call. */
typedef void http_done_fn (void *ctx, long status, slice_t body, const char *fault);

typedef struct {
    const char *method;       /* "GET", "POST", "PUT" */
    const char *url;          /* absolute */
    const char *bearer;       /* token; NULL: none */
    const char *content_type; /* NULL: no body */
    slice_t body;             /* copied */
    int64_t patience_ms;      /* for the whole of it */
    http_done_fn *done;
    void *ctx;
} http_request_t;

enum { HTTP_ANSWER_MAX = REPLY_MAX }; /* a longer answer counts as none */

http_t *http_new (loop_t *loop);
/* A server below `server` (an https:// URL) must show a certificate that leads to one in the file `ca`, and the
 * system's do not count for it. Whatever else is asked for is held against the system's. Both are borrowed. */
void http_pin (http_t *self, const char *server, const char *ca);
/* Ends all calls without a word. */
void http_destroy (http_t **self_p);

/* Starts a request; it belongs to `self` and is gone after `done` or http_cancel. */
http_call_t *http_start (http_t *self, const http_request_t *request);
/* Starts a GET that streams a 200 answer into `to->sink`; `bearer` may be NULL, and no other host is shown it.
 * Redirects: 3, to http and https only, and from https to https. A transfer that stands still for 30 s, or brings more
 * than `bytes_max`, is ended. */
http_call_t *http_download (http_t *self, const char *url, const char *bearer, int64_t bytes_max, const fetch_to_t *to);
void http_cancel (http_t *self, http_call_t **call_p);

#endif
