/* admit.c - whether a message may be sent by who sends it (rules 35 to 39 of proto/README.md).
 *
 * Three questions, in this order: does its `auth` count; may that role send such a message; and is the worker, or the
 * job, that it names its own. What is refused has changed nothing, and was not heard by anybody.
 */
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "proto/id.h"
#include "proto/log.h"

enum {
    LOGGED_MAX = 10, /* refusals that are logged in a second */
    LOOK_MS = 1000,  /* where the folder cannot be watched */
};

/* ---- what a message names ---- */

/* The worker that the message speaks for; NULL: it speaks for none. */
static slice_t *worker_of (message_t *message)
{
#define WORKER_OF(ENUM, name)                                                                                          \
    case MSG_##ENUM:                                                                                                   \
        return &message->name.worker_id
    switch ((int)message->type) {
        WORKER_OF (WORKER_REGISTER, worker_register);
        WORKER_OF (WORKER_HEARTBEAT, worker_heartbeat);
        WORKER_OF (WORKER_GOODBYE, worker_goodbye);
        WORKER_OF (WORKER_SLEEP, worker_sleep);
        WORKER_OF (JOB_POLL, job_poll);
        WORKER_OF (JOB_RENEW, job_renew);
        WORKER_OF (JOB_RETURN, job_return);
        WORKER_OF (JOB_OUTPUT, job_output);
        WORKER_OF (JOB_RESULT, job_result);
        WORKER_OF (JOB_FAIL, job_fail);
    default:
        return NULL;
    }
#undef WORKER_OF
}

/* The job that is read, or ended; absent: none. */
static slice_t job_of (const message_t *message)
{
    switch ((int)message->type) {
    case MSG_JOB_STATUS:
        return message->job_status.job_id;
    case MSG_JOB_FOLLOW:
        return message->job_follow.job_id;
    case MSG_JOB_CANCEL:
        return message->job_cancel.job_id;
    case MSG_JOB_CHECK_CANCEL:
        return message->job_check_cancel.job_id;
    case MSG_EVENTS_READ:
        return message->events_read.job_id;
    default:
        return SLICE_ABSENT;
    }
}

/* ---- the questions ---- */

static err_t forbid (fault_t *fault, const who_t *who, const message_t *message)
{
    return fault_set (fault, ERR_FORBIDDEN, NULL, "The role %s may not send %s.", role_name (who->role),
                      message_spec (message->type)->wire);
}

static err_t check_role (broker_t *self, const message_t *message, zmq_msg_t *body, who_t *who, fault_t *fault)
{
    slice_t key = self->curve ? curve_sender (body) : SLICE_ABSENT;
    err_t err = key.ptr ? auth_identify_key (self->auth, key, message->auth, self->wall_ms, who)
                        : auth_identify (self->auth, message->auth, self->wall_ms, who);
    if (err && !(key.ptr && message->type == MSG_JOIN))
        return fault_set (fault, err, NULL, NULL);
    if (role_may (who->role, message->type))
        return ERR_NONE;
    return who->role == ROLE_NONE ? fault_set (fault, ERR_UNAUTHORIZED, NULL, NULL) : forbid (fault, who, message);
}

/* The worker id that goes with the token: the one that it first spoke for, or a JWT's subject. */
static err_t check_worker (broker_t *self, message_t *message, who_t *who, fault_t *fault)
{
    slice_t *named = worker_of (message);
    const char *bound = who->worker_id;
    if (!named)
        return ERR_NONE;
    if (!named->ptr && bound[0])
        *named = slice_of (bound); /* an agent that does not say who it is: its token does */
    if (!named->ptr)
        return fault_set (fault, ERR_FORBIDDEN, "workerId", "A worker's token must say `workerId` the first time.");
    if (bound[0] && !slice_eq_str (*named, bound))
        return fault_set (fault, ERR_WORKER_TOKEN_BOUND, "workerId", NULL);
    if (bound[0] && who->identity)
        return ERR_NONE;
    if (!worker_id_safe (*named))
        return ERR_NONE; /* refused for that, further on */
    if (auth_taken (self->auth, who, *named, self->wall_ms))
        return fault_set (fault, ERR_WORKER_TOKEN_BOUND, "workerId", NULL);
    if (bound[0])
        return ERR_NONE; /* there is no line to write it into */
    if (!auth_bind (self->auth, who, *named, self->wall_ms))
        return fault_set (fault, ERR_INTERNAL, NULL, NULL);
    log_event (LEVEL_INFO, "identity-bound", "%s to worker " SLICE_FMT, who->id, SLICE_ARG (*named));
    return ERR_NONE;
}

/* What is not one's own is as if it were not there. */
static err_t check_job (broker_t *self, const message_t *message, const who_t *who, fault_t *fault)
{
    slice_t job_id = job_of (message);
    job_id_t id;
    job_record_t job;
    bool restricted = who->role == ROLE_SUBMITTER || who->role == ROLE_WORKER;
    if (!restricted || !job_id.ptr || !job_id_parse (job_id, &id) || self->store->ops->job_get (self->store, &id, &job))
        return ERR_NONE;
    bool own = who->role == ROLE_SUBMITTER ? slice_eq_str (job.owner, who->name)
                                           : !job.worker_id.ptr || slice_eq_str (job.worker_id, who->worker_id);
    return own ? ERR_NONE : fault_set (fault, ERR_NO_SUCH_JOB, NULL, NULL);
}

static int64_t *wait_of (message_t *message)
{
    switch ((int)message->type) {
    case MSG_JOB_POLL:
        return &message->job_poll.wait;
    case MSG_JOB_RENEW:
        return &message->job_renew.wait;
    case MSG_JOB_FOLLOW:
        return &message->job_follow.wait;
    case MSG_EVENTS_READ:
        return &message->events_read.wait;
    default:
        return NULL;
    }
}

/* Who counts no longer is given nothing: its patience ends with it. */
static void bound_wait (const broker_t *self, message_t *message, const who_t *who)
{
    int64_t *wait = wait_of (message);
    int64_t left_ms = who->expires_ms > self->wall_ms ? who->expires_ms - self->wall_ms : 0;
    if (who->expires_ms && wait && *wait != INT_ABSENT && *wait > left_ms)
        *wait = left_ms;
}

/* ---- what is told of a refusal ---- */

slice_t admit_from (const message_t *message, zmq_msg_t *body, char room[PEER_SIZE])
{
    const char *address = message->peer.ptr ? NULL : zmq_msg_gets (body, "Peer-Address");
    snprintf (room, PEER_SIZE, "%.64s", address ? address : "");
    return message->peer.ptr ? message->peer : slice_of (room);
}

static slice_t subject_of (const broker_t *self, message_t *message)
{
    slice_t job = job_of (message);
    const slice_t *worker = worker_of (message);
    if (message->type == MSG_WORKER_DRAIN)
        return message->worker_drain.worker_id;
    if (message->type == MSG_WORKER_RESUME)
        return message->worker_resume.worker_id;
    if (message->type == MSG_TOKEN_REVOKE) /* what is no id and no name may be a whole token */
        return auth_knows (self->auth, message->token_revoke.which) ? message->token_revoke.which : SLICE_ABSENT;
    return worker ? *worker : job;
}

bool admit_tells (broker_t *self)
{
    if (self->refusals_second != self->now_ms / 1000)
        self->refusals_count = 0;
    self->refusals_second = self->now_ms / 1000;
    return self->refusals_count++ < LOGGED_MAX;
}

static void note_refusal (broker_t *self, message_t *message, zmq_msg_t *body, const who_t *who, const fault_t *fault)
{
    bool unknown = fault->err == ERR_UNAUTHORIZED || fault->err == ERR_NO_ROLE;
    *(unknown ? &self->unauthorized : &self->forbidden) += 1;
    if (!admit_tells (self))
        return;
    char room[PEER_SIZE];
    slice_t from = admit_from (message, body, room);
    log_event (LEVEL_WARN, unknown ? "unauthorized" : "forbidden", "%s %s from " SLICE_FMT " by %s: %s",
               error_row (fault->err)->code, message_spec (message->type)->wire, SLICE_ARG (from),
               who->id[0] ? who->id : "nobody", who->why ? who->why : fault->text);
    audit_add (self->audit, &(audit_entry_t){ .time_ms = self->wall_ms,
                                              .id = who->id[0] ? slice_of (who->id) : SLICE_ABSENT,
                                              .name = who->name[0] ? slice_of (who->name) : SLICE_ABSENT,
                                              .role = who->role,
                                              .from = from,
                                              .what = slice_of (message_spec (message->type)->wire),
                                              .subject = subject_of (self, message),
                                              .outcome = slice_of (error_row (fault->err)->code) });
}

void admit_keep (broker_t *self, uint64_t request, message_t *message, zmq_msg_t *body, const who_t *who)
{
    char room[PEER_SIZE];
    speaker_t *speaker = request_speaker (self->requests, request, who);
    speaker->audited = role_audits (message->type);
    if (!speaker->audited)
        return;
    slice_t from = admit_from (message, body, room);
    snprintf (speaker->from, sizeof speaker->from, SLICE_FMT, SLICE_ARG (from));
    slice_copy (subject_of (self, message), speaker->subject, sizeof speaker->subject);
}

/* What was refused, or was so before, can be asked for without end, and would push what was done out of the files. */
static bool changed_nothing (const message_t *answer)
{
    switch ((int)answer->type) {
    case MSG_ERROR:
        return true;
    case MSG_JOB_CREATE_OK:
        return answer->job_create_ok.repeated == 1;
    case MSG_JOB_CANCEL_OK:
        return answer->job_cancel_ok.already_over == 1;
    case MSG_TOKEN_CREATE_OK:
        return answer->token_create_ok.repeated == 1;
    case MSG_TOKEN_REVOKE_OK:
        return answer->token_revoke_ok.already_revoked == 1;
    default:
        return false;
    }
}

/* A token that comes or goes is called so whoever did it, from afar or with the data directory. */
static slice_t what_was_done (const request_t *request, const message_t *answer)
{
    if (answer->type == MSG_TOKEN_CREATE_OK && !changed_nothing (answer))
        return SLICE ("token-created");
    if (answer->type == MSG_TOKEN_REVOKE_OK && !changed_nothing (answer))
        return SLICE ("token-revoked");
    return slice_of (message_spec (request->type)->wire);
}

/* What the answer names; else what the request has. */
static slice_t subject_after (const speaker_t *speaker, const message_t *answer)
{
    switch ((int)answer->type) {
    case MSG_JOB_CREATE_OK:
        return answer->job_create_ok.job_id;
    case MSG_TOKEN_CREATE_OK:
        return answer->token_create_ok.identity;
    case MSG_TOKEN_REVOKE_OK:
        return answer->token_revoke_ok.identity;
    default:
        return speaker->subject[0] ? slice_of (speaker->subject) : SLICE_ABSENT;
    }
}

void admit_answered (broker_t *self, const request_t *request, const message_t *answer)
{
    const speaker_t *speaker = request->speaker;
    if (!speaker->audited || (changed_nothing (answer) && !admit_tells (self)))
        return;
    audit_add (self->audit,
               &(audit_entry_t){ .time_ms = self->wall_ms,
                                 .id = slice_of (speaker->id),
                                 .name = slice_of (speaker->name),
                                 .role = speaker->role,
                                 .from = slice_of (speaker->from),
                                 .what = what_was_done (request, answer),
                                 .subject = subject_after (speaker, answer),
                                 .outcome = answer->type == MSG_ERROR ? answer->error.code : SLICE ("ok") });
}

void admit_audit (broker_t *self, uint64_t request, const msg_audit_read_t *in)
{
    int64_t limit = in->limit == INT_ABSENT || in->limit == 0 ? LIST_DEFAULT : in->limit;
    message_t answer;
    message_init (&answer, MSG_AUDIT_READ_OK);
    buf_clear (&self->list);
    list_t entries = audit_list (self->audit, in->before == INT_ABSENT ? INT64_MAX : in->before, limit, &self->list);
    answer.audit_read_ok.entries = entries;
    answer.audit_read_ok.count = entries.count;
    broker_reply (self, request, &answer, NULL);
}

err_t admit (broker_t *self, message_t *message, zmq_msg_t *body, who_t *who, fault_t *fault)
{
    err_t err = check_role (self, message, body, who, fault);
    if (!err && who->role == ROLE_WORKER)
        err = check_worker (self, message, who, fault);
    if (!err)
        err = check_job (self, message, who, fault);
    if (err == ERR_UNAUTHORIZED || err == ERR_NO_ROLE || err == ERR_FORBIDDEN || err == ERR_WORKER_TOKEN_BOUND)
        note_refusal (self, message, body, who, fault);
    if (!err)
        bound_wait (self, message, who);
    return err;
}

slice_t admit_only (const broker_t *self)
{
    return self->who && self->who->role == ROLE_SUBMITTER ? slice_of (self->who->name) : SLICE_ABSENT;
}

void admit_check (broker_t *self, uint64_t request)
{
    const who_t *who = self->who;
    message_t answer;
    message_init (&answer, MSG_AUTH_CHECK_OK);
    msg_auth_check_ok_t *out = &answer.auth_check_ok;
    out->required = who != NULL;
    out->role = slice_of (role_name (who ? who->role : ROLE_ADMIN));
    if (who && who->name[0])
        out->name = slice_of (who->name);
    if (who && who->expires_ms)
        out->expires_at = who->expires_ms;
    broker_reply (self, request, &answer, NULL);
}

/* ---- identities come and go ---- */

static void withdraw_poll (broker_t *self, uint64_t handle)
{
    event_t event = { .kind = EVENT_WITHDRAWN, .now_ms = self->now_ms, .wall_ms = self->wall_ms, .request = handle };
    broker_step (self, &event, NULL);
}

/* What waits in the name of an identity that has been taken back, or for an answer over its connection, ends now; what
 * waits by a worker's token does with the worker. */
static void end_waiting (broker_t *self, const identity_t *identity)
{
    uint64_t key = strcmp (identity->kind, IDENTITY_KEY) == 0 ? request_key (slice_of (identity->key)) : 0;
    uint32_t at = 0;
    for (uint64_t handle = requests_next (self->requests, &at); handle; handle = requests_next (self->requests, &at)) {
        const request_t *request = request_find (self->requests, handle);
        bool its =
            (request->speaker && strcmp (request->speaker->id, identity->id) == 0) || (key && request->key == key);
        if (request->answered || !its)
            continue;
        if (request->type == MSG_JOB_FOLLOW || request->type == MSG_EVENTS_READ)
            broker_reply_error (self, handle, ERR_UNAUTHORIZED);
        else if (request->type == MSG_JOB_POLL)
            withdraw_poll (self, handle);
    }
}

/* Of one that is gone the worker is gone for us, too: others are given its jobs. */
static void on_change (void *ctx, const identity_t *identity, bool gone)
{
    broker_t *self = ctx;
    if (!self->changing || strcmp (self->changing, identity->id) != 0)
        audit_add (self->audit, &(audit_entry_t){ .time_ms = self->wall_ms,
                                                  .role = ROLE_NONE,
                                                  .what = gone ? SLICE ("token-revoked") : SLICE ("token-created"),
                                                  .subject = slice_of (identity->id),
                                                  .outcome = SLICE ("ok") });
    if (!gone) {
        log_event (LEVEL_INFO, "identity-new", "%s of %s: %s", identity->id, identity->name,
                   role_name (identity->role));
        return;
    }
    log_event (LEVEL_INFO, "identity-gone", "%s of %s counts no longer", identity->id, identity->name);
    end_waiting (self, identity);
    if (!identity->worker_id[0])
        return;
    event_t event = { .kind = EVENT_GONE,
                      .now_ms = self->now_ms,
                      .wall_ms = self->wall_ms,
                      .worker_id = slice_of (identity->worker_id) };
    broker_step (self, &event, NULL);
}

void admit_begin (broker_t *self)
{
    auth_on_change (self->auth, on_change, self);
}

void admit_tick (broker_t *self)
{
    audit_tick (self->audit, self->now_ms);
    bool due = auth_fd (self->auth) < 0 && self->auth_due_ms <= self->now_ms;
    if (!self->auth_moved && !due)
        return;
    self->auth_moved = false;
    self->auth_due_ms = self->now_ms + LOOK_MS;
    auth_refresh (self->auth, self->wall_ms);
}

int64_t admit_deadline (const broker_t *self)
{
    int64_t sync_ms = audit_deadline (self->audit);
    return auth_fd (self->auth) < 0 && self->auth_due_ms < sync_ms ? self->auth_due_ms : sync_ms;
}
