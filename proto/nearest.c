#include "nearest.h"

#include <string.h>

enum {
    COMPARED_MAX = 40, /* characters of a name that are looked at */
    DISTANCE_NEAR = 3, /* farther than that is no help */
};

/* Levenshtein distance of the first COMPARED_MAX characters. */
static size_t distance (slice_t a, const char *b)
{
    size_t a_len = a.len > COMPARED_MAX ? COMPARED_MAX : a.len;
    size_t b_len = strnlen (b, COMPARED_MAX);
    size_t row[COMPARED_MAX + 1];
    for (size_t j = 0; j <= b_len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t change = diagonal + (a.ptr[i - 1] != b[j - 1]);
            size_t other = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < other ? change : other;
        }
    }
    return row[b_len];
}

nearest_t nearest_begin (slice_t name)
{
    return (nearest_t){ .name = name, .distance = DISTANCE_NEAR + 1 };
}

void nearest_try (nearest_t *self, const char *known)
{
    size_t far = distance (self->name, known);
    if (far >= self->distance || far >= self->name.len)
        return;
    self->known = known;
    self->distance = far;
}
