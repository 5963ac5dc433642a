/* options_internal.h - what reading options and telling of them share. */
#ifndef GLEANER_OPTIONS_INTERNAL_H
#define GLEANER_OPTIONS_INTERNAL_H

#include "options.h"

enum { ENV_NAME_MAX = 128 };

/* The row of that name; NULL: there is none. */
const option_t *options_find (const option_table_t *table, const char *name, size_t len);
/* The environment variable of an option: GLEANER_PROGRAM_NAME. */
void options_env_name (const option_table_t *table, const char *option, char out[ENV_NAME_MAX]);

#endif
