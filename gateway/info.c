#include "gateway/gateway.h"
#include "gateway/handlers.h"
#include "gateway/jsonout.h"
#include "gateway/translate.h"

static void add_refusals (buf_t *json, const refusals_t *refusals)
{
    const char *comma = "";
    buf_append_str (json, ",\"refusals\":[");
    for (int err = ERR_NONE + 1; err < ERR_COUNT; err++) {
        if (!refusals->counts[err])
            continue;
        buf_printf (json, "%s{\"code\":\"%s\",\"count\":%lld}", comma, error_row ((err_t)err)->code,
                    (long long)refusals->counts[err]);
        comma = ",";
    }
    buf_append_str (json, "]");
}

static void info_done (void *ctx, link_end_t end, const message_t *reply)
{
    (void)end;
    request_t *request = ctx;
    const gateway_t *gateway = request->gateway;
    if (reply->type != MSG_BROKER_INFO_OK) {
        request_fail_message (request, reply);
        return;
    }
    buf_t json = { 0 };
    buf_append_str (&json, "{\"success\":true,");
    jsonout_fields (&json, reply);
    buf_append_str (&json, ",\"gateway\":{\"version\":");
    jsonout_text (&json, SLICE (GLEANER_VERSION));
    buf_printf (&json, ",\"uploadMax\":%lld,\"machine\":", (long long)gateway->options->upload_max);
    jsonout_text (&json, slice_of (gateway->machine));
    add_refusals (&json, &gateway->refusals);
    buf_append_str (&json, "}}");
    request_answer_json (request, MHD_HTTP_OK, &json);
}

void info_handle (request_t *request)
{
    translate_call (request, info_done);
}
