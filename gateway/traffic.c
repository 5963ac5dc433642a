#include "gateway/traffic.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/routes.h"
#include "proto/clock.h"

enum {
    METHODS = 7,     /* those of routes.h, and any other */
    STATUSES = 40,   /* different ones that were answered; the first is none, the last any further one */
    STATUS_NONE = 0, /* the client went away before its answer */
    STATUS_LAST = STATUSES - 1,
};

static const char *const kinds[ROUTE_KINDS] = { [ROUTE_CALL] = "call", [ROUTE_WAIT] = "wait", [ROUTE_FILE] = "file" };

struct traffic {
    uint64_t (*counts)[METHODS][STATUSES]; /* of each route, and of what is none */
    unsigned statuses[STATUSES];           /* as they came; 0: not yet */
    tally_t seconds[ROUTE_KINDS];
    int64_t in_flight;
    uint64_t received, sent;
    uint64_t hits, misses;
};

traffic_t *traffic_new (void)
{
    traffic_t *self = xcalloc (1, sizeof *self);
    self->counts = xcalloc (routes_count () + 1, sizeof *self->counts);
    for (int kind = 0; kind < ROUTE_KINDS; kind++)
        self->seconds[kind].bounds = &tally_request_us;
    return self;
}

void traffic_destroy (traffic_t **self_p)
{
    traffic_t *self = *self_p;
    if (!self)
        return;
    free (self->counts);
    free (self);
    *self_p = NULL;
}

void traffic_begun (traffic_t *self, request_t *request)
{
    self->in_flight++;
    request->begun_us = clock_mono_us ();
}

static size_t method_place (unsigned method)
{
    return method ? (size_t)__builtin_ctz (method) : METHODS - 1;
}

static size_t status_place (traffic_t *self, unsigned status)
{
    if (!status)
        return STATUS_NONE;
    size_t at = STATUS_NONE + 1;
    while (at < STATUS_LAST && self->statuses[at] && self->statuses[at] != status)
        at++;
    if (at < STATUS_LAST)
        self->statuses[at] = status;
    return at;
}

void traffic_done (traffic_t *self, const request_t *request)
{
    self->in_flight--;
    if (!request->begun)
        return; /* no more than a piece of a head */
    unsigned status = request->told ? (unsigned)error_row (request->refusal->err)->http_status : request->status;
    size_t route = request->route ? route_number (request->route) : routes_count ();
    self->counts[route][method_place (request->method)][status_place (self, status)]++;
    route_kind_t kind = request->route ? route_kind (request->route) : ROUTE_CALL;
    tally_add (&self->seconds[kind], clock_mono_us () - request->begun_us, 1);
}

void traffic_bytes (traffic_t *self, uint64_t received, uint64_t sent)
{
    self->received += received;
    self->sent += sent;
}

void traffic_cache (traffic_t *self, bool hit)
{
    self->hits += hit;
    self->misses += !hit;
}

/* ---- writing ---- */

static void write_count (const traffic_t *self, const metrics_writer_t *writer, size_t route, size_t method,
                         size_t status)
{
    static const char *const others[] = { [STATUS_NONE] = "none", [STATUS_LAST] = "other" };
    char number[16];
    buf_t labels = { 0 };
    const char *name = method == METHODS - 1 ? "other" : method_name (1U << method);
    snprintf (number, sizeof number, "%u", self->statuses[status]);
    bool numbered = status != STATUS_NONE && status != STATUS_LAST;
    metrics_label (&labels, "route", slice_of (route == routes_count () ? "none" : route_pattern (route_at (route))));
    metrics_label (&labels, "method", slice_of (name));
    metrics_label (&labels, "code", slice_of (numbered ? number : others[status]));
    buf_append (&labels, "", 1);
    metrics_sample (writer, METRIC_HTTP_REQUESTS, labels.ptr, (int64_t)self->counts[route][method][status]);
    buf_fini (&labels);
}

static void write_counts (const traffic_t *self, const metrics_writer_t *writer)
{
    metrics_family (writer, METRIC_HTTP_REQUESTS);
    for (size_t route = 0; route <= routes_count (); route++)
        for (size_t method = 0; method < METHODS; method++)
            for (size_t status = 0; status < STATUSES; status++)
                if (self->counts[route][method][status])
                    write_count (self, writer, route, method, status);
}

static void write_one (const metrics_writer_t *writer, metric_t metric, uint64_t value)
{
    metrics_family (writer, metric);
    metrics_sample (writer, metric, NULL, (int64_t)value);
}

void traffic_write (const traffic_t *self, const metrics_writer_t *writer)
{
    write_counts (self, writer);
    metrics_family (writer, METRIC_HTTP_SECONDS);
    for (int kind = 0; kind < ROUTE_KINDS; kind++) {
        char label[32];
        snprintf (label, sizeof label, "kind=\"%s\"", kinds[kind]);
        metrics_tally (writer, METRIC_HTTP_SECONDS, label, &self->seconds[kind]);
    }
    write_one (writer, METRIC_HTTP_IN_FLIGHT, (uint64_t)self->in_flight);
    write_one (writer, METRIC_HTTP_RECEIVED, self->received);
    write_one (writer, METRIC_HTTP_SENT, self->sent);
    metrics_family (writer, METRIC_CACHE_REQUESTS);
    metrics_sample (writer, METRIC_CACHE_REQUESTS, "result=\"hit\"", (int64_t)self->hits);
    metrics_sample (writer, METRIC_CACHE_REQUESTS, "result=\"miss\"", (int64_t)self->misses);
}
