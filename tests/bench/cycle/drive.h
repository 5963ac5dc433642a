/* drive.h - the one loop that drives the clients of every kind of queue, and what its modes measure. */
#ifndef GLEANER_DRIVE_H
#define GLEANER_DRIVE_H

#include "tests/bench/cycle/cycle.h"

typedef struct drive {
    const queue_kind_t *kind;
    int epoll, port;
    client_t *clients; /* the producers, then the consumers */
    int producers, consumers;
    int greeted;
    /* A client's step is answered; it may begin another one. */
    void (*answered) (struct drive *self, client_t *client);
} drive_t;

/* Says what and errno on stderr, and ends the program with status 1. */
_Noreturn void drive_die (const char *what);
int64_t drive_now_us (void);
/* Connects all clients, a few at a time, until each has been greeted. */
void drive_connect (drive_t *self, int wait_ms);
/* Sends the step's request. `number` names the job of a STEP_CREATE. */
void drive_begin (drive_t *self, client_t *client, step_t step, long number);
/* Takes what has come within `wait_us`; false when nothing has. */
bool drive_serve (drive_t *self, int64_t wait_us);
/* The same, for somebody who knows that an answer must come. */
void drive_expect (drive_t *self);

/* Latencies of any number, in buckets that are less than 2 % wide. Zero-initialised is empty. */
enum { LATENCY_FINE = 64, LATENCY_BUCKETS = LATENCY_FINE * 40 };

typedef struct {
    long count;
    int64_t max_us;
    long buckets[LATENCY_BUCKETS];
} latency_t;

void latency_add (latency_t *self, int64_t us);
/* A member `"NAME_p50_us": ..., "NAME_p99_us": ..., "NAME_max_us": ...` of a JSON object; zeros when it is empty. */
void latency_print (const latency_t *self, const char *name);

/* The modes: each prints one JSON object. */
void life_run (drive_t *drive, long jobs);
/* One job at a time, `pause_ms` after the last one is finished, while all consumers wait. `rss_pid`: 0 or the process
 * whose memory is told before and after the consumers wait. */
void dispatch_run (drive_t *drive, long jobs, int pause_ms, int rss_pid);
/* Jobs at a fixed rate, whether answers come or not. */
void pace_run (drive_t *drive, double per_second, int seconds);
/* Until a server on the port has answered a client's greeting and, where there are workers, registered one. */
void first_run (drive_t *drive);

#endif
