#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "proto/clock.h"
#include "proto/options.h"

/* The part of a finished stream that the store holds, `limit` bytes at most. True when that is not all of it. */
static bool show (slice_t data, int64_t length, int64_t limit, slice_t *shown)
{
    *shown = data;
    if (shown->ptr && (int64_t)shown->len > limit)
        shown->len = (size_t)limit;
    return length != INT_ABSENT && (int64_t)shown->len < length;
}

/* Room for what a status points to beside the record. */
typedef struct {
    char job_id[JOB_ID_LEN + 1];
    char artifacts_url[URL_MAX];
    buf_t waiting;
} shown_t;

static void fill_status (broker_t *self, const job_record_t *job, shown_t *room, message_t *status)
{
    message_init (status, MSG_JOB_STATUS_OK);
    msg_job_status_ok_t *out = &status->job_status_ok;
    job_id_format (&job->id, room->job_id);
    out->job_id = slice_of (room->job_id);
    out->command = job->command;
    out->file_url = job->file_url;
    if (job_output_gone (job, STREAMS_PRINTED))
        out->output_gone = true;
    out->not_before = known_ms (job->not_before_ms);
    job_tell (job, self->items, self->receipts, status);
    if (out->artifacts_sha256.ptr && job->purged & PURGED_ARTIFACTS) {
        out->artifacts_sha256 = SLICE_ABSENT;
        out->artifacts_gone = true;
    }
    if (job->artifacts.ptr && !(job->purged & PURGED_ARTIFACTS)) {
        snprintf (room->artifacts_url, sizeof room->artifacts_url, "/api/jobs/artifacts?jobId=%s", room->job_id);
        out->artifacts_url = slice_of (room->artifacts_url);
    }
    buf_clear (&room->waiting);
    const char *why =
        job->state == JOB_PENDING ? core_waiting (self->core, out->job_id, self->now_ms, &room->waiting) : NULL;
    out->waiting_reason = slice_of (why);
    out->waiting = why ? buf_slice (&room->waiting) : SLICE_ABSENT;
}

/* ---- the attempts ---- */

typedef struct {
    broker_t *broker;
    const depot_order_t *order; /* what was read of their output; NULL: nothing */
    list_t list;
    int64_t skip; /* of the oldest, when there are too many */
    int64_t last; /* the highest number that has a row */
    buf_t lines;
} attempts_t;

/* The attempts whose last lines are shown: the newest of those that are over and not told by the job itself. */
static int64_t ends_of (const job_record_t *job, int64_t *from)
{
    enum { ENDS_MAX = 10 };
    bool own = job->state == JOB_PENDING || (job->state == JOB_FAILED && !job->token.ptr); /* the last has a row, too */
    int64_t last = job->attempt - (own ? 0 : 1);
    int64_t count = last < ENDS_MAX ? last : ENDS_MAX;
    *from = last - count + 1;
    return job->purged & PURGED_OUTPUT ? 0 : count;
}

static slice_t end_of_attempt (const attempts_t *attempts, const attempt_record_t *row)
{
    const depot_order_t *order = attempts->order;
    slice_t kept = row->data[row->data[STREAM_STDERR].len ? STREAM_STDERR : STREAM_STDOUT];
    int64_t at = order ? row->attempt - order->ends_from : -1;
    if (kept.len || !order || !order->ends || at < 0 || at >= order->ends_count)
        return kept;
    return buf_slice (&order->ends[at]);
}

/* The last lines of a text, LAST_LINES of them at most. */
static slice_t last_lines (slice_t text)
{
    enum { LAST_LINES = 10 };
    size_t from = text.len;
    while (from && (text.ptr[from - 1] == '\n' || text.ptr[from - 1] == '\r'))
        from--;
    size_t end = from;
    for (int lines = 0; from && end - from < LAST_LINES_MAX / 2; from--)
        if (text.ptr[from - 1] == '\n' && ++lines == LAST_LINES)
            break;
    return slice_from (text.ptr + from, end - from);
}

/* The same as valid text, kept in `room`; absent when there are none. */
static slice_t lines_text (slice_t end, buf_t *room)
{
    slice_t lines = end.len ? last_lines (end) : SLICE ("");
    if (!lines.len)
        return SLICE_ABSENT;
    buf_clear (room);
    utf8_repair (lines, room);
    for (size_t i = 0; i < room->len; i++)
        if (room->ptr[i] == '\0')
            room->ptr[i] = ' ';
    return slice_from (room->ptr, room->len > LAST_LINES_MAX ? utf8_cut (buf_slice (room), LAST_LINES_MAX) : room->len);
}

static const char *attempt_status (const attempt_record_t *row)
{
    if (slice_eq_str (row->reason, "cancelled"))
        return "cancelled";
    return row->accepted || slice_eq_str (row->reason, "timeout") ? "failed" : "lost";
}

static void attempt_add (void *ctx, const attempt_record_t *row)
{
    attempts_t *attempts = ctx;
    attempts->last = row->attempt;
    if (row->attempt <= attempts->skip)
        return;
    message_t item;
    message_init (&item, MSG_ATTEMPT_ENTRY);
    msg_attempt_entry_t *out = &item.attempt_entry;
    out->attempt = row->attempt;
    out->status = slice_of (attempt_status (row));
    out->worker_id = row->worker_id;
    out->reason = row->reason;
    out->error_message = row->error_message;
    out->exit_code = row->exit_code;
    out->signal = row->signal;
    out->started_at = known_ms (row->started_ms);
    out->completed_at = known_ms (row->completed_ms);
    out->late_at = known_ms (row->late_ms);
    out->late_exit_code = row->late_exit_code;
    out->late_reason = row->late_reason;
    message_t usage;
    fault_t fault;
    if (row->usage.len && !message_decode_item (attempts->broker->usages, row->usage, MSG_USAGE, &usage, &fault))
        message_copy_common (&usage, &item);
    out->last_lines = lines_text (end_of_attempt (attempts, row), &attempts->lines);
    list_writer_add (&attempts->list, &attempts->broker->attempts, &item);
}

/* The attempt that runs, or that made the job's end, has no row of its own. */
static void attempt_of_job (attempts_t *attempts, const job_record_t *job, const msg_job_status_ok_t *status)
{
    if (!job->attempt || job->attempt == attempts->last || job->state == JOB_PENDING)
        return;
    message_t item;
    message_init (&item, MSG_ATTEMPT_ENTRY);
    msg_attempt_entry_t *out = &item.attempt_entry;
    out->attempt = job->attempt;
    out->status = slice_of (job_state_name (job->state));
    out->worker_id = job->worker_id;
    out->reason = job->reason;
    out->error_message = job->error_message;
    out->exit_code = job->exit_code;
    out->signal = job->signal;
    out->started_at = known_ms (job->started_ms);
    out->completed_at = known_ms (job->completed_ms);
    out->last_lines = status->last_lines;
    out->cpu_ms = status->cpu_ms;
    out->memory_peak_bytes = status->memory_peak_bytes;
    out->pids_peak = status->pids_peak;
    out->bytes_in = status->bytes_in;
    out->bytes_out = status->bytes_out;
    list_writer_add (&attempts->list, &attempts->broker->attempts, &item);
}

static void fill_attempts (broker_t *self, const job_record_t *job, const depot_order_t *order, message_t *status)
{
    attempts_t attempts = {
        .broker = self,
        .order = order,
        .list = { .raw = SLICE ("") },
        .skip = job->attempt - ATTEMPTS_SHOWN_MAX,
    };
    buf_clear (&self->attempts);
    self->store->ops->attempt_each (self->store, job->id.seq, attempt_add, &attempts);
    attempt_of_job (&attempts, job, &status->job_status_ok);
    status->job_status_ok.attempts = attempts.list;
    buf_fini (&attempts.lines);
}

/* Evidence: from stderr, or from stdout when that is silent. `ends` are the streams' ends; `room` keeps the text. */
static void fill_last_lines (const job_record_t *job, const slice_t ends[STREAM_PRINTED_COUNT], message_t *status,
                             buf_t *room)
{
    if (job->state != JOB_FAILED)
        return;
    slice_t lines = lines_text (ends[STREAM_STDERR], room);
    status->job_status_ok.last_lines = lines.ptr ? lines : lines_text (ends[STREAM_STDOUT], room);
}

/* The record of a request's job; answers the request itself and returns false when there is none. */
static bool find_job (broker_t *self, uint64_t request, slice_t job_id, job_record_t *job)
{
    job_id_t id;
    err_t err = job_id_parse (job_id, &id) ? self->store->ops->job_get (self->store, &id, job) : ERR_NO_SUCH_JOB;
    if (err)
        broker_reply_error (self, request, err);
    return !err;
}

/* A stream is in a file, if anywhere. */
static bool in_file (const job_record_t *job, stream_t stream)
{
    return job->attempt > 0 && job->state != JOB_PENDING && !job->data[stream].ptr;
}

/* Of what a status or a list shows. */
static bool output_in_files (const job_record_t *job)
{
    return in_file (job, STREAM_STDOUT) || in_file (job, STREAM_STDERR);
}

static bool show_read (const depot_order_t *order, stream_t stream, slice_t *shown, int64_t *bytes)
{
    *shown = slice_from (order->got[stream].ptr, order->got[stream].len);
    *bytes = order->length[stream];
    return order->length[stream] > (int64_t)shown->len;
}

static void read_for_status (broker_t *self, uint64_t request, const job_record_t *job)
{
    depot_order_t *order = depot_order_new (DEPOT_READ, request);
    order->seq = job->id.seq;
    order->attempt = job->attempt;
    for (stream_t stream = STREAM_STDOUT; stream < STREAM_PRINTED_COUNT; stream++)
        order->want[stream].limit = in_file (job, stream) ? STATUS_OUTPUT_MAX : -1;
    bool length = in_file (job, STREAM_JOURNAL) && job->bytes[STREAM_JOURNAL] == INT_ABSENT;
    order->want[STREAM_JOURNAL].limit = length ? 0 : -1;
    order->tail = LAST_LINES_MAX;
    order->ends_count = ends_of (job, &order->ends_from);
    broker_order (self, order);
}

/* `order`: what was read of the streams that are in files; NULL when none are. */
static void answer_status (broker_t *self, uint64_t request, const job_record_t *job, const depot_order_t *order)
{
    message_t answer;
    shown_t room = { 0 };
    buf_t lines = { 0 };
    fill_status (self, job, &room, &answer);
    msg_job_status_ok_t *out = &answer.job_status_ok;
    slice_t *const shown[STREAM_PRINTED_COUNT] = { &out->stdout_data, &out->stderr_data };
    int64_t *const bytes[STREAM_PRINTED_COUNT] = { &out->stdout_bytes, &out->stderr_bytes };
    slice_t ends[STREAM_PRINTED_COUNT];
    bool cut = false;
    for (stream_t i = STREAM_STDOUT; i < STREAM_PRINTED_COUNT; i++) {
        bool read = order && order->want[i].limit >= 0;
        bool more = read ? show_read (order, i, shown[i], bytes[i])
                         : show (job->data[i], job->bytes[i], STATUS_OUTPUT_MAX, shown[i]);
        ends[i] = read ? buf_slice (&order->end[i]) : job->data[i];
        cut = cut || more;
    }
    out->output_cut = cut;
    if (order && order->want[STREAM_JOURNAL].limit >= 0)
        out->journal_bytes = order->length[STREAM_JOURNAL];
    fill_last_lines (job, ends, &answer, &lines);
    fill_attempts (self, job, order, &answer);
    broker_reply (self, request, &answer, NULL);
    buf_fini (&room.waiting);
    buf_fini (&lines);
}

void query_status (broker_t *self, uint64_t request, slice_t job_id)
{
    job_record_t job;
    if (!find_job (self, request, job_id, &job))
        return;
    int64_t from;
    if (output_in_files (&job) || ends_of (&job, &from)) {
        slice_copy (job_id, request_find (self->requests, request)->job_id, ID_MAX + 1);
        read_for_status (self, request, &job);
        return;
    }
    answer_status (self, request, &job, NULL);
}

void query_status_read (broker_t *self, depot_order_t *order)
{
    char job_id[ID_MAX + 1];
    memcpy (job_id, request_find (self->requests, order->request)->job_id, sizeof job_id);
    if (order->err) {
        broker_reply_error (self, order->request, order->err);
        return;
    }
    job_record_t job;
    if (!find_job (self, order->request, slice_of (job_id), &job))
        return;
    bool read = order->want[STREAM_STDOUT].limit >= 0 || order->want[STREAM_STDERR].limit >= 0;
    if (output_in_files (&job) != read || job.attempt != order->attempt) { /* went on meanwhile */
        query_status (self, order->request, slice_of (job_id));
        return;
    }
    answer_status (self, order->request, &job, order);
}

typedef struct {
    broker_t *broker;
    list_t list;
    int64_t left; /* jobs that may still go onto the page */
    bool brief;
    shown_t room;
} page_t;

static bool page_add (void *ctx, const job_record_t *job)
{
    page_t *page = ctx;
    buf_t *raw = &page->broker->list;
    if (!page->left || raw->len > PAGE_BYTES_MAX)
        return false;
    page->left--;
    message_t item;
    msg_job_status_ok_t *out = &item.job_status_ok;
    fill_status (page->broker, job, &page->room, &item);
    out->journal_bytes = INT_ABSENT;
    out->journal_sha256 = SLICE_ABSENT;
    if (page->brief) {
        out->command.len = utf8_cut (out->command, BRIEF_COMMAND_MAX);
        out->env = SLICE_ABSENT;
    } else {
        bool cut = show (job->data[STREAM_STDOUT], job->bytes[STREAM_STDOUT], LIST_OUTPUT_MAX, &out->stdout_data);
        cut = show (job->data[STREAM_STDERR], job->bytes[STREAM_STDERR], LIST_OUTPUT_MAX, &out->stderr_data) || cut;
        out->output_cut = cut || output_in_files (job);
    }
    list_writer_add (&page->list, raw, &item);
    return true;
}

static void refuse_list (broker_t *self, uint64_t request, const char *field, const char *text)
{
    message_t refusal;
    message_error (&refusal, ERR_SCHEMA, text);
    refusal.error.field = slice_of (field);
    broker_reply (self, request, &refusal, NULL);
}

static bool state_find (slice_t name, int *state)
{
    for (*state = JOB_PENDING; *state <= JOB_FAILED; ++*state)
        if (slice_eq_str (name, job_state_name ((job_state_t)*state)))
            return true;
    return false;
}

/* A form with nothing filled in sends empty filters: they are none. */
static slice_t filled (slice_t text)
{
    return text.len ? text : SLICE_ABSENT;
}

/* All lists of one turn share this time, so that many of them do not hold the loop up. */
static int64_t list_patience (broker_t *self)
{
    enum { LISTS_MS = 20 };
    if (self->listed_ms != self->now_ms)
        self->listing_ms = 0;
    self->listed_ms = self->now_ms;
    return self->listing_ms < LISTS_MS ? LISTS_MS - self->listing_ms : 0;
}

void query_list (broker_t *self, uint64_t request, const msg_job_list_t *in)
{
    job_id_t from = { .seq = INT64_MAX };
    job_filter_t filter = {
        .state = -1,
        .since_ms = in->since == INT_ABSENT  ? 0
                    : in->since < JOB_MS_MAX ? in->since
                                             : JOB_MS_MAX,
        .worker = filled (in->worker),
        .owner = admit_only (self),
        .label = filled (in->label),
        .text = filled (in->text),
        .brief = in->brief == 1,
    };
    if (in->cursor.ptr && !job_id_parse (in->cursor, &from)) {
        refuse_list (self, request, "cursor", "`cursor` must be what the answer before gave.");
        return;
    }
    if (in->state.len && !state_find (in->state, &filter.state)) {
        refuse_list (self, request, "state", "`state` must be pending, running, completed or failed.");
        return;
    }
    filter.before_seq = from.seq;
    if (in->until != INT_ABSENT && in->until < JOB_MS_MAX && in->until * JOB_SEQ_PER_MS < from.seq)
        filter.before_seq = in->until * JOB_SEQ_PER_MS;
    int64_t limit = in->limit == INT_ABSENT || in->limit == 0 ? LIST_DEFAULT : in->limit;
    page_t page = { .broker = self, .list = { .raw = SLICE ("") }, .left = limit, .brief = filter.brief };
    int64_t next_seq = 0;
    buf_clear (&self->list);
    int64_t begun_ms = clock_mono_ms ();
    err_t err = self->store->ops->job_list (self->store, &filter, list_patience (self), page_add, &page, &next_seq);
    self->listing_ms += clock_mono_ms () - begun_ms;
    buf_fini (&page.room.waiting);
    if (err) {
        broker_reply_error (self, request, err);
        return;
    }
    char cursor[JOB_ID_LEN + 1];
    job_id_format (&(job_id_t){ .seq = next_seq, .salt = "000000" }, cursor);
    message_t answer;
    message_init (&answer, MSG_JOB_LIST_OK);
    answer.job_list_ok.jobs = page.list;
    answer.job_list_ok.count = page.list.count;
    answer.job_list_ok.limit = limit;
    answer.job_list_ok.total = self->store->ops->job_count (self->store);
    answer.job_list_ok.cursor = next_seq ? slice_of (cursor) : SLICE_ABSENT;
    broker_reply (self, request, &answer, NULL);
}

void query_info (broker_t *self, uint64_t request)
{
    core_counts_t counts = core_counts (self->core);
    message_t answer;
    message_init (&answer, MSG_BROKER_INFO_OK);
    msg_broker_info_ok_t *out = &answer.broker_info_ok;
    out->version = SLICE (GLEANER_VERSION);
    out->pending_jobs = counts.pending;
    out->running_jobs = counts.running;
    out->total_jobs = self->store->ops->job_count (self->store);
    out->total_workers = counts.workers;
    out->uptime_ms = self->now_ms - self->started_ms;
    out->refused_frames = self->refused_frames;
    out->unauthorized = self->unauthorized;
    out->forbidden = self->forbidden;
    out->disk_full = self->disk_full;
    out->blob_bytes = self->store->ops->blob_bytes (self->store);
    out->output_bytes = depot_output_bytes (self->depot);
    out->disk_bytes = self->disk_bytes ? self->disk_bytes : INT_ABSENT;
    out->disk_free_bytes = self->disk_bytes ? self->disk_free_bytes : INT_ABSENT;
    webhooks_info (self, out);
    traces_info (self, out);
    buf_clear (&self->list);
    out->gateways = gateway_list (self, &self->list);
    out->refusals = refusals_list (&self->refusals, &self->list);
    list_writer_split (&answer, &self->list, 0);
    broker_reply (self, request, &answer, NULL);
}
