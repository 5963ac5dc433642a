#include "broker/tariff.h"

#include <stddef.h>

#include "proto/limits.h"

typedef unsigned __int128 wide_t;

#define MIB  (1LL << 20)
#define HOUR 3600000LL /* ms */

enum { DECIMALS = 6, MIB_SECONDS_OF_GIB_HOUR = 1024 * 3600 };

bool tariff_parse (const char *text, int64_t *micros)
{
    int decimals = -1; /* no point yet */
    int digits = 0;
    *micros = 0;
    for (; text && *text; text++) {
        if (*text == '.' && decimals < 0) {
            decimals = 0;
            continue;
        }
        if (*text < '0' || *text > '9' || decimals == DECIMALS || *micros > TARIFF_MAX)
            return false;
        *micros = *micros * 10 + (*text - '0');
        decimals += decimals >= 0;
        digits++;
    }
    for (; text && decimals < DECIMALS; decimals++) {
        if (decimals < 0)
            decimals = 0;
        *micros *= 10;
        if (*micros > TARIFF_MAX)
            return false;
    }
    return *micros <= TARIFF_MAX && (!text || digits);
}

bool tariff_any (const tariff_t *self)
{
    return self->run_hour || self->cpu_hour || self->gib_hour || self->gib_in || self->gib_out;
}

static int64_t within (int64_t told, int64_t most)
{
    return told < 0 ? 0 : told > most ? most : told;
}

static int64_t sum_of (int64_t a, int64_t b)
{
    return a > COUNT_MAX - b ? COUNT_MAX : a + b;
}

void used_add (used_t *self, int64_t run_ms, int64_t cpu_ms, int64_t memory_bytes, int64_t bytes_in, int64_t bytes_out)
{
    int64_t ran_ms = within (run_ms, 1000 * TIMEOUT_MAX);
    self->attempts++;
    self->run_ms = sum_of (self->run_ms, ran_ms);
    self->cpu_ms = sum_of (self->cpu_ms, within (cpu_ms, CPU_MAX * TIMEOUT_MAX));
    self->byte_ms += (wide_t)within (memory_bytes, JOB_MB_MAX * MIB) * (wide_t)ran_ms;
    self->bytes_in = sum_of (self->bytes_in, within (bytes_in, OFFSET_MAX));
    self->bytes_out = sum_of (self->bytes_out, within (bytes_out, OFFSET_MAX));
}

void used_merge (used_t *self, const used_t *from)
{
    self->jobs = sum_of (self->jobs, from->jobs);
    self->attempts = sum_of (self->attempts, from->attempts);
    self->run_ms = sum_of (self->run_ms, from->run_ms);
    self->cpu_ms = sum_of (self->cpu_ms, from->cpu_ms);
    self->byte_ms += from->byte_ms;
    self->bytes_in = sum_of (self->bytes_in, from->bytes_in);
    self->bytes_out = sum_of (self->bytes_out, from->bytes_out);
}

static int64_t part (wide_t amount, wide_t divisor)
{
    wide_t rounded = (amount + divisor / 2) / divisor;
    return rounded > COUNT_MAX ? COUNT_MAX : (int64_t)rounded;
}

int64_t used_mib_seconds (const used_t *self)
{
    return part (self->byte_ms, (wide_t)MIB * 1000);
}

int64_t used_cost (const used_t *self, const tariff_t *tariff)
{
    const struct {
        int64_t amount, price, divisor;
    } parts[] = {
        { self->run_ms, tariff->run_hour, HOUR },
        { self->cpu_ms, tariff->cpu_hour, HOUR },
        { used_mib_seconds (self), tariff->gib_hour, MIB_SECONDS_OF_GIB_HOUR },
        { self->bytes_in, tariff->gib_in, 1024 * MIB },
        { self->bytes_out, tariff->gib_out, 1024 * MIB },
    };
    int64_t cost = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cost = sum_of (cost, part ((wide_t)parts[i].amount * (wide_t)parts[i].price, (wide_t)parts[i].divisor));
    return cost;
}
