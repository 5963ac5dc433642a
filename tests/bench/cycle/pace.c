/* A fixed rate of jobs for a while, told in tenths. A create counts from when it was due, so that a server that stalls
 * is charged for all that it kept waiting. */
#include "tests/bench/cycle/drive.h"

#include <stdio.h>

enum { TENTHS = 10, NAP_MAX_US = 100 * 1000 };

static struct {
    double per_second;
    int64_t start_us, length_us;
    long begun, created, taken, finished;
    client_t **idle; /* producers */
    int idle_count;
    int64_t *due_us; /* by the producer's number */
    latency_t create[TENTHS], finish[TENTHS];
    long behind[TENTHS]; /* jobs that were created and not yet taken, at most */
} pace;

static int tenth (int64_t at_us)
{
    int64_t at = (at_us - pace.start_us) * TENTHS / pace.length_us;
    return at < TENTHS ? (int)at : TENTHS - 1;
}

static int64_t due_us (long number)
{
    return pace.start_us + (int64_t)((double)number * 1e6 / pace.per_second);
}

static void on_answer (drive_t *drive, client_t *client)
{
    int64_t now_us = drive_now_us ();
    if (client->step == STEP_CREATE) {
        int64_t due = pace.due_us[client->number];
        latency_add (&pace.create[tenth (due)], now_us - due);
        pace.idle[pace.idle_count++] = client;
        pace.created++;
        long behind = pace.created - pace.taken;
        if (behind > pace.behind[tenth (due)])
            pace.behind[tenth (due)] = behind;
        return;
    }
    if (client->step == STEP_TAKE && !client->nothing) {
        pace.taken++;
        drive_begin (drive, client, STEP_FINISH, 0);
        return;
    }
    if (client->step == STEP_FINISH) {
        latency_add (&pace.finish[tenth (client->sent_us)], now_us - client->sent_us);
        pace.finished++;
    }
    drive_begin (drive, client, STEP_TAKE, 0);
}

/* Creates what is due, as far as there are idle producers. Returns how long there is nothing to create. */
static int64_t create_due (drive_t *drive, long wanted)
{
    int64_t now_us = drive_now_us ();
    while (pace.idle_count && pace.begun < wanted && due_us (pace.begun) <= now_us) {
        client_t *client = pace.idle[--pace.idle_count];
        pace.due_us[client->number] = due_us (pace.begun);
        drive_begin (drive, client, STEP_CREATE, pace.begun++);
    }
    if (!pace.idle_count || pace.begun == wanted)
        return NAP_MAX_US;
    int64_t left_us = due_us (pace.begun) - now_us;
    return left_us < 0 ? 0 : left_us < NAP_MAX_US ? left_us : NAP_MAX_US;
}

void pace_run (drive_t *drive, double per_second, int seconds)
{
    long wanted = (long)(per_second * seconds);
    drive->answered = on_answer;
    drive_connect (drive, 1000);
    pace.idle = xcalloc ((size_t)drive->producers, sizeof (client_t *));
    pace.due_us = xcalloc ((size_t)drive->producers, sizeof *pace.due_us);
    for (int i = 0; i < drive->producers; i++)
        pace.idle[pace.idle_count++] = &drive->clients[i];
    pace.per_second = per_second;
    pace.start_us = drive_now_us ();
    pace.length_us = seconds * 1000000LL;
    for (int i = 0; i < drive->consumers; i++)
        drive_begin (drive, &drive->clients[drive->producers + i], STEP_TAKE, 0);
    while (pace.finished < wanted)
        drive_serve (drive, create_due (drive, wanted));
    double took = (double)(drive_now_us () - pace.start_us) / 1e6;
    printf ("{\"kind\": \"%s\", \"jobs\": %ld, \"seconds\": %.1f, \"per_second\": %.0f, \"tenths\": [",
            drive->kind->name, wanted, took, (double)wanted / took);
    for (int i = 0; i < TENTHS; i++) {
        printf ("%s{\"behind\": %ld, ", i ? ", " : "", pace.behind[i]);
        latency_print (&pace.create[i], "create");
        printf (", ");
        latency_print (&pace.finish[i], "finish");
        printf ("}");
    }
    printf ("]}\n");
}
