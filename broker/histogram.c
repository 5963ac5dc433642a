#include "broker/histogram.h"

#include "proto/message.h"

enum { SUB_BITS = 4, SUBS = 1 << SUB_BITS };
#define MS_MAX (30LL * 24 * 60 * 60 * 1000)

static size_t cell_of (int64_t ms)
{
    if (ms < SUBS)
        return ms < 0 ? 0 : (size_t)ms;
    uint64_t value = (uint64_t)(ms > MS_MAX ? MS_MAX : ms);
    unsigned octave = 63 - (unsigned)__builtin_clzll (value);
    unsigned shift = octave - SUB_BITS;
    return (size_t)(shift + 1) * SUBS + (size_t)(value >> shift & (SUBS - 1));
}

/* The lowest time of a cell; how many whole ms it holds goes to `width`. */
static int64_t cell_low (size_t cell, int64_t *width)
{
    if (cell < SUBS) {
        *width = 1;
        return (int64_t)cell;
    }
    unsigned shift = (unsigned)(cell / SUBS) - 1;
    *width = 1LL << shift;
    return (int64_t)(SUBS + cell % SUBS) << shift;
}

static uint32_t sum_of (uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void histogram_add (histogram_t *self, int64_t ms)
{
    size_t cell = cell_of (ms);
    self->cells[cell] = sum_of (self->cells[cell], 1);
}

void histogram_merge (histogram_t *self, const histogram_t *from)
{
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
        self->cells[i] = sum_of (self->cells[i], from->cells[i]);
}

/* The time of the `rank`-th of all, from 1 on. */
static int64_t at_rank (const histogram_t *self, uint64_t rank)
{
    uint64_t before = 0;
    size_t cell = 0;
    while (cell < HISTOGRAM_CELLS - 1 && before + self->cells[cell] < rank)
        before += self->cells[cell++];
    int64_t width = 0;
    int64_t low = cell_low (cell, &width);
    double part = ((double)(rank - before) - 0.5) / (double)self->cells[cell];
    return low + (int64_t)((double)(width - 1) * part + 0.5);
}

percentiles_t histogram_read (const histogram_t *self)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
        count += self->cells[i];
    if (!count)
        return (percentiles_t){ INT_ABSENT, INT_ABSENT, INT_ABSENT };
    return (percentiles_t){
        .p50 = at_rank (self, (count * 50 + 99) / 100),
        .p95 = at_rank (self, (count * 95 + 99) / 100),
        .p99 = at_rank (self, (count * 99 + 99) / 100),
    };
}
