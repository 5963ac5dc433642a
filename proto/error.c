#include "error.h"

static const error_row_t rows[ERR_COUNT] = {
    [ERR_NONE] = { "OK", 200, false, "No error." },
#define ERROR_ROW(code, http, retryable, text) [ERR_##code] = { #code, http, retryable, text },
#include "errors.def"
};

const error_row_t *error_row (err_t err)
{
    return &rows[err > ERR_NONE && err < ERR_COUNT ? err : ERR_INTERNAL];
}

err_t error_find (slice_t code)
{
    for (int err = 1; err < ERR_COUNT; err++)
        if (slice_eq_str (code, rows[err].code))
            return (err_t)err;
    return ERR_INTERNAL;
}
