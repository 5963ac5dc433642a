/* options_internal.h - what reading options and telling of them share. */
#ifndef GLEANER_OPTIONS_INTERNAL_H
#define GLEANER_OPTIONS_INTERNAL_H

#include "options.h"

enum { ENV_NAME_MAX = 128, OPERAND_MAX = 64 };

/* The row of that name; NULL: there is none. */
const option_t *options_find (const option_table_t *table, const char *name, size_t len);
/* The environment variable of an option: GLEANER_PROGRAM_NAME. */
void options_env_name (const option_table_t *table, const char *option, char out[ENV_NAME_MAX]);
/* How a usage line names what stands without a name: "JOB", "[DIR|ZIP]" where that has a default, "" where nothing may.
 */
const char *options_operand (const option_table_t *table, char out[OPERAND_MAX]);
/* What a value is, in words: "a size such as 64K, 10M or 1G". */
const char *options_type_words (option_type_t type);
/* A number in the form that a user would type. */
void options_format_number (const option_t *row, int64_t number, char *out, size_t size);

/* As options_parse without --help and the like; what is wrong is told in `problem` instead of on stderr. True, and the
 * text values are to be freed by options_fini, or false and there are none. */
bool options_read (const option_table_t *table, int argc, char **argv, char **environ_p, void *options, char *problem,
                   size_t problem_size);

#endif
