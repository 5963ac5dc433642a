#include "broker/core_internal.h"

#include <assert.h>
#include <string.h>

#include "proto/lines.h"

const char *core_wait_name (core_wait_t why)
{
    static const char *const names[WAITS] = {
        [WAIT_UNKNOWN] = "unknown",       [WAIT_BACKING_OFF] = "backing-off", [WAIT_DELAYED] = "delayed",
        [WAIT_NO_WORKER] = "no-worker",   [WAIT_NO_MATCH] = "no-match",       [WAIT_ALL_DRAINING] = "all-draining",
        [WAIT_ALL_ASLEEP] = "all-asleep", [WAIT_ALL_BUSY] = "all-busy",
    };
    return names[why];
}

static core_wait_t explain_delay (const delay_t *delay, int64_t now_ms, buf_t *text)
{
    long long seconds = (long long)((delay->timer.due_ms - now_ms + 999) / 1000);
    if (delay->backing_off)
        buf_printf (text, "Its last attempt failed: the next one begins in %lld s.", seconds);
    else
        buf_printf (text, "It was asked to wait: it is handed out in %lld s at the earliest.", seconds);
    return delay->backing_off ? WAIT_BACKING_OFF : WAIT_DELAYED;
}

enum { LOOKS_MAX = 100 * 1000 }; /* at workers, in one turn: a long list must not hold the loop up */

/* True when all workers may be looked at once more in this turn. */
static bool may_look (core_t *self, int64_t now_ms)
{
    if (self->explained_ms != now_ms)
        self->explain_looks = 0;
    self->explained_ms = now_ms;
    self->explain_looks += (int64_t)self->workers.count;
    return self->explain_looks <= LOOKS_MAX || self->explain_looks == (int64_t)self->workers.count;
}

/* How many of the requirements the worker has not; `line` is the first of them. */
static size_t missing (const queue_t *queue, const worker_t *worker, slice_t *first)
{
    slice_t rest = slice_of (queue->requires);
    slice_t line, key, value;
    size_t count = 0;
    while (lines_next (&rest, &line)) {
        line_split (line, &key, &value);
        if (slice_eq (lines_get (slice_of (worker->labels), key), value))
            continue;
        if (!count++)
            *first = line;
    }
    return count;
}

static void explain_no_match (const core_t *self, const queue_t *queue, buf_t *text)
{
    const worker_t *nearest = NULL;
    size_t least = 0;
    slice_t lacks = SLICE_ABSENT;
    size_t at = 0;
    for (const worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at)) {
        slice_t first = SLICE_ABSENT;
        size_t count = worker->online ? missing (queue, worker, &first) : 0;
        bool nearer = !nearest || count < least || (count == least && strcmp (worker->id, nearest->id) < 0);
        if (!worker->online || !nearer)
            continue;
        nearest = worker;
        least = count;
        lacks = first;
    }
    assert (nearest); /* one is online: else this is not asked */
    slice_t rest = slice_of (queue->requires);
    slice_t line, key, value;
    buf_printf (text, "No worker that is online has all the labels that it requires (");
    for (const char *comma = ""; lines_next (&rest, &line); comma = ", ")
        buf_printf (text, "%s" SLICE_FMT, comma, SLICE_ARG (line));
    line_split (lacks, &key, &value);
    slice_t has = lines_get (slice_of (nearest->labels), key);
    if (has.ptr)
        buf_printf (text, "): the nearest, %s, has " SLICE_FMT "=" SLICE_FMT ".", nearest->id, SLICE_ARG (key),
                    SLICE_ARG (has));
    else
        buf_printf (text, "): the nearest, %s, has no label " SLICE_FMT ".", nearest->id, SLICE_ARG (key));
}

static core_wait_t why_pinned (const worker_t *worker)
{
    return !worker->online ? WAIT_NO_WORKER : worker->draining ? WAIT_ALL_DRAINING : WAIT_ALL_BUSY;
}

static core_wait_t explain_pinned (const worker_t *worker, buf_t *text)
{
    const char *how = !worker->online ? "offline" : worker->draining ? "draining" : "busy";
    buf_printf (text, "Worker %s, which alone may run it, is %s.", worker->id, how);
    return why_pinned (worker);
}

/* What is known of those that may run the queue's jobs. */
typedef struct {
    size_t online, fit;
    size_t draining, asleep; /* of those that fit; a draining one that sleeps is draining */
    int64_t looks;
} crowd_t;

/* Two that fit say all there is to say. */
static crowd_t look_at (const core_t *self, const queue_t *queue)
{
    enum { ENOUGH = 2 };
    crowd_t crowd = { 0 };
    size_t at = 0;
    for (const worker_t *worker = map_next (&self->workers, &at);
         worker && crowd.fit - crowd.draining - crowd.asleep < ENOUGH; worker = map_next (&self->workers, &at)) {
        bool fits = worker->online && core_queue_fits (queue, worker);
        crowd.looks++;
        crowd.online += worker->online;
        crowd.fit += fits;
        crowd.draining += fits && worker->draining;
        crowd.asleep += fits && !worker->draining && worker->asleep_since_ms != INT_ABSENT;
    }
    return crowd;
}

/* Where none of those that fit takes a job now a sleeping one will without anybody's help, a draining one will not. */
static core_wait_t why_crowd (const crowd_t *crowd)
{
    if (!crowd->online)
        return WAIT_NO_WORKER;
    if (!crowd->fit)
        return WAIT_NO_MATCH;
    if (crowd->draining + crowd->asleep < crowd->fit)
        return WAIT_ALL_BUSY;
    return crowd->asleep ? WAIT_ALL_ASLEEP : WAIT_ALL_DRAINING;
}

static void explain_away (const crowd_t *crowd, buf_t *text)
{
    const char *how = !crowd->asleep ? "draining" : crowd->draining ? "asleep or draining" : "asleep";
    if (crowd->fit == 1)
        buf_printf (text, "The one worker that may run it is %s.", how);
    else
        buf_printf (text, "All workers that may run it are %s.", how);
}

static core_wait_t explain_queue (const core_t *self, const queue_t *queue, buf_t *text)
{
    crowd_t crowd = look_at (self, queue);
    core_wait_t why = why_crowd (&crowd);
    if (why == WAIT_NO_WORKER)
        buf_printf (text, "No worker is online.");
    else if (why == WAIT_NO_MATCH)
        explain_no_match (self, queue, text);
    else if (why != WAIT_ALL_BUSY)
        explain_away (&crowd, text);
    else
        buf_printf (text, crowd.fit == 1 ? "The one worker that may run it is busy, or has not asked for a job yet."
                                         : "All workers that may run it are busy, or have not asked for a job yet.");
    return why;
}

const char *core_waiting (core_t *self, slice_t job_id, int64_t now_ms, buf_t *text)
{
    const job_t *job = core_find_job (self, job_id);
    if (!job || job->lease)
        return NULL;
    if (job->delay)
        return core_wait_name (explain_delay (job->delay, now_ms, text));
    if (job->pinned)
        return core_wait_name (explain_pinned (job->pinned, text));
    return may_look (self, now_ms) ? core_wait_name (explain_queue (self, job->queue, text)) : NULL;
}

/* ---- how many wait for what ---- */

static int64_t look_again (const core_t *self, queue_t *queue)
{
    if (!queue->jobs.count)
        return 0;
    crowd_t crowd = look_at (self, queue);
    queue->why = why_crowd (&crowd);
    return crowd.looks;
}

void core_waits (core_t *self, int64_t counts[WAITS])
{
    memset (counts, 0, WAITS * sizeof *counts);
    counts[WAIT_BACKING_OFF] = self->backing_off;
    counts[WAIT_DELAYED] = self->pending - (int64_t)self->ready.count - self->backing_off;
    size_t at = 0;
    for (const worker_t *worker = map_next (&self->workers, &at); worker; worker = map_next (&self->workers, &at))
        counts[why_pinned (worker)] += (int64_t)worker->pinned.jobs.count;
    int64_t looks = look_again (self, &self->any);
    for (size_t left = self->queues.count; left && looks < WAIT_LOOKS_MAX; left--) {
        link_t *first = list_first (&self->queues);
        list_remove (&self->queues, first);
        list_append (&self->queues, first); /* their order means nothing: the longest not looked at comes first */
        looks += look_again (self, LIST_ITEM (first, queue_t, link));
    }
    counts[self->any.why] += (int64_t)self->any.jobs.count;
    LIST_EACH (link, &self->queues)
    {
        const queue_t *queue = LIST_ITEM (link, queue_t, link);
        counts[queue->why] += (int64_t)queue->jobs.count;
    }
}
