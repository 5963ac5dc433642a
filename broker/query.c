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

static int64_t known_ms (int64_t ms)
{
    return ms ? ms : INT_ABSENT;
}

static void fill_status (const job_record_t *job, const char *job_id, msg_job_status_ok_t *out)
{
    out->job_id = slice_from (job_id, JOB_ID_LEN);
    out->status = slice_of (job_state_name (job->state));
    out->worker_id = job->worker_id;
    out->command = job->command;
    out->file_url = job->file_url;
    out->filename = job->filename;
    out->stdout_bytes = job->stdout_bytes;
    out->stderr_bytes = job->stderr_bytes;
    out->exit_code = job->exit_code;
    out->error_message = job->error_message;
    out->reason = job->reason;
    out->attempt = job->attempt;
    out->max_attempts = job->max_attempts;
    out->timeout_ms = job->timeout_ms;
    out->created_at = known_ms (job->created_ms);
    out->started_at = known_ms (job->started_ms);
    out->completed_at = known_ms (job->completed_ms);
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

static bool output_in_files (const job_record_t *job)
{
    return job->attempt > 0 && job->state != JOB_PENDING && !(job->stdout_data.ptr && job->stderr_data.ptr);
}

static void read_for_status (broker_t *self, uint64_t request, const job_record_t *job)
{
    depot_order_t *order = depot_order_new (DEPOT_READ, request);
    order->seq = job->id.seq;
    order->attempt = job->attempt;
    order->want[STREAM_STDOUT].limit = job->stdout_data.ptr ? -1 : STATUS_OUTPUT_MAX;
    order->want[STREAM_STDERR].limit = job->stderr_data.ptr ? -1 : STATUS_OUTPUT_MAX;
    broker_order (self, order);
}

void query_status (broker_t *self, uint64_t request, slice_t job_id)
{
    job_record_t job;
    if (!find_job (self, request, job_id, &job))
        return;
    if (output_in_files (&job)) {
        slice_copy (job_id, request_find (self->requests, request)->job_id, ID_MAX + 1);
        read_for_status (self, request, &job);
        return;
    }
    message_t answer;
    message_init (&answer, MSG_JOB_STATUS_OK);
    msg_job_status_ok_t *out = &answer.job_status_ok;
    fill_status (&job, job_id.ptr, out);
    bool cut = show (job.stdout_data, job.stdout_bytes, STATUS_OUTPUT_MAX, &out->stdout_data);
    cut = show (job.stderr_data, job.stderr_bytes, STATUS_OUTPUT_MAX, &out->stderr_data) || cut;
    out->output_cut = cut;
    broker_reply (self, request, &answer, 0);
}

static bool show_read (const depot_order_t *order, stream_t stream, slice_t *shown, int64_t *bytes)
{
    if (order->want[stream].limit < 0)
        return false;
    *shown = slice_from (order->got[stream].ptr, order->got[stream].len);
    *bytes = order->length[stream];
    return order->length[stream] > (int64_t)shown->len;
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
    if (!output_in_files (&job) || job.attempt != order->attempt) { /* went on meanwhile */
        query_status (self, order->request, slice_of (job_id));
        return;
    }
    message_t answer;
    message_init (&answer, MSG_JOB_STATUS_OK);
    msg_job_status_ok_t *out = &answer.job_status_ok;
    fill_status (&job, job_id, out);
    bool cut = show (job.stdout_data, job.stdout_bytes, STATUS_OUTPUT_MAX, &out->stdout_data);
    cut = show (job.stderr_data, job.stderr_bytes, STATUS_OUTPUT_MAX, &out->stderr_data) || cut;
    cut = show_read (order, STREAM_STDOUT, &out->stdout_data, &out->stdout_bytes) || cut;
    cut = show_read (order, STREAM_STDERR, &out->stderr_data, &out->stderr_bytes) || cut;
    out->output_cut = cut;
    broker_reply (self, order->request, &answer, 0);
}

typedef struct {
    broker_t *broker;
    list_t list;
    int64_t left; /* jobs that may still go onto the page */
    bool full;    /* there are more */
    char last[JOB_ID_LEN + 1];
} page_t;

static void page_add (void *ctx, const job_record_t *job)
{
    page_t *page = ctx;
    buf_t *raw = &page->broker->list;
    if (!page->left || raw->len > PAGE_BYTES_MAX) {
        page->full = true;
        return;
    }
    page->left--;
    job_id_format (&job->id, page->last);
    message_t item;
    message_init (&item, MSG_JOB_STATUS_OK);
    msg_job_status_ok_t *out = &item.job_status_ok;
    fill_status (job, page->last, out);
    bool cut = show (job->stdout_data, job->stdout_bytes, LIST_OUTPUT_MAX, &out->stdout_data);
    cut = show (job->stderr_data, job->stderr_bytes, LIST_OUTPUT_MAX, &out->stderr_data) || cut;
    out->output_cut = cut || output_in_files (job);
    list_writer_add (&page->list, raw, &item);
}

void query_list (broker_t *self, uint64_t request, const msg_job_list_t *in)
{
    job_id_t from = { .seq = INT64_MAX };
    if (in->cursor.ptr && !job_id_parse (in->cursor, &from)) {
        message_t refusal;
        message_error (&refusal, ERR_SCHEMA, "`cursor` must be what the answer before gave.");
        refusal.error.field = SLICE ("cursor");
        broker_reply (self, request, &refusal, 0);
        return;
    }
    int64_t limit = in->limit == INT_ABSENT || in->limit == 0 ? LIST_DEFAULT : in->limit;
    page_t page = { .broker = self, .list = { .raw = SLICE ("") }, .left = limit };
    buf_clear (&self->list);
    err_t err = self->store->ops->job_list (self->store, from.seq, limit + 1, page_add, &page);
    if (err) {
        broker_reply_error (self, request, err);
        return;
    }
    message_t answer;
    message_init (&answer, MSG_JOB_LIST_OK);
    answer.job_list_ok.jobs = page.list;
    answer.job_list_ok.count = page.list.count;
    answer.job_list_ok.limit = limit;
    answer.job_list_ok.total = self->store->ops->job_count (self->store);
    answer.job_list_ok.cursor = page.full ? slice_of (page.last) : SLICE_ABSENT;
    broker_reply (self, request, &answer, 0);
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
    broker_reply (self, request, &answer, 0);
}
