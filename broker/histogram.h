/* histogram.h - how long things took, by cells that grow with the time: 16 an octave, from 1 ms to 30 days.
 *
 * A cell is at most a sixteenth as wide as its lower end, and times below 32 ms have cells of their own: whatever is
 * read out is less than 7 % off what was put in.
 */
#ifndef GLEANER_HISTOGRAM_H
#define GLEANER_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_CELLS = 464 };

/* Zero-initialised is empty. A full cell stays full. */
typedef struct {
    uint32_t cells[HISTOGRAM_CELLS];
} histogram_t;

/* In ms; INT_ABSENT when nothing was put in. */
typedef struct {
    int64_t p50, p95, p99;
} percentiles_t;

/* A negative time counts as 0, one of more than 30 days as 30 days. */
void histogram_add (histogram_t *self, int64_t ms);
void histogram_merge (histogram_t *self, const histogram_t *from);
/* Interpolated within a cell. */
percentiles_t histogram_read (const histogram_t *self);

#endif
