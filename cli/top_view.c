/* top_view.c - one look at queue, jobs and workers, and its lines. */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/escape.h"
#include "cli/print.h"
#include "cli/top.h"
#include "proto/clock.h"

enum {
    TAIL_BYTES = 400, /* of a stream, to find its last line in */
    HEAD_ROWS = 4,    /* what stands above the jobs */
    TITLE_ROWS = 3,   /* two headings and the line between jobs and workers */
    TIGHT_ROWS = 16,  /* on fewer, no line is left empty: two of the above */
    LINE_COLUMNS = 90,
};

/* ---- looking ---- */

static json_t *ask (client_t *client, const char *path, answer_t *fault)
{
    client_ask (client, "GET", path, NULL, fault);
    json_t *json = fault->fault ? NULL : json_incref (fault->json);
    if (json)
        answer_fini (fault);
    return json;
}

/* Up to so many characters, none of them half. */
static void cut (char *text, size_t columns)
{
    for (size_t seen = 0; *text; text++) {
        seen += ((unsigned char)*text & 0xc0) != 0x80;
        if (seen > columns)
            *text = '\0';
        if (!*text)
            break;
    }
}

/* The last line that says something, as a terminal may be shown it; NULL: there is none. */
static char *last_line (slice_t text)
{
    escape_t escape = { 0 };
    buf_t shown = { 0 };
    const char *end = text.ptr + text.len;
    while (end > text.ptr && strchr (" \t\r\n", end[-1]))
        end--;
    const char *begin = end;
    while (begin > text.ptr && begin[-1] != '\n' && begin[-1] != '\r')
        begin--;
    while (begin < end && ((unsigned char)*begin & 0xc0) == 0x80) /* the tail begins within a character */
        begin++;
    if (begin == end)
        return NULL;
    escape_append (&escape, slice_from (begin, (size_t)(end - begin)), &shown);
    char *line = slice_dup (buf_slice (&shown));
    buf_fini (&shown);
    cut (line, LINE_COLUMNS);
    return cli_plain (line);
}

static void add_last_line (client_t *client, json_t *job)
{
    static const char *const streams[] = { "stdout", "stderr" };
    char *line = NULL;
    for (size_t i = 0; i < 2 && !line; i++) {
        buf_t path = { 0 };
        buf_t tail = { 0 };
        buf_append_str (&path, "/api/jobs/output");
        path_add (&path, "jobId", slice_of (text_of (job, "jobId")));
        path_add (&path, "stream", slice_of (streams[i]));
        if (client_tail (client, path.ptr, TAIL_BYTES, &tail))
            line = last_line (buf_slice (&tail));
        buf_fini (&path);
        buf_fini (&tail);
    }
    json_t *value = line ? json_string (line) : NULL; /* none: what was printed is no UTF-8 */
    if (value)
        json_object_set_new (job, "lastLine", value);
    free (line);
}

void top_look (client_t *client, int tails, json_t **sight_p, answer_t *fault)
{
    char path[64];
    *fault = (answer_t){ 0 };
    snprintf (path, sizeof path, "/api/jobs?brief=true&state=running&limit=%d", TOP_JOBS_MAX);
    json_t *info = ask (client, "/api/info", fault);
    json_t *stats = info ? ask (client, "/api/stats", fault) : NULL;
    json_t *jobs = stats ? ask (client, path, fault) : NULL;
    json_t *workers = jobs ? ask (client, "/api/workers/list", fault) : NULL;
    size_t at;
    json_t *job;
    json_array_foreach (json_object_get (workers ? jobs : NULL, "jobs"), at, job)
    {
        if (json_is_object (job) && at < (size_t)tails && at < TOP_TAILS_MAX)
            add_last_line (client, job);
    }
    if (workers) {
        json_decref (*sight_p);
        *sight_p = json_pack ("{s:O, s:O, s:O*, s:O*}", "info", info, "stats", stats, "jobs",
                              json_object_get (jobs, "jobs"), "workers", json_object_get (workers, "workers"));
    }
    json_decref (info);
    json_decref (stats);
    json_decref (jobs);
    json_decref (workers);
}

/* ---- the lines ---- */

static void print_plain (FILE *out, const char *format, ...) __attribute__ ((format (printf, 2, 3)));

static void print_plain (FILE *out, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start (args, format);
    vsnprintf (line, sizeof line, format, args);
    va_end (args);
    fprintf (out, "%s\n", cli_plain (line));
}

static bool is_offline (const json_t *worker)
{
    return strcmp (text_of (worker, "status"), "offline") == 0;
}

/* An answer's member as a span, or "-". */
static void member_span (const json_t *stats, const char *name, char *out, size_t size)
{
    if (json_is_integer (json_object_get (stats, name)))
        span_format (number_of (stats, name), out, size);
    else
        snprintf (out, size, "-");
}

static void print_head (const json_t *sight, const char *server, const char *away, FILE *out)
{
    const json_t *info = json_object_get (sight, "info");
    const json_t *stats = json_object_get (sight, "stats");
    char up[32];
    char half[32];
    char most[32];
    int64_t online = 0;
    int64_t slots = 0;
    int64_t busy = 0;
    size_t at;
    json_t *worker;
    json_array_foreach (json_object_get (sight, "workers"), at, worker)
    {
        online += !is_offline (worker);
        slots += is_offline (worker) ? 0 : number_of (worker, "slots");
        busy += is_offline (worker) ? 0 : number_of (worker, "runningJobs");
    }
    span_format (number_of (info, "uptimeMs"), up, sizeof up);
    if (away) {
        fputc (TOP_LOUD, out);
        print_plain (out, "%.400s", away);
    } else {
        fputc (TOP_BOLD, out);
        print_plain (out, "%.200s  broker %.40s, up %s", server, text_of (info, "version"), up);
    }
    member_span (stats, "waitP50", half, sizeof half);
    member_span (stats, "waitP95", most, sizeof most);
    print_plain (out, "jobs     %lld waiting, %lld running; last hour %lld completed, %lld failed; wait %s, 95%% %s",
                 (long long)number_of (info, "pendingJobs"), (long long)number_of (info, "runningJobs"),
                 (long long)number_of (stats, "completed"), (long long)number_of (stats, "failed"), half, most);
    print_plain (out, "workers  %lld online, %lld offline; %lld of %lld slots busy%s", (long long)online,
                 (long long)((int64_t)at - online), (long long)busy, (long long)slots,
                 json_is_true (json_object_get (info, "diskFull")) ? "; the broker's disk is full" : "");
}

static void add_cells (grid_t *grid, const char *const *cells)
{
    for (size_t i = 0; i < grid->columns; i++)
        grid_add (grid, cells[i]);
}

static void add_job (grid_t *grid, const json_t *job, int64_t now)
{
    char span[32];
    char number[32];
    char what[CELL_SIZE];
    const char *name = text_of (job, "name");
    const char *command = text_of (job, "command");
    span_format (now - number_of (job, "startedAt"), span, sizeof span);
    snprintf (number, sizeof number, "%lld", (long long)number_of (job, "attempt"));
    snprintf (what, sizeof what, "%.*s", (int)strcspn (command, "\n"), *name ? name : command);
    cut (what, 24);
    add_cells (grid, (const char *[]){ span, text_of (job, "workerId"), text_of (job, "jobId"), number, what,
                                       text_of (job, "lastLine") });
}

static void add_worker (grid_t *grid, const json_t *worker, int64_t now)
{
    char slots[64];
    char load[32] = "";
    char memory[32] = "";
    char seen[40];
    char state[CELL_SIZE];
    snprintf (slots, sizeof slots, "%lld of %lld", (long long)number_of (worker, "runningJobs"),
              (long long)number_of (worker, "slots"));
    if (json_is_integer (json_object_get (worker, "loadPercent")))
        snprintf (load, sizeof load, "%lld%%", (long long)number_of (worker, "loadPercent"));
    if (json_is_integer (json_object_get (worker, "memoryFreeBytes")))
        bytes_format (number_of (worker, "memoryFreeBytes"), memory, sizeof memory);
    ago_format (number_of (worker, "lastHeartbeat"), now, seen, sizeof seen);
    if (now - number_of (worker, "lastHeartbeat") < 1000)
        snprintf (seen, sizeof seen, "now");
    snprintf (state, sizeof state, "%s%s", text_of (worker, "status"),
              json_is_true (json_object_get (worker, "draining")) ? ", draining" : "");
    add_cells (grid, (const char *[]){ text_of (worker, "workerId"), slots, state, load, memory, seen,
                                       text_of (worker, "hostname") });
}

static void print_more (size_t shown, size_t all, const char *what, FILE *out)
{
    if (shown < all)
        print_plain (out, "... and %zu more %s", all - shown, what);
}

/* Both lists get what they need; when that is too much, half each, and what one leaves is the other's. */
static void share (size_t rows, size_t jobs, size_t workers, size_t *for_jobs, size_t *for_workers)
{
    size_t half = rows / 2;
    *for_jobs = jobs <= half || jobs + workers <= rows ? jobs : workers < rows - half ? rows - workers : half;
    *for_workers = rows - *for_jobs < workers ? rows - *for_jobs : workers;
}

/* So many of `count` items have a line of their own, when the last line may have to count the others. */
static size_t shown_of (size_t lines, size_t count)
{
    return lines >= count ? count : lines ? lines - 1 : 0;
}

static void print_jobs (const json_t *jobs, size_t lines, FILE *out)
{
    static const char *const head[] = { "FOR", "WORKER", "JOB", "TRY", "WHAT", "LAST LINE" };
    grid_t grid = { .columns = 6 };
    size_t shown = shown_of (lines, json_array_size (jobs));
    add_cells (&grid, head);
    for (size_t i = 0; i < shown; i++)
        add_job (&grid, json_array_get (jobs, i), clock_wall_ms ());
    fputc (TOP_BOLD, out);
    grid_print (&grid, out);
    print_more (shown, json_array_size (jobs), "running", out);
}

static void print_workers (const json_t *workers, size_t lines, FILE *out)
{
    static const char *const head[] = { "WORKER", "BUSY", "STATE", "LOAD", "FREE", "SEEN", "HOST" };
    grid_t grid = { .columns = 7 };
    size_t all = json_array_size (workers);
    size_t shown = shown_of (lines, all);
    size_t done = 0;
    add_cells (&grid, head);
    for (int offline = 0; offline < 2; offline++) /* those that are there come first */
        for (size_t i = 0; i < all && done < shown; i++)
            if (is_offline (json_array_get (workers, i)) == (offline == 1)) {
                add_worker (&grid, json_array_get (workers, i), clock_wall_ms ());
                done++;
            }
    fputc (TOP_BOLD, out);
    grid_print (&grid, out);
    print_more (shown, all, "workers", out);
}

void top_print (const json_t *sight, const char *server, const char *away, int rows, FILE *out)
{
    const json_t *jobs = json_object_get (sight, "jobs");
    const json_t *workers = json_object_get (sight, "workers");
    size_t for_jobs = json_array_size (jobs);
    size_t for_workers = json_array_size (workers);
    bool tight = rows > 0 && rows < TIGHT_ROWS;
    size_t fixed = HEAD_ROWS + TITLE_ROWS - (tight ? 2 : 0);
    if (rows > 0)
        share ((size_t)rows > fixed ? (size_t)rows - fixed : 0, for_jobs, for_workers, &for_jobs, &for_workers);
    print_head (sight, server, away, out);
    fputs (tight ? "" : "\n", out);
    print_jobs (jobs, for_jobs, out);
    fputs (tight ? "" : "\n", out);
    print_workers (workers, for_workers, out);
}
