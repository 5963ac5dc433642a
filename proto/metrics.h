/* metrics.h - the one table of metrics, what they are counted with, and how they are written for Prometheus.
 *
 * Two forms: text 0.0.4, and OpenMetrics 1.0 (openmetrics.io), which names a counter's family without `_total`, tells
 * the unit, and ends with `# EOF`. Values are whole numbers; no float comes near them.
 */
#ifndef GLEANER_METRICS_H
#define GLEANER_METRICS_H

#include "message.h"

typedef enum {
#define METRIC(ENUM, kind, name, divisor, label, help) METRIC_##ENUM,
#include "metrics.def"
    METRIC_COUNT
} metric_t;

typedef enum { METRIC_IS_COUNTER, METRIC_IS_GAUGE, METRIC_IS_HISTOGRAM, METRIC_IS_INFO } metric_kind_t;

typedef struct {
    const char *name; /* of the family */
    metric_kind_t kind;
    int64_t divisor;
    const char *label; /* "" for none */
    const char *help;
} metric_row_t;

/* Static. */
const metric_row_t *metric_row (metric_t metric);
/* The metric of that name; METRIC_COUNT when there is none. */
metric_t metric_find (slice_t name);

/* ---- histograms ---- */

enum { TALLY_BOUNDS_MAX = 20 };

/* Upper bounds of a histogram's buckets, in its metric's whole numbers; above the last one all count in one more. */
typedef struct {
    size_t count;
    int64_t at[TALLY_BOUNDS_MAX];
} tally_bounds_t;

extern const tally_bounds_t tally_long_ms;    /* what jobs do: 10 ms to a day */
extern const tally_bounds_t tally_short_us;   /* what programs do: 50 us to 10 s */
extern const tally_bounds_t tally_request_us; /* requests of people and workers: 500 us to 5 min */
extern const tally_bounds_t tally_batch;      /* numbers of things: 1 to 1024 */

/* One histogram; zero-initialised but for `bounds` is empty. */
typedef struct {
    const tally_bounds_t *bounds;
    uint64_t cells[TALLY_BOUNDS_MAX + 1]; /* not cumulative */
    uint64_t sum;
} tally_t;

/* `times` things of `value`; a negative one counts as 0. */
void tally_add (tally_t *self, int64_t value, uint64_t times);

/* ---- writing ---- */

typedef struct {
    buf_t *out;
    bool open; /* OpenMetrics */
} metrics_writer_t;

/* Of an Accept header (absent: text). True: OpenMetrics, which it names and does not rate below text. */
bool metrics_accepts_open (slice_t accept);
/* The form's content type. Static. */
const char *metrics_type (bool open);

/* A family's head; its samples must follow. */
void metrics_family (const metrics_writer_t *self, metric_t metric);
/* A sample of a counter, gauge or info. `labels`: KEY="VALUE",... as metrics_label makes it; NULL or "": none. */
void metrics_sample (const metrics_writer_t *self, metric_t metric, const char *labels, int64_t value);
/* All samples of a histogram. */
void metrics_tally (const metrics_writer_t *self, metric_t metric, const char *labels, const tally_t *tally);
/* A sample as it came from the broker (MSG_METRIC_SAMPLE of `metric`). */
void metrics_received (const metrics_writer_t *self, metric_t metric, const msg_metric_sample_t *sample);
/* After the last one. */
void metrics_end (const metrics_writer_t *self);
/* Appends KEY="VALUE", escaped, behind a comma unless `labels` is empty. */
void metrics_label (buf_t *labels, const char *key, slice_t value);

#endif
