/* events.c - what changes, as a stream that can be read on from any point that is still remembered.
 *
 * An event's id is the broker's start and a count: EPOCH-COUNT. The last EVENTS_KEPT are kept. They are shown once
 * their turn is committed. Growth of output is told at most every OUTPUT_EVERY_MS for a stream, and once more at its
 * end by the job's own event.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/heap.h"
#include "broker/list.h"

enum {
    EVENTS_KEPT = 16384, /* older ones are forgotten: about 4 MiB at most */
    READERS_MAX = 10000, /* that wait; one more is answered at once */
    OUTPUT_EVERY_MS = 200,
    GROWTHS = 1024, /* streams whose last told growth is remembered */
    TEXT_MAX = 160,
};

typedef struct {
    int64_t time_ms;
    enum { EVENT_OF_JOB, EVENT_OF_OUTPUT, EVENT_OF_WORKER } type;
    job_id_t job; /* a worker's has seq 0 */
    int64_t attempt;
    int64_t number; /* a job's exit code, a stream's length */
    stream_t stream;
    const char *status;
    char *text;  /* worker id and reason, each ended by NUL */
    char *owner; /* of the job; NULL: nobody */
} happening_t;

typedef struct {
    heap_node_t timer;
    uint64_t request;
    int64_t seq; /* 0: any */
    int64_t after;
    char *owner; /* of the jobs that are told of; NULL: anybody's */
} reader_t;

typedef struct {
    int64_t seq;
    int64_t told_ms;
    stream_t stream;
} growth_t;

struct events {
    int64_t epoch;
    int64_t last;      /* count of the last event */
    int64_t published; /* and of the last one that may be shown */
    happening_t ring[EVENTS_KEPT];
    growth_t growths[GROWTHS];
    heap_t readers;
};

events_t *events_new (int64_t wall_ms)
{
    events_t *self = xcalloc (1, sizeof *self);
    self->epoch = wall_ms;
    return self;
}

void events_destroy (events_t **self_p)
{
    events_t *self = *self_p;
    if (!self)
        return;
    for (int i = 0; i < EVENTS_KEPT; i++) {
        free (self->ring[i].text);
        free (self->ring[i].owner);
    }
    for (heap_node_t *top = heap_top (&self->readers); top; top = heap_top (&self->readers)) {
        reader_t *reader = LIST_ITEM (top, reader_t, timer);
        heap_remove (&self->readers, top);
        free (reader->owner);
        free (reader);
    }
    heap_fini (&self->readers);
    free (self);
    *self_p = NULL;
}

static happening_t *add (broker_t *self)
{
    events_t *events = self->events;
    happening_t *at = &events->ring[++events->last % EVENTS_KEPT];
    free (at->text);
    free (at->owner);
    *at = (happening_t){ .time_ms = self->wall_ms, .number = INT_ABSENT, .attempt = INT_ABSENT };
    return at;
}

static char *two_texts (slice_t first, slice_t second)
{
    char *text = xcalloc (1, first.len + second.len + 2);
    if (first.len)
        memcpy (text, first.ptr, first.len);
    if (second.len)
        memcpy (text + first.len + 1, second.ptr, second.len);
    return text;
}

void events_job (broker_t *self, const job_record_t *job)
{
    happening_t *at = add (self);
    at->type = EVENT_OF_JOB;
    at->job = job->id;
    at->attempt = job->attempt;
    at->status = job_state_name (job->state);
    at->number = job->exit_code;
    at->text = two_texts (job->worker_id, job->reason);
    at->owner = slice_dup (job->owner);
}

void events_worker (broker_t *self, const worker_record_t *worker)
{
    happening_t *at = add (self);
    at->type = EVENT_OF_WORKER;
    at->status = worker->online ? "online" : "offline";
    at->text = two_texts (worker->worker_id, SLICE_ABSENT);
}

void events_output (broker_t *self, int64_t seq, int64_t attempt, stream_t stream, int64_t bytes)
{
    growth_t *growth = &self->events->growths[((uint64_t)seq * 2 + stream) * 0x9e3779b97f4a7c15ULL >> 54];
    bool told = growth->seq == seq && growth->stream == stream;
    if (told && self->now_ms - growth->told_ms < OUTPUT_EVERY_MS)
        return;
    *growth = (growth_t){ seq, self->now_ms, stream };
    happening_t *at = add (self);
    at->type = EVENT_OF_OUTPUT;
    at->job.seq = seq;
    at->attempt = attempt;
    at->stream = stream;
    at->number = bytes;
    core_job_salt (self->core, seq, at->job.salt);
    at->owner = slice_dup (slice_of (core_job_owner (self->core, seq)));
}

/* ---- reading ---- */

static void id_format (const events_t *self, int64_t count, char text[TEXT_MAX])
{
    snprintf (text, TEXT_MAX, "%lld-%lld", (long long)self->epoch, (long long)count);
}

/* The count that an id names; -1 when it is none of this run's, or no longer kept. */
static int64_t id_parse (const events_t *self, slice_t text)
{
    char copy[ID_MAX + 1];
    char *end = NULL;
    if (!slice_copy (text, copy, sizeof copy))
        return -1;
    long long epoch = strtoll (copy, &end, 10);
    if (epoch != self->epoch || *end != '-')
        return -1;
    long long count = strtoll (end + 1, &end, 10);
    bool kept = count >= 0 && count <= self->published && count + EVENTS_KEPT > self->last;
    return *end || !kept ? -1 : count;
}

static void fill_event (const events_t *self, int64_t count, message_t *item, char id[TEXT_MAX],
                        char job_id[JOB_ID_LEN + 1])
{
    const happening_t *at = &self->ring[count % EVENTS_KEPT];
    static const char *const types[] = { "job", "output", "worker" };
    message_init (item, MSG_EVENT);
    msg_event_t *out = &item->event;
    id_format (self, count, id);
    out->event_id = slice_of (id);
    out->event_type = slice_of (types[at->type]);
    out->time = at->time_ms;
    if (at->type != EVENT_OF_WORKER) {
        job_id_format (&at->job, job_id);
        out->job_id = slice_of (job_id);
        out->attempt = at->attempt;
    }
    if (at->type == EVENT_OF_OUTPUT) {
        out->stream = slice_of (stream_name (at->stream));
        out->bytes = at->number;
        return;
    }
    out->status = slice_of (at->status);
    out->exit_code = at->number;
    const char *reason = at->text + strlen (at->text) + 1;
    out->worker_id = *at->text ? slice_of (at->text) : SLICE_ABSENT;
    out->reason = at->type == EVENT_OF_JOB && *reason ? slice_of (reason) : SLICE_ABSENT;
}

/* What workers do is everybody's to see. */
static bool may_see (const reader_t *reader, const happening_t *at)
{
    return !reader->owner || at->type == EVENT_OF_WORKER || (at->owner && strcmp (at->owner, reader->owner) == 0);
}

static void reader_free (reader_t *reader)
{
    free (reader->owner);
    free (reader);
}

/* Answers with what came after the reader's last. False, when there is nothing and `wait` allows to wait for it. */
static bool answer (broker_t *self, const reader_t *reader, bool gone, bool wait)
{
    uint64_t request = reader->request;
    int64_t after = reader->after;
    const events_t *events = self->events;
    list_t list = { .raw = SLICE ("") };
    char id[TEXT_MAX];
    char job_id[JOB_ID_LEN + 1];
    buf_clear (&self->list);
    int64_t count = after;
    while (count < events->published && list.count < EVENTS_MAX) {
        const happening_t *at = &events->ring[++count % EVENTS_KEPT];
        message_t item;
        if ((reader->seq && at->job.seq != reader->seq) || !may_see (reader, at))
            continue;
        fill_event (events, count, &item, id, job_id);
        list_writer_add (&list, &self->list, &item);
    }
    if (!list.count && !gone && wait)
        return false;
    message_t reply;
    message_init (&reply, MSG_EVENTS_READ_OK);
    id_format (events, count, id);
    reply.events_read_ok.events = list;
    reply.events_read_ok.last = slice_of (id);
    reply.events_read_ok.gone = gone;
    broker_reply (self, request, &reply, NULL);
    return true;
}

void events_read (broker_t *self, uint64_t request, const msg_events_read_t *in)
{
    events_t *events = self->events;
    job_id_t job = { 0 };
    if (in->job_id.ptr && !job_id_parse (in->job_id, &job)) {
        broker_reply_error (self, request, ERR_NO_SUCH_JOB);
        return;
    }
    int64_t after = in->after.ptr ? id_parse (events, in->after) : events->published;
    bool gone = after < 0;
    if (gone)
        after = events->published;
    bool wait = in->wait != INT_ABSENT && in->wait > 0 && events->readers.count < READERS_MAX;
    reader_t *reader = xcalloc (1, sizeof *reader);
    reader->request = request;
    reader->seq = job.seq;
    reader->after = after;
    reader->owner = slice_dup (admit_only (self));
    if (answer (self, reader, gone, wait)) {
        reader_free (reader);
        return;
    }
    heap_put (&events->readers, &reader->timer, self->now_ms + in->wait, 0);
}

/* Answers those readers for whom there is something; the others look on from here. */
static void wake_readers (broker_t *self)
{
    events_t *events = self->events;
    size_t count = events->readers.count;
    if (!count)
        return;
    heap_node_t **waiting = xcalloc (count, sizeof (heap_node_t *));
    memcpy (waiting, events->readers.nodes, count * sizeof (heap_node_t *));
    for (size_t i = 0; i < count; i++) {
        reader_t *reader = LIST_ITEM (waiting[i], reader_t, timer);
        bool kept = reader->after + EVENTS_KEPT > events->last;
        if (!kept)
            reader->after = events->published;
        if (answer (self, reader, !kept, true)) {
            heap_remove (&events->readers, &reader->timer);
            reader_free (reader);
        } else {
            reader->after = events->published;
        }
    }
    free (waiting);
}

void events_publish (broker_t *self)
{
    if (self->events->published == self->events->last)
        return;
    self->events->published = self->events->last;
    wake_readers (self);
}

void events_forget (broker_t *self)
{
    events_t *events = self->events;
    if (events->last == events->published)
        return;
    events->last = events->published;
    events->epoch++; /* what was forgotten took the place of older ones: who had those is told that they are gone */
}

void events_tick (broker_t *self)
{
    events_t *events = self->events;
    for (heap_node_t *top = heap_top (&events->readers); top && top->key <= self->now_ms;
         top = heap_top (&events->readers)) {
        reader_t *reader = LIST_ITEM (top, reader_t, timer);
        answer (self, reader, false, false);
        heap_remove (&events->readers, top);
        reader_free (reader);
    }
}

int64_t events_deadline (const broker_t *self)
{
    const heap_node_t *top = heap_top (&self->events->readers);
    return top ? top->key : INT64_MAX;
}
