#include "gateway/handlers.h"
#include "gateway/translate.h"

static void cancel_done (void *ctx, link_end_t end, const message_t *reply)
{
    if (reply->type == MSG_JOB_CANCEL_OK && reply->job_cancel_ok.already_over == 1)
        request_answer_message (ctx, true, "The job was over already.", reply);
    else
        translate_answer (ctx, end, reply);
}

void cancel_handle (request_t *request)
{
    translate_call (request, cancel_done);
}
