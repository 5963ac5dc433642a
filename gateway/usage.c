/* usage.c - GET /api/usage, as JSON or as a table for a spreadsheet (RFC 4180). */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/translate.h"

enum { MIB_SECONDS_OF_GIB_HOUR = 1024 * 3600, MICRO = 1000 * 1000, DAY_SIZE = 16 };

/* A cell. A spreadsheet takes one that begins with any of these for a formula: an apostrophe before it makes it text.
 */
static void put_text (buf_t *out, slice_t text)
{
    bool formula = text.len && text.ptr[0] && strchr ("=+-@\t\r", text.ptr[0]);
    buf_append_str (out, formula ? "\"'" : "\"");
    for (size_t at = 0; at < text.len; at++) {
        if (text.ptr[at] == '"')
            buf_append_str (out, "\"");
        buf_append (out, &text.ptr[at], 1);
    }
    buf_append_str (out, "\"");
}

/* amount / divisor with so many decimals, half up. */
static void put_decimal (buf_t *out, int64_t amount, int64_t divisor, int decimals)
{
    int64_t scale = 1;
    for (int i = 0; i < decimals; i++)
        scale *= 10;
    unsigned __int128 scaled =
        ((unsigned __int128)amount * (unsigned)scale + (unsigned __int128)divisor / 2) / (unsigned __int128)divisor;
    buf_printf (out, ",%llu.%0*llu", (unsigned long long)(scaled / (unsigned)scale), decimals,
                (unsigned long long)(scaled % (unsigned)scale));
}

static void put_group (buf_t *out, const msg_usage_group_t *group, slice_t currency)
{
    put_text (out, group->others == 1 ? SLICE ("(others)") : group->group.ptr ? group->group : SLICE (""));
    buf_printf (out, ",%lld,%lld", (long long)group->jobs, (long long)group->attempts);
    put_decimal (out, group->run_ms, 1000, 3);
    put_decimal (out, group->cpu_ms, 1000, 3);
    put_decimal (out, group->memory_mib_seconds, MIB_SECONDS_OF_GIB_HOUR, 6);
    buf_printf (out, ",%lld,%lld", (long long)group->bytes_in, (long long)group->bytes_out);
    if (group->cost_micros == INT_ABSENT)
        buf_append_str (out, ",");
    else
        put_decimal (out, group->cost_micros, MICRO, 6);
    buf_append_str (out, ",");
    put_text (out, group->cost_micros != INT_ABSENT && currency.ptr ? currency : SLICE (""));
    /* A group's own name may be `(others)`, or empty: the cell alone does not tell. */
    buf_append_str (out, group->others == 1 ? ",others\r\n" : group->group.ptr ? ",group\r\n" : ",none\r\n");
}

static void day_of (int64_t ms, char out[DAY_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc;
    out[0] = '\0';
    if (gmtime_r (&seconds, &utc))
        strftime (out, DAY_SIZE, "%Y-%m-%d", &utc);
}

static void answer_csv (request_t *request, const msg_usage_read_ok_t *reply)
{
    buf_t text = { 0 };
    char since[DAY_SIZE];
    char until[DAY_SIZE];
    buf_append_str (&text, "group,jobs,attempts,run_seconds,cpu_seconds,memory_gib_hours,bytes_in,bytes_out,cost,"
                           "currency,kind\r\n");
    for (uint32_t at = 0; at < reply->groups.count; at++) {
        message_t item;
        fault_t fault;
        if (!message_list_item (&reply->groups, MSG_USAGE_GROUP, at, &item, &fault))
            put_group (&text, &item.usage_group, reply->currency);
    }
    day_of (reply->since, since);
    day_of (reply->until, until);
    snprintf (request->attachment, sizeof request->attachment, "attachment; filename=\"gleaner-usage-%s-%s.csv\"",
              since, until);
    struct MHD_Response *response = MHD_create_response_from_buffer (text.len, text.ptr, MHD_RESPMEM_MUST_FREE);
    MHD_add_response_header (response, "Content-Type", "text/csv; charset=utf-8; header=present");
    MHD_add_response_header (response, "Content-Disposition", request->attachment);
    MHD_add_response_header (response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header (response, "Cache-Control", "no-store");
    if (reply->cut == 1)
        MHD_add_response_header (response, "X-Usage-Cut", "true");
    request_answer (request, MHD_HTTP_OK, response);
}

static void usage_done (void *ctx, link_end_t end, const message_t *reply)
{
    request_t *request = ctx;
    bool csv = slice_eq_str (request_query (request, "format"), "csv");
    if (csv && reply->type == MSG_USAGE_READ_OK)
        answer_csv (request, &reply->usage_read_ok);
    else
        translate_answer (request, end, reply);
}

void usage_handle (request_t *request)
{
    slice_t format = request_query (request, "format");
    if (format.len && !slice_eq_str (format, "csv") && !slice_eq_str (format, "json"))
        request_fail (request, ERR_SCHEMA, "format", "`format` must be json or csv.");
    else
        translate_call (request, usage_done);
}
