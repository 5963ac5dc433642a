#include "gateway/loop.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

#include "gateway/door.h"
#include "gateway/hello.h"
#include "gateway/login.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/notify.h"
#include "proto/program.h"

enum {
    EVENTS = 64,
    ROUNDS_MAX = 8,                /* of HTTP and broker in turn before the other descriptors are looked at */
    FILE_RUNS = 16,                /* of libmicrohttpd in a round, while files pass */
    CONNECTION_MEMORY = 14 * 1024, /* headers of a request; libmicrohttpd touches all of it with the second one */
    SPARE_FILES = 256,             /* descriptors kept for everything but connections */
    PARTING_MS = 1000,             /* for last answers to leave */
};

/* What libmicrohttpd refuses itself, without asking us, it tells only here. */
static void note_own_refusal (gateway_t *gateway, const char *format, va_list args)
{
    static const char begin[] = "Error processing request";
    if (strncmp (format, begin, sizeof begin - 1) != 0)
        return;
    va_list copy;
    va_copy (copy, args);
    unsigned status = va_arg (copy, unsigned);
    va_end (copy);
    bool large = status == MHD_HTTP_CONTENT_TOO_LARGE || status == MHD_HTTP_URI_TOO_LONG ||
                 status == MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE;
    refusals_note (&gateway->refusals, large ? ERR_TOO_LARGE : ERR_BAD_HEADER, "request-refused",
                   "what came could not be read as a request: status %u", status);
}

static void log_http (void *cls, const char *format, va_list args)
{
    note_own_refusal (cls, format, args);
    char text[512];
    int len = vsnprintf (text, sizeof text, format, args);
    while (len > 0 && len < (int)sizeof text && text[len - 1] == '\n')
        text[--len] = '\0';
    log_event (LEVEL_DEBUG, "http", "%s", text);
}

/* Connections that the limit of open files allows: each may hold a file of the cache beside its socket. */
static unsigned connection_limit (const gateway_options_t *options)
{
    struct rlimit files;
    int64_t limit = options->connection_limit;
    if (getrlimit (RLIMIT_NOFILE, &files) != 0)
        return (unsigned)limit;
    files.rlim_cur = files.rlim_max;
    setrlimit (RLIMIT_NOFILE, &files);
    int64_t room = ((int64_t)files.rlim_cur - SPARE_FILES) / 2;
    if (files.rlim_cur != RLIM_INFINITY && room < limit)
        limit = room > 16 ? room : 16;
    return (unsigned)limit;
}

static struct MHD_Daemon *start_http (gateway_t *gateway, int listen_fd, unsigned limit)
{
    struct MHD_OptionItem secure[TLS_OPTIONS];
    tls_options (gateway->tls, secure);
    unsigned tls = gateway->tls ? MHD_USE_TLS : 0;
    return MHD_start_daemon (
        tls | MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, request_access, gateway,
        MHD_OPTION_EXTERNAL_LOGGER, log_http, gateway, MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_NOTIFY_COMPLETED,
        request_completed, gateway, MHD_OPTION_URI_LOG_CALLBACK, request_log_uri, gateway, MHD_OPTION_NOTIFY_CONNECTION,
        clients_notify, gateway, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)((gateway->options->idle_timeout_ms + 999) / 1000), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_LIMIT, limit, MHD_OPTION_SIGPIPE_HANDLED_BY_APP,
        1 /* program_signals; else it uses no sendfile */, MHD_OPTION_ARRAY, secure, MHD_OPTION_END);
}

static bool add_fd (const gateway_t *gateway, int fd, void *mark)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = mark };
    return epoll_ctl (gateway->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static int http_fd (const gateway_t *gateway)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info (gateway->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    return info ? info->epoll_fd : -1;
}

unsigned loop_connections (const gateway_t *gateway)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info (gateway->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    return info ? info->num_connections : 0;
}

/* True while bytes of files pass and libmicrohttpd has more to do at once. */
static bool files_pass (const gateway_t *gateway)
{
    unsigned long long wait_ms = 1;
    return (gateway->file_came || gateway->files_out > 0) && MHD_get_timeout (gateway->daemon, &wait_ms) == MHD_YES &&
           wait_ms == 0;
}

/* At its connection limit libmicrohttpd stops to accept, and begins again at the start of a run: it must run once more
 * when a connection has ended, or who waits waits until another one times out. Of a file it reads 16 KiB or sends 128
 * KiB in a run, and to look at the broker after each would cost more than that. */
static bool run_http (gateway_t *gateway)
{
    unsigned before = loop_connections (gateway);
    bool more = true;
    for (int run = 0; run < FILE_RUNS && more; run++) {
        gateway->file_came = false;
        MHD_run (gateway->daemon);
        more = files_pass (gateway);
    }
    return more || loop_connections (gateway) < before;
}

/* HTTP and the broker in turn, until neither has anything more to do at once. True when the rounds ran out first. */
static bool turn (gateway_t *gateway)
{
    for (int round = 0; round < ROUNDS_MAX; round++) {
        gateway->resumed = false;
        bool more = run_http (gateway);
        more = link_turn (gateway->link) || more;
        if (!more && !gateway->resumed)
            return false;
    }
    return true;
}

static int sleep_ms (const gateway_t *gateway)
{
    unsigned long long http_ms = 0;
    int64_t wait_ms = 60 * 1000;
    if (MHD_get_timeout (gateway->daemon, &http_ms) == MHD_YES && http_ms < (unsigned long long)wait_ms)
        wait_ms = (int64_t)http_ms;
    int64_t deadline_ms = link_deadline (gateway->link);
    int64_t hello_ms = hello_deadline (gateway);
    int64_t clients_ms = clients_deadline (gateway->clients);
    int64_t notify_ms = notify_deadline ();
    clients_ms = notify_ms < clients_ms ? notify_ms : clients_ms;
    deadline_ms = hello_ms < deadline_ms ? hello_ms : deadline_ms;
    int64_t left_ms = (clients_ms < deadline_ms ? clients_ms : deadline_ms) - clock_mono_ms ();
    if (left_ms < wait_ms)
        wait_ms = left_ms < 0 ? 0 : left_ms;
    return (int)wait_ms;
}

/* Marks stand for descriptors in the set; whatever else is there is a watched request. */
typedef struct {
    char http, link, monitor, signals;
} marks_t;

static bool is_mark (const marks_t *marks, const void *ptr)
{
    return (const char *)ptr >= (const char *)marks && (const char *)ptr < (const char *)(marks + 1);
}

static void reload (gateway_t *gateway)
{
    notify_reloading ();
    if (reload_run (gateway->reload))
        door_set_rate (gateway->door, gateway->options->rate, gateway->options->rate_burst);
    if (gateway->tls)
        tls_reload (gateway->tls);
    notify_reloaded ();
}

/* True when it asks to stop. */
static bool take_signal (gateway_t *gateway)
{
    program_asked_t asked = program_asked (gateway->signal_fd, NULL);
    if (asked == ASKED_RELOAD)
        reload (gateway);
    return asked == ASKED_STOP;
}

static void tell_manager (const gateway_t *gateway)
{
    if (notify_turn ())
        notify_status ("%u connections; %s", loop_connections (gateway),
                       gateway->stopping ? "answering what is in progress" : "serving");
}

/* Waits and looks once. True when a signal asks to stop. */
static bool wait_once (gateway_t *gateway, const marks_t *marks, int wait_ms)
{
    struct epoll_event events[EVENTS];
    bool stop = false;
    int count = epoll_wait (gateway->epoll_fd, events, EVENTS, wait_ms);
    for (int at = 0; at < count; at++) {
        if (events[at].data.ptr == &marks->signals)
            stop = take_signal (gateway) || stop;
        else if (!is_mark (marks, events[at].data.ptr))
            request_hung_up (events[at].data.ptr);
    }
    return stop;
}

/* Everybody who waits gets an answer, and a moment to take it. */
static void part (gateway_t *gateway, const marks_t *marks)
{
    gateway->stopping = true;
    MHD_socket listener = MHD_quiesce_daemon (gateway->daemon);
    if (listener != MHD_INVALID_SOCKET)
        close (listener);
    link_close (gateway->link);
    int64_t until_ms = clock_mono_ms () + PARTING_MS;
    while (gateway->requests && clock_mono_ms () < until_ms) {
        turn (gateway);
        if (gateway->requests)
            wait_once (gateway, marks, 20);
    }
    for (request_t *request = gateway->requests; request; request = request->next)
        request_resume (request);
}

int loop_run (gateway_t *gateway, int listen_fd, int signal_fd, const char *name)
{
    marks_t marks;
    gateway->signal_fd = signal_fd;
    gateway->epoll_fd = epoll_create1 (EPOLL_CLOEXEC);
    unsigned limit = connection_limit (gateway->options);
    gateway->clients = clients_new (gateway, limit);
    gateway->daemon = start_http (gateway, listen_fd, limit);
    if (!gateway->daemon || gateway->epoll_fd < 0 || signal_fd < 0 || !add_fd (gateway, signal_fd, &marks.signals) ||
        !add_fd (gateway, http_fd (gateway), &marks.http) || !add_fd (gateway, link_fd (gateway->link), &marks.link) ||
        !add_fd (gateway, link_monitor_fd (gateway->link), &marks.monitor)) {
        log_event (LEVEL_ERROR, "start-failed", "the HTTP server cannot be started: %s", strerror (errno));
        return EX_OSERR;
    }
    log_event (LEVEL_INFO, "gateway-ready", "listening on %s://%s", gateway->tls ? "https" : "http", name);
    hello_init (gateway, name);
    notify_ready ();
    for (bool busy = false, stop = false; !stop;) {
        stop = wait_once (gateway, &marks, busy ? 0 : sleep_ms (gateway));
        hello_turn (gateway, loop_connections (gateway));
        login_turn (gateway);
        clients_turn (gateway->clients, clock_mono_ms ());
        busy = turn (gateway);
        tell_manager (gateway);
    }
    notify_stopping ();
    log_event (LEVEL_INFO, "gateway-stopping", "answering what is in progress");
    part (gateway, &marks);
    MHD_stop_daemon (gateway->daemon);
    clients_destroy (&gateway->clients);
    close (signal_fd);
    close (gateway->epoll_fd);
    return 0;
}
