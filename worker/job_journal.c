/* job_journal.c - a job's journal: its entries into the third stream. What was printed is told at once, the rest when
 * it is sent, or within LAZY_MS: most of a short job's goes with its result. */
#include "proto/clock.h"
#include "proto/log.h"
#include "worker/job_internal.h"

enum {
    LAZY_MS = 100,
    SOON_MS = 10,         /* as that of the output, which waits for its entry meanwhile */
    HELD_MAX = 16 * 1024, /* bytes of entries in memory */
};

static int64_t now_ms (const job_t *self)
{
    return clock_mono_ms () - self->begun_ms;
}

static void keep (job_t *self)
{
    buf_t *text = &self->journal.text;
    self->journal_lazy_ms = -1;
    if (text->len && !self->disk_error)
        self->disk_error = output_append (&self->out[STREAM_JOURNAL], buf_slice (text));
    buf_clear (text);
}

static void on_due (void *ctx);

static void arrange (job_t *self, bool at_once)
{
    if (self->journal.text.len && (at_once || self->journal.text.len > HELD_MAX)) {
        keep (self);
        output_send_soon (&self->out[STREAM_JOURNAL]);
    } else if (self->journal.text.len && self->journal_lazy_ms < 0) {
        self->journal_lazy_ms = now_ms (self) + LAZY_MS;
    }
    int64_t due_ms = journal_due_ms (&self->journal);
    int64_t lazy_ms = self->journal_lazy_ms;
    int64_t at_ms = due_ms < 0 || (lazy_ms >= 0 && lazy_ms < due_ms) ? lazy_ms : due_ms;
    if (at_ms >= 0)
        loop_timer_set (self->host->loop, &self->journal_timer, at_ms - now_ms (self), on_due, self);
    else
        loop_timer_stop (&self->journal_timer);
}

static void on_due (void *ctx)
{
    job_t *self = ctx;
    journal_tick (&self->journal, now_ms (self));
    arrange (self, true);
}

void job_journal_init (job_t *self)
{
    self->begun_ms = clock_mono_ms ();
    self->journal_lazy_ms = -1;
    self->out[STREAM_JOURNAL].max = JOURNAL_MAX;
    self->out[STREAM_JOURNAL].soon_ms = SOON_MS;
}

void job_journal_fini (job_t *self)
{
    loop_timer_stop (&self->journal_timer);
    journal_fini (&self->journal);
}

void job_journal_phase (job_t *self, const char *phase)
{
    bool printed = journal_due_ms (&self->journal) >= 0;
    if (self->journal_closed)
        return;
    journal_phase (&self->journal, phase, now_ms (self));
    arrange (self, printed);
}

void job_journal_begin (job_t *self, int64_t number)
{
    bool printed = journal_due_ms (&self->journal) >= 0;
    journal_begin (&self->journal, number, now_ms (self));
    arrange (self, printed);
}

void job_journal_end (job_t *self, int64_t number, int exit_code, int signal_number)
{
    bool printed = journal_due_ms (&self->journal) >= 0;
    journal_end (&self->journal, number, exit_code, signal_number, now_ms (self));
    arrange (self, printed);
}

void job_journal_limits (job_t *self, const char *text)
{
    bool printed = journal_due_ms (&self->journal) >= 0;
    journal_limits (&self->journal, text, now_ms (self));
    arrange (self, printed);
}

void job_journal_use (job_t *self, int64_t cpu_ms, int64_t rss_bytes, int64_t processes)
{
    bool printed = journal_due_ms (&self->journal) >= 0;
    journal_use (&self->journal, cpu_ms, rss_bytes, processes, now_ms (self));
    arrange (self, printed);
}

void job_journal_printed (void *ctx, stream_t stream, const char *bytes, size_t len)
{
    job_t *self = ctx;
    int64_t length = self->journal.length;
    journal_printed (&self->journal, stream, bytes, len, now_ms (self));
    arrange (self, self->journal.length > length);
}

void job_journal_close (job_t *self)
{
    if (self->journal_closed)
        return;
    journal_phase (&self->journal, "upload", now_ms (self));
    self->journal_closed = true;
    keep (self);
    loop_timer_stop (&self->journal_timer);
}

void job_journal_give_up (job_t *self, const char *why)
{
    log_event (LEVEL_WARN, "journal-given-up", "job=%s %s", self->lease.job_id, why);
    self->journal_unproven = true;
    output_give_up (&self->out[STREAM_JOURNAL]);
}
