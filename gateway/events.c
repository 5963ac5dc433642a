/* events.c - GET /api/events and /api/jobs/events: what changes, as server-sent events (WHATWG HTML, section 9.2).
 *
 * For one job: what came since the client's last event, then a look at the job itself, so that an end that nobody saw
 * is told too, then what comes until the job is over. A browser asks again when a stream ends: one that has seen the
 * job's end gets 204, the one answer that makes it stop.
 */
#include <stdio.h>
#include <string.h>

#include "gateway/feed.h"
#include "gateway/handlers.h"
#include "gateway/jsonout.h"
#include "gateway/routes.h"
#include "gateway/translate.h"

enum { PING_MS = 15 * 1000 };

enum {
    PHASE_BEGIN,  /* what came since the client's last event */
    PHASE_LOOK,   /* the job itself */
    PHASE_AGAIN,  /* it is over: whether its end came only after PHASE_BEGIN */
    PHASE_STREAM, /* what comes */
};

static void ask (feed_t *self, message_t *message)
{
    if (self->phase == PHASE_LOOK) {
        message_init (message, MSG_JOB_STATUS);
        message->job_status.job_id = slice_of (self->job_id);
        self->wait_ms = 0;
        return;
    }
    message_init (message, MSG_EVENTS_READ);
    message->events_read.after = self->last[0] ? slice_of (self->last) : SLICE_ABSENT;
    message->events_read.job_id = self->job_id[0] ? slice_of (self->job_id) : SLICE_ABSENT;
    self->wait_ms = self->phase == PHASE_STREAM ? PING_MS : 0;
    message->events_read.wait = self->wait_ms;
}

static bool is_final (slice_t status)
{
    return slice_eq_str (status, "completed") || slice_eq_str (status, "failed");
}

static void add_event (feed_t *self, const message_t *item)
{
    const msg_event_t *event = &item->event;
    buf_printf (&self->out, "id: " SLICE_FMT "\nevent: " SLICE_FMT "\ndata: {", SLICE_ARG (event->event_id),
                SLICE_ARG (event->event_type));
    jsonout_fields (&self->out, item);
    buf_append_str (&self->out, "}\n\n");
    if (self->job_id[0] && slice_eq_str (event->event_type, "job") && is_final (event->status))
        self->ended = true;
}

/* Its id is the place from which the stream goes on, so that a reconnect is not told again. */
static void add_gone (feed_t *self, slice_t place)
{
    if (!self->job_id[0]) /* a job's end may follow: who has heard but this asks again from where it was */
        buf_printf (&self->out, "id: " SLICE_FMT "\n", SLICE_ARG (place));
    buf_append_str (&self->out, "event: gone\ndata: {\"message\":\"The event that was asked for is no longer known: "
                                "the stream goes on from now, read the record anew.\"}\n\n");
    self->resumed = false;
    if (self->job_id[0])
        self->phase = PHASE_LOOK; /* its end may have been among what is gone */
}

static void take_events (feed_t *self, const msg_events_read_ok_t *reply)
{
    bool seen = self->phase == PHASE_AGAIN && reply->gone != 1 && !reply->events.count;
    self->phase = self->phase == PHASE_BEGIN && self->job_id[0] ? PHASE_LOOK : PHASE_STREAM;
    if (reply->gone == 1)
        add_gone (self, reply->last);
    for (uint32_t at = 0; at < reply->events.count && !self->ended; at++) {
        message_t item;
        fault_t fault;
        if (message_list_item (&reply->events, MSG_EVENT, at, &item, &fault) == 0)
            add_event (self, &item);
    }
    slice_copy (reply->last, self->last, sizeof self->last);
    if (seen)
        self->ended = true;
    else if (!self->out.len && self->phase == PHASE_STREAM)
        buf_append_str (&self->out, ": ping\n\n");
}

/* The job as it stands: told when it is over, since nothing more will come. To a client that goes on from a place that
 * is known its end is an event like any other: it came before that place, or comes behind it. */
static void take_job (feed_t *self, const msg_job_status_ok_t *job)
{
    bool over = is_final (job->status);
    self->phase = over && self->resumed ? PHASE_AGAIN : PHASE_STREAM;
    if (!over || self->resumed)
        return;
    message_t item;
    message_init (&item, MSG_EVENT);
    item.event.event_id = slice_of (self->last);
    item.event.event_type = SLICE ("job");
    item.event.time = job->completed_at == INT_ABSENT ? 0 : job->completed_at;
    item.event.job_id = job->job_id;
    item.event.status = job->status;
    item.event.attempt = job->attempt;
    item.event.worker_id = job->worker_id;
    item.event.reason = job->reason;
    item.event.exit_code = job->exit_code;
    add_event (self, &item);
}

static void take_reply (feed_t *self, link_end_t end, const message_t *reply)
{
    if (reply->type == MSG_EVENTS_READ_OK)
        take_events (self, &reply->events_read_ok);
    else if (reply->type == MSG_JOB_STATUS_OK)
        take_job (self, &reply->job_status_ok);
    else if (end == LINK_REPLY || end == LINK_ENDED)
        self->ended = true; /* the job went, or the gateway stops */
    else
        buf_append_str (&self->out, ": the broker is away\n\n");
}

static void answer_seen (feed_t *self)
{
    struct MHD_Response *response = MHD_create_response_from_buffer (0, NULL, MHD_RESPMEM_PERSISTENT);
    MHD_add_response_header (response, "Cache-Control", "no-store");
    request_answer (self->request, MHD_HTTP_NO_CONTENT, response);
    feed_destroy (&self);
}

/* Until the job is known to be there nothing has been answered, and an error can still be one. */
static void first_reply (feed_t *self, link_end_t end, const message_t *reply)
{
    request_t *request = self->request;
    if (reply->type == MSG_ERROR) {
        translate_answer (request, end, reply);
        feed_destroy (&self);
        return;
    }
    take_reply (self, end, reply);
    if (self->ended && !self->out.len) {
        answer_seen (self);
        return;
    }
    if (self->phase != PHASE_STREAM && !self->ended) {
        err_t err = feed_next (self);
        if (!err)
            return;
        request_fail (request, err, NULL, NULL);
        feed_destroy (&self);
        return;
    }
    self->on_reply = take_reply;
    buf_append_str (&self->out, "retry: 2000\n\n");
    request_answer (request, MHD_HTTP_OK, feed_response (self, "text/event-stream"));
}

void events_handle (request_t *request)
{
    slice_t job_id = request_query (request, "jobId");
    slice_t last = request_header (request, "Last-Event-ID");
    if (!last.ptr)
        last = request_query (request, "lastEventId");
    bool one = strcmp (request->route->path, "/api/jobs/events") == 0;
    if (one && !job_id.len) {
        request_fail (request, ERR_MISSING_FIELD, "jobId", "`jobId` is missing.");
        return;
    }
    if ((one && job_id.len > ID_MAX) || last.len > ID_MAX) {
        request_fail (request, ERR_SCHEMA, one && job_id.len > ID_MAX ? "jobId" : "lastEventId", NULL);
        return;
    }
    feed_t *feed = feed_new (request, one ? job_id : SLICE (""), first_reply);
    feed->ask = ask;
    slice_copy (last.ptr ? last : SLICE (""), feed->last, sizeof feed->last);
    feed->resumed = last.len > 0;
    err_t err = feed_next (feed);
    if (!err) {
        request_park (request);
        return;
    }
    feed_destroy (&feed);
    request_fail (request, err, NULL, NULL);
}
