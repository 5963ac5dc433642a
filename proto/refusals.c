#include "refusals.h"

#include <stdarg.h>
#include <stdio.h>

#include "clock.h"
#include "log.h"

/* An old agent asks for jobs that are gone, and a crowd is told that we are busy: neither says anything of the peer. */
static bool peers_fault (err_t err)
{
    int status = error_row (err)->http_status;
    return status == 400 || status == 401 || status == 403 || status == 408 || status == 413 || status == 415 ||
           (status > 416 && status < 429) || status == 501 || err == ERR_RATE_LIMITED;
}

/* Whether one more line may be written in this second. */
static bool line_free (refusals_t *self)
{
    int64_t second = clock_mono_ms () / 1000;
    if (second != self->second) {
        self->second = second;
        self->lines = 0;
    }
    if (self->lines < REFUSALS_LOGGED_MAX) {
        self->lines++;
        return true;
    }
    self->unsaid++;
    return false;
}

void refusals_note (refusals_t *self, err_t err, const char *event, const char *format, ...)
{
    bool fault = peers_fault (err);
    self->counts[err > ERR_NONE && err < ERR_COUNT ? err : ERR_INTERNAL]++;
    if (fault && !line_free (self))
        return;
    if (fault && self->unsaid > 0)
        log_event (LEVEL_INFO, "refusals-unsaid", "%lld refusals more than could be logged", (long long)self->unsaid);
    if (fault)
        self->unsaid = 0;
    char text[512];
    va_list args;
    va_start (args, format);
    vsnprintf (text, sizeof text, format, args);
    va_end (args);
    log_event (fault ? LEVEL_INFO : LEVEL_DEBUG, event, "%s %s", error_row (err)->code, text);
}

list_t refusals_list (const refusals_t *self, buf_t *raw)
{
    list_t list = { .raw = SLICE ("") };
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++) {
        if (self->counts[err] == 0)
            continue;
        message_t item;
        message_init (&item, MSG_REFUSAL_ENTRY);
        item.refusal_entry.code = slice_of (error_row ((err_t)err)->code);
        item.refusal_entry.count = self->counts[err];
        list_writer_add (&list, raw, &item);
    }
    return list;
}
