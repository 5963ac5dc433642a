/* Gleaner over HTTP: keep-alive connections to a gateway, JSON bodies, as any script would. */
#include "tests/bench/cycle/cycle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void request (client_t *self, const char *method, const char *path, const char *body)
{
    buf_printf (&self->out, "%s %s HTTP/1.1\r\nHost: bench\r\n", method, path);
    if (body)
        buf_printf (&self->out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen (body), body);
    else
        buf_append_str (&self->out, "\r\n");
}

static void hello (client_t *self)
{
    char body[128];
    snprintf (body, sizeof body, "{\"workerId\":\"bench-%04d\",\"hostname\":\"bench\",\"slots\":1}", self->number);
    request (self, "POST", "/api/workers/register", body);
    self->part = 1;
}

static void create (client_t *self, long number)
{
    (void)number;
    char body[512];
    snprintf (body, sizeof body,
              "{\"command\":\"" SLICE_FMT "\",\"fileUrl\":\"/uploads/x.zip\",\"filename\":\"x.zip\"}",
              SLICE_ARG (cycle_payload ()));
    request (self, "POST", "/api/jobs/create", body);
}

static void take (client_t *self)
{
    char path[128];
    snprintf (path, sizeof path, "/api/jobs/get-job?workerId=bench-%04d&slot=0&wait=%d", self->number, self->wait_ms);
    request (self, "GET", path, NULL);
}

static void finish (client_t *self)
{
    char body[256];
    snprintf (body, sizeof body, "{\"jobId\":\"%s\",\"workerId\":\"bench-%04d\",\"exitCode\":0}", self->job_id,
              self->number);
    request (self, "POST", "/api/jobs/submit-result", body);
}

static long answer (client_t *self)
{
    static const char mark[] = "\"jobId\":\"";
    buf_append (&self->in, "", 1); /* text functions need an end */
    self->in.len--;
    const char *text = self->in.ptr;
    const char *end = strstr (text, "\r\n\r\n");
    const char *length = end ? strcasestr (text, "\r\ncontent-length:") : NULL;
    if (!end)
        return ANSWER_PART;
    bool good = strncmp (text, "HTTP/1.1 200", 12) == 0 ||
                (self->step == STEP_TAKE && strncmp (text, "HTTP/1.1 202", 12) == 0); /* no job came in time */
    if (!good || !length || length > end) {
        fprintf (stderr, "bench-cycle: %s\n", text);
        return ANSWER_BROKEN;
    }
    long whole = end + 4 - text + strtol (length + 17, NULL, 10);
    if ((long)self->in.len < whole)
        return ANSWER_PART;
    const char *id = strstr (end, mark);
    self->nothing = self->step == STEP_TAKE && !id;
    if (self->step == STEP_TAKE && id)
        slice_copy (slice_from (id + sizeof mark - 1, strcspn (id + sizeof mark - 1, "\"")), self->job_id,
                    sizeof self->job_id);
    if (self->step == STEP_HELLO)
        self->part = 0;
    return whole;
}

const queue_kind_t kind_http = { "http", hello, create, take, finish, answer };
