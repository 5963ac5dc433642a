#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker/apply.h"
#include "broker/broker.h"
#include "proto/log.h"

/* ---- out ---- */

/* The body alone, of an answer that is not yet sent. */
static void set_body (reply_t *reply, const buf_t *body)
{
    zmq_msg_init_size (&reply->body, body->len);
    memcpy (zmq_msg_data (&reply->body), body->ptr, body->len);
}

static reply_t *outbox_add (broker_t *self, slice_t routing, const buf_t *body)
{
    if (self->outbox_count == self->outbox_cap) {
        self->outbox_cap = self->outbox_cap ? 2 * self->outbox_cap : 256;
        self->outbox = xrealloc (self->outbox, self->outbox_cap * sizeof *self->outbox);
    }
    reply_t *reply = &self->outbox[self->outbox_count++];
    reply->seq = 0;
    zmq_msg_init_size (&reply->routing, routing.len);
    memcpy (zmq_msg_data (&reply->routing), routing.ptr, routing.len);
    set_body (reply, body);
    return reply;
}

void broker_reply (broker_t *self, uint64_t handle, message_t *message, const effect_t *lease)
{
    request_t *request = request_find (self->requests, handle);
    if (!request || request->answered)
        return;
    request->answered = true;
    if (request->speaker)
        admit_answered (self, request, message);
    message->id = request->id;
    if (message->type == MSG_ERROR && request->type != MSG_ERROR) /* what is no message was counted by refuse */
        refusals_note (&self->refusals, error_find (message->error.code), "request-refused", "%s",
                       message_spec (request->type)->wire);
    buf_clear (&self->encoded);
    message_encode (message, &self->encoded);
    reply_t *reply = outbox_add (self, request->routing, &self->encoded);
    reply->request = handle;
    if (lease) {
        reply->seq = lease->seq;
        reply->again = lease->again;
        reply->attempt = message->job_poll_ok.attempt;
        slice_copy (message->job_poll_ok.token, reply->token, sizeof reply->token);
    }
}

void broker_outbox_refuse (broker_t *self, err_t err)
{
    for (size_t i = 0; i < self->outbox_count; i++) {
        reply_t *reply = &self->outbox[i];
        const request_t *request = request_find (self->requests, reply->request);
        if (!request || !core_handles (request->type))
            continue; /* a read's answer is as true as before */
        message_t message;
        message_error (&message, err, NULL);
        message.id = request->id;
        buf_clear (&self->encoded);
        message_encode (&message, &self->encoded);
        zmq_msg_close (&reply->body);
        set_body (reply, &self->encoded);
        reply->seq = 0;
    }
}

void broker_reply_error (broker_t *self, uint64_t handle, err_t err)
{
    message_t message;
    message_error (&message, err, NULL);
    broker_reply (self, handle, &message, NULL);
}

static void undelivered (broker_t *self, const reply_t *reply)
{
    event_t event = {
        .kind = EVENT_UNDELIVERED,
        .now_ms = self->now_ms,
        .wall_ms = self->wall_ms,
        .seq = reply->seq,
        .attempt = reply->attempt,
        .token = slice_of (reply->token),
    };
    log_event (LEVEL_DEBUG, "job-undelivered", "the worker that asked is gone; attempt %lld is taken back",
               (long long)reply->attempt);
    broker_step (self, &event, NULL);
    self->again = true;
}

/* 0, or the errno of a peer that is gone (EHOSTUNREACH) or does not read (EAGAIN). */
static int send_reply (broker_t *self, reply_t *reply)
{
    if (zmq_msg_send (&reply->routing, self->router, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0)
        return errno;
    if (zmq_send (self->router, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_msg_send (&reply->body, self->router, ZMQ_DONTWAIT) < 0)
        return errno;
    return 0;
}

void socket_send (broker_t *self)
{
    /* A lease taken back is stored by the next turn's commit; answers that it makes wait for that. */
    size_t count = self->outbox_count;
    size_t cap = self->outbox_cap;
    reply_t *sending = self->outbox;
    self->outbox = NULL;
    self->outbox_count = self->outbox_cap = 0;
    for (size_t i = 0; i < count; i++) {
        reply_t *reply = &sending[i];
        request_close (self->requests, reply->request);
        size_t bytes = zmq_msg_size (&reply->body);
        int error = send_reply (self, reply);
        if (!error)
            metrics_sent (measure_metrics (self->measure), bytes, reply->seq && !reply->again);
        if (error && reply->seq)
            undelivered (self, reply);
        else if (error)
            log_event (LEVEL_DEBUG, "reply-dropped", "%s", zmq_strerror (error));
        zmq_msg_close (&reply->routing);
        zmq_msg_close (&reply->body);
    }
    if (self->outbox_count) {
        free (sending);
        return;
    }
    self->outbox = sending;
    self->outbox_cap = cap;
}

/* ---- in ---- */

typedef void simple_fn (broker_t *self, uint64_t request, const message_t *message, zmq_msg_t *frame);

static void to_core (broker_t *self, uint64_t request, const message_t *message, zmq_msg_t *frame)
{
    looked_up_t found;
    event_t event = {
        .kind = EVENT_REQUEST,
        .now_ms = self->now_ms,
        .wall_ms = self->wall_ms,
        .request = request,
        .owner = self->who && self->who->name[0] ? slice_of (self->who->name) : SLICE_ABSENT,
        .message = message,
    };
    if (message->type == MSG_JOB_CREATE && disk_refuses (self, request))
        return;
    err_t err = message->type == MSG_JOB_CREATE ? webhooks_check (self, &message->job_create) : ERR_NONE;
    if (err) {
        broker_reply_error (self, request, err);
        return;
    }
    err = event_look_up (&event, self->core, self->store, &found);
    if (err)
        broker_die (err);
    unsigned char mark[SECRETS_MARK];
    if (message->type == MSG_JOB_CREATE && message->job_create.secrets.len) {
        err = secrets_seal (&self->secrets, message->job_create.secrets, &self->sealed, mark);
        if (err) {
            broker_reply_error (self, request, err);
            return;
        }
        event.sealed = buf_slice (&self->sealed);
        event.mark = slice_from (mark, sizeof mark);
    }
    broker_step (self, &event, frame);
}

static void dispatch (broker_t *self, uint64_t request, const message_t *message, zmq_msg_t *frame)
{
    switch ((int)message->type) {
    case MSG_JOB_STATUS:
        query_status (self, request, message->job_status.job_id);
        break;
    case MSG_JOB_LIST:
        query_list (self, request, &message->job_list);
        break;
    case MSG_BROKER_INFO:
        query_info (self, request);
        break;
    case MSG_JOB_FOLLOW:
        follow_begin (self, request, &message->job_follow);
        break;
    case MSG_EVENTS_READ:
        events_read (self, request, &message->events_read);
        break;
    case MSG_STATS_READ:
        measure_read (self, request, &message->stats_read);
        break;
    case MSG_USAGE_READ:
        usage_begin (self, request, &message->usage_read);
        break;
    case MSG_METRICS_READ:
        metrics_read (self, request);
        break;
    case MSG_WORKER_ACTIVITY:
        measure_read_activity (self, request);
        break;
    case MSG_AUTH_CHECK:
        admit_check (self, request);
        break;
    case MSG_AUDIT_READ:
        admit_audit (self, request, &message->audit_read);
        break;
    case MSG_JOIN:
    case MSG_JOIN_TOKEN:
        join_request (self, request, message, frame);
        break;
    case MSG_TOKEN_CREATE:
    case MSG_TOKEN_LIST:
    case MSG_TOKEN_REVOKE:
        tokens_request (self, request, message);
        break;
    case MSG_GATEWAY_HELLO:
        gateway_hello (self, request, &message->gateway_hello);
        break;
    case MSG_BROKER_SNAPSHOT:
        snapshot_begin (self, request);
        break;
    case MSG_BLOB_PUT:
    case MSG_BLOB_COMMIT:
    case MSG_BLOB_ABORT:
    case MSG_BLOB_GET:
    case MSG_BLOB_CHECK:
        bytes_request (self, request, message, frame);
        break;
    default:
        if (core_handles (message->type))
            to_core (self, request, message, frame);
        else /* an answer's type, or an item's */
            broker_reply_error (self, request, ERR_UNSUPPORTED);
    }
}

static void answer_fault (broker_t *self, slice_t routing, const message_t *message, const fault_t *fault)
{
    refusals_note (&self->refusals, fault->err, "frame-refused", "%s", fault->text);
    uint64_t request = request_open (self->requests, MSG_ERROR, routing, message ? message->id : SLICE_ABSENT);
    message_t answer;
    message_fault (&answer, fault);
    broker_reply (self, request, &answer, NULL);
}

static void refuse (broker_t *self, slice_t routing, const message_t *message, const fault_t *fault)
{
    self->refused_frames++;
    answer_fault (self, routing, message, fault);
}

static void handle_body (broker_t *self, slice_t routing, zmq_msg_t *body)
{
    message_t message;
    fault_t fault;
    slice_t frame = slice_from (zmq_msg_data (body), zmq_msg_size (body));
    if (message_decode (self->decoder, frame, FRAME_MAX, &message, &fault)) {
        refuse (self, routing, &message, &fault);
        return;
    }
    metrics_understood (measure_metrics (self->measure), message.type);
    who_t who = { 0 };
    bool asks = auth_asks (self->auth);
    bool has_key = self->curve && curve_sender (body).ptr;
    if ((asks || has_key) && admit (self, &message, body, &who, &fault)) {
        answer_fault (self, routing, &message, &fault);
        return;
    }
    asks = asks || (has_key && who.identity); /* a gateway, where nobody is asked, speaks for everybody */
    peers_heard (self->peers, body, &message, self->now_ms);
    uint64_t request = request_open (self->requests, message.type, routing, message.id);
    if (!request) {
        log_event (LEVEL_WARN, "requests-full", "%d requests wait for an answer; one more was dropped", REQUESTS_MAX);
        return;
    }
    if (has_key)
        request_find (self->requests, request)->key = request_key (curve_sender (body));
    if (asks && who.role != ROLE_WORKER)
        admit_keep (self, request, &message, body, &who);
    self->who = asks ? &who : NULL;
    dispatch (self, request, &message, body);
    self->who = NULL;
}

/* Frames of one message after the routing id. Kept are the first two; the rest is read away. */
static int receive_frames (broker_t *self, zmq_msg_t frames[2])
{
    int count = 0;
    bool more = true;
    for (; more; count++) {
        zmq_msg_t extra;
        zmq_msg_init (&extra);
        zmq_msg_t *into = count < 2 ? &frames[count] : &extra;
        int received = zmq_msg_recv (into, self->router, ZMQ_DONTWAIT);
        more = received >= 0 && zmq_msg_more (into);
        zmq_msg_close (&extra);
        if (received < 0)
            return count;
    }
    return count;
}

static bool take_one (broker_t *self)
{
    zmq_msg_t routing;
    zmq_msg_init (&routing);
    if (zmq_msg_recv (&routing, self->router, ZMQ_DONTWAIT) < 0)
        return false;
    zmq_msg_t frames[2];
    zmq_msg_init (&frames[0]);
    zmq_msg_init (&frames[1]);
    int count = zmq_msg_more (&routing) ? receive_frames (self, frames) : 0;
    slice_t peer = slice_from (zmq_msg_data (&routing), zmq_msg_size (&routing));
    metrics_took (measure_metrics (self->measure), count > 1 ? zmq_msg_size (&frames[1]) : 0);
    if (endless_watches (self->endless))
        endless_spoke (self->endless, zmq_msg_get (&frames[0], ZMQ_SRCFD));
    if (count == 2 && zmq_msg_size (&frames[0]) == 0) { /* rule 2 of proto/README.md */
        handle_body (self, peer, &frames[1]);
    } else if (count <= FRAMES_MAX) {
        fault_t fault;
        fault_set (&fault, ERR_BAD_FRAMES, NULL, NULL);
        refuse (self, peer, NULL, &fault);
    } else {
        self->refused_frames++;
        refusals_note (&self->refusals, ERR_BAD_FRAMES, "frame-refused", "%d frames in one message", count);
    }
    zmq_msg_close (&frames[0]);
    zmq_msg_close (&frames[1]);
    zmq_msg_close (&routing);
    return true;
}

bool socket_take (broker_t *self)
{
    int taken = 0;
    while (taken < TURN_MAX && take_one (self))
        taken++;
    return taken < TURN_MAX;
}
