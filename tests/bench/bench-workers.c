/* bench-workers - many native workers at one broker, and what they cost it.
 *
 * usage: bench-workers ENDPOINT BROKER-PID [OPTION ...]
 *   --workers N        default 10,000
 *   --one-connection   all of them over one connection: what is the broker's own, without its library's connections
 *   --busy N           so many of them hold a lease each and renew it, over and over; default none
 *   --heartbeat MS     default 10,000
 *   --poll-wait MS     default 25,000, as gleaner-worker has it
 *   --settle S         seconds from the last registration until the measurement; default 30
 *   --seconds S        of the measurement; default 30
 *
 * Each worker has one slot and does what gleaner-worker does: it registers, has one job-poll waiting, or one job-renew,
 * and sends heartbeats, a whole interval after each poll (put_off_heartbeat in worker/session.c); its socket has the
 * same options. The first polls are spread evenly over their period. The sockets live in children, for their open
 * files, two a socket, are more than one process may have on many systems.
 *
 * prints one JSON object:
 *   workers, busy         that have registered, and that hold a lease; the measurement waits two minutes for all
 *   connections, seconds
 *   cpu_share             of one core, user and system
 *   main_share            the main thread's part of that; the rest is the library's
 *   bytes_per_worker      resident memory, more than before the first one came
 *   data_bytes            data of the broker's files that grew while it was measured (/proc/PID/io); an fsync needs
 * some heartbeats, polls, renewals: answers in that time;  errors: answers that were errors, since the start
 *   repeats: what was not answered and was said again, since the start
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include "proto/clock.h"
#include "proto/message.h"

enum {
    WORKERS_A_CHILD = 4096,
    CHILDREN_MAX = 16,
    EVENTS = 256,
    BEGINNING_MAX = 24, /* registrations in flight, a child: a listening socket's backlog is 100 by default */
    RENEW_WAIT_MAX_MS = 10 * 1000, /* as gleaner-worker has it */
    PATIENCE_MS = 5 * 1000,
    START_MAX_S = 120,
    ID_LEN = 9, /* msgpack uint 64 */
    LOAD_PERCENT = 3,
};

#define MEMORY_BYTES (16LL << 30)

typedef struct {
    const char *endpoint;
    int pid;
    int workers, busy;
    int heartbeat_ms, poll_wait_ms, settle_s, seconds;
    bool one_connection;
} options_t;

/* What a child has done so far; shared with the parent. */
typedef struct {
    volatile int64_t registered, holding;
    volatile int64_t heartbeats, polls, renewals, errors, repeats;
} tally_t;

typedef struct {
    void *socket;
    bool registered;
    char job_id[ID_MAX + 1];
    char token[TOKEN_MAX + 1];
    int64_t attempt, lease_ms;
    int64_t due_ms;                /* its answer is overdue */
    int64_t load_told_ms, beat_ms; /* its last heartbeat, or registration, and its next */
    int earlier, later;            /* in the order of their next heartbeats; -1: none */
} member_t;

typedef struct {
    const options_t *options;
    tally_t *tally;
    void *context;
    int epoll;
    int first, count; /* its workers, of all */
    int begun;        /* workers that have begun to register */
    int registered;
    int next, last; /* heartbeats; -1: none */
    member_t *members;
    decoder_t *decoder;
    buf_t frame;
} crowd_t;

static void die (const char *what)
{
    fprintf (stderr, "bench-workers: %s: %s\n", what, zmq_strerror (errno));
    exit (1);
}

/* ---- its next heartbeat ---- */

static void beat_stop (crowd_t *self, int at)
{
    member_t *member = &self->members[at];
    if (!member->beat_ms)
        return;
    *(member->earlier < 0 ? &self->next : &self->members[member->earlier].later) = member->later;
    *(member->later < 0 ? &self->last : &self->members[member->later].earlier) = member->earlier;
    member->beat_ms = 0;
}

/* Hardly any has a later one. */
static void beat_set (crowd_t *self, int at, int64_t at_ms)
{
    beat_stop (self, at);
    member_t *member = &self->members[at];
    member->beat_ms = at_ms;
    member->earlier = self->last;
    while (member->earlier >= 0 && self->members[member->earlier].beat_ms > at_ms)
        member->earlier = self->members[member->earlier].earlier;
    int *before = member->earlier < 0 ? &self->next : &self->members[member->earlier].later;
    member->later = *before;
    *before = at;
    *(member->later < 0 ? &self->last : &self->members[member->later].earlier) = at;
}

static void put_off_heartbeat (crowd_t *self, int at)
{
    int64_t latest_ms = self->members[at].load_told_ms + 2LL * self->options->heartbeat_ms;
    int64_t at_ms = clock_mono_ms () + self->options->heartbeat_ms;
    beat_set (self, at, latest_ms < at_ms ? latest_ms : at_ms);
}

/* ---- one worker's words ---- */

/* The answer's id names the worker, for all of them may share a socket. */
static void say (crowd_t *self, int at, message_t *request, int64_t wait_ms)
{
    if (wait_ms >= 0)
        self->members[at].due_ms = clock_mono_ms () + wait_ms + PATIENCE_MS;
    void *socket = self->members[at].socket;
    char id[ID_LEN] = { (char)0xcf };
    for (int i = 0; i < 4; i++)
        id[ID_LEN - 1 - i] = (char)(at >> 8 * i & 0xff);
    request->id = slice_from (id, sizeof id);
    buf_clear (&self->frame);
    message_encode (request, &self->frame);
    if (zmq_send (socket, "", 0, ZMQ_SNDMORE) < 0 || zmq_send (socket, self->frame.ptr, self->frame.len, 0) < 0)
        die ("send");
}

static int speaker (slice_t id)
{
    int at = 0;
    for (size_t i = 1; i < id.len; i++)
        at = at << 8 | (unsigned char)id.ptr[i];
    return id.len == ID_LEN ? at : -1;
}

static slice_t name_of (const crowd_t *self, int at, char name[32])
{
    snprintf (name, 32, "bench-worker-%08d", self->first + at);
    return slice_of (name);
}

static void say_register (crowd_t *self, int at)
{
    char name[32];
    message_t request;
    message_init (&request, MSG_WORKER_REGISTER);
    msg_worker_register_t *in = &request.worker_register;
    in->worker_id = name_of (self, at, name);
    in->hostname = in->worker_id;
    in->os = SLICE ("Linux 6.1.0-18-amd64 x86_64");
    in->cpu_count = 8;
    in->version = SLICE ("0.2.0");
    in->slots = 1;
    in->machine = SLICE ("01234567-89ab-cdef-0123-456789abcdef");
    in->labels = SLICE ("arch=x86_64\nos=linux\n");
    in->load_percent = LOAD_PERCENT;
    in->memory_bytes = MEMORY_BYTES;
    in->memory_free_bytes = MEMORY_BYTES / 2;
    say (self, at, &request, 0);
}

static void say_heartbeat (crowd_t *self, int at)
{
    char name[32];
    message_t request;
    message_init (&request, MSG_WORKER_HEARTBEAT);
    request.worker_heartbeat.worker_id = name_of (self, at, name);
    request.worker_heartbeat.load_percent = LOAD_PERCENT;
    request.worker_heartbeat.memory_bytes = MEMORY_BYTES;
    request.worker_heartbeat.memory_free_bytes = MEMORY_BYTES / 2;
    say (self, at, &request, -1);
}

static void say_poll (crowd_t *self, int at, int64_t wait_ms)
{
    put_off_heartbeat (self, at);
    char name[32];
    message_t request;
    message_init (&request, MSG_JOB_POLL);
    request.job_poll.worker_id = name_of (self, at, name);
    request.job_poll.slot = 0;
    request.job_poll.wait = wait_ms;
    say (self, at, &request, wait_ms);
}

static void say_renew (crowd_t *self, int at)
{
    const member_t *member = &self->members[at];
    char name[32];
    message_t request;
    message_init (&request, MSG_JOB_RENEW);
    msg_job_renew_t *in = &request.job_renew;
    in->job_id = slice_of (member->job_id);
    in->worker_id = name_of (self, at, name);
    in->attempt = member->attempt;
    in->token = slice_of (member->token);
    in->wait = member->lease_ms / 3 < RENEW_WAIT_MAX_MS ? member->lease_ms / 3 : RENEW_WAIT_MAX_MS;
    say (self, at, &request, in->wait);
}

/* ---- answers ---- */

static void begin_more (crowd_t *self);

/* The first poll waits shorter, so that the polls of all are spread over their period. */
static void on_registered (crowd_t *self, int at)
{
    if (self->members[at].registered)
        return;
    self->members[at].registered = true;
    self->members[at].load_told_ms = clock_mono_ms ();
    self->registered++;
    self->tally->registered++;
    say_poll (self, at, (int64_t)self->options->poll_wait_ms * (at + 1) / self->count);
    begin_more (self);
}

static void on_polled (crowd_t *self, int at, const msg_job_poll_ok_t *job)
{
    member_t *member = &self->members[at];
    self->tally->polls++;
    if (!job->job_id.ptr) {
        say_poll (self, at, self->options->poll_wait_ms);
        return;
    }
    self->tally->holding++;
    slice_copy (job->job_id, member->job_id, sizeof member->job_id);
    slice_copy (job->token, member->token, sizeof member->token);
    member->attempt = job->attempt;
    member->lease_ms = job->lease_ms;
    say_renew (self, at);
}

static void on_answer (crowd_t *self, slice_t frame)
{
    message_t answer;
    fault_t fault;
    if (message_decode (self->decoder, frame, REPLY_MAX, &answer, &fault))
        die ("an answer that cannot be read");
    int at = speaker (answer.id);
    if (at < 0 || at >= self->count)
        die ("an answer to nobody");
    switch ((int)answer.type) {
    case MSG_WORKER_REGISTER_OK:
        on_registered (self, at);
        break;
    case MSG_JOB_POLL_OK:
        on_polled (self, at, &answer.job_poll_ok);
        break;
    case MSG_JOB_RENEW_OK:
        self->tally->renewals++;
        say_renew (self, at);
        break;
    case MSG_WORKER_HEARTBEAT_OK:
        self->tally->heartbeats++;
        break;
    default:
        if (!self->tally->errors++ && answer.type == MSG_ERROR)
            fprintf (stderr, "bench-workers: " SLICE_FMT "\n", SLICE_ARG (answer.error.text));
    }
}

/* All that there is: ZMQ_FD tells only that something changed. */
static void drain (crowd_t *self, void *socket)
{
    zmq_msg_t part;
    zmq_msg_init (&part);
    while (zmq_msg_recv (&part, socket, ZMQ_DONTWAIT) >= 0)
        if (zmq_msg_size (&part))
            on_answer (self, slice_from (zmq_msg_data (&part), zmq_msg_size (&part)));
    zmq_msg_close (&part);
}

/* ---- a child ---- */

static void set_int (void *socket, int option, int value)
{
    if (zmq_setsockopt (socket, option, &value, sizeof value) != 0)
        die ("socket option");
}

static void *dial (crowd_t *self)
{
    void *socket = zmq_socket (self->context, ZMQ_DEALER);
    if (!socket)
        die ("socket");
    set_int (socket, ZMQ_TCP_KEEPALIVE, 1);
    set_int (socket, ZMQ_TCP_KEEPALIVE_IDLE, 5);
    set_int (socket, ZMQ_TCP_KEEPALIVE_INTVL, 5);
    set_int (socket, ZMQ_TCP_KEEPALIVE_CNT, 2);
    set_int (socket, ZMQ_TCP_MAXRT, 15000);
    set_int (socket, ZMQ_LINGER, 0);
    if (self->options->one_connection) {
        set_int (socket, ZMQ_SNDHWM, 0);
        set_int (socket, ZMQ_RCVHWM, 0);
    }
    if (zmq_connect (socket, self->options->endpoint) != 0)
        die ("connect");
    int fd = -1;
    size_t size = sizeof fd;
    zmq_getsockopt (socket, ZMQ_FD, &fd, &size);
    struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.ptr = socket };
    if (epoll_ctl (self->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        die ("epoll");
    return socket;
}

static void begin_more (crowd_t *self)
{
    while (self->begun < self->count && self->begun - self->registered < BEGINNING_MAX) {
        member_t *member = &self->members[self->begun];
        bool shared = self->options->one_connection && self->begun;
        member->socket = shared ? self->members[0].socket : dial (self);
        beat_set (self, self->begun, clock_mono_ms () + self->options->heartbeat_ms);
        say_register (self, self->begun++);
    }
}

/* What a connection took with it when it broke is said again. */
static void say_again (crowd_t *self, int at)
{
    const member_t *member = &self->members[at];
    self->tally->repeats++;
    if (!member->registered)
        say_register (self, at);
    else if (member->job_id[0])
        say_renew (self, at);
    else
        say_poll (self, at, self->options->poll_wait_ms);
}

static void beat (crowd_t *self, int at)
{
    int64_t now_ms = clock_mono_ms ();
    beat_set (self, at, now_ms + self->options->heartbeat_ms);
    if (self->members[at].registered) {
        self->members[at].load_told_ms = now_ms;
        say_heartbeat (self, at);
    }
    if (clock_mono_ms () > self->members[at].due_ms)
        say_again (self, at);
    drain (self, self->members[at].socket); /* sending may have eaten the sign of something to read */
}

/* Never returns: the parent ends it. */
static void crowd_run (crowd_t *self)
{
    self->context = zmq_ctx_new ();
    zmq_ctx_set (self->context, ZMQ_MAX_SOCKETS, self->count + 16);
    self->epoll = epoll_create1 (EPOLL_CLOEXEC);
    self->members = xcalloc ((size_t)self->count, sizeof *self->members);
    self->decoder = decoder_new ();
    self->next = self->last = -1;
    begin_more (self);
    for (;;) {
        int64_t wait_ms = self->members[self->next].beat_ms - clock_mono_ms ();
        if (wait_ms <= 0) {
            beat (self, self->next);
            continue;
        }
        struct epoll_event events[EVENTS];
        int ready = epoll_wait (self->epoll, events, EVENTS, (int)wait_ms);
        for (int i = 0; i < ready; i++)
            drain (self, events[i].data.ptr);
    }
}

/* ---- the parent ---- */

static void make_jobs (const options_t *options)
{
    void *context = zmq_ctx_new ();
    void *socket = zmq_socket (context, ZMQ_REQ);
    char answer[1024];
    buf_t frame = { 0 };
    message_t request;
    set_int (socket, ZMQ_RCVTIMEO, 10000);
    set_int (socket, ZMQ_LINGER, 0);
    if (zmq_connect (socket, options->endpoint) != 0)
        die ("connect");
    message_init (&request, MSG_JOB_CREATE);
    request.job_create.command = SLICE ("make test");
    request.job_create.file_url = SLICE ("/uploads/x.zip");
    request.job_create.filename = SLICE ("x.zip");
    message_encode (&request, &frame);
    for (int i = 0; i < options->busy; i++)
        if (zmq_send (socket, frame.ptr, frame.len, 0) < 0 || zmq_recv (socket, answer, sizeof answer, 0) < 0)
            die ("job-create");
    buf_fini (&frame);
    zmq_close (socket);
    zmq_ctx_term (context);
}

static int64_t proc_number (int pid, const char *file, const char *field)
{
    char text[4096] = "";
    snprintf (text, sizeof text, "/proc/%d/%s", pid, file);
    FILE *in = fopen (text, "r");
    if (!in)
        die (text);
    size_t got = fread (text, 1, sizeof text - 1, in);
    text[got] = '\0';
    fclose (in);
    const char *at = strstr (text, field);
    return at ? atoll (at + strlen (field)) : -1;
}

#define WHOLE       "/proc/%d/stat"
#define MAIN_THREAD "/proc/%d/task/%d/stat"

/* User and system time in clock ticks: fields 14 and 15, the command's name being the second, in brackets. */
static int64_t cpu_ticks (int pid, const char *what)
{
    char path[64];
    char text[1024] = "";
    snprintf (path, sizeof path, what, pid, pid);
    FILE *in = fopen (path, "r");
    if (!in || !fgets (text, sizeof text, in))
        die (path);
    fclose (in);
    unsigned long long user = 0;
    unsigned long long system = 0;
    const char *rest = strrchr (text, ')');
    if (!rest || sscanf (rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
        die (path);
    return (int64_t)(user + system);
}

static tally_t sum (const tally_t *tallies)
{
    tally_t all = { 0 };
    for (int i = 0; i < CHILDREN_MAX; i++) {
        all.registered += tallies[i].registered;
        all.holding += tallies[i].holding;
        all.heartbeats += tallies[i].heartbeats;
        all.polls += tallies[i].polls;
        all.renewals += tallies[i].renewals;
        all.errors += tallies[i].errors;
        all.repeats += tallies[i].repeats;
    }
    return all;
}

/* A child that has ended has said why. */
static void pause_s (int seconds)
{
    for (int i = 0; i < 10 * seconds; i++) {
        usleep (100 * 1000);
        if (waitpid (-1, NULL, WNOHANG) != 0) {
            errno = ECHILD;
            die ("a child ended");
        }
    }
}

static int start_children (const options_t *options, tally_t *tallies, pid_t children[CHILDREN_MAX])
{
    int count = options->one_connection ? 1 : (options->workers + WORKERS_A_CHILD - 1) / WORKERS_A_CHILD;
    for (int i = 0; i < count; i++) {
        int first = (int)((int64_t)options->workers * i / count);
        int next = (int)((int64_t)options->workers * (i + 1) / count);
        children[i] = fork ();
        if (children[i] < 0)
            die ("fork");
        if (children[i] == 0) {
            prctl (PR_SET_PDEATHSIG, SIGKILL);
            crowd_t self = { .options = options, .tally = &tallies[i], .first = first, .count = next - first };
            crowd_run (&self);
        }
    }
    return count;
}

static void measure (const options_t *options, const tally_t *tallies, int64_t before_kib)
{
    for (int i = 0; i < START_MAX_S; i++) {
        tally_t now = sum (tallies);
        if (now.registered == options->workers && now.holding >= options->busy)
            break;
        pause_s (1);
    }
    pause_s (options->settle_s);
    tally_t at_first = sum (tallies);
    int64_t written = proc_number (options->pid, "io", "\nwrite_bytes: ");
    int64_t ticks = cpu_ticks (options->pid, WHOLE);
    int64_t main_ticks = cpu_ticks (options->pid, MAIN_THREAD);
    int64_t start_ms = clock_mono_ms ();
    pause_s (options->seconds);
    double seconds = (double)(clock_mono_ms () - start_ms) / 1000;
    ticks = cpu_ticks (options->pid, WHOLE) - ticks;
    main_ticks = cpu_ticks (options->pid, MAIN_THREAD) - main_ticks;
    written = proc_number (options->pid, "io", "\nwrite_bytes: ") - written;
    tally_t at_last = sum (tallies);
    double hz = (double)sysconf (_SC_CLK_TCK);
    int64_t grown_kib = proc_number (options->pid, "status", "VmRSS:") - before_kib;
    printf ("{\"workers\": %lld, \"busy\": %lld, \"connections\": %d, \"seconds\": %.1f, \"cpu_share\": %.4f, "
            "\"main_share\": %.4f, "
            "\"bytes_per_worker\": %.0f, \"data_bytes\": %lld, \"heartbeats\": %lld, \"polls\": %lld, "
            "\"renewals\": %lld, \"errors\": %lld, \"repeats\": %lld}\n",
            (long long)at_last.registered, (long long)at_last.holding, options->one_connection ? 1 : options->workers,
            seconds, (double)ticks / hz / seconds, (double)main_ticks / hz / seconds,
            (double)grown_kib * 1024 / (double)at_last.registered, (long long)written,
            (long long)(at_last.heartbeats - at_first.heartbeats), (long long)(at_last.polls - at_first.polls),
            (long long)(at_last.renewals - at_first.renewals), (long long)at_last.errors, (long long)at_last.repeats);
}

static bool parse (int argc, char **argv, options_t *options)
{
    static const struct option names[] = {
        { "workers", required_argument, NULL, 'w' },   { "busy", required_argument, NULL, 'b' },
        { "heartbeat", required_argument, NULL, 'h' }, { "settle", required_argument, NULL, 's' },
        { "seconds", required_argument, NULL, 't' },   { "one-connection", no_argument, NULL, '1' },
        { "poll-wait", required_argument, NULL, 'l' }, { NULL, 0, NULL, 0 },
    };
    *options = (options_t){
        .workers = WORKERS_MAX, .heartbeat_ms = 10000, .poll_wait_ms = 25000, .settle_s = 30, .seconds = 30
    };
    for (int name = 0; (name = getopt_long (argc, argv, "", names, NULL)) != -1;) {
        int value = optarg ? atoi (optarg) : 1;
        int *into = name == 'w'   ? &options->workers
                    : name == 'b' ? &options->busy
                    : name == 'h' ? &options->heartbeat_ms
                    : name == 'l' ? &options->poll_wait_ms
                    : name == 's' ? &options->settle_s
                    : name == 't' ? &options->seconds
                                  : NULL;
        if (name == '1')
            options->one_connection = true;
        else if (!into || value < 0)
            return false;
        else
            *into = value;
    }
    if (argc - optind != 2)
        return false;
    options->endpoint = argv[optind];
    options->pid = atoi (argv[optind + 1]);
    return options->pid > 0 && options->workers > 0 && options->workers <= CHILDREN_MAX * WORKERS_A_CHILD &&
           options->busy <= options->workers && options->heartbeat_ms > 0 && options->seconds > 0;
}

int main (int argc, char **argv)
{
    options_t options;
    if (!parse (argc, argv, &options)) {
        fprintf (stderr, "usage: bench-workers ENDPOINT BROKER-PID [--workers N] [--one-connection] [--busy N] "
                         "[--heartbeat MS] [--poll-wait MS] [--settle S] [--seconds S]\n");
        return 2;
    }
    struct rlimit files;
    getrlimit (RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit (RLIMIT_NOFILE, &files);
    tally_t *tallies =
        mmap (NULL, CHILDREN_MAX * sizeof *tallies, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t children[CHILDREN_MAX];
    if (tallies == MAP_FAILED)
        die ("mmap");
    make_jobs (&options);
    int64_t before_kib = proc_number (options.pid, "status", "VmRSS:");
    int count = start_children (&options, tallies, children);
    measure (&options, tallies, before_kib);
    for (int i = 0; i < count; i++) {
        kill (children[i], SIGKILL);
        waitpid (children[i], NULL, 0);
    }
    return 0;
}
