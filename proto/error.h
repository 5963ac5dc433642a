/* error.h - the one table of errors. Functions return 0 or one of these codes. */
#ifndef GLEANER_ERROR_H
#define GLEANER_ERROR_H

#include <stdbool.h>

#include "buf.h"

typedef enum {
    ERR_NONE = 0,
#define ERROR_ROW(code, http, retryable, text) ERR_##code,
#include "errors.def"
    ERR_COUNT
} err_t;

typedef struct {
    const char *code; /* stable name, "NO_SUCH_JOB" */
    int http_status;
    bool retryable;
    const char *text; /* default sentence */
} error_row_t;

/* The row of `err`; that of INTERNAL for a value outside the table. Static, never NULL. */
const error_row_t *error_row (err_t err);
/* The code that `code` names; ERR_INTERNAL when it names none (a newer peer's). */
err_t error_find (slice_t code);

#endif
