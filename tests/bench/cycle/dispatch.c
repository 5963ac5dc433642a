/* How soon a job is in the hands of a consumer that waits, when nothing else goes on. */
#include "tests/bench/cycle/drive.h"

#include <stdio.h>
#include <string.h>

enum { WAIT_MS = 25000, SETTLE_US = 500 * 1000 };

static struct {
    int64_t sent_us, created_us, taken_us;
    bool finished;
    latency_t create, handed, whole;
} job;

static void on_answer (drive_t *drive, client_t *client)
{
    (void)drive;
    if (client->step == STEP_CREATE)
        job.created_us = drive_now_us ();
    if (client->step == STEP_TAKE && !client->nothing) {
        job.taken_us = drive_now_us ();
        drive_begin (drive, client, STEP_FINISH, 0);
        return;
    }
    job.finished |= client->step == STEP_FINISH;
    if (client->consumer) {
        client->wait_ms = WAIT_MS;
        drive_begin (drive, client, STEP_TAKE, 0);
    }
}

static void serve_for (drive_t *drive, int64_t us)
{
    int64_t end_us = drive_now_us () + us;
    for (int64_t left = us; left > 0; left = end_us - drive_now_us ())
        drive_serve (drive, left);
}

static long rss_kib (int pid)
{
    char text[4096];
    snprintf (text, sizeof text, "/proc/%d/status", pid);
    FILE *in = pid ? fopen (text, "r") : NULL;
    long kib = 0;
    while (in && fgets (text, sizeof text, in))
        if (sscanf (text, "VmRSS: %ld", &kib) == 1)
            break;
    if (in)
        fclose (in);
    return kib;
}

static void one_job (drive_t *drive, long number)
{
    job.created_us = job.taken_us = 0;
    job.finished = false;
    job.sent_us = drive_now_us ();
    drive_begin (drive, &drive->clients[0], STEP_CREATE, number);
    while (!job.created_us || !job.finished)
        drive_expect (drive);
    latency_add (&job.create, job.created_us - job.sent_us);
    latency_add (&job.handed, job.taken_us - job.created_us); /* 0 when it came before the producer's answer */
    latency_add (&job.whole, job.taken_us - job.sent_us);
}

void dispatch_run (drive_t *drive, long jobs, int pause_ms, int rss_pid)
{
    drive->answered = on_answer;
    long before_kib = rss_kib (rss_pid);
    drive_connect (drive, WAIT_MS);
    for (int i = 0; i < drive->consumers; i++) { /* their waits end evenly spread over that time */
        client_t *client = &drive->clients[drive->producers + i];
        client->wait_ms = (int)((int64_t)WAIT_MS * (i + 1) / drive->consumers);
        drive_begin (drive, client, STEP_TAKE, 0);
    }
    serve_for (drive, SETTLE_US + drive->consumers * 100LL);
    long parked_kib = rss_kib (rss_pid);
    for (long i = 0; i < jobs; i++) {
        one_job (drive, i);
        serve_for (drive, pause_ms * 1000LL);
    }
    printf ("{\"kind\": \"%s\", \"jobs\": %ld, \"waiting\": %d, \"rss_before_kib\": %ld, \"rss_waiting_kib\": %ld, ",
            drive->kind->name, jobs, drive->consumers, before_kib, parked_kib);
    latency_print (&job.create, "create");
    printf (", ");
    latency_print (&job.handed, "handed");
    printf (", ");
    latency_print (&job.whole, "whole");
    printf ("}\n");
}
