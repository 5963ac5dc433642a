/* traceparent.h - which trace a job belongs to, by the rules of W3C Trace Context (w3.org/TR/trace-context).
 *
 * `00-TRACE-PARENT-FLAGS`: a version, 32 hex digits of the trace's id, 16 of the span that the bearer was called from,
 * and flags, of which two are known: 1 sampled, 2 the trace's id is random. All in lower case. Of a higher version that
 * much is read, and version 00 is passed on.
 */
#ifndef GLEANER_TRACEPARENT_H
#define GLEANER_TRACEPARENT_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

enum { TRACEPARENT_LEN = 55, TRACE_ID_LEN = 32, SPAN_ID_LEN = 16, TRACE_SAMPLED = 1, TRACE_RANDOM = 2 };

typedef struct {
    char trace_id[TRACE_ID_LEN + 1];
    char parent_id[SPAN_ID_LEN + 1];
    unsigned flags; /* those that are known */
} traceparent_t;

/* False when the text is none that counts: another form, upper case, version ff, or ids of nothing but zeros. */
bool traceparent_parse (slice_t text, traceparent_t *out);
/* Writes the 55 characters and a NUL. */
void traceparent_format (const traceparent_t *self, char out[TRACEPARENT_LEN + 1]);

typedef enum {
    SPAN_JOB = 'j',     /* the whole job */
    SPAN_QUEUED = 'q',  /* its wait before an attempt */
    SPAN_ATTEMPT = 'a', /* an attempt */
} span_kind_t;

/* The id of a job's span: always the same for the same job, kind and attempt, so that whoever tells of a span need not
 * have been there when its id was given away. 16 hex digits and a NUL. */
void traceparent_span (const char *trace_id, slice_t job_id, span_kind_t kind, int64_t attempt,
                       char out[SPAN_ID_LEN + 1]);

#endif
