/* handlers.h - the calls that are more than one message to the broker and back. Each is a route_handler_fn. */
#ifndef GATEWAY_HANDLERS_H
#define GATEWAY_HANDLERS_H

#include "gateway/http.h"

/* poll.c: GET /api/jobs/get-job. A job that nobody is there to take goes back to the queue. */
void poll_handle (request_t *request);
/* poll.c: POST /api/jobs/renew, which waits for word to stop. */
void renew_handle (request_t *request);

/* result.c: POST /api/jobs/submit-result. Output too long for one message goes ahead in pieces. */
void result_handle (request_t *request);

/* output.c: POST /api/jobs/stream-output, JSON. */
void output_stream_handle (request_t *request);

/* follow.c: GET /api/jobs/output, raw bytes. */
void output_read_handle (request_t *request);

/* cancel.c: POST /api/jobs/cancel. */
void cancel_handle (request_t *request);

/* info.c: GET /api/info. What the broker says, and this gateway of itself. */
void info_handle (request_t *request);

/* usage.c: GET /api/usage. */
void usage_handle (request_t *request);

/* metrics.c: GET /metrics. What the broker counts, and this gateway. */
void metrics_handle (request_t *request);

/* health.c: GET /healthz, GET /readyz. */
void alive_handle (request_t *request);
void ready_handle (request_t *request);

/* upload.c: POST /api/execute. */
void execute_handle (request_t *request);
/* direct.c: DELETE /api/execute. */
void execute_stop_handle (request_t *request);

/* download.c: GET /uploads/NAME. */
void download_handle (request_t *request);
/* Answers with the blob; `name` of an attachment may be NULL. */
void download_answer (request_t *request, slice_t sha256, const char *name);

/* artifacts.c: GET /api/jobs/artifacts. */
void artifacts_handle (request_t *request);

/* events.c: GET /api/events and /api/jobs/events. */
void events_handle (request_t *request);

/* apidoc_answer.c: GET /api/openapi.json. */
void apidoc_handle (request_t *request);

/* page.c: GET of the web page's files. */
void page_handle (request_t *request);

#endif
