/* usage.c - usage-read: sums over the record, some milliseconds a turn.
 *
 * The record has one connection and one thread (store_sqlite.c), so a long range must not be read at once: each turn
 * gives it SLICE_MS, and whatever else comes meanwhile is served between. What ends while it lasts is later than its
 * range's end, which is not beyond the moment of asking.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"
#include "broker/map.h"
#include "broker/tariff.h"
#include "proto/clock.h"
#include "proto/lines.h"

enum {
    QUERIES_MAX = 4, /* at once; one more is BUSY */
    SLICE_MS = 3,    /* of a turn, for all of them together */
    ROWS_A_STEP = 256,
    RANGE_HOURS = 30 * 24, /* unless it is said */
};
#define ROWS_MAX     (4LL * 1000 * 1000) /* that one query looks at */
#define HOUR_MS      (60LL * 60 * 1000)
#define LABEL_PREFIX "label:"

/* A group's name; "" for those that have none, else behind a character of its own. */
typedef struct {
    char *name;
    used_t used;
} group_t;

typedef struct {
    uint64_t request;
    int64_t since_ms, until_ms;
    char by[NAME_MAX_BYTES + 1];
    slice_t label; /* the key, of `by`; absent: it is by something else */
    char *only;    /* this owner's alone; NULL: all */
    bool attempts; /* jobs are done */
    ended_place_t after;
    int64_t rows;
    map_t groups;
    used_t others;
    bool overfull; /* there are others */
    bool cut;
    broker_t *broker;
} query_t;

struct usage {
    query_t *queries[QUERIES_MAX];
    size_t count;
    size_t next; /* whose turn it is */
};

usage_t *usage_new (void)
{
    return xcalloc (1, sizeof (usage_t));
}

static slice_t group_key (const void *item)
{
    return slice_of (((const group_t *)item)->name);
}

static void query_free (query_t *query)
{
    size_t at = 0;
    for (group_t *group = map_next (&query->groups, &at); group; group = map_next (&query->groups, &at)) {
        free (group->name);
        free (group);
    }
    map_fini (&query->groups);
    free (query->only);
    free (query);
}

void usage_destroy (usage_t **self_p)
{
    usage_t *self = *self_p;
    if (!self)
        return;
    for (size_t at = 0; at < self->count; at++)
        query_free (self->queries[at]);
    free (self);
    *self_p = NULL;
}

/* ---- asking ---- */

static bool by_known (query_t *query)
{
    size_t prefix = sizeof LABEL_PREFIX - 1;
    query->label = SLICE_ABSENT;
    if (strncmp (query->by, LABEL_PREFIX, prefix) == 0 && query->by[prefix])
        query->label = slice_of (query->by + prefix);
    return query->label.ptr || strcmp (query->by, "owner") == 0 || strcmp (query->by, "worker") == 0;
}

static void refuse (broker_t *self, uint64_t request, const char *field, const char *text)
{
    message_t refusal;
    message_error (&refusal, ERR_SCHEMA, text);
    refusal.error.field = slice_of (field);
    broker_reply (self, request, &refusal, NULL);
}

static query_t *query_new (broker_t *self, uint64_t request, const msg_usage_read_t *in)
{
    uint8_t secret[16];
    query_t *query = xcalloc (1, sizeof *query);
    randombytes_buf (secret, sizeof secret);
    map_init (&query->groups, group_key, secret);
    query->broker = self;
    query->request = request;
    slice_copy (in->by.len ? in->by : SLICE ("owner"), query->by, sizeof query->by);
    int64_t now_ms = self->wall_ms + 1; /* what has just ended is in it */
    query->until_ms = in->until == INT_ABSENT || in->until > now_ms ? now_ms : in->until;
    int64_t earlier_ms = query->until_ms - RANGE_HOURS * HOUR_MS;
    query->since_ms = in->since != INT_ABSENT ? in->since : earlier_ms > 0 ? earlier_ms : 0;
    query->after = (ended_place_t){ query->since_ms, -1, -1 };
    slice_t only = admit_only (self);
    query->only = only.ptr ? slice_dup (only) : NULL;
    return query;
}

void usage_begin (broker_t *self, uint64_t request, const msg_usage_read_t *in)
{
    usage_t *usage = self->usage;
    if (usage->count == QUERIES_MAX) {
        broker_reply_error (self, request, ERR_BUSY);
        return;
    }
    query_t *query = query_new (self, request, in);
    if (!by_known (query))
        refuse (self, request, "by", "`by` must be owner, worker or label:KEY.");
    else if (in->since != INT_ABSENT && in->until != INT_ABSENT && in->since > in->until)
        refuse (self, request, "since", "`since` must not be later than `until`.");
    else {
        usage->queries[usage->count++] = query;
        return;
    }
    query_free (query);
}

/* ---- counting ---- */

/* "" or its name behind a mark, in `room`. */
static slice_t group_name (query_t *query, const ended_t *ended, buf_t *room)
{
    slice_t name = strcmp (query->by, "worker") == 0 ? ended->worker_id : ended->owner;
    message_t options;
    fault_t fault;
    if (query->label.ptr) {
        name = SLICE_ABSENT;
        if (ended->options.len &&
            !message_decode_item (query->broker->items, ended->options, MSG_JOB_OPTIONS, &options, &fault))
            name = lines_get (options.job_options.labels, query->label);
    }
    buf_clear (room);
    if (name.ptr) {
        buf_append (room, "=", 1);
        buf_append (room, name.ptr, name.len > NAME_MAX_BYTES ? utf8_cut (name, NAME_MAX_BYTES) : name.len);
    }
    return room->len ? buf_slice (room) : SLICE ("");
}

static used_t *group_of (query_t *query, slice_t name)
{
    group_t *group = map_get (&query->groups, name);
    if (!group && query->groups.count == USAGE_GROUPS_MAX) {
        query->overfull = true;
        return &query->others;
    }
    if (!group) {
        group = xcalloc (1, sizeof *group);
        group->name = slice_dup (name);
        map_put (&query->groups, group);
    }
    return &group->used;
}

static void count (void *ctx, const ended_t *ended)
{
    query_t *query = ctx;
    if (query->only && !slice_eq_str (ended->owner, query->only))
        return;
    used_t *used = group_of (query, group_name (query, ended, &query->broker->list));
    used->jobs += ended->job;
    if (!ended->ran || !ended->started_ms)
        return;
    message_t item;
    fault_t fault;
    message_init (&item, MSG_USAGE);
    if (ended->usage.len)
        message_decode_item (query->broker->usages, ended->usage, MSG_USAGE, &item, &fault);
    const msg_usage_t *told = &item.usage;
    used_add (used, ended->place.ended_ms - ended->started_ms, told->cpu_ms, told->memory_peak_bytes, told->bytes_in,
              told->bytes_out);
}

/* Some rows more. True when there are no more. */
static bool go_on (broker_t *self, query_t *query, err_t *err)
{
    int64_t got = 0;
    *err = self->store->ops->ended_each (self->store, !query->attempts, query->label.ptr != NULL, &query->after,
                                         query->until_ms, ROWS_A_STEP, count, query, &got);
    query->rows += got;
    query->cut = query->rows >= ROWS_MAX;
    if (*err || query->cut)
        return true;
    if (got == ROWS_A_STEP)
        return false;
    if (query->attempts)
        return true;
    query->attempts = true;
    query->after = (ended_place_t){ query->since_ms, -1, -1 };
    return false;
}

/* ---- answering ---- */

static int by_run (const void *a, const void *b)
{
    const group_t *const *left = a;
    const group_t *const *right = b;
    int order = ((*left)->used.run_ms < (*right)->used.run_ms) - ((*left)->used.run_ms > (*right)->used.run_ms);
    return order ? order : strcmp ((*left)->name, (*right)->name);
}

static void add_group (list_t *list, buf_t *raw, const char *name, const used_t *used, int64_t cost)
{
    message_t item;
    message_init (&item, MSG_USAGE_GROUP);
    msg_usage_group_t *out = &item.usage_group;
    if (!name)
        out->others = true;
    else if (name[0])
        out->group = slice_of (name + 1);
    out->jobs = used->jobs;
    out->attempts = used->attempts;
    out->run_ms = used->run_ms;
    out->cpu_ms = used->cpu_ms;
    out->memory_mib_seconds = used_mib_seconds (used);
    out->bytes_in = used->bytes_in;
    out->bytes_out = used->bytes_out;
    out->cost_micros = cost;
    list_writer_add (list, raw, &item);
}

static void read_tariff (const broker_options_t *options, tariff_t *out)
{
    tariff_parse (options->tariff_run_hour, &out->run_hour);
    tariff_parse (options->tariff_cpu_hour, &out->cpu_hour);
    tariff_parse (options->tariff_gib_hour, &out->gib_hour);
    tariff_parse (options->tariff_gib_in, &out->gib_in);
    tariff_parse (options->tariff_gib_out, &out->gib_out);
}

/* The groups into the list, and their sum. */
static void add_groups (query_t *query, const tariff_t *tariff, list_t *list, used_t *whole, int64_t *cost)
{
    size_t at = 0;
    size_t number = query->groups.count;
    bool priced = tariff_any (tariff);
    group_t **sorted = xcalloc (number + 1, sizeof *sorted);
    for (size_t i = 0; i < number; i++)
        sorted[i] = map_next (&query->groups, &at);
    qsort (sorted, number, sizeof *sorted, by_run);
    for (size_t i = 0; i <= number; i++) {
        const used_t *used = i < number ? &sorted[i]->used : &query->others;
        if (i == number && !query->overfull)
            break;
        int64_t own = used_cost (used, tariff);
        add_group (list, &query->broker->list, i < number ? sorted[i]->name : NULL, used, priced ? own : INT_ABSENT);
        used_merge (whole, used);
        *cost = own > COUNT_MAX - *cost ? COUNT_MAX : *cost + own;
    }
    free (sorted);
}

static void answer (broker_t *self, query_t *query)
{
    tariff_t tariff = { 0 };
    used_t whole = { 0 };
    int64_t cost = 0;
    list_t list = { .raw = SLICE ("") };
    read_tariff (self->options, &tariff);
    buf_clear (&self->list);
    add_groups (query, &tariff, &list, &whole, &cost);
    message_t message;
    message_init (&message, MSG_USAGE_READ_OK);
    msg_usage_read_ok_t *out = &message.usage_read_ok;
    out->since = query->since_ms;
    out->until = query->until_ms;
    out->by = slice_of (query->by);
    if (query->cut)
        out->cut = true;
    out->jobs = whole.jobs;
    out->attempts = whole.attempts;
    out->run_ms = whole.run_ms;
    out->cpu_ms = whole.cpu_ms;
    out->memory_mib_seconds = used_mib_seconds (&whole);
    out->bytes_in = whole.bytes_in;
    out->bytes_out = whole.bytes_out;
    if (tariff_any (&tariff)) {
        out->cost_micros = cost;
        out->currency = slice_of (self->options->currency);
    }
    out->groups = list;
    broker_reply (self, query->request, &message, NULL);
}

void usage_tick (broker_t *self)
{
    usage_t *usage = self->usage;
    int64_t until_us = clock_mono_us () + SLICE_MS * 1000;
    if (usage->count)
        self->again = true; /* the next turn must not wait: it has an answer to send, or there is more to do */
    while (usage->count && clock_mono_us () < until_us) {
        err_t err = 0;
        size_t at = usage->next++ % usage->count;
        query_t *query = usage->queries[at];
        if (!go_on (self, query, &err))
            continue;
        if (err)
            broker_reply_error (self, query->request, err);
        else
            answer (self, query);
        query_free (query);
        usage->queries[at] = usage->queries[--usage->count];
    }
}
