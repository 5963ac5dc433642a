#include "worker/strays.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "proto/buf.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "worker/child.h"
#include "worker/tree.h"

enum {
    TICK_MS = 10,
    LATE_TICK_MS = 1000,
    QUIET_TICKS = 2, /* what is forked while /proc is read may be missed: none is left when none is seen twice */
};

struct strays {
    loop_t *loop;
    loop_timer_t timer;
    int64_t until_ms;
    int quiet; /* ticks that saw none, one after the other */
    bool late;
};

static void tick (void *ctx)
{
    strays_t *self = ctx;
    int left = tree_reap (child_is_known);
    self->quiet = left ? 0 : self->quiet + 1;
    if (self->quiet == QUIET_TICKS)
        return;
    if (!self->late && clock_mono_ms () >= self->until_ms) {
        self->late = true;
        log_event (LEVEL_WARN, "strays-left", "%d processes of jobs do not end", left);
    }
    if (left && !self->late) {
        tree_signal (SIGSTOP, child_is_known); /* first: what stands still forks no more */
        tree_signal (SIGKILL, child_is_known);
    }
    loop_timer_set (self->loop, &self->timer, self->late ? LATE_TICK_MS : TICK_MS, tick, self);
}

strays_t *strays_new (loop_t *loop)
{
    strays_t *self = xcalloc (1, sizeof *self);
    self->loop = loop;
    self->quiet = QUIET_TICKS;
    tree_each_child (child_know); /* of a shell that became this program */
    if (prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        log_event (LEVEL_WARN, "no-subreaper", "what a killed keeper leaves is not found: %s", strerror (errno));
    return self;
}

void strays_destroy (strays_t **self_p)
{
    strays_t *self = *self_p;
    if (!self)
        return;
    while (strays_left (self)) {
        tick (self);
        poll (NULL, 0, TICK_MS);
    }
    loop_timer_stop (&self->timer);
    free (self);
    *self_p = NULL;
}

void strays_end (strays_t *self)
{
    self->quiet = 0;
    self->late = false;
    self->until_ms = clock_mono_ms () + STRAYS_MS_MAX;
    loop_timer_set (self->loop, &self->timer, 0, tick, self);
}

bool strays_left (const strays_t *self)
{
    return self->quiet < QUIET_TICKS && !self->late;
}
