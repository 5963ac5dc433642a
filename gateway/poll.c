#include <stdlib.h>

#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/jsonout.h"
#include "gateway/routes.h"
#include "gateway/translate.h"
#include "proto/log.h"

/* A call that may wait for minutes. It outlives its request when the client goes away. */
typedef struct {
    gateway_t *gateway;
    request_t *request; /* NULL: nobody waits any more */
    char *worker_id;    /* NULL: an agent that does not say who it is */
    char *auth;         /* NULL: none */
    bool waits;
} waiter_t;

static void waiter_destroy (waiter_t **self_p)
{
    waiter_t *self = *self_p;
    *self_p = NULL;
    free (self->worker_id);
    free (self->auth);
    free (self);
}

static void answer_nothing (request_t *request)
{
    static const char text[] = "{\"success\":false,\"message\":\"No job available\",\"job\":null}";
    buf_t json = { 0 };
    buf_append (&json, text, sizeof text - 1);
    request_answer_json (request, MHD_HTTP_ACCEPTED, &json);
}

static void answer_job (request_t *request, const message_t *job)
{
    buf_t json = { 0 };
    buf_append_str (&json, "{\"success\":true,\"job\":{");
    jsonout_fields (&json, job);
    buf_append_str (&json, "}}");
    request_answer_json (request, MHD_HTTP_OK, &json);
}

/* The job would otherwise stay with a worker that never heard of it until its lease ends. */
static void give_back (const waiter_t *self, const msg_job_poll_ok_t *job)
{
    log_event (LEVEL_INFO, "job-given-back", "job=" SLICE_FMT " client went away before it got the job",
               SLICE_ARG (job->job_id));
    if (!self->worker_id || job->attempt == INT_ABSENT || !job->token.ptr)
        return; /* leased to a group of nameless agents: nobody can return it in their name */
    message_t message;
    message_init (&message, MSG_JOB_RETURN);
    message.auth = slice_of (self->auth);
    message.job_return.job_id = job->job_id;
    message.job_return.worker_id = slice_of (self->worker_id);
    message.job_return.attempt = job->attempt;
    message.job_return.token = job->token;
    message.job_return.undelivered = 1;
    link_call (self->gateway->link, &message, &(link_order_t){ .repeatable = true });
}

static void poll_done (void *ctx, link_end_t end, const message_t *reply)
{
    waiter_t *self = ctx;
    request_t *request = self->request;
    bool job = reply->type == MSG_JOB_POLL_OK && reply->job_poll_ok.job_id.ptr;
    if (job && (!request || request_client_gone (request))) {
        give_back (self, &reply->job_poll_ok);
        if (request)
            answer_nothing (request);
    } else if (!request) {
        (void)end;
    } else if (job) {
        answer_job (request, reply);
    } else if (reply->type == MSG_JOB_POLL_OK || (self->waits && (end == LINK_LOST || end == LINK_ENDED))) {
        /* A broker that restarts, or a gateway that stops, has nothing for those who were waiting: they ask again. */
        answer_nothing (request);
    } else {
        request_fail_message (request, reply);
    }
    waiter_destroy (&self);
}

static void renew_done (void *ctx, link_end_t end, const message_t *reply)
{
    waiter_t *self = ctx;
    if (self->request)
        translate_answer (self->request, end, reply);
    waiter_destroy (&self);
}

/* The broker cannot be told, so its answer is awaited; the connection is let go. */
static void waiter_gone (request_t *request)
{
    waiter_t *self = request->work;
    self->request = NULL;
    request->work = NULL;
    request_fail (request, ERR_SHUTTING_DOWN, NULL, "The client went away.");
}

static void waiter_park (waiter_t *self, request_t *request, link_done_fn *done, message_t *message, int64_t wait_ms)
{
    self->gateway = request->gateway;
    self->waits = wait_ms > 0;
    link_order_t order = { .done = done, .ctx = self, .patience_ms = wait_ms };
    err_t err = link_call (request->gateway->link, message, &order);
    if (err) {
        waiter_destroy (&self);
        request_fail (request, err, NULL, NULL);
        return;
    }
    self->request = request;
    request->work = self;
    if (self->waits)
        request_park_watched (request, waiter_gone);
    else
        request_park (request);
}

static int64_t cap_wait (int64_t *wait)
{
    if (*wait == INT_ABSENT)
        return 0;
    if (*wait > WAIT_MAX)
        *wait = WAIT_MAX;
    return *wait > 0 ? *wait : 0;
}

void poll_handle (request_t *request)
{
    source_t source = { 0 };
    message_t message;
    fault_t fault;
    err_t err = translate_request (&source, request, MSG_JOB_POLL, &message, &fault);
    int64_t wait_ms = err ? 0 : cap_wait (&message.job_poll.wait);
    if (!err)
        err = translate_check (&message, &fault);
    if (err) {
        request_fail_fault (request, &fault);
    } else {
        waiter_t *self = xcalloc (1, sizeof *self);
        self->worker_id = slice_dup (message.job_poll.worker_id);
        self->auth = slice_dup (request->auth);
        waiter_park (self, request, poll_done, &message, wait_ms);
    }
    source_fini (&source);
}

void renew_handle (request_t *request)
{
    source_t source = { 0 };
    message_t message;
    fault_t fault;
    err_t err = translate_request (&source, request, MSG_JOB_RENEW, &message, &fault);
    int64_t wait_ms = err ? 0 : cap_wait (&message.job_renew.wait);
    if (!err)
        err = translate_check (&message, &fault);
    if (err)
        request_fail_fault (request, &fault);
    else
        waiter_park (xcalloc (1, sizeof (waiter_t)), request, renew_done, &message, wait_ms);
    source_fini (&source);
}
