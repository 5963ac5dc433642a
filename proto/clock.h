/* clock.h - the only place that reads clocks. */
#ifndef GLEANER_CLOCK_H
#define GLEANER_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_BOOTTIME: for durations; goes on while the machine sleeps. */
int64_t clock_mono_ms (void);
/* The same in microseconds: for what is shorter. */
int64_t clock_mono_us (void);
/* Milliseconds of CLOCK_MONOTONIC: stands still while the machine sleeps; falls behind the other by just that. */
int64_t clock_awake_ms (void);
/* Likewise in microseconds. */
int64_t clock_awake_us (void);
/* Milliseconds since the epoch: for records that people read. */
int64_t clock_wall_ms (void);

#endif
