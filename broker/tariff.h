/* tariff.h - what usage costs: whole numbers from the option's text to the sum, and each rounding told.
 *
 * Prices and costs are in millionths of the currency's unit.
 */
#ifndef GLEANER_TARIFF_H
#define GLEANER_TARIFF_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t run_hour; /* an attempt's running for an hour */
    int64_t cpu_hour; /* an hour of CPU time */
    int64_t gib_hour; /* a GiB of memory for an hour */
    int64_t gib_in;   /* a GiB that is downloaded for an attempt */
    int64_t gib_out;  /* and one of its output, journal and artifacts */
} tariff_t;

/* What a group's attempts have used together. Zero-initialised is nothing. */
typedef struct {
    int64_t jobs, attempts, run_ms, cpu_ms, bytes_in, bytes_out;
    unsigned __int128 byte_ms; /* of memory */
} used_t;

/* A price, "0.05": at most six decimals and a million. False for what is none. NULL: 0. */
bool tariff_parse (const char *text, int64_t *micros);
/* True when something costs. */
bool tariff_any (const tariff_t *self);

/* An attempt more. What its worker told is taken up to a bound, so that no word of one breaks a sum; INT64_MIN: it did
 * not tell. */
void used_add (used_t *self, int64_t run_ms, int64_t cpu_ms, int64_t memory_bytes, int64_t bytes_in, int64_t bytes_out);
/* Another group's sums, too. */
void used_merge (used_t *self, const used_t *from);
/* Half up. */
int64_t used_mib_seconds (const used_t *self);
/* Each tariff's part is rounded half up, and then they are added. */
int64_t used_cost (const used_t *self, const tariff_t *tariff);

#endif
