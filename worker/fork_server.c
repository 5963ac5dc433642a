#include "worker/fork_server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "proto/clock.h"
#include "proto/log.h"
#include "worker/fds.h"

enum { ANSWER_MS_MAX = 1000, LATE_MS_MAX = 100 };

static void end (fork_server_t *self)
{
    int ignored;
    if (!self->child.pid)
        return;
    child_signal (&self->child, SIGKILL);
    child_reap (&self->child, &ignored);
}

static void start (fork_server_t *self)
{
#if !defined(__SANITIZE_THREAD__)                               /* whose own thread is missing in what is forked */
    static const char *const env[] = { "LD_BIND_NOW=1", NULL }; /* once here, and not in each that it makes */
    const char *const argv[] = { self->program, FORK_SERVER_ARGUMENT, NULL };
    const child_spec_t spec = { .program = self->program, .argv = argv, .env = env, .folder = "/", .talks = true };
    if (clock_mono_ms () < self->again_ms)
        return;
    self->again_ms = clock_mono_ms () + backoff_next_ms (&self->backoff); /* unless it proves good */
    int error = child_start (&spec, &self->child);
    if (error)
        log_event (LEVEL_WARN, "fork-server-failed", "%s: %s", self->program, strerror (error));
#else
    (void)self;
#endif
}

void fork_server_init (fork_server_t *self, const char *program)
{
    *self = (fork_server_t){ .program = program, .child = CHILD_NONE };
    start (self);
}

void fork_server_fini (fork_server_t *self)
{
    end (self);
    child_close (&self->child);
}

/* The folder and the arguments, each with its end. Returns its length, 0 when it is too long. */
static size_t request_fill (const child_spec_t *spec, char request[FDS_MESSAGE_MAX])
{
    size_t len = 0;
    for (const char *const *arg = spec->argv, *text = spec->folder; text; text = *arg++) {
        size_t size = strlen (text) + 1;
        if (size > FDS_MESSAGE_MAX - len)
            return 0;
        memcpy (request + len, text, size);
        len += size;
    }
    return len;
}

/* Returns the answer's length; 0 when none can come any more. A process that was made answers before it does anything
 * else, and holds the socket until then: when the fork server has ended, the end of the socket means that there is
 * none.
 */
static ssize_t hear (fork_server_t *self, fork_answer_t *answer, int within_ms)
{
    struct pollfd heard = { self->child.talk, POLLIN, 0 };
    ssize_t got = -1;
    int ready;
    do
        ready = poll (&heard, 1, within_ms);
    while (ready < 0 && errno == EINTR);
    if (ready != 1)
        return -1;
    do
        got = recv (self->child.talk, answer, sizeof *answer, 0);
    while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    return got;
}

/* Ends a fork server that has not answered, and hears of what it may have made all the same. What was made, and answers
 * when that is over, finds the socket shut and ends: there are never two for one use. */
static void fail (fork_server_t *self, fork_answer_t *answer)
{
    log_event (LEVEL_WARN, "fork-server-lost", "%s: starting another", self->program);
    end (self);
    ssize_t got = hear (self, answer, LATE_MS_MAX);
    if (got != sizeof *answer) {
        shutdown (self->child.talk, SHUT_RD);
        got = recv (self->child.talk, answer, sizeof *answer, MSG_DONTWAIT);
    }
    if (got != sizeof *answer)
        *answer = (fork_answer_t){ 0, EIO };
    child_close (&self->child);
    start (self);
}

int fork_server_start (fork_server_t *self, const child_spec_t *spec, const int out[2], pid_t *pid)
{
    char request[FDS_MESSAGE_MAX];
    fork_answer_t answer = { 0, EIO };
    size_t len = request_fill (spec, request);
    if (!len)
        return E2BIG;
    if (!self->child.pid) {
        start (self); /* for the next; it is not waited for */
        return EAGAIN;
    }
    int error = fds_send (self->child.talk, request, len, out, 2);
    if (error)
        end (self);
    if (error || hear (self, &answer, ANSWER_MS_MAX) != sizeof answer)
        fail (self, &answer);
    else if (!answer.error)
        backoff_reset (&self->backoff);
    if (answer.pid && answer.error)
        waitpid (answer.pid, NULL, 0);
    *pid = answer.error ? 0 : answer.pid;
    return answer.error;
}
