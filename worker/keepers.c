#include "worker/keepers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/log.h"
#include "worker/fds.h"

enum { LEAVE_MS_MAX = 1000 };

/* In a sandbox the keeper must not outlive us: what it keeps would not be found. */
static int start (const keeper_job_t *job, child_t *out)
{
    static const char *const env[] = { NULL };
    const sandbox_ops_t *ops = job->sandbox->ops;
    argv_t argv = { 0 };
    ops->keeper (job->sandbox, &job->wants, &argv);
    const child_spec_t spec = {
        .program = argv.items[0],
        .argv = argv_items (&argv),
        .env = env,
        .folder = "/",
        .talks = true,
        .outlives = !ops->one_job,
        .contains = ops->one_job,
        .complains = ops->one_job,
        .passed = job->sandbox->filter_fd > 0 ? job->sandbox->filter_fd : 0,
    };
    int error = child_start (&spec, out);
    argv_fini (&argv);
    return error;
}

/* It has no job, so that nothing is left of it. The keeper in a sandbox ends by itself, and the sandbox with it: it
 * would be an orphan else. */
static void end (child_t *keeper)
{
    int ignored;
    struct pollfd ended = { keeper->pidfd, POLLIN, 0 };
    if (keeper->contains && shutdown (keeper->talk, SHUT_WR) == 0)
        poll (&ended, 1, LEAVE_MS_MAX);
    child_signal (keeper, SIGKILL);
    child_reap (keeper, &ignored);
    child_close (keeper);
}

static int give (child_t *keeper, const keeper_job_t *job)
{
    char message[FDS_MESSAGE_MAX];
    int printed[2];
    const char *folder = job->wants.folder;
    if (!job->sandbox->ops->command) /* else the keeper itself is not in there */
        folder = sandbox_folder (job->sandbox, folder);
    size_t len = strlen (folder) + 2;
    if (len > sizeof message)
        return ENAMETOOLONG;
    message[0] = job->goes_on ? KEEPER_RUN_ON : KEEPER_RUN;
    memcpy (message + 1, folder, len - 1);
    int error = child_pipes (keeper->out, printed);
    const int fds[FDS_MAX] = { printed[0], printed[1], job->input, job->group };
    if (!error)
        error = fds_send (keeper->talk, message, len, fds, job->group >= 0 ? FDS_MAX : FDS_MAX - 1);
    for (int i = 0; i < 2; i++)
        if (printed[i] >= 0)
            close (printed[i]);
    return error;
}

int keepers_run (keepers_t *self, const keeper_job_t *job, child_t *out)
{
    while (self->count && !job->sandbox->ops->one_job) {
        *out = self->resting[--self->count];
        int error = give (out, job);
        if (!error) {
            child_signal (out, SIGCONT); /* whoever has stopped it meanwhile */
            return 0;
        }
        log_event (LEVEL_DEBUG, "keeper-gone", "pid=%d %s", (int)out->pid, strerror (error)); /* killed, say */
        end (out);
    }
    int error = start (job, out);
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
