#include <stdio.h>

#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/translate.h"
#include "proto/id.h"

static void status_done (void *ctx, link_end_t end, const message_t *reply)
{
    request_t *request = ctx;
    char name[JOB_ID_LEN + 16];
    if (reply->type != MSG_JOB_STATUS_OK) {
        translate_answer (request, end, reply);
        return;
    }
    const msg_job_status_ok_t *job = &reply->job_status_ok;
    if (job->artifacts_gone == 1) {
        request_fail (request, ERR_ARTIFACTS_GONE, "jobId", NULL);
        return;
    }
    if (!job->artifacts_url.ptr || !hex_valid (job->artifacts_sha256, SHA256_HEX)) {
        request_fail (request, ERR_NO_SUCH_ARTIFACTS, "jobId", NULL);
        return;
    }
    snprintf (name, sizeof name, "%.*s.zip", JOB_ID_LEN, job->job_id.ptr);
    download_answer (request, job->artifacts_sha256, name);
}

void artifacts_handle (request_t *request)
{
    source_t source = { 0 };
    message_t message;
    fault_t fault;
    err_t err = translate_request (&source, request, MSG_JOB_STATUS, &message, &fault);
    if (!err)
        err = translate_check (&message, &fault);
    if (!err) {
        link_order_t order = { .done = status_done, .ctx = request, .repeatable = true };
        err = link_call (request->gateway->link, &message, &order);
        if (err)
            fault_set (&fault, err, "", NULL);
    }
    source_fini (&source);
    if (err)
        request_fail_fault (request, &fault);
    else
        request_park (request);
}
