#include "cli/follow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/escape.h"
#include "cli/print.h"
#include "proto/clock.h"

enum {
    LOOK_MS = 1000,      /* between two looks at the job while its output comes */
    SILENT_MS = 200,     /* likewise, when only its end is awaited */
    AWAY_MS = 1000,      /* before what broke is asked for again */
    ERROR_BODY = 65536,  /* of an answer that is no output */
    SIGNAL_STATUS = 128, /* a command that a signal ended: as the shell has it */
};

typedef struct follow follow_t;

typedef struct {
    follow_t *follow;
    const char *name; /* "stdout" */
    FILE *out;
    CURL *easy;      /* NULL: not under way */
    int64_t offset;  /* bytes of the attempt that have come */
    int attempt;     /* they belong to that; 0: not known yet */
    bool ended;      /* all of the attempt has come */
    int64_t again;   /* when to ask again, ms of the clock; 0: at once */
    buf_t body;      /* of a refusal */
    int fault_errno; /* of writing `out` */
    bool plain;      /* it goes to a terminal, which it must not steer */
    escape_t escape;
    buf_t shown;
    char fault[CURL_ERROR_SIZE];
} stream_t;

struct follow {
    client_t *client;
    const follow_order_t *order;
    CURLM *multi;
    stream_t streams[2];
    int attempt; /* that is asked for; 0: the server says */
    int signals;
    int64_t look_at; /* when to look at the job, ms of the clock */
    bool away;       /* that was told */
    bool met;        /* the server has answered: it may go away for a while */
    sigset_t before; /* the signals that were blocked before us */
    bool runs;       /* the job has been seen running */
    char told[512];  /* of why it waits */
    int status;      /* OPTIONS_RUN: go on */
    json_t *job;     /* over */
};

static bool job_is_over (const json_t *job)
{
    const char *state = text_of (job, "status");
    return strcmp (state, "completed") == 0 || strcmp (state, "failed") == 0;
}

/* ---- streams ---- */

static size_t on_header (char *bytes, size_t size, size_t count, void *ctx)
{
    static const char name[] = "x-attempt:";
    stream_t *stream = ctx;
    size_t len = size * count;
    char number[16] = "";
    if (len < sizeof name || strncasecmp (bytes, name, sizeof name - 1) != 0)
        return len;
    slice_copy (slice_from (bytes + sizeof name - 1, len - sizeof name + 1 < 15 ? len - sizeof name + 1 : 15), number,
                sizeof number);
    int attempt = atoi (number);
    if (attempt != stream->attempt && stream->attempt)
        stream->offset = 0;
    stream->attempt = attempt;
    return len;
}

static bool show (stream_t *stream, slice_t bytes)
{
    if (stream->plain) {
        buf_clear (&stream->shown);
        escape_append (&stream->escape, bytes, &stream->shown);
        bytes = buf_slice (&stream->shown);
    }
    bool good = fwrite (bytes.ptr, 1, bytes.len, stream->out) == bytes.len && fflush (stream->out) == 0;
    stream->fault_errno = good ? 0 : errno;
    return good;
}

static size_t on_output (char *bytes, size_t size, size_t count, void *ctx)
{
    stream_t *stream = ctx;
    size_t len = size * count;
    long status = 0;
    curl_easy_getinfo (stream->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        if (stream->body.len + len <= ERROR_BODY)
            buf_append (&stream->body, bytes, len);
        return len;
    }
    stream->follow->away = false;
    if (!show (stream, slice_from (bytes, len)))
        return 0;
    stream->offset += (int64_t)len;
    return len;
}

static void stream_start (stream_t *stream)
{
    follow_t *self = stream->follow;
    buf_t path = { 0 };
    char offset[32];
    snprintf (offset, sizeof offset, "%lld", (long long)stream->offset);
    buf_append_str (&path, "/api/jobs/output");
    path_add (&path, "jobId", slice_of (self->order->job));
    path_add (&path, "stream", slice_of (stream->name));
    path_add (&path, "offset", slice_of (offset));
    if (!self->order->as_it_is)
        path_add (&path, "follow", SLICE ("1"));
    int attempt = stream->attempt ? stream->attempt : self->attempt;
    snprintf (offset, sizeof offset, "%d", attempt);
    if (attempt)
        path_add (&path, "attempt", slice_of (offset));
    stream->easy = client_transfer (self->client, path.ptr, stream->fault);
    buf_fini (&path);
    buf_clear (&stream->body);
    curl_easy_setopt (stream->easy, CURLOPT_PRIVATE, stream);
    curl_easy_setopt (stream->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt (stream->easy, CURLOPT_HEADERDATA, stream);
    curl_easy_setopt (stream->easy, CURLOPT_WRITEFUNCTION, on_output);
    curl_easy_setopt (stream->easy, CURLOPT_WRITEDATA, stream);
    curl_multi_add_handle (self->multi, stream->easy);
}

static void stream_stop (stream_t *stream)
{
    if (!stream->easy)
        return;
    curl_multi_remove_handle (stream->follow->multi, stream->easy);
    curl_easy_cleanup (stream->easy);
    stream->easy = NULL;
}

/* Asked for again a little later; told once. */
static void stream_broke (stream_t *stream, CURLcode code)
{
    follow_t *self = stream->follow;
    buf_t why = { 0 };
    client_fault (self->client, code, stream->fault, &why);
    if (!self->away && self->met)
        cli_say (0, "%.*s Trying again; the job goes on.", (int)why.len, why.ptr);
    buf_fini (&why);
    self->away = true;
    stream->again = clock_mono_ms () + AWAY_MS;
}

static void stream_refused (stream_t *stream, long status)
{
    char *code = NULL;
    char *text = NULL;
    client_refusal (stream->follow->client, status, buf_slice (&stream->body), &code, &text);
    stream->ended = status == 416 || status == 410; /* all has come; or it has been tidied away */
    if (status == 410)
        cli_say (0, "%s: %s", stream->name, text);
    if (!stream->ended && (status >= 500 || status == 429))
        stream->again = clock_mono_ms () + AWAY_MS;
    else if (!stream->ended)
        stream->follow->status = cli_say (status == 404 ? STATUS_NOT_FOUND : STATUS_REFUSED, "%s", text);
    free (code);
    free (text);
}

/* What it prints has nowhere to go. A pipe that was shut, by `head` say, is no fault; but a job that one waits for
 * goes on, which its owner must know. */
static void stream_unread (const stream_t *stream)
{
    follow_t *self = stream->follow;
    self->status = STATUS_UNREAD;
    if (stream->fault_errno != EPIPE)
        self->status = cli_say (STATUS_LOCAL, "cannot write %s: %s.", stream->name, strerror (stream->fault_errno));
    if (self->order->ctrl_c == CTRL_C_ASKS)
        cli_say (0, "nobody reads what the job prints; it goes on, and gleaner logs -f %s shows it.", self->order->job);
}

static void stream_done (stream_t *stream, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo (stream->easy, CURLINFO_RESPONSE_CODE, &status);
    stream_stop (stream);
    if (code == CURLE_WRITE_ERROR && stream->fault_errno)
        stream_unread (stream);
    else if (code != CURLE_OK)
        stream_broke (stream, code);
    else if (status != 200)
        stream_refused (stream, status);
    else
        stream->ended = true;
    /* A job that nobody had begun has no number yet: what came is the first attempt's. */
    int least = stream->follow->attempt ? stream->follow->attempt : 1;
    if (stream->ended && stream->attempt < least)
        stream->attempt = least;
}

/* ---- the job ---- */

static void tell_wait (follow_t *self, const json_t *job)
{
    const char *why = text_of (job, "waiting");
    if (strcmp (text_of (job, "status"), "running") == 0 && !self->runs) {
        self->runs = true;
        cli_say (0, "running on %s.", text_of (job, "workerId"));
    }
    if (!*why || strcmp (why, self->told) == 0)
        return;
    snprintf (self->told, sizeof self->told, "%s", why);
    cli_say (0, "waiting: %s", why);
}

static int shown_attempt (const follow_t *self)
{
    return self->streams[0].attempt > self->streams[1].attempt ? self->streams[0].attempt : self->streams[1].attempt;
}

/* The attempt that was shown is over, and the job is not: the next one's output. */
static void begin_next (follow_t *self, const json_t *job)
{
    int shown = shown_attempt (self);
    int last = (int)number_of (job, "attempt");
    if (last <= shown)
        return; /* its end is not recorded yet, or the next one has not begun: look again */
    cli_say (0, "attempt %d is over, attempt %d follows.", shown, last);
    self->attempt = last;
    self->runs = false;
    for (size_t i = 0; i < 2; i++) {
        self->streams[i].ended = false;
        self->streams[i].offset = 0;
        self->streams[i].attempt = 0;
    }
}

static bool all_came (const follow_t *self)
{
    return self->order->silent || (self->streams[0].ended && self->streams[1].ended);
}

/* All that was asked for has come; then the job's record is the answer. */
static bool is_done (const follow_t *self, const json_t *job)
{
    int last = (int)number_of (job, "attempt");
    bool newest = self->order->silent || shown_attempt (self) >= last;
    if (!all_came (self))
        return false;
    return self->order->as_it_is || self->order->attempt || (job_is_over (job) && newest);
}

/* Ctrl-C has come and waits to be read. */
static bool signal_waits (void *ctx)
{
    const follow_t *self = ctx;
    struct pollfd waits = { .fd = self->signals, .events = POLLIN };
    return poll (&waits, 1, 0) > 0;
}

static void look (follow_t *self)
{
    buf_t path = { 0 };
    answer_t answer;
    buf_append_str (&path, "/api/jobs/status");
    path_add (&path, "jobId", slice_of (self->order->job));
    client_watch (self->client, signal_waits, self); /* a server that hangs must not keep it from being heard */
    client_ask (self->client, "GET", path.ptr, NULL, &answer);
    client_watch (self->client, NULL, NULL);
    buf_fini (&path);
    self->look_at = clock_mono_ms () + (self->order->silent ? SILENT_MS : LOOK_MS);
    bool away = answer.fault && (answer_status (&answer) == STATUS_AWAY || answer.status == 429);
    if (away && signal_waits (self)) {
        self->away = true;
    } else if (away && (self->met || answer.status == 429) && !self->order->as_it_is) {
        if (!self->away)
            cli_say (0, "%s Trying again; the job goes on.", answer.fault);
        self->away = true;
        self->look_at = clock_mono_ms () + AWAY_MS;
    } else if (answer.fault) {
        client_need (&answer, &self->status);
    } else {
        self->away = false;
        self->met = true;
        if (self->order->tell && !job_is_over (answer.json))
            tell_wait (self, answer.json);
        if (is_done (self, answer.json)) {
            self->job = json_incref (answer.json);
            self->status = STATUS_GOOD;
        } else if (all_came (self) && !self->order->silent) {
            begin_next (self, answer.json);
        }
    }
    answer_fini (&answer);
}

/* ---- Ctrl-C ---- */

static int cancel (follow_t *self)
{
    answer_t answer;
    json_t *body = json_pack ("{s:s}", "jobId", self->order->job);
    client_ask (self->client, "POST", "/api/jobs/cancel", body, &answer);
    json_decref (body);
    int status = STATUS_CUT;
    if (answer.fault)
        status = cli_say (answer_status (&answer), "the job was not cancelled: %s", answer.fault);
    else
        cli_say (0, "cancelled.");
    answer_fini (&answer);
    return status;
}

/* 'c', 'd', or anything else. */
static char ask (const follow_t *self)
{
    char line[64] = "";
    fprintf (stderr, "\ngleaner: %s: [c]ancel it, [d]etach (it goes on without you), or Enter to go on? ",
             self->order->job);
    fflush (stderr);
    ssize_t got = read (STDIN_FILENO, line, sizeof line - 1);
    return got <= 0 ? 'd' : line[0];
}

static void on_signal (follow_t *self)
{
    struct signalfd_siginfo info;
    if (read (self->signals, &info, sizeof info) != sizeof info)
        return;
    if (self->order->ctrl_c == CTRL_C_ENDS) {
        self->status = STATUS_CUT;
        return;
    }
    bool can_ask = info.ssi_signo == SIGINT && isatty (STDIN_FILENO) && isatty (STDERR_FILENO);
    char answer = 'c';
    if (can_ask) { /* a second Ctrl-C must end the question, so the signal is free for that long */
        sigset_t set;
        sigemptyset (&set);
        sigaddset (&set, SIGINT);
        sigprocmask (SIG_UNBLOCK, &set, NULL);
        answer = ask (self);
        sigprocmask (SIG_BLOCK, &set, NULL);
    }
    if (answer == 'c')
        self->status = cancel (self);
    else if (answer == 'd')
        self->status = cli_say (STATUS_CUT, "the job goes on; gleaner logs -f %s shows it.", self->order->job);
}

/* ---- the loop ---- */

static void start_due (follow_t *self)
{
    for (size_t i = 0; !self->order->silent && i < 2; i++) {
        stream_t *stream = &self->streams[i];
        if (!stream->easy && !stream->ended && stream->again <= clock_mono_ms ())
            stream_start (stream);
    }
}

static void collect_done (follow_t *self)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read (self->multi, &left));) {
        stream_t *stream = NULL;
        CURLcode code = message->data.result;
        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo (message->easy_handle, CURLINFO_PRIVATE, (char **)&stream);
        stream_done (stream, code);
        if (all_came (self)) /* the job is likely to be over; when it is not, the next look has its usual time */
            self->look_at = clock_mono_ms ();
    }
}

static void turn (follow_t *self)
{
    int running = 0;
    struct curl_waitfd extra = { .fd = self->signals, .events = CURL_WAIT_POLLIN };
    start_due (self);
    curl_multi_perform (self->multi, &running);
    collect_done (self);
    int64_t left = self->look_at - clock_mono_ms ();
    if (self->status != OPTIONS_RUN)
        return;
    if (left <= 0) {
        look (self);
        return;
    }
    curl_multi_poll (self->multi, &extra, 1, (int)left, NULL);
    if (extra.revents)
        on_signal (self);
}

static int begin_signals (sigset_t *before)
{
    sigset_t set;
    sigemptyset (&set);
    sigaddset (&set, SIGINT);
    sigaddset (&set, SIGTERM);
    cli_add_hangup (&set);
    sigprocmask (SIG_BLOCK, &set, before);
    return signalfd (-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int follow_job (client_t *client, const follow_order_t *order, json_t **job_p)
{
    follow_t self = { .client = client,
                      .order = order,
                      .multi = curl_multi_init (),
                      .attempt = order->attempt,
                      .met = order->tell,
                      .look_at = clock_mono_ms () + (order->tell ? LOOK_MS / 4 : 0),
                      .status = OPTIONS_RUN };
    self.signals = begin_signals (&self.before);
    signal (SIGPIPE, SIG_IGN); /* a pipe that was shut is told by the write */
    self.streams[0] = (stream_t){ .follow = &self, .name = "stdout", .out = stdout };
    self.streams[1] = (stream_t){ .follow = &self, .name = "stderr", .out = stderr };
    for (size_t i = 0; i < 2; i++)
        self.streams[i].plain = !order->raw && isatty (fileno (self.streams[i].out));
    while (self.status == OPTIONS_RUN)
        turn (&self);
    for (size_t i = 0; i < 2; i++) {
        stream_stop (&self.streams[i]);
        buf_fini (&self.streams[i].body);
        buf_fini (&self.streams[i].shown);
    }
    curl_multi_cleanup (self.multi);
    close (self.signals);
    if (self.status != STATUS_UNREAD) /* else what is left in the buffer would raise it */
        signal (SIGPIPE, SIG_DFL);
    sigprocmask (SIG_SETMASK, &self.before, NULL); /* what follows, a download say, can be interrupted */
    *job_p = self.job;
    return self.status;
}

int ended_status (const json_t *job)
{
    const json_t *code = json_object_get (job, "exitCode");
    const char *why = text_of (job, "errorMessage");
    int64_t signal_number = number_of (job, "signal");
    if (strcmp (text_of (job, "status"), "completed") == 0)
        return STATUS_GOOD;
    if (signal_number > 0 && signal_number < SIGNAL_STATUS)
        return cli_say (SIGNAL_STATUS + (int)signal_number, "%s", *why ? why : "a signal ended its command.");
    bool own = json_is_integer (code) && json_integer_value (code) > 0 && json_integer_value (code) < 256 &&
               strcmp (text_of (job, "reason"), "exit-nonzero") == 0;
    if (own)
        return (int)json_integer_value (code);
    return cli_say (STATUS_NO_CODE, "the job failed (%s)%s%s", text_of (job, "reason"), *why ? ": " : ".", why);
}
