#include "worker/http.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "proto/options.h"

enum {
    CONNECT_TIMEOUT_MS = 5000,
    STALL_S = 30, /* a download without a byte for so long has ended */
    REDIRECTS_MAX = 3,
};

struct http_call {
    http_call_t *next;
    http_call_t *prev;
    CURL *easy;
    struct curl_slist *headers;
    buf_t body;
    http_done_fn *done; /* a call's; NULL for a download */
    void *ctx;
    fetch_to_t to;
    int64_t bytes_left; /* a download's */
    int sink_errno;
    char fault[CURL_ERROR_SIZE];
};

struct http {
    loop_t *loop;
    CURLM *multi;
    loop_timer_t timer;
    const char *server; /* that `ca` is for */
    const char *ca;     /* NULL: the system's certificates are for all */
    http_call_t calls;  /* head of a ring */
};

static void call_destroy (http_t *self, http_call_t *call)
{
    curl_multi_remove_handle (self->multi, call->easy);
    curl_easy_cleanup (call->easy);
    curl_slist_free_all (call->headers);
    buf_fini (&call->body);
    call->next->prev = call->prev;
    call->prev->next = call->next;
    free (call);
}

static size_t on_answer_bytes (char *bytes, size_t size, size_t count, void *ctx)
{
    http_call_t *call = ctx;
    size_t len = size * count;
    if (call->body.len + len > HTTP_ANSWER_MAX)
        return 0;
    buf_append (&call->body, bytes, len);
    return len;
}

static size_t on_download_bytes (char *bytes, size_t size, size_t count, void *ctx)
{
    http_call_t *call = ctx;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo (call->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200)
        return len;
    call->bytes_left -= (int64_t)len;
    if (call->bytes_left < 0)
        return 0;
    call->sink_errno = call->to.sink (call->to.ctx, bytes, len);
    return call->sink_errno ? 0 : len;
}

/* A failure that the same URL would meet again. */
static bool curl_failure_is_final (CURLcode code)
{
    static const CURLcode finals[] = { CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_TOO_MANY_REDIRECTS,
                                       CURLE_WRITE_ERROR, CURLE_PEER_FAILED_VERIFICATION };
    for (size_t at = 0; at < sizeof finals / sizeof finals[0]; at++)
        if (finals[at] == code)
            return true;
    return false;
}

/* Why the server's certificate was refused, in words that say what to do. Numbers are those of openssl-verify(1); curl
 * compares the names itself, after OpenSSL has found nothing, and leaves UNSET. */
static const char *certificate_fault (long why)
{
    enum {
        UNSET = 1,
        NO_ISSUER = 2,
        NOT_YET = 9,
        EXPIRED = 10,
        SELF_SIGNED = 18,
        SELF_SIGNED_ABOVE = 19,
        NO_ISSUER_HERE = 20,
        ALONE = 21,
    };
    switch (why) {
    case UNSET:
        return "The server's certificate is for another name than the one in --server.";
    case NOT_YET:
        return "The server's certificate is not valid yet: is this machine's clock right?";
    case EXPIRED:
        return "The server's certificate has expired.";
    case NO_ISSUER:
    case SELF_SIGNED:
    case SELF_SIGNED_ABOVE:
    case NO_ISSUER_HERE:
    case ALONE:
        return "The server's certificate is of nobody that this worker trusts: --ca FILE says whom to trust.";
    default:
        return "The server's certificate cannot be used.";
    }
}

/* Valid as long as the call. */
static const char *call_fault (http_call_t *call, CURLcode code)
{
    long why = 0;
    if (code == CURLE_PEER_FAILED_VERIFICATION && !curl_easy_getinfo (call->easy, CURLINFO_SSL_VERIFYRESULT, &why))
        return certificate_fault (why);
    return call->fault[0] ? call->fault : curl_easy_strerror (code);
}

static void download_done (http_call_t *call, CURLcode code, long status)
{
    char cause[CURL_ERROR_SIZE + 64] = "";
    call_outcome_t outcome = CALL_OK;
    if (call->sink_errno) {
        outcome = CALL_REFUSED;
        snprintf (cause, sizeof cause, "it cannot be written: %s", strerror (call->sink_errno));
    } else if (call->bytes_left < 0) {
        outcome = CALL_REFUSED;
        snprintf (cause, sizeof cause, "it is too large");
    } else if (code != CURLE_OK) {
        outcome = curl_failure_is_final (code) ? CALL_REFUSED : CALL_AWAY;
        snprintf (cause, sizeof cause, "%s", call_fault (call, code));
    } else if (status != 200) {
        outcome = status == 429 || status >= 500 ? CALL_AWAY : CALL_REFUSED;
        snprintf (cause, sizeof cause, "the server answered HTTP status %ld", status);
    }
    call->to.done (call->to.ctx, outcome, cause);
}

static void call_done (http_t *self, http_call_t *call, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo (call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_multi_remove_handle (self->multi, call->easy);
    if (!call->done)
        download_done (call, code, status);
    else if (code == CURLE_OK)
        call->done (call->ctx, status, buf_slice (&call->body), "");
    else
        call->done (call->ctx, 0, SLICE_ABSENT, call_fault (call, code));
    call_destroy (self, call);
}

static void finished_collect (http_t *self)
{
    int left;
    for (CURLMsg *msg; (msg = curl_multi_info_read (self->multi, &left));) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode code = msg->data.result;
        http_call_t *call = NULL;
        curl_easy_getinfo (msg->easy_handle, CURLINFO_PRIVATE, (char **)&call);
        call_done (self, call, code);
    }
}

static void multi_act (http_t *self, curl_socket_t fd, int mask)
{
    int running;
    curl_multi_socket_action (self->multi, fd, mask, &running);
    finished_collect (self);
}

static void on_timer (void *ctx)
{
    multi_act (ctx, CURL_SOCKET_TIMEOUT, 0);
}

typedef struct {
    http_t *http;
    curl_socket_t fd;
} http_socket_t;

static void on_socket_event (void *ctx, uint32_t events)
{
    const http_socket_t *socket = ctx;
    int mask = (events & EPOLLIN ? CURL_CSELECT_IN : 0) | (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    multi_act (socket->http, socket->fd, mask);
}

/* curl says which of its sockets to watch. */
static int on_curl_socket (CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    (void)easy;
    http_t *self = ctx;
    http_socket_t *socket = socket_ctx;
    if (what == CURL_POLL_REMOVE) {
        loop_unwatch (self->loop, fd);
        curl_multi_assign (self->multi, fd, NULL);
        free (socket);
        return 0;
    }
    if (!socket) {
        socket = xcalloc (1, sizeof *socket);
        *socket = (http_socket_t){ self, fd };
        curl_multi_assign (self->multi, fd, socket);
    }
    uint32_t events = (what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);
    return loop_watch (self->loop, fd, events, on_socket_event, socket);
}

static int on_curl_timer (CURLM *multi, long in_ms, void *ctx)
{
    (void)multi;
    http_t *self = ctx;
    if (in_ms < 0)
        loop_timer_stop (&self->timer);
    else
        loop_timer_set (self->loop, &self->timer, in_ms, on_timer, self);
    return 0;
}

http_t *http_new (loop_t *loop)
{
    http_t *self = xcalloc (1, sizeof *self);
    self->loop = loop;
    self->calls.next = self->calls.prev = &self->calls;
    curl_global_init (CURL_GLOBAL_DEFAULT);
    self->multi = curl_multi_init ();
    curl_multi_setopt (self->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt (self->multi, CURLMOPT_SOCKETDATA, self);
    curl_multi_setopt (self->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt (self->multi, CURLMOPT_TIMERDATA, self);
    return self;
}

void http_pin (http_t *self, const char *server, const char *ca)
{
    self->server = server;
    self->ca = ca;
}

void http_destroy (http_t **self_p)
{
    http_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    while (self->calls.next != &self->calls)
        call_destroy (self, self->calls.next); /* takes it out of the ring: NOLINT(clang-analyzer-unix.Malloc) */
    curl_multi_cleanup (self->multi);
    loop_timer_stop (&self->timer);
    curl_global_cleanup ();
    free (self);
}

static bool is_below (const char *url, const char *server)
{
    size_t len = strlen (server);
    return strncmp (url, server, len) == 0 && (url[len] == '/' || !url[len]);
}

static void set_trust (http_t *self, http_call_t *call, const char *url)
{
    bool secure = strncmp (url, "https://", 8) == 0;
    curl_easy_setopt (call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt (call->easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt (call->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (!self->ca || !is_below (url, self->server))
        return;
    curl_easy_setopt (call->easy, CURLOPT_CAINFO, self->ca);
    curl_easy_setopt (call->easy, CURLOPT_CAPATH, NULL);
}

static http_call_t *call_new (http_t *self, const char *url, const char *bearer)
{
    http_call_t *call = xcalloc (1, sizeof *call);
    call->next = &self->calls;
    call->prev = self->calls.prev;
    self->calls.prev->next = call;
    self->calls.prev = call;
    call->easy = curl_easy_init ();
    curl_easy_setopt (call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt (call->easy, CURLOPT_URL, url);
    curl_easy_setopt (call->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt (call->easy, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt (call->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt (call->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt (call->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt (call->easy, CURLOPT_ERRORBUFFER, call->fault);
    curl_easy_setopt (call->easy, CURLOPT_USERAGENT, "gleaner-worker/" GLEANER_VERSION);
    curl_easy_setopt (call->easy, CURLOPT_WRITEDATA, call);
    if (bearer) { /* curl keeps it from hosts that it is sent on to */
        curl_easy_setopt (call->easy, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        curl_easy_setopt (call->easy, CURLOPT_XOAUTH2_BEARER, bearer);
    }
    set_trust (self, call, url);
    return call;
}

http_call_t *http_start (http_t *self, const http_request_t *request)
{
    http_call_t *call = call_new (self, request->url, request->bearer);
    call->done = request->done;
    call->ctx = request->ctx;
    curl_easy_setopt (call->easy, CURLOPT_WRITEFUNCTION, on_answer_bytes);
    curl_easy_setopt (call->easy, CURLOPT_TIMEOUT_MS, (long)request->patience_ms);
    if (request->content_type) {
        char header[128];
        snprintf (header, sizeof header, "Content-Type: %s", request->content_type);
        call->headers = curl_slist_append (NULL, header);
        /* No pause for "100 Continue" before the body. */
        call->headers = curl_slist_append (call->headers, "Expect:");
        curl_easy_setopt (call->easy, CURLOPT_HTTPHEADER, call->headers);
        curl_easy_setopt (call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
        curl_easy_setopt (call->easy, CURLOPT_COPYPOSTFIELDS, request->body.ptr ? request->body.ptr : "");
        curl_easy_setopt (call->easy, CURLOPT_CUSTOMREQUEST, request->method);
    }
    curl_multi_add_handle (self->multi, call->easy);
    return call;
}

http_call_t *http_download (http_t *self, const char *url, const char *bearer, int64_t bytes_max, const fetch_to_t *to)
{
    http_call_t *call = call_new (self, url, bearer);
    call->to = *to;
    call->bytes_left = bytes_max;
    curl_easy_setopt (call->easy, CURLOPT_WRITEFUNCTION, on_download_bytes);
    curl_easy_setopt (call->easy, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt (call->easy, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
    curl_easy_setopt (call->easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt (call->easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_S);
    curl_multi_add_handle (self->multi, call->easy);
    return call;
}

void http_cancel (http_t *self, http_call_t **call_p)
{
    http_call_t *call = *call_p;
    *call_p = NULL;
    if (call)
        call_destroy (self, call);
}
