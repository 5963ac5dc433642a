#include "metrics.h"

#include <string.h>
#include <strings.h>

static const metric_row_t rows[METRIC_COUNT] = {
#define METRIC(ENUM, kind, name, divisor, label, help)                                                                 \
    [METRIC_##ENUM] = { name, METRIC_IS_##kind, divisor, label, help },
#include "metrics.def"
};

const metric_row_t *metric_row (metric_t metric)
{
    return &rows[metric];
}

metric_t metric_find (slice_t name)
{
    int metric = 0;
    while (metric < METRIC_COUNT && !slice_eq_str (name, rows[metric].name))
        metric++;
    return (metric_t)metric;
}

/* ---- histograms ---- */

const tally_bounds_t tally_long_ms = { 17,
                                       { 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000,
                                         900000, 3600000, 21600000, 86400000 } };
const tally_bounds_t tally_short_us = {
    16, { 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000, 10000000 }
};
const tally_bounds_t tally_request_us = { 16,
                                          { 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
                                            2500000, 10000000, 30000000, 60000000, 300000000 } };
const tally_bounds_t tally_batch = { 11, { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024 } };

void tally_add (tally_t *self, int64_t value, uint64_t times)
{
    size_t cell = 0;
    while (cell < self->bounds->count && value > self->bounds->at[cell])
        cell++;
    self->cells[cell] += times;
    self->sum += value > 0 ? (uint64_t)value * times : 0;
}

/* ---- what a client takes ---- */

/* `q` of one element of an Accept header, in thousandths; 1000 when it has none (RFC 9110, 12.4.2). */
static int quality (slice_t element)
{
    int value = 0;
    int scale = 1000;
    for (size_t at = 0; at + 2 < element.len; at++) {
        if (element.ptr[at] != ';')
            continue;
        slice_t rest = slice_trim (slice_from (element.ptr + at + 1, element.len - at - 1));
        if (rest.len < 3 || (rest.ptr[0] != 'q' && rest.ptr[0] != 'Q') || rest.ptr[1] != '=')
            continue;
        for (size_t i = 2; i < rest.len && scale && rest.ptr[i] != ';'; i++) {
            if (rest.ptr[i] >= '0' && rest.ptr[i] <= '9') {
                value += (rest.ptr[i] - '0') * scale;
                scale /= 10;
            }
        }
        return value > 1000 ? 1000 : value;
    }
    return 1000;
}

static bool names (slice_t element, const char *type)
{
    size_t len = strlen (type);
    return element.len >= len && strncasecmp (element.ptr, type, len) == 0 &&
           (element.len == len || element.ptr[len] == ';' || element.ptr[len] == ' ' || element.ptr[len] == '\t');
}

bool metrics_accepts_open (slice_t accept)
{
    int open = 0;
    int text = 0;
    while (accept.len) {
        const char *comma = memchr (accept.ptr, ',', accept.len);
        size_t len = comma ? (size_t)(comma - accept.ptr) : accept.len;
        slice_t element = slice_trim (slice_from (accept.ptr, len));
        accept = slice_from (accept.ptr + len + (comma != NULL), accept.len - len - (comma != NULL));
        int q = quality (element);
        if (names (element, "application/openmetrics-text") && q > open)
            open = q;
        else if (names (element, "text/plain") && q > text)
            text = q;
    }
    return open && open >= text;
}

const char *metrics_type (bool open)
{
    return open ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- writing ---- */

static const char *suffix (metric_t metric)
{
    return rows[metric].kind == METRIC_IS_COUNTER ? "_total" : rows[metric].kind == METRIC_IS_INFO ? "_info" : "";
}

static const char *unit (metric_t metric)
{
    static const char *const units[] = { "seconds", "bytes" };
    size_t len = strlen (rows[metric].name);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t own = strlen (units[i]);
        if (len > own && rows[metric].name[len - own - 1] == '_' &&
            strcmp (rows[metric].name + len - own, units[i]) == 0)
            return units[i];
    }
    return NULL;
}

void metrics_family (const metrics_writer_t *self, metric_t metric)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram", "info" };
    const metric_row_t *row = &rows[metric];
    const char *tail = self->open ? "" : suffix (metric);
    const char *kind = row->kind == METRIC_IS_INFO && !self->open ? "gauge" : kinds[row->kind];
    buf_printf (self->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", row->name, tail, row->help, row->name, tail, kind);
    if (self->open && unit (metric))
        buf_printf (self->out, "# UNIT %s %s\n", row->name, unit (metric));
}

/* A whole number of 1 / divisor, a power of ten, as a decimal. */
static void put_number (buf_t *out, int64_t value, int64_t divisor)
{
    char digits[24];
    int len = 0;
    int64_t rest = value % divisor;
    buf_printf (out, "%lld", (long long)(value / divisor));
    for (int64_t place = divisor / 10; place > 0 && rest > 0; place /= 10) {
        digits[len++] = (char)('0' + rest / place);
        rest %= place;
    }
    if (len)
        buf_printf (out, ".%.*s", len, digits);
}

static void put_line (const metrics_writer_t *self, metric_t metric, const char *tail, slice_t labels, int64_t value,
                      int64_t divisor)
{
    buf_printf (self->out, labels.len ? "%s%s{" SLICE_FMT "} " : "%s%s" SLICE_FMT " ", rows[metric].name, tail,
                SLICE_ARG (labels));
    put_number (self->out, value, divisor);
    buf_append (self->out, "\n", 1);
}

void metrics_sample (const metrics_writer_t *self, metric_t metric, const char *labels, int64_t value)
{
    put_line (self, metric, suffix (metric), slice_of (labels), value, rows[metric].divisor);
}

/* The bucket of what is at most `bound`; INT_ABSENT: of all. */
static void put_bucket (const metrics_writer_t *self, metric_t metric, slice_t labels, int64_t bound, int64_t count)
{
    buf_t all = { 0 };
    int64_t divisor = rows[metric].divisor;
    buf_append (&all, labels.ptr, labels.len);
    buf_append_str (&all, labels.len ? ",le=\"" : "le=\"");
    if (bound == INT_ABSENT)
        buf_append_str (&all, "+Inf");
    else
        put_number (&all, bound, divisor);
    if (bound != INT_ABSENT && bound % divisor == 0)
        buf_append_str (&all, ".0"); /* a float's canonical form, so that both forms name the same series */
    buf_append_str (&all, "\"");
    put_line (self, metric, "_bucket", buf_slice (&all), count, 1);
    buf_fini (&all);
}

void metrics_tally (const metrics_writer_t *self, metric_t metric, const char *labels, const tally_t *tally)
{
    slice_t given = slice_of (labels ? labels : "");
    uint64_t count = 0;
    for (size_t i = 0; i < tally->bounds->count; i++) {
        count += tally->cells[i];
        put_bucket (self, metric, given, tally->bounds->at[i], (int64_t)count);
    }
    count += tally->cells[tally->bounds->count];
    put_bucket (self, metric, given, INT_ABSENT, (int64_t)count);
    put_line (self, metric, "_sum", given, (int64_t)tally->sum, rows[metric].divisor);
    put_line (self, metric, "_count", given, (int64_t)count, 1);
}

void metrics_received (const metrics_writer_t *self, metric_t metric, const msg_metric_sample_t *sample)
{
    buf_t labels = { 0 };
    bool histogram = rows[metric].kind == METRIC_IS_HISTOGRAM;
    if (sample->label.ptr && rows[metric].label[0])
        metrics_label (&labels, rows[metric].label, sample->label);
    if (!histogram)
        put_line (self, metric, suffix (metric), buf_slice (&labels), sample->value, rows[metric].divisor);
    else if (slice_eq_str (sample->part, "bucket"))
        put_bucket (self, metric, buf_slice (&labels), sample->bound, sample->value);
    else if (slice_eq_str (sample->part, "sum"))
        put_line (self, metric, "_sum", buf_slice (&labels), sample->value, rows[metric].divisor);
    else if (slice_eq_str (sample->part, "count"))
        put_line (self, metric, "_count", buf_slice (&labels), sample->value, 1);
    buf_fini (&labels);
}

void metrics_end (const metrics_writer_t *self)
{
    if (self->open)
        buf_append_str (self->out, "# EOF\n");
}

void metrics_label (buf_t *labels, const char *key, slice_t value)
{
    buf_printf (labels, "%s%s=\"", labels->len ? "," : "", key);
    for (size_t at = 0; at < value.len; at++) {
        if (value.ptr[at] == '\\' || value.ptr[at] == '"')
            buf_append_str (labels, "\\");
        if (value.ptr[at] == '\n')
            buf_append_str (labels, "\\n");
        else
            buf_append (labels, &value.ptr[at], 1);
    }
    buf_append_str (labels, "\"");
}
