#include "worker/transport.h"

#include <stdio.h>

/* Codes that speak of the moment and not of the request. OUTPUT_GAP and OUTPUT_MISMATCH are retryable too, but only
 * after their caller has done something about them. */
static bool err_is_momentary (err_t err)
{
    int status = error_row (err)->http_status;
    return err == ERR_RESULT_PENDING || status == 429 || status >= 500;
}

call_answer_t transport_error_answer (const message_t *error, char *text, size_t text_size)
{
    err_t err = error_find (error->error.code);
    snprintf (text, text_size, SLICE_FMT ": " SLICE_FMT, SLICE_ARG (error->error.code), SLICE_ARG (error->error.text));
    if (err_is_momentary (err))
        return (call_answer_t){ CALL_AWAY, err, NULL, text };
    return (call_answer_t){ CALL_REFUSED, err, error, text };
}
