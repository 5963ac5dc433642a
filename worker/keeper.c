/* keeper.c - the program gleaner-keeper: runs a job's commands, and leaves nothing of them behind.
 *
 * usage: gleaner-keeper [--contained|--check FOLDER...]; gleaner-worker starts it (keepers.h). --contained: it is the
 * first process of a sandbox, serves one job, and takes from itself and from what it starts what Landlock can; the
 * FOLDERs stay writable. --check: it ends when that was done.
 *
 * It runs one job after another, and ends when the worker is gone, or wants it: at the end of descriptor 3, a socket.
 * Over it comes the job's folder, with what is to be its stdout and stderr, and its input: NUL-terminated strings, to
 * its end: the job's limits (take_limits), the commands, as lines for /bin/sh, and a NAME=VALUE for each variable of
 * their environment; a command line would show secrets to all. A word from the worker (keepers.h) means that it has
 * read what an ended command printed: the next one waits for that, a second at most, so that nobody's output is counted
 * to another. Lines tell what happens:
 *
 *   begin N               the N-th command, from 1 on, is about to be started
 *   end N EXIT SIGNAL     it has ended: its exit code, or 128 + its signal (0: none)
 *   use CPU_MS RSS PROCS  what all that the commands started has used so far, and uses now: tree.h
 *   over WHAT USED        more than a limit allows: watch.h; all is killed
 *   peak MEMORY TASKS     before the last line: the most that was seen at once
 *   EXIT SIGNAL ERRNO LEFT RESTS
 *                         the last line, when all is over: of the job, the errno of a shell that could not be started
 *                         (0: none), 1 when something is left that does not die of KILL, else 0, and 1 when it can
 *                         serve another job, else 0: then it ends
 *
 *   RUN (a line after the other) --> ASK (TERM) --> KILL (until no child is left) --> report --> RUN, the next job
 *     |   told to, or the last line ended  |  grace over  ^
 *     +----------------------------------- + -------------+  descriptor 3 ended, or over a limit
 *
 * It is the subreaper of all that the commands start: what leaves its group or its session is found all the same. Of a
 * job nothing stays: its input is wiped, its descriptors are closed, and its last process has been waited for. When a
 * command has changed the keeper's own limits, or one could not be started, the keeper serves no other job. */
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
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/clock.h"
#include "worker/child.h"
#include "worker/confine.h"
#include "worker/fds.h"
#include "worker/keepers.h"
#include "worker/landlock.h"
#include "worker/own_limits.h"
#include "worker/tree.h"
#include "worker/watch.h"

enum {
    EXIT_UNPREPARED = 1,
    EXIT_USAGE = 2,
    INPUT_MAX = 1024 * 1024,  /* beyond COMMAND_MAX, ENV_MAX and what the worker adds */
    ROWS_MAX = 32 * 1024,     /* likewise, of variables: three bytes at least in ENV_MAX */
    STOP_GRACE_MS = 4 * 1000, /* between TERM and KILL, when the job is stopped */
    END_GRACE_MS = 1 * 1000,  /* and for what is left when its commands have ended */
    KILL_TICK_MS = 10,
    KILL_MS_MAX =
        10 * 1000,       /* what does not die of KILL by then (the kernel holds it, or it is another user's) is left */
    REAP_MAX = 256,      /* children before the descriptors are looked at again */
    GO_ON_MS_MAX = 1000, /* a worker that stands still does not hold its jobs up */
    USE_FIRST_MS = 1000, /* usage is told first after this, */
    USE_OFTEN_MS = 2 * 1000, /* then so often */
    USE_OFTEN_UNTIL_MS = 60 * 1000,
    USE_SELDOM_MS = 10 * 1000,
};

typedef enum { PHASE_RUN, PHASE_ASK, PHASE_KILL } phase_t;

typedef struct {
    phase_t phase;
    int64_t until_ms; /* ASK, KILL: their end */
    bool stopped;
    bool more;     /* children may be waiting to be reaped */
    bool deserted; /* the worker is gone, or wants the end */
    int signal_fd;
    bool goes_on; /* after a command that failed */
    char *next;   /* in the commands */
    char *line;   /* the command to be run now; NULL: none */
    char **env;
    pid_t command;     /* 0: none runs */
    int64_t number;    /* of the command that was begun last */
    int64_t ends_told; /* ends of commands of which the worker knows */
    int64_t ends_seen; /* and for which it said: go on */
    int64_t go_on_ms;  /* when that is not waited for any more */
    int64_t began_ms;
    int64_t use_ms;        /* when usage is to be told next */
    int64_t cpu_ms;        /* what was told of it: it never decreases */
    int64_t cpu_before_ms; /* of earlier jobs */
    const own_limits_t *own;
    watch_t watch;
    bool over_told;
    size_t said_len;
    char said[512]; /* lines that are yet to be written */
    int exit_code;
    int signal_number;
    int start_errno;
    bool left; /* something that does not die of KILL */
    bool contained;
} keeper_t;

/* ---- input ---- */

static char input[INPUT_MAX];
static size_t input_len;

/* Reads it to its end. Returns 0 or an errno. */
static int read_all (int fd)
{
    ssize_t got = 1;
    while (got != 0 && input_len < sizeof input) {
        got = read (fd, input + input_len, sizeof input - input_len);
        if (got < 0 && errno != EINTR)
            return errno;
        input_len += got > 0 ? (size_t)got : 0;
    }
    return input_len == sizeof input ? E2BIG : input_len == 0 || input[input_len - 1] ? EINVAL : 0;
}

/* "MEMORY DISK PIDS CPUS", as in limits.h. Returns 0 or an errno. */
static int take_limits (keeper_t *self, const char *text)
{
    long long memory, disk, pids, cpus;
    if (sscanf (text, "%lld %lld %lld %lld", &memory, &disk, &pids, &cpus) != 4)
        return EINVAL;
    self->watch.limits = (limits_t){ .memory_bytes = memory, .disk_bytes = disk, .pids = pids, .cpus = cpus };
    return 0;
}

static int take_input (keeper_t *self, int fd)
{
    static char *rows[ROWS_MAX + 1];
    size_t count = 0;
    int error = read_all (fd);
    if (error)
        return error;
    error = take_limits (self, input);
    self->next = input + strlen (input) + 1;
    if (error || self->next >= input + input_len)
        return EINVAL;
    self->env = rows;
    for (char *at = self->next + strlen (self->next) + 1; at < input + input_len; at += strlen (at) + 1) {
        if (count == ROWS_MAX)
            return E2BIG;
        rows[count++] = at;
    }
    rows[count] = NULL;
    return 0;
}

/* The commands' streams and folder. Returns 0 or an errno. */
static int take_place (const char *folder, const int fds[FDS_MAX])
{
    if (dup2 (fds[0], STDOUT_FILENO) < 0 || dup2 (fds[1], STDERR_FILENO) < 0 || chdir (folder) != 0)
        return errno;
    return 0;
}

/* The worker sees the end of what the job prints, and the next job sees nothing of this one: no lock or flag either
 * that was set on its stdin. */
static void leave_place (void)
{
    int null = open ("/dev/null", O_RDWR | O_CLOEXEC);
    bool left = null >= 0 && chdir ("/") == 0;
    for (int fd = STDIN_FILENO; left && fd <= STDERR_FILENO; fd++)
        left = dup2 (null, fd) == fd;
    if (!left)
        _exit (EXIT_UNPREPARED);
    close (null);
    explicit_bzero (input, input_len);
    input_len = 0;
}

/* ---- what the worker is told ---- */

/* In one piece, and never waiting: a worker that stands still hears less. */
static bool tell (keeper_t *self, int flags)
{
    size_t len = self->said_len;
    self->said_len = 0;
    return !len || send (CHILD_TALK_FD, self->said, len, flags | MSG_NOSIGNAL) == (ssize_t)len;
}

static void __attribute__ ((format (printf, 2, 3))) say (keeper_t *self, const char *format, ...)
{
    va_list args;
    if (self->said_len + CHILD_LINE_MAX > sizeof self->said)
        tell (self, MSG_DONTWAIT);
    va_start (args, format);
    int len = vsnprintf (self->said + self->said_len, CHILD_LINE_MAX, format, args);
    va_end (args);
    self->said_len += len > 0 ? (size_t)len : 0;
}

static int64_t ms_of (const struct timeval *time)
{
    return (int64_t)time->tv_sec * 1000 + time->tv_usec / 1000;
}

static int64_t reaped_ms (void)
{
    struct rusage reaped = { 0 };
    getrusage (RUSAGE_CHILDREN, &reaped);
    return ms_of (&reaped.ru_utime) + ms_of (&reaped.ru_stime);
}

static void say_usage (keeper_t *self, bool any_left)
{
    tree_usage_t now = { 0 };
    if (any_left)
        now = tree_usage ();
    if (any_left)
        watch_note (&self->watch, &now);
    int64_t cpu_ms = now.cpu_ms + reaped_ms () - self->cpu_before_ms;
    if (cpu_ms > self->cpu_ms)
        self->cpu_ms = cpu_ms;
    say (self, "use %lld %lld %lld\n", (long long)self->cpu_ms, (long long)now.rss_bytes, (long long)now.processes);
}

static void say_if_over (keeper_t *self)
{
    if (self->watch.over == OVER_NOTHING || self->over_told)
        return;
    self->over_told = true;
    say (self, "over %c %lld\n", (int)self->watch.over, (long long)self->watch.over_used);
}

static void say_usage_in_time (keeper_t *self)
{
    int64_t now_ms = clock_mono_ms ();
    if (now_ms < self->use_ms)
        return;
    say_usage (self, true);
    self->use_ms = now_ms + (now_ms - self->began_ms < USE_OFTEN_UNTIL_MS ? USE_OFTEN_MS : USE_SELDOM_MS);
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
    confine_begin (&self->watch.limits, self->own);
    error = posix_spawn (&self->command, "/bin/sh", NULL, &how, argv, self->env);
    confine_end (&self->watch.limits, self->own);
    posix_spawnattr_destroy (&how);
    if (error)
        self->command = 0;
    return error;
}

/* The first failure is what the job is said to have ended with. */
static void command_ended (keeper_t *self, int status)
{
    int signal_number = WIFSIGNALED (status) ? WTERMSIG (status) : 0;
    int exit_code = signal_number ? 128 + signal_number : WEXITSTATUS (status);
    self->command = 0;
    if (self->exit_code == 0) {
        self->exit_code = exit_code;
        self->signal_number = signal_number;
    }
    say (self, "end %lld %d %d\n", (long long)self->number, exit_code, signal_number);
    self->line = self->exit_code == 0 || self->goes_on ? take_line (self) : NULL;
    if (self->line && self->phase == PHASE_RUN) { /* else all is told at once, at the end */
        self->ends_told += tell (self, MSG_DONTWAIT);
        self->go_on_ms = clock_mono_ms () + GO_ON_MS_MAX;
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
        struct rusage usage;
        pid_t pid = wait4 (-1, &status, WNOHANG, &usage);
        if (pid == 0)
            return true;
        if (pid < 0)
            return errno != ECHILD;
        watch_note_reaped (&self->watch, &usage);
        if (pid == self->command)
            command_ended (self, status);
    }
    self->more = true;
    return true;
}

static bool may_run_next (const keeper_t *self)
{
    return self->phase == PHASE_RUN && !self->command &&
           (!self->line || self->ends_seen >= self->ends_told || clock_mono_ms () >= self->go_on_ms);
}

static void run_next (keeper_t *self, bool any_left)
{
    if (self->line) {
        say (self, "begin %lld\n", (long long)++self->number);
        tell (self, MSG_DONTWAIT); /* before it can print anything */
        self->start_errno = start (self, self->line);
    }
    if (self->line && !self->start_errno)
        return;
    self->phase = PHASE_ASK;
    self->until_ms = 0;
    if (any_left)
        ask (self, END_GRACE_MS);
}

/* How long there is nothing to be done, ms. */
static int patience_ms (const keeper_t *self)
{
    int64_t until_ms = self->phase != PHASE_RUN ? self->until_ms : self->use_ms;
    if (self->phase == PHASE_KILL)
        return KILL_TICK_MS;
    if (watch_due_ms (&self->watch) < until_ms)
        until_ms = watch_due_ms (&self->watch);
    if (self->more)
        return 1;
    if (self->phase == PHASE_RUN && !self->command && self->go_on_ms < until_ms)
        until_ms = self->go_on_ms;
    int64_t left_ms = until_ms - clock_mono_ms ();
    return left_ms < 0 ? 0 : (int)left_ms;
}

static void stop (keeper_t *self)
{
    if (self->stopped)
        return;
    self->stopped = true;
    if (self->phase != PHASE_KILL)
        ask (self, STOP_GRACE_MS);
}

static void take_word (keeper_t *self)
{
    char word = 0;
    ssize_t got = recv (CHILD_TALK_FD, &word, 1, MSG_DONTWAIT);
    self->ends_seen += got > 0 && word == KEEPER_GO_ON;
    if (got > 0 && word == KEEPER_STOP)
        stop (self);
    if (got != 0)
        return;
    self->deserted = true;
    kill_now (self);
}

/* Takes the signals that have come. True when one of them asks for the end. */
static bool take_signals (const keeper_t *self)
{
    struct signalfd_siginfo info;
    bool term = false;
    while (read (self->signal_fd, &info, sizeof info) == sizeof info)
        term = term || info.ssi_signo == SIGTERM;
    return term;
}

/* Sleeps until something is to be done, and takes note of what the worker says. */
static void listen_to_worker (keeper_t *self)
{
    struct pollfd fds[] = { { self->deserted ? -1 : CHILD_TALK_FD, POLLIN, 0 }, { self->signal_fd, POLLIN, 0 } };
    if (poll (fds, 2, patience_ms (self)) <= 0)
        return;
    if (fds[1].revents && take_signals (self))
        stop (self);
    if (fds[0].revents)
        take_word (self);
}

static void look_for_excess (keeper_t *self)
{
    if (self->phase == PHASE_KILL)
        return;
    watch_look (&self->watch, self->command);
    say_if_over (self);
    if (!self->over_told)
        return;
    watch_signal (self->command, SIGKILL); /* many at once, and whoever forks just now */
    kill_now (self);
}

static void keep (keeper_t *self)
{
    bool any_left = true;
    self->began_ms = clock_mono_ms ();
    self->use_ms = self->began_ms + USE_FIRST_MS;
    watch_begin (&self->watch, &self->watch.limits, self->began_ms);
    self->line = take_line (self);
    run_next (self, false);
    any_left = reap (self);
    while (self->phase == PHASE_RUN || any_left) {
        tell (self, MSG_DONTWAIT);
        listen_to_worker (self);
        any_left = reap (self);
        look_for_excess (self);
        if (may_run_next (self))
            run_next (self, any_left);
        say_usage_in_time (self);
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

/* ---- one job after another ---- */

/* Waits for the next one. False when none will come. */
static bool take_job (keeper_t *self)
{
    static char message[FDS_MESSAGE_MAX];
    int fds[FDS_MAX];
    ssize_t got = 0;
    do /* a word on the job before, that was over by then */
        got = fds_receive (CHILD_TALK_FD, message, sizeof message - 1, fds);
    while ((got < 0 && errno == EINTR) || got == 1);
    if (got <= 0)
        return false;
    message[got] = '\0';
    *self = (keeper_t){
        .signal_fd = self->signal_fd, .own = self->own, .contained = self->contained, .cpu_before_ms = reaped_ms ()
    };
    self->goes_on = message[0] == KEEPER_RUN_ON;
    take_signals (self); /* of the job before */
    self->start_errno = take_place (message + 1, fds);
    if (!self->start_errno)
        self->start_errno = take_input (self, fds[2]);
    for (int i = 0; i < FDS_MAX; i++)
        if (fds[i] >= 0)
            close (fds[i]);
    return true;
}

/* True when it can serve another one. */
static bool run_job (keeper_t *self)
{
    if (!self->start_errno) {
        keep (self);
        say_usage (self, self->left);
        watch_look_last (&self->watch);
        say_if_over (self);
        say (self, "peak %lld %lld\n", (long long)self->watch.memory_peak_bytes, (long long)self->watch.pids_peak);
    }
    leave_place ();
    bool rests = !self->left && !self->start_errno && !self->contained && own_limits_same (self->own);
    say (self, "%d %d %d %d %d\n", self->exit_code, self->signal_number, self->start_errno, self->left, rests);
    tell (self, 0); /* this must arrive */
    return rests;
}

static bool prepare (keeper_t *self)
{
    sigset_t all, heard;
    sigfillset (&all);
    sigprocmask (SIG_SETMASK, &all, NULL);
    sigemptyset (&heard);
    sigaddset (&heard, SIGTERM);
    sigaddset (&heard, SIGCHLD);
    self->signal_fd = signalfd (-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
    return self->signal_fd >= 0 && prctl (PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

static int allow (int rules, const char *path, landlock_may_t may)
{
    int folder = open (path, O_PATH | O_CLOEXEC);
    if (folder < 0)
        return errno;
    int error = landlock_allow (rules, folder, may);
    close (folder);
    return error;
}

/* From now on this process and what it starts write only below `writable`: a second wall behind the mounts. Ports stay
 * open, for which of them builds need is not known before. */
static int restrict_files (char *const writable[])
{
    int rules;
    int error = landlock_begin (true, &rules);
    if (!error)
        error = allow (rules, "/", MAY_RUN);
    for (; *writable && !error; writable++)
        error = allow (rules, *writable, MAY_BUT_DEVICES);
    return landlock_enter (rules, error);
}

/* The job has the same user: it must not trace or read this process, nor get a descriptor of outside by it. */
static bool contain (char *const writable[])
{
    syscall (SYS_close_range, CHILD_TALK_FD + 1U, ~0U, 0U);
    int error = prctl (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl (PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ? errno : 0;
    if (!error)
        error = restrict_files (writable);
    if (error)
        fprintf (stderr, "gleaner-keeper: it cannot restrict itself: %s.\n", strerror (error));
    return !error;
}

int main (int argc, char **argv)
{
    keeper_t self = { .contained = argc > 1 };
    own_limits_t limits;
    bool checks = argc > 1 && strcmp (argv[1], KEEPER_CHECK) == 0;
    if (checks)
        return contain (argv + 2) ? 0 : EXIT_UNPREPARED;
    if ((self.contained && strcmp (argv[1], KEEPER_CONTAINED) != 0) ||
        fcntl (CHILD_TALK_FD, F_SETFD, FD_CLOEXEC) != 0) {
        fprintf (stderr, "usage: gleaner-keeper [--contained FOLDER...]; gleaner-worker starts it.\n");
        return EXIT_USAGE;
    }
    confine_prepare (); /* before its own files in /proc are not its any more */
    if ((self.contained && !contain (argv + 2)) || !prepare (&self))
        return EXIT_UNPREPARED;
    own_limits_note (&limits);
    self.own = &limits;
    while (take_job (&self) && run_job (&self))
        ;
    _exit (0);
}
