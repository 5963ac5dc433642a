#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/heap.h"
#include "broker/list.h"

enum { BUCKETS = 4096 };

/* One job-follow that is not yet answered. */
typedef struct {
    heap_node_t timer; /* by its deadline */
    link_t link;       /* in the bucket of its job */
    uint64_t request;
    job_id_t id;
    int64_t attempt;
    int streams; /* that it wants: bits 1 << stream */
    int64_t offset[STREAM_COUNT];
    int64_t deadline_ms;
    bool reading; /* the depot reads for it */
    bool woken;   /* something came while it did */
    bool stay;    /* with its attempt, also when that is over */
} follower_t;

struct followers {
    heap_t timers;
    list_head_t buckets[BUCKETS];
};

followers_t *followers_new (void)
{
    followers_t *self = xcalloc (1, sizeof *self);
    for (int i = 0; i < BUCKETS; i++)
        list_init (&self->buckets[i]);
    return self;
}

static list_head_t *bucket_of (followers_t *self, int64_t seq)
{
    return &self->buckets[(uint64_t)seq % BUCKETS];
}

static void follower_free (followers_t *self, follower_t *follower)
{
    heap_remove (&self->timers, &follower->timer);
    list_remove (bucket_of (self, follower->id.seq), &follower->link);
    free (follower);
}

void followers_destroy (followers_t **self_p)
{
    followers_t *self = *self_p;
    if (!self)
        return;
    for (heap_node_t *top = heap_top (&self->timers); top; top = heap_top (&self->timers))
        follower_free (self, LIST_ITEM (top, follower_t, timer));
    heap_fini (&self->timers);
    free (self);
    *self_p = NULL;
}

static void refuse (broker_t *self, follower_t *follower, err_t err)
{
    broker_reply_error (self, follower->request, err);
    follower_free (self->followers, follower);
}

static void refuse_beyond (broker_t *self, follower_t *follower, stream_t stream, int64_t length)
{
    message_t refusal;
    message_error (&refusal, ERR_BEYOND_END, NULL);
    refusal.error.stream = slice_of (stream_name (stream));
    refusal.error.offset = length;
    broker_reply (self, follower->request, &refusal, NULL);
    follower_free (self->followers, follower);
}

static bool wants (const follower_t *follower, int stream)
{
    return follower->streams & 1 << stream;
}

static bool is_final (const job_record_t *job)
{
    return job->state == JOB_COMPLETED || job->state == JOB_FAILED;
}

static void fill_streams (const follower_t *follower, const slice_t data[STREAM_COUNT],
                          const int64_t length[STREAM_COUNT], msg_job_follow_ok_t *out)
{
    int64_t *const offsets[STREAM_COUNT] = { &out->stdout_offset, &out->stderr_offset, &out->journal_offset };
    slice_t *const pieces[STREAM_COUNT] = { &out->stdout_data, &out->stderr_data, &out->journal_data };
    int64_t *const lengths[STREAM_COUNT] = { &out->stdout_bytes, &out->stderr_bytes, &out->journal_bytes };
    for (int i = 0; i < STREAM_COUNT; i++) {
        if (!wants (follower, i))
            continue;
        *offsets[i] = follower->offset[i];
        *pieces[i] = data[i];
        *lengths[i] = length[i];
    }
}

/* Answers when there is something to say; otherwise the follower stays, to be woken. */
static void answer_or_wait (broker_t *self, follower_t *follower, const job_record_t *job,
                            const slice_t data[STREAM_COUNT], const int64_t length[STREAM_COUNT])
{
    bool all = true;
    bool some = false;
    for (int i = 0; i < STREAM_COUNT; i++) {
        if (!wants (follower, i))
            continue;
        all = all && follower->offset[i] + (int64_t)data[i].len >= length[i];
        some = some || data[i].len;
    }
    bool past = follower->stay && follower->attempt < job->attempt;
    bool over = is_final (job) || past;
    bool end = over && all;
    for (int i = 0; i < STREAM_COUNT && over; i++) {
        if (!wants (follower, i) || follower->offset[i] <= length[i])
            continue;
        refuse_beyond (self, follower, (stream_t)i, length[i]);
        return;
    }
    if (!some && !end && self->now_ms < follower->deadline_ms)
        return;
    char job_id[JOB_ID_LEN + 1];
    job_id_format (&follower->id, job_id);
    message_t answer;
    message_init (&answer, MSG_JOB_FOLLOW_OK);
    msg_job_follow_ok_t *out = &answer.job_follow_ok;
    out->job_id = slice_of (job_id);
    out->status = slice_of (job_state_name (job->state));
    out->attempt = follower->attempt;
    fill_streams (follower, data, length, out);
    out->end = end;
    if (end && !past) {
        out->exit_code = job->exit_code;
        out->error_message = job->error_message;
        out->reason = job->reason;
    }
    broker_reply (self, follower->request, &answer, NULL);
    follower_free (self->followers, follower);
}

static slice_t piece (slice_t data, int64_t offset)
{
    if (!data.ptr || offset >= (int64_t)data.len)
        return SLICE ("");
    size_t left = data.len - (size_t)offset;
    return slice_from (data.ptr + offset, left < FOLLOW_MAX ? left : FOLLOW_MAX);
}

static void order_read (broker_t *self, follower_t *follower, const slice_t data[STREAM_COUNT])
{
    depot_order_t *order = depot_order_new (DEPOT_READ, follower->request);
    order->seq = follower->id.seq;
    order->attempt = follower->attempt;
    for (int i = 0; i < STREAM_COUNT; i++) {
        order->want[i].offset = follower->offset[i];
        order->want[i].limit = wants (follower, i) && !data[i].ptr ? FOLLOW_MAX : -1;
    }
    follower->reading = true;
    follower->woken = false;
    broker_order (self, order);
}

/* The streams of the follower's attempt as far as the store holds them; absent: in files. False: they are gone. */
static bool stored_streams (broker_t *self, const follower_t *follower, const job_record_t *job,
                            slice_t held[STREAM_COUNT])
{
    attempt_record_t row;
    bool past = follower->attempt < job->attempt || job->state == JOB_PENDING;
    /* A job that ended while it was pending has its last attempt's output there, too. */
    bool has_row = (past || is_final (job)) && follower->attempt > 0 &&
                   !self->store->ops->attempt_get (self->store, job->id.seq, follower->attempt, &row);
    for (int i = 0; i < STREAM_COUNT; i++)
        held[i] = has_row ? row.data[i] : past ? SLICE_ABSENT : job->data[i];
    return !job_output_gone (job, follower->streams);
}

static void follow_try (broker_t *self, follower_t *follower)
{
    job_record_t job;
    err_t err = self->store->ops->job_get (self->store, &follower->id, &job);
    if (err) {
        refuse (self, follower, err);
        return;
    }
    if (follower->stay && follower->attempt > job.attempt) {
        refuse (self, follower, ERR_NO_SUCH_ATTEMPT);
        return;
    }
    if (job.attempt != follower->attempt && !follower->stay) { /* another attempt: its output begins anew */
        follower->attempt = job.attempt;
        memset (follower->offset, 0, sizeof follower->offset);
    }
    slice_t held[STREAM_COUNT];
    if (!stored_streams (self, follower, &job, held)) {
        refuse (self, follower, ERR_OUTPUT_GONE);
        return;
    }
    slice_t data[STREAM_COUNT];
    int64_t length[STREAM_COUNT];
    bool files = false;
    for (int i = 0; i < STREAM_COUNT; i++) {
        data[i] = piece (held[i], follower->offset[i]);
        length[i] = (int64_t)held[i].len;
        files = files || (wants (follower, i) && !held[i].ptr);
    }
    if (files && follower->attempt > 0) { /* a job that waits for its next attempt shows the one before */
        order_read (self, follower, held);
        return;
    }
    answer_or_wait (self, follower, &job, data, length);
}

static follower_t *follower_of (broker_t *self, int64_t seq, uint64_t request)
{
    LIST_EACH (link, bucket_of (self->followers, seq))
    {
        follower_t *follower = LIST_ITEM (link, follower_t, link);
        if (follower->request == request)
            return follower;
    }
    return NULL;
}

void follow_read (broker_t *self, depot_order_t *order)
{
    follower_t *follower = follower_of (self, order->seq, order->request);
    if (!follower)
        return;
    follower->reading = false;
    job_record_t job;
    err_t err = order->err ? order->err : self->store->ops->job_get (self->store, &follower->id, &job);
    if (err) {
        refuse (self, follower, err);
        return;
    }
    bool moved = job.attempt != order->attempt && !follower->stay;
    if (moved || follower->woken) { /* went on meanwhile: look again */
        follow_try (self, follower);
        return;
    }
    slice_t inlined[STREAM_COUNT];
    stored_streams (self, follower, &job, inlined);
    slice_t data[STREAM_COUNT];
    int64_t length[STREAM_COUNT];
    for (int i = 0; i < STREAM_COUNT; i++) {
        bool read = order->want[i].limit >= 0;
        data[i] = read ? slice_from (order->got[i].ptr, order->got[i].len) : piece (inlined[i], follower->offset[i]);
        length[i] = read ? order->length[i] : (int64_t)inlined[i].len;
    }
    answer_or_wait (self, follower, &job, data, length);
}

static void refuse_field (broker_t *self, uint64_t request, const char *field, const char *text)
{
    message_t refusal;
    message_error (&refusal, ERR_SCHEMA, text);
    refusal.error.field = slice_of (field);
    broker_reply (self, request, &refusal, NULL);
}

static follower_t *follower_new (const msg_job_follow_t *in, const job_record_t *job, int64_t now_ms)
{
    const int64_t offsets[STREAM_COUNT] = { in->stdout_offset, in->stderr_offset, in->journal_offset };
    stream_t only;
    follower_t *follower = xcalloc (1, sizeof *follower);
    follower->id = job->id;
    follower->attempt = in->attempt == INT_ABSENT ? job->attempt : in->attempt;
    follower->stay = in->stay == 1 && in->attempt != INT_ABSENT;
    int all = in->journal_offset == INT_ABSENT ? STREAMS_PRINTED : STREAMS_ALL;
    follower->streams = stream_find (in->stream, &only) ? 1 << only : all;
    for (int i = 0; i < STREAM_COUNT; i++)
        follower->offset[i] = offsets[i] == INT_ABSENT ? 0 : offsets[i];
    follower->deadline_ms = now_ms + (in->wait == INT_ABSENT ? 0 : in->wait);
    return follower;
}

void follow_begin (broker_t *self, uint64_t request, const msg_job_follow_t *in)
{
    job_id_t id;
    stream_t only;
    if (in->stay == 1 && in->attempt == 0) {
        refuse_field (self, request, "attempt", "`attempt` must be from 1 on.");
        return;
    }
    if (in->stream.ptr && !stream_find (in->stream, &only)) {
        refuse_field (self, request, "stream", "`stream` must be stdout, stderr or journal.");
        return;
    }
    if (!job_id_parse (in->job_id, &id)) {
        broker_reply_error (self, request, ERR_NO_SUCH_JOB);
        return;
    }
    job_record_t job;
    err_t err = self->store->ops->job_get (self->store, &id, &job);
    if (err) {
        broker_reply_error (self, request, err);
        return;
    }
    follower_t *follower = follower_new (in, &job, self->now_ms);
    follower->request = request;
    list_append (bucket_of (self->followers, id.seq), &follower->link);
    heap_put (&self->followers->timers, &follower->timer, follower->deadline_ms, 0);
    follow_try (self, follower);
}

void follow_wake (broker_t *self, int64_t seq, int streams)
{
    LIST_EACH (link, bucket_of (self->followers, seq))
    {
        follower_t *follower = LIST_ITEM (link, follower_t, link);
        if (follower->id.seq != seq || !(follower->streams & streams))
            continue;
        if (follower->reading)
            follower->woken = true;
        else
            follow_try (self, follower);
    }
}

void follow_tick (broker_t *self)
{
    for (heap_node_t *top = heap_top (&self->followers->timers); top && top->key <= self->now_ms;
         top = heap_top (&self->followers->timers)) {
        follower_t *follower = LIST_ITEM (top, follower_t, timer);
        /* It is answered now, or when the depot has read for it: either way its deadline has done its work. */
        heap_put (&self->followers->timers, top, INT64_MAX, 0);
        if (!follower->reading)
            follow_try (self, follower);
    }
}

int64_t follow_deadline (const broker_t *self)
{
    const heap_node_t *top = heap_top (&self->followers->timers);
    return top ? top->key : INT64_MAX;
}
