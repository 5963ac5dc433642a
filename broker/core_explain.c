#include "broker/core_internal.h"

#include <assert.h>
#include <string.h>

#include "proto/lines.h"

static const char *explain_delay (const delay_t *delay, int64_t now_ms, buf_t *text)
{
    long long seconds = (long long)((delay->timer.due_ms - now_ms + 999) / 1000);
    if (delay->backing_off)
        buf_printf (text, "Its last attempt failed: the next one begins in %lld s.", seconds);
    else
        buf_printf (text, "It was asked to wait: it is handed out in %lld s at the earliest.", seconds);
    return delay->backing_off ? "backing-off" : "delayed";
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

static const char *explain_no_match (const core_t *self, const queue_t *queue, buf_t *text)
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
    return "no-match";
}

static const char *explain_pinned (const worker_t *worker, buf_t *text)
{
    const char *how = !worker->online ? "offline" : worker->draining ? "draining" : "busy";
    buf_printf (text, "Worker %s, which alone may run it, is %s.", worker->id, how);
    return !worker->online ? "no-worker" : worker->draining ? "all-draining" : "all-busy";
}

/* What is known of those that may run the queue's jobs. */
typedef struct {
    size_t online, fit;
    size_t draining, asleep; /* of those that fit; a draining one that sleeps is draining */
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
        crowd.online += worker->online;
        crowd.fit += fits;
        crowd.draining += fits && worker->draining;
        crowd.asleep += fits && !worker->draining && worker->asleep_since_ms != INT_ABSENT;
    }
    return crowd;
}

/* None of those that fit takes a job now. A sleeping one will without anybody's help, a draining one will not. */
static const char *explain_away (const crowd_t *crowd, buf_t *text)
{
    const char *how = !crowd->asleep ? "draining" : crowd->draining ? "asleep or draining" : "asleep";
    if (crowd->fit == 1)
        buf_printf (text, "The one worker that may run it is %s.", how);
    else
        buf_printf (text, "All workers that may run it are %s.", how);
    return crowd->asleep ? "all-asleep" : "all-draining";
}

const char *core_waiting (core_t *self, slice_t job_id, int64_t now_ms, buf_t *text)
{
    const job_t *job = core_find_job (self, job_id);
    if (!job || job->lease)
        return NULL;
    if (job->delay)
        return explain_delay (job->delay, now_ms, text);
    if (job->pinned)
        return explain_pinned (job->pinned, text);
    if (!may_look (self, now_ms))
        return NULL;
    crowd_t crowd = look_at (self, job->queue);
    if (!crowd.online) {
        buf_printf (text, "No worker is online.");
        return "no-worker";
    }
    if (!crowd.fit)
        return explain_no_match (self, job->queue, text);
    if (crowd.draining + crowd.asleep == crowd.fit)
        return explain_away (&crowd, text);
    buf_printf (text, crowd.fit == 1 ? "The one worker that may run it is busy, or has not asked for a job yet."
                                     : "All workers that may run it are busy, or have not asked for a job yet.");
    return "all-busy";
}
