/* nearest.h - the known name that a misspelt one was meant for. */
#ifndef GLEANER_NEAREST_H
#define GLEANER_NEAREST_H

#include "buf.h"

typedef struct {
    slice_t name;
    const char *known; /* the best so far; NULL: none is near enough to be of help */
    size_t distance;
} nearest_t;

/* `name` is borrowed. */
nearest_t nearest_begin (slice_t name);
/* Takes `known`, which is borrowed, when it is nearer than those before. */
void nearest_try (nearest_t *self, const char *known);

#endif
