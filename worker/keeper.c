/* keeper.c - the program gleaner-keeper: runs a job's commands, and leaves nothing of them behind.
 *
 * usage: gleaner-keeper stop|continue
 *
 * One a job attempt, started by the worker (child.h). Its input is NUL-terminated strings, to its end: the commands, as
 * lines for /bin/sh, and a NAME=VALUE for each variable of their environment; a command line would show secrets to all.
 * Two more descriptors come with it. On 4 it says what happens, a line each:
 *
 *   begin N             the N-th command begins
 *   end N EXIT SIGNAL   it has ended; SIGNAL 0: by itself. Before another one begins, a byte on 3 is waited for (1 s at
 *                       most): the worker has taken all that this one has printed
 *   use CPU MEMORY N    so far: ms of CPU of all processes; now: bytes of memory that they have, their number. At the
 *                       end, when none is left: the most memory that one of them had, and 0
 *   over EXIT SIGNAL ERRNO LEFT   all is over: ERRNO of a shell that could not be started (0: none), LEFT 1 when
 *                       something does not die of KILL, else 0
 *
 * The end of 3 means that the worker is gone or wants the end now.
 *
 *   RUN (a line after the other) --> ASK (TERM) --> KILL (until no child is left) --> report
 *     |    SIGTERM, or the last line ended   |  grace over  ^
 *     +------------------------------------- + -------------+  descriptor 3 ended
 *
 * It is the subreaper of all that the commands start: what leaves its group or its session is found all the same. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "worker/child.h"
#include "worker/tree.h"

enum {
    EXIT_USAGE = 2,
    INPUT_MAX = 1024 * 1024,  /* beyond COMMAND_MAX, ENV_MAX and what the worker adds */
    ROWS_MAX = 32 * 1024,     /* likewise, of variables: three bytes at least in ENV_MAX */
    STOP_GRACE_MS = 4 * 1000, /* between TERM and KILL, when the job is stopped */
    END_GRACE_MS = 1 * 1000,  /* and for what is left when its commands have ended */
    KILL_TICK_MS = 10,
    KILL_MS_MAX =
        10 * 1000,   /* what does not die of KILL by then (the kernel holds it, or it is another user's) is left */
    REAP_MAX = 256,  /* children before the descriptors are looked at again */
    GO_ON_MS = 1000, /* a worker that does not answer holds no job up for longer */
    USE_FIRST_MS = 1000,
    USE_MS = 2000,       /* between looks at what is used, */
    USE_LATE_MS = 10000, /* and after */
    USE_LATE_AFTER_MS = 60 * 1000,
};

typedef enum { PHASE_RUN, PHASE_ASK, PHASE_KILL } phase_t;

typedef struct {
    phase_t phase;
    int64_t until_ms; /* ASK, KILL: their end */
    bool stopped;
    bool more; /* children may be waiting to be reaped */
    int alive_fd;
    int signal_fd;
    bool goes_on;     /* after a command that failed */
    char *next;       /* in the commands */
    char *line;       /* the command that comes; NULL: none */
    int64_t number;   /* of the last command that has begun */
    int64_t go_on_ms; /* the one that comes waits for the worker until then */
    int64_t start_ms;
    int64_t use_ms; /* when to look at what is used */
    char **env;
    pid_t command; /* 0: none runs */
    int exit_code;
    int signal_number;
    int start_errno;
    bool left; /* something that does not die of KILL */
} keeper_t;

/* ---- input ---- */

/* Reads it to its end. Returns 0 or an errno. */
static int read_all (char *text, size_t size, size_t *len)
{
    ssize_t got = 1;
    *len = 0;
    while (got != 0 && *len < size) {
        got = read (STDIN_FILENO, text + *len, size - *len);
        if (got < 0 && errno != EINTR)
            return errno;
        *len += got > 0 ? (size_t)got : 0;
    }
    return *len == size ? E2BIG : *len == 0 || text[*len - 1] ? EINVAL : 0;
}

/* The commands shall find nothing there. */
static int shut_input (void)
{
    int fd = open ("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || dup2 (fd, STDIN_FILENO) < 0)
        return errno;
    close (fd);
    return 0;
}

static int take_input (keeper_t *self)
{
    static char text[INPUT_MAX];
    static char *rows[ROWS_MAX + 1];
    size_t len = 0;
    size_t count = 0;
    int error = read_all (text, sizeof text, &len);
    if (error)
        return error;
    self->next = text;
    self->env = rows;
    for (char *at = text + strlen (text) + 1; at < text + len; at += strlen (at) + 1) {
        if (count == ROWS_MAX)
            return E2BIG;
        rows[count++] = at;
    }
    return shut_input ();
}

/* ---- commands ---- */

/* The next line that is not blank; NULL when there is none. */
static char *take_line (keeper_t *self)
{
    while (*self->next) {
        char *line = self->next;
        char *end = strchrnul (line, '\n');
        self->next = *end ? end + 1 : end;
        *end = '\0';
        if (end > line && end[-1] == '\r') /* a browser's form ends lines so */
            end[-1] = '\0';
        if (line[strspn (line, " \t\r")])
            return line;
    }
    return NULL;
}

/* A group of its own, no signal blocked. Returns 0 or an errno. */
static int start (keeper_t *self, char *line)
{
    static char shell[] = "sh";
    static char option[] = "-c";
    char *argv[] = { shell, option, line, NULL };
    sigset_t none;
    sigemptyset (&none);
    posix_spawnattr_t how;
    int error = posix_spawnattr_init (&how);
    if (error)
        return error;
    posix_spawnattr_setflags (&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setpgroup (&how, 0);
    posix_spawnattr_setsigmask (&how, &none);
    error = posix_spawn (&self->command, "/bin/sh", NULL, &how, argv, self->env);
    posix_spawnattr_destroy (&how);
    if (error)
        self->command = 0;
    return error;
}

/* A worker that is paused reads nothing: what it does not take is lost, and the job goes on. */
static void __attribute__ ((format (printf, 1, 2))) tell (const char *format, ...)
{
    struct pollfd report = { CHILD_REPORT_FD, POLLOUT, 0 };
    va_list args;
    if (poll (&report, 1, 0) != 1 || !(report.revents & POLLOUT))
        return;
    va_start (args, format);
    vdprintf (CHILD_REPORT_FD, format, args);
    va_end (args);
}

/* The first failure is what the job is said to have ended with. */
static void command_ended (keeper_t *self, int status)
{
    int signal_number = WIFSIGNALED (status) ? WTERMSIG (status) : 0;
    int exit_code = signal_number ? 128 + signal_number : WEXITSTATUS (status);
    self->command = 0;
    tell ("end %lld %d %d\n", (long long)self->number, exit_code, signal_number);
    self->go_on_ms = clock_mono_ms () + GO_ON_MS;
    if (self->exit_code == 0) {
        self->exit_code = exit_code;
        self->signal_number = signal_number;
    }
}

/* ---- phases ---- */

static void ask (keeper_t *self, int64_t grace_ms)
{
    self->phase = PHASE_ASK;
    self->until_ms = clock_mono_ms () + grace_ms;
    tree_signal (SIGTERM, NULL);
    tree_signal (SIGCONT, NULL); /* a stopped one must hear it */
}

static void kill_now (keeper_t *self)
{
    self->phase = PHASE_KILL;
    self->until_ms = clock_mono_ms () + KILL_MS_MAX;
}

/* Reaps what has ended, orphans too. False when no child is left. */
static bool reap (keeper_t *self)
{
    self->more = false;
    for (int i = 0; i < REAP_MAX; i++) {
        int status = 0;
        pid_t pid = waitpid (-1, &status, WNOHANG);
        if (pid == 0)
            return true;
        if (pid < 0)
            return errno != ECHILD;
        if (pid == self->command)
            command_ended (self, status);
    }
    self->more = true;
    return true;
}

/* False while the next command waits for the worker. */
static bool may_go_on (keeper_t *self)
{
    if (!self->line && (self->exit_code == 0 || self->goes_on))
        self->line = take_line (self);
    return !self->line || clock_mono_ms () >= self->go_on_ms;
}

static void run_next (keeper_t *self, bool any_left)
{
    if (!may_go_on (self))
        return;
    char *line = self->line;
    self->line = NULL;
    if (line) {
        tell ("begin %lld\n", (long long)++self->number);
        self->start_errno = start (self, line);
    }
    if (line && !self->start_errno)
        return;
    self->phase = PHASE_ASK;
    self->until_ms = 0;
    if (any_left)
        ask (self, END_GRACE_MS);
}

/* ---- what is used ---- */

static int64_t time_ms (struct timeval time)
{
    return (int64_t)time.tv_sec * 1000 + time.tv_usec / 1000;
}

static void tell_use (bool any_left)
{
    struct rusage ended;
    tree_use_t use = { 0 };
    getrusage (RUSAGE_CHILDREN, &ended);
    if (any_left)
        tree_use (&use);
    int64_t cpu_ms = time_ms (ended.ru_utime) + time_ms (ended.ru_stime) + use.cpu_ms;
    int64_t memory = any_left ? use.memory_bytes : (int64_t)ended.ru_maxrss * 1024;
    tell ("use %lld %lld %d\n", (long long)cpu_ms, (long long)memory, use.processes);
}

static void look_at_use (keeper_t *self)
{
    int64_t now = clock_mono_ms ();
    if (now < self->use_ms)
        return;
    tell_use (true);
    self->use_ms = now + (now - self->start_ms < USE_LATE_AFTER_MS ? USE_MS : USE_LATE_MS);
}

/* How long to sleep: ms. */
static int patience (const keeper_t *self)
{
    int64_t now = clock_mono_ms ();
    int64_t until = self->phase != PHASE_RUN ? self->until_ms : !self->command ? self->go_on_ms : self->use_ms;
    if (self->more)
        return 1;
    if (self->phase == PHASE_KILL)
        return KILL_TICK_MS;
    return until > now ? (int)(until - now) : 0;
}

/* False when the worker is gone, or wants the end now. */
static bool hear_worker (keeper_t *self)
{
    char bytes[16];
    ssize_t got = read (self->alive_fd, bytes, sizeof bytes);
    if (got > 0)
        self->go_on_ms = 0;
    return got > 0 || (got < 0 && errno == EINTR);
}

/* Sleeps until something is to be done, and takes note of what the worker says. */
static void listen_to_worker (keeper_t *self)
{
    int timeout = patience (self);
    struct pollfd fds[] = { { self->alive_fd, POLLIN, 0 }, { self->signal_fd, POLLIN, 0 } };
    if (poll (fds, 2, timeout) <= 0)
        return;
    struct signalfd_siginfo info;
    while (read (self->signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo != SIGTERM || self->stopped)
            continue;
        self->stopped = true;
        if (self->phase != PHASE_KILL)
            ask (self, STOP_GRACE_MS);
    }
    if (fds[0].revents && !hear_worker (self)) {
        self->alive_fd = -1;
        kill_now (self);
    }
}

static void keep (keeper_t *self)
{
    bool any_left = true;
    run_next (self, false);
    any_left = reap (self);
    while (self->phase == PHASE_RUN || any_left) {
        listen_to_worker (self);
        any_left = reap (self);
        if (self->phase == PHASE_RUN && self->command)
            look_at_use (self);
        if (self->phase == PHASE_RUN && !self->command)
            run_next (self, any_left);
        if (self->phase == PHASE_ASK && clock_mono_ms () >= self->until_ms)
            kill_now (self);
        if (self->phase != PHASE_KILL || !any_left)
            continue;
        self->left = clock_mono_ms () >= self->until_ms;
        if (self->left)
            return;
        tree_signal (SIGSTOP, NULL); /* first: what stands still forks no more */
        tree_signal (SIGKILL, NULL);
    }
}

/* Returns 0 or an errno. */
static int prepare (keeper_t *self)
{
    sigset_t all, heard;
    sigfillset (&all);
    sigprocmask (SIG_SETMASK, &all, NULL);
    sigemptyset (&heard);
    sigaddset (&heard, SIGTERM);
    sigaddset (&heard, SIGCHLD);
    int error = take_input (self);
    if (error)
        return error;
    self->signal_fd = signalfd (-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    return self->signal_fd < 0 || prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0 ? errno : 0;
}

int main (int argc, char **argv)
{
    keeper_t self = { .alive_fd = CHILD_ALIVE_FD };
    self.goes_on = argc == 2 && strcmp (argv[1], "continue") == 0;
    if (argc != 2 || (!self.goes_on && strcmp (argv[1], "stop") != 0) ||
        fcntl (CHILD_ALIVE_FD, F_SETFD, FD_CLOEXEC) != 0 || fcntl (CHILD_REPORT_FD, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf (stderr, "usage: gleaner-keeper stop|continue <INPUT; gleaner-worker starts it.\n");
        return EXIT_USAGE;
    }
    self.start_errno = prepare (&self);
    self.start_ms = clock_mono_ms ();
    self.use_ms = self.start_ms + USE_FIRST_MS;
    if (!self.start_errno)
        keep (&self);
    tell_use (self.left);
    dprintf (CHILD_REPORT_FD, "over %d %d %d %d\n", self.exit_code, self.signal_number, self.start_errno, self.left);
    _exit (0); /* the streams belong to the job */
}
