#include "proto/clock.h"
#include "worker/job_internal.h"

enum {
    ALONE_MS = 300, /* a journal goes with the output, or with the result of a short job; by itself only after this */
    RETRY_MS = 20,
};

static int64_t since_begin_ms (const job_t *self)
{
    return clock_mono_ms () - self->begun_ms;
}

static void keep_and_send (void *ctx);

static void again_in (job_t *self, int64_t ms)
{
    loop_timer_set (self->host->loop, &self->journal_timer, ms > 0 ? ms : 0, keep_and_send, self);
}

/* When there is something to do next, if anything is printed in between or not. */
static void wait (job_t *self, int64_t now)
{
    const output_t *out = self->out;
    int64_t due = journal_due_ms (&self->journal);
    bool unsent = !output_is_sent (&out[STREAM_JOURNAL]) && !out[STREAM_JOURNAL].call;
    if (unsent) {
        bool soon = out[STREAM_STDOUT].length || out[STREAM_STDERR].length;
        int64_t next = soon ? now + RETRY_MS : ALONE_MS;
        due = next < due ? next : due;
    }
    if (due != INT64_MAX)
        again_in (self, due - now);
    else
        loop_timer_stop (&self->journal_timer);
}

/* The journal is output like any other: what cannot be kept of it fails the job. */
static void keep (job_t *self)
{
    if (self->journal.text.len && !self->disk_error)
        self->disk_error = output_put (&self->out[STREAM_JOURNAL], buf_slice (&self->journal.text));
    buf_clear (&self->journal.text);
}

static void keep_and_send (void *ctx)
{
    job_t *self = ctx;
    int64_t now = since_begin_ms (self);
    journal_flush (&self->journal, now, false);
    keep (self);
    if (self->out[STREAM_STDOUT].begun || self->out[STREAM_STDERR].begun || now >= ALONE_MS) {
        self->out[STREAM_JOURNAL].begun = true;
        output_send_soon (&self->out[STREAM_JOURNAL]);
    }
    wait (self, now);
}

void job_journal_begin (job_t *self)
{
    self->begun_ms = clock_mono_ms ();
    self->journal_open = true;
}

void job_journal_kept (void *ctx, const output_t *output, slice_t bytes)
{
    job_t *self = ctx;
    if (!self->journal_open)
        return;
    journal_printed (&self->journal, since_begin_ms (self), (stream_t)(output - self->out), bytes);
    keep (self);
    if (!self->journal_timer.next)
        again_in (self, JOURNAL_MERGE_MS);
}

/* An entry was added. */
static void added (job_t *self)
{
    keep (self);
    wait (self, since_begin_ms (self));
}

void job_journal_phase (job_t *self, const char *phase)
{
    if (!self->journal_open)
        return;
    journal_phase (&self->journal, since_begin_ms (self), phase);
    added (self);
}

void job_journal_command_begins (job_t *self, int64_t command)
{
    if (!self->journal_open)
        return;
    journal_begin (&self->journal, since_begin_ms (self), command);
    added (self);
}

void job_journal_command_ended (job_t *self, int64_t command, int exit_code, int signal_number)
{
    if (!self->journal_open)
        return;
    journal_end (&self->journal, since_begin_ms (self), command, exit_code, signal_number);
    added (self);
}

void job_journal_use (job_t *self, int64_t cpu_ms, int64_t memory_bytes, int64_t processes)
{
    if (!self->journal_open)
        return;
    journal_use (&self->journal, since_begin_ms (self), cpu_ms, memory_bytes, processes);
    added (self);
}

void job_journal_close (job_t *self)
{
    if (!self->journal_open)
        return;
    journal_flush (&self->journal, since_begin_ms (self), true);
    keep (self);
    self->journal_open = false;
    loop_timer_stop (&self->journal_timer);
}

void job_journal_fini (job_t *self)
{
    loop_timer_stop (&self->journal_timer);
    journal_fini (&self->journal);
    buf_fini (&self->told);
}
