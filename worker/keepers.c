#include "worker/keepers.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "proto/log.h"
#include "worker/fds.h"

static int start (const char *program, child_t *out)
{
    static const char *const env[] = { NULL };
    const char *const argv[] = { program, NULL };
    const child_spec_t spec = {
        .program = program, .argv = argv, .env = env, .folder = "/", .talks = true, .outlives = true
    };
    return child_start (&spec, out);
}

static void end (child_t *keeper)
{
    int ignored;
    child_signal (keeper, SIGKILL); /* it has no job, so that nothing is left of it */
    child_reap (keeper, &ignored);
    child_close (keeper);
}

static int give (child_t *keeper, const keeper_job_t *job)
{
    char message[FDS_MESSAGE_MAX];
    int printed[2];
    size_t len = strlen (job->folder) + 2;
    if (len > sizeof message)
        return ENAMETOOLONG;
    message[0] = job->goes_on ? KEEPER_RUN_ON : KEEPER_RUN;
    memcpy (message + 1, job->folder, len - 1);
    int error = child_pipes (keeper->out, printed);
    const int fds[] = { printed[0], printed[1], job->input };
    if (!error)
        error = fds_send (keeper->talk, message, len, fds, FDS_MAX);
    for (int i = 0; i < 2; i++)
        if (printed[i] >= 0)
            close (printed[i]);
    return error;
}

int keepers_run (keepers_t *self, const char *program, const keeper_job_t *job, child_t *out)
{
    while (self->count) {
        *out = self->resting[--self->count];
        int error = give (out, job);
        if (!error) {
            child_signal (out, SIGCONT); /* whoever has stopped it meanwhile */
            return 0;
        }
        log_event (LEVEL_DEBUG, "keeper-gone", "pid=%d %s", (int)out->pid, strerror (error)); /* killed, say */
        end (out);
    }
    int error = start (program, out);
    if (error)
        return error;
    error = give (out, job);
    if (error)
        end (out);
    return error;
}

void keepers_rest (keepers_t *self, child_t *keeper)
{
    child_t resting = *keeper;
    resting.out[0] = resting.out[1] = -1;
    keeper->pid = 0;
    keeper->pidfd = keeper->talk = -1;
    if (self->count == KEEPER_RESTING_MAX)
        end (&resting);
    else
        self->resting[self->count++] = resting;
}

void keepers_fini (keepers_t *self)
{
    while (self->count)
        end (&self->resting[--self->count]);
}

void keeper_tell (const child_t *keeper, char word)
{
    int error = keeper->talk >= 0 ? fds_send (keeper->talk, &word, 1, NULL, 0) : 0;
    if (error && error != EAGAIN)
        log_event (LEVEL_DEBUG, "keeper-deaf", "pid=%d %s", (int)keeper->pid, strerror (error));
}
