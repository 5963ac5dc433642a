/* Whole lives of many jobs: the producers make all of them; then the consumers take and finish them. */
#include "tests/bench/cycle/drive.h"

#include <stdio.h>

static struct {
    long wanted, begun, done; /* of the phase */
    latency_t steps[STEP_FINISH + 1];
} life;

static void on_answer (drive_t *drive, client_t *client)
{
    if (client->step != STEP_TAKE || !client->nothing)
        latency_add (&life.steps[client->step], drive_now_us () - client->sent_us);
    if (client->step == STEP_TAKE && !client->nothing) {
        drive_begin (drive, client, STEP_FINISH, 0);
        return;
    }
    life.done += client->step != STEP_TAKE;
    if (client->consumer && life.done < life.wanted)
        drive_begin (drive, client, STEP_TAKE, 0);
    else if (!client->consumer && life.begun < life.wanted)
        drive_begin (drive, client, STEP_CREATE, life.begun++);
}

/* Seconds until all jobs have gone through the phase's steps. */
static double phase (drive_t *drive, int first, int count, step_t step)
{
    int64_t start_us = drive_now_us ();
    life.begun = life.done = 0;
    for (int i = first; i < first + count; i++)
        drive_begin (drive, &drive->clients[i], step, step == STEP_CREATE ? life.begun++ : 0);
    while (life.done < life.wanted)
        drive_expect (drive);
    return (double)(drive_now_us () - start_us) / 1e6;
}

void life_run (drive_t *drive, long jobs)
{
    static const char *const names[] = { [STEP_CREATE] = "create", [STEP_TAKE] = "take", [STEP_FINISH] = "finish" };
    life.wanted = jobs;
    drive->answered = on_answer;
    drive_connect (drive, 1000);
    double creating = phase (drive, 0, drive->producers, STEP_CREATE);
    double finishing = phase (drive, drive->producers, drive->consumers, STEP_TAKE);
    printf ("{\"kind\": \"%s\", \"jobs\": %ld, \"creates_per_second\": %.0f, \"finishes_per_second\": %.0f, "
            "\"cycles_per_second\": %.0f",
            drive->kind->name, jobs, (double)jobs / creating, (double)jobs / finishing,
            (double)jobs / (creating + finishing));
    for (step_t step = STEP_CREATE; step <= STEP_FINISH; step++) {
        printf (", ");
        latency_print (&life.steps[step], names[step]);
    }
    printf ("}\n");
}
