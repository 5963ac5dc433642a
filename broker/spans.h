/* spans.h - a job that is over, as spans of OpenTelemetry in OTLP's JSON (opentelemetry.io/docs/specs/otlp).
 *
 * The whole is told by the record: the job's span, and in it by turns `queued` and `attempt`. Ids come from
 * traceparent_span, so an attempt's is the one that its commands were given.
 */
#ifndef GLEANER_SPANS_H
#define GLEANER_SPANS_H

#include "broker/record.h"
#include "proto/traceparent.h"

typedef struct {
    buf_t *out;
    const job_record_t *job;
    const traceparent_t *trace;
    slice_t name; /* for people; absent: none */
    char job_id[JOB_ID_LEN + 1];
    char job_span[SPAN_ID_LEN + 1];
    int64_t waits_ms; /* wall: since when it waits */
    int64_t last;     /* attempt that was told of */
    int count;        /* spans so far */
} spans_t;

/* Appends to `out`, with a comma before what follows something. All is borrowed until spans_end. */
void spans_begin (spans_t *self, buf_t *out, const job_record_t *job, const traceparent_t *trace, slice_t name);
/* An attempt that has a row of its own; oldest first. Of very many the last ATTEMPTS_SHOWN_MAX are told of. */
void spans_attempt (spans_t *self, const attempt_record_t *row);
/* The rest. Returns how many spans there are. */
int spans_end (spans_t *self);

/* What stands before and behind the spans in a request. `service` names us. */
void spans_open (buf_t *out, const char *service, const char *version);
void spans_close (buf_t *out);

#endif
