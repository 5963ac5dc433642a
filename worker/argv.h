/* argv.h - an argument vector that grows; it owns its strings. */
#ifndef GLEANER_WORKER_ARGV_H
#define GLEANER_WORKER_ARGV_H

#include <stddef.h>

/* Zeroed: empty. `items` ends with a NULL once something was added. */
typedef struct {
    char **items;
    size_t count;
} argv_t;

void argv_add (argv_t *self, const char *text);
void argv_addf (argv_t *self, const char *format, ...) __attribute__ ((format (printf, 2, 3)));
/* Adds `texts`, which ends with a NULL. */
void argv_add_all (argv_t *self, const char *const *texts);
void argv_fini (argv_t *self);
/* For child_spec_t. */
const char *const *argv_items (const argv_t *self);

#endif
