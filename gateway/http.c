#include "gateway/http.h"

#include <assert.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "gateway/door.h"
#include "gateway/gateway.h"
#include "gateway/hygiene.h"
#include "gateway/routes.h"
#include "gateway/tls.h"
#include "gateway/traffic.h"
#include "gateway/upload.h"
#include "proto/log.h"

void *request_log_uri (void *cls, const char *uri, struct MHD_Connection *connection)
{
    gateway_t *gateway = cls;
    request_t *self = xcalloc (1, sizeof *self);
    self->gateway = gateway;
    self->connection = connection;
    self->target = uri;
    self->target_len = strlen (uri);
    self->bad_path = !target_clean (uri);
    self->next = gateway->requests;
    if (self->next)
        self->next->prev = self;
    gateway->requests = self;
    traffic_begun (gateway->traffic, self);
    clients_begun (self);
    return self;
}

/* ---- beginning ---- */

static int64_t body_limit (const gateway_options_t *options, const route_t *route)
{
    if (route->flags & ROUTE_FORM)
        return INT64_MAX; /* upload.c counts the file itself */
    if (route->flags & ROUTE_CHUNK)
        return CHUNK_MAX;
    if (route->flags & ROUTE_LARGE)
        return options->result_max;
    return route->method == METHOD_GET ? 0 : options->body_max;
}

static err_t find_route (request_t *self, const char *method_name)
{
    unsigned method = self->method = method_find (method_name);
    self->route = route_find (self->path, method, &self->allowed);
    if (self->route)
        self->head = method == METHOD_HEAD;
    else if (!self->allowed)
        return ERR_NO_SUCH_PATH;
    else if (method != METHOD_OPTIONS)
        return ERR_METHOD_NOT_ALLOWED;
    return 0;
}

static enum MHD_Result queue (request_t *self)
{
    struct MHD_Response *response = self->response;
    self->response = NULL;
    self->queued = true;
    if (self->close)
        MHD_add_response_header (response, "Connection", "close");
    if (self->cookie[0])
        MHD_add_response_header (response, "Set-Cookie", self->cookie);
    enum MHD_Result result = MHD_queue_response (self->connection, self->status, response);
    MHD_destroy_response (response);
    return result;
}

static enum MHD_Result refuse_now (request_t *self)
{
    self->close = true;
    request_fail_fault (self, self->refusal);
    return queue (self);
}

static void refuse_host (request_t *self, slice_t host)
{
    char shown[100];
    char text[256];
    text_escape (host, shown, sizeof shown);
    snprintf (text, sizeof text,
              "This gateway is not known as '%s': ask for it by its address, or start it with --host and that name.",
              shown);
    request_refuse (self, ERR_BAD_HOST, NULL, text);
}

/* What is refused here is answered at once where the connection cannot live on, and after its body otherwise. */
static enum MHD_Result come_in (request_t *self, err_t err)
{
    const framing_t *framing = &self->framing;
    if (!err && self->route && !self->refusal) {
        self->body_max = body_limit (self->gateway->options, self->route);
        if (self->body_max > 0 && framing->has_length && framing->length > (uint64_t)self->body_max)
            err = ERR_TOO_LARGE;
        else if (self->route->flags & ROUTE_FORM)
            upload_begin (self, framing->has_length ? framing->length : 0);
    }
    if (err)
        request_refuse (self, err, NULL, NULL);
    if (self->refusal && framing->expects)
        return refuse_now (self);
    if (self->refusal && framing->length > DISCARD_QUIET) /* it will not be read to its end: say so before it comes */
        request_tell_early (self);
    return MHD_YES;
}

/* The headers are there. */
static enum MHD_Result begin (request_t *self, const char *url, const char *method, const char *version)
{
    self->path = url;
    clients_asked (self);
    fault_t fault;
    const first_line_t line = { method, self->target, self->target_len, version };
    err_t err = framing_read (self->connection, &line, &self->framing, &fault);
    if (err) {
        request_refuse (self, err, NULL, fault.text);
        return refuse_now (self);
    }
    if (self->framing.host.ptr && !hosts_know (&self->gateway->hosts, self->framing.host))
        refuse_host (self, self->framing.host);
    err = self->bad_path ? ERR_BAD_PATH : self->gateway->stopping ? ERR_SHUTTING_DOWN : find_route (self, method);
    enter_t enter = !err && self->route && !self->refusal ? door_enter (self) : ENTER_IN;
    self->at_door = enter == ENTER_WAIT;
    if (self->at_door)
        return MHD_YES;
    return come_in (self, enter == ENTER_NO ? self->door_err : err);
}

/* The door has said yes or no. */
static enum MHD_Result after_door (request_t *self)
{
    self->at_door = false;
    return come_in (self, self->door_err);
}

void request_refuse (request_t *self, err_t err, const char *field, const char *text)
{
    if (self->refusal)
        return;
    self->refusal = xcalloc (1, sizeof *self->refusal);
    fault_set (self->refusal, err, field ? field : "", text ? "%s" : NULL, text);
}

/* ---- the body ---- */

static int connection_fd (request_t *self)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info (self->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info ? info->connect_fd : -1;
}

/* libmicrohttpd takes no answer in this state, and to close now would make the kernel reset the connection before the
 * client has read it. So it is written by hand, our side is shut, and the rest of the body is read and dropped until
 * the client sees it. */
void request_tell_early (request_t *self)
{
    if (self->told)
        return;
    self->told = true;
    request_note (self, self->refusal->err);
    answer_by_hand (self->connection, self->refusal);
}

static enum MHD_Result discard (request_t *self, size_t size)
{
    self->discarded += (int64_t)size;
    if (self->discarded > DISCARD_QUIET && !self->told) {
        request_refuse (self, ERR_TOO_LARGE, NULL, NULL);
        request_tell_early (self);
    }
    return self->discarded > self->gateway->options->upload_max ? MHD_NO : MHD_YES;
}

static void collect (request_t *self, const char *data, size_t size)
{
    gateway_t *gateway = self->gateway;
    if (self->body.len + size > (size_t)self->body_max)
        request_refuse (self, ERR_TOO_LARGE, NULL, NULL);
    else if (gateway->buffered + size > BUFFERED_MAX)
        request_refuse (self, ERR_BUSY, NULL, NULL);
    if (self->refusal) {
        buf_fini (&self->body);
        return;
    }
    buf_append (&self->body, data, size);
    gateway->buffered += size;
    self->counted += size;
}

static enum MHD_Result take (request_t *self, const char *data, size_t *size)
{
    if (self->parked)
        return MHD_YES; /* left for later */
    size_t taken = *size;
    *size = 0;
    self->came += (int64_t)taken;
    if (!self->refusal && self->upload)
        upload_take (self->upload, data, taken);
    else if (!self->refusal && self->body_max > 0)
        collect (self, data, taken);
    else
        return discard (self, taken);
    return MHD_YES;
}

/* ---- handling ---- */

static void answer_options (request_t *self)
{
    struct MHD_Response *response = MHD_create_response_from_buffer (0, NULL, MHD_RESPMEM_PERSISTENT);
    char allow[64];
    methods_format (self->allowed, allow, sizeof allow);
    MHD_add_response_header (response, "Allow", allow);
    request_answer (self, MHD_HTTP_NO_CONTENT, response);
}

static void handle (request_t *self)
{
    self->handled = true;
    if (self->refusal)
        request_fail_fault (self, self->refusal);
    else if (!self->route)
        answer_options (self);
    else
        self->route->handle (self);
}

enum MHD_Result request_access (void *gateway, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *data, size_t *data_size, void **request_p)
{
    (void)gateway;
    (void)connection;
    request_t *self = *request_p;
    if (!self->begun) {
        self->begun = true;
        return begin (self, url, method, version);
    }
    if (self->at_door) /* called again as it was when it was parked there */
        return after_door (self);
    if (*data_size)
        return take (self, data, data_size);
    if (self->told)
        return MHD_NO;
    if (!self->handled)
        handle (self);
    if (self->response)
        return queue (self);
    assert (self->parked);
    return MHD_YES;
}

void request_completed (void *cls, struct MHD_Connection *connection, void **request_p,
                        enum MHD_RequestTerminationCode how)
{
    (void)connection;
    (void)how;
    gateway_t *gateway = cls;
    request_t *self = *request_p;
    if (!self)
        return;
    *request_p = NULL;
    clients_done (self);
    traffic_done (gateway->traffic, self);
    log_event (LEVEL_DEBUG, "request", "%s %u", self->path ? self->path : "?", self->status);
    if (self->on_end)
        self->on_end (self);
    if (self->upload)
        upload_detach (self->upload);
    if (self->response)
        MHD_destroy_response (self->response);
    if (self->prev)
        self->prev->next = self->next;
    else
        gateway->requests = self->next;
    if (self->next)
        self->next->prev = self->prev;
    gateway->buffered -= self->counted;
    gateway->files_out -= self->file;
    buf_fini (&self->body);
    free (self->refusal);
    if (self->token)
        sodium_memzero (self->token, strlen (self->token));
    free (self->token);
    free (self);
}

/* ---- waiting ---- */

void request_park (request_t *self)
{
    assert (!self->parked);
    self->parked = true;
    MHD_suspend_connection (self->connection);
}

void request_park_watched (request_t *self, void (*on_gone) (request_t *))
{
    request_park (self);
    self->on_gone = on_gone;
    struct epoll_event event = { .events = EPOLLRDHUP, .data.ptr = self };
    self->watched = epoll_ctl (self->gateway->epoll_fd, EPOLL_CTL_ADD, connection_fd (self), &event) == 0;
}

static void unwatch (request_t *self)
{
    if (self->watched)
        epoll_ctl (self->gateway->epoll_fd, EPOLL_CTL_DEL, connection_fd (self), NULL);
    self->watched = false;
}

void request_resume (request_t *self)
{
    if (!self->parked)
        return;
    unwatch (self);
    self->parked = false;
    self->gateway->resumed = true;
    MHD_resume_connection (self->connection);
}

void request_hung_up (request_t *self)
{
    unwatch (self);
    self->gone = true;
    if (self->on_gone && self->parked)
        self->on_gone (self);
}

bool request_client_gone (request_t *self)
{
    /* Not by what can be read: TLS ends with some bytes of its own. */
    struct pollfd fd = { .fd = connection_fd (self), .events = POLLRDHUP };
    return self->gone || poll (&fd, 1, 0) > 0;
}
