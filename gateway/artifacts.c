#include <stdio.h>

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
    translate_call (request, status_done);
}
