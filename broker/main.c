#include <czmq.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/apply.h"
#include "broker/broker.h"
#include "broker/network_disk.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/options.h"
#include "proto/program.h"

enum { PATH_SIZE = 4096, PROBLEM_SIZE = 1024, PEER_QUEUE_MAX = 10000, BACKLOG = 4096, FDS_MAX = 65536 };

static int refuse (const char *problem)
{
    return program_refuse ("gleaner-broker", problem);
}

static void make_folders (char *path)
{
    for (char *slash = strchr (path + 1, '/'); slash; slash = strchr (slash + 1, '/')) {
        *slash = '\0';
        mkdir (path, 0700);
        *slash = '/';
    }
    mkdir (path, 0700);
}

/* The data folder, made when missing if `make`. False with one sentence in `problem`. */
static bool data_folder (const broker_options_t *options, bool make, char path[PATH_SIZE], char *problem)
{
    const char *state = getenv ("XDG_STATE_HOME");
    const char *home = getenv ("HOME");
    if (options->data)
        snprintf (path, PATH_SIZE, "%s", options->data);
    else if (state && *state)
        snprintf (path, PATH_SIZE, "%s/gleaner-broker", state);
    else
        snprintf (path, PATH_SIZE, "%s/.local/state/gleaner-broker", home ? home : "");
    if (make)
        make_folders (path);
    if (access (path, R_OK | W_OK | X_OK) != 0) {
        snprintf (problem, PROBLEM_SIZE, "cannot use data directory '%.900s': %s.", path, strerror (errno));
        return false;
    }
    const char *network = make ? network_disk (path) : NULL;
    if (network) {
        snprintf (
            problem, PROBLEM_SIZE,
            "'%.900s' is on a network disk (%s), where the record is not safe: give --data a folder of this machine.",
            path, network);
        return false;
    }
    return true;
}

/* Held until the process ends; the descriptor is given up to it. */
static bool lock_folder (const char *folder, bool *busy, char *problem)
{
    char path[PATH_SIZE + 8];
    snprintf (path, sizeof path, "%s/lock", folder);
    int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock (fd, LOCK_EX | LOCK_NB) == 0)
        return true;
    *busy = fd >= 0 && errno == EWOULDBLOCK;
    if (*busy)
        snprintf (problem, PROBLEM_SIZE, "another broker uses '%.900s': stop it, or give this one another --data.",
                  folder);
    else
        snprintf (problem, PROBLEM_SIZE, "cannot lock data directory '%.900s': %s.", folder, strerror (errno));
    return false;
}

static bool open_storage (broker_t *self, const char *folder, char *problem)
{
    char path[PATH_SIZE + 16];
    snprintf (path, sizeof path, "%s/gleaner.db", folder);
    bool busy = false;
    if (!lock_folder (folder, &busy, problem))
        return false;
    self->store = store_sqlite_open (path, problem, PROBLEM_SIZE);
    if (self->store && store_sqlite_glance (self->store, problem, PROBLEM_SIZE))
        return false;
    self->depot = self->store ? depot_new (folder, self->options->output_max, problem, PROBLEM_SIZE) : NULL;
    return self->depot != NULL;
}

static bool start_core (broker_t *self, char *problem)
{
    self->started_ms = self->now_ms = clock_mono_ms ();
    self->wall_ms = clock_wall_ms ();
    if (!broker_load_core (self))
        return true;
    snprintf (problem, PROBLEM_SIZE,
              "the record cannot be read: see the log line above. Examine it with --check, or restore a backup.");
    return false;
}

static void limit_socket (zsock_t *socket)
{
    zsock_set_router_mandatory (socket, 1);
    zsock_set_maxmsgsize (socket, FRAME_MAX);
    zsock_set_sndhwm (socket, PEER_QUEUE_MAX);
    zsock_set_rcvhwm (socket, PEER_QUEUE_MAX);
    zsock_set_handshake_ivl (socket, 5000);
    zsock_set_backlog (socket, BACKLOG); /* all workers come back at once after a restart */
    /* A dead peer is found by the kernel: ZMTP's own pings cost the I/O thread a walk over the timers of all
     * connections each, most of a core at ten thousand of them. */
    zsock_set_tcp_keepalive (socket, 1);
    zsock_set_tcp_keepalive_idle (socket, PEER_SILENCE_S / 3);
    zsock_set_tcp_keepalive_intvl (socket, PEER_SILENCE_S / 3);
    zsock_set_tcp_keepalive_cnt (socket, 2);
    zsock_set_tcp_maxrt (socket, PEER_SILENCE_S * 1000);
    zsock_set_linger (socket, 200);
}

/* A connection needs a descriptor, and the usual limit is 1024. */
static void raise_fds (void)
{
    struct rlimit limit;
    if (getrlimit (RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= FDS_MAX)
        return;
    limit.rlim_cur = limit.rlim_max < FDS_MAX ? limit.rlim_max : FDS_MAX;
    setrlimit (RLIMIT_NOFILE, &limit);
}

static bool is_loopback (const char *endpoint)
{
    return strncmp (endpoint, "tcp://127.", 10) == 0 || strncmp (endpoint, "tcp://localhost:", 16) == 0 ||
           strncmp (endpoint, "tcp://[::1]:", 12) == 0 || strncmp (endpoint, "ipc://", 6) == 0;
}

/* libzmq takes a port's lower 16 bits and says nothing. */
static bool port_fits (const char *endpoint)
{
    const char *port = strrchr (endpoint, ':');
    char *end = NULL;
    if (strncmp (endpoint, "tcp://", 6) != 0 || !port || strcmp (port, ":*") == 0)
        return true;
    long number = strtol (port + 1, &end, 10);
    return end > port + 1 && !*end && number >= 0 && number <= 65535;
}

static zsock_t *open_socket (const broker_options_t *options, char *problem)
{
    if (!port_fits (options->listen)) {
        snprintf (problem, PROBLEM_SIZE, "--listen: '%.200s' has no port from 0 to 65535.", options->listen);
        return NULL;
    }
    zsock_t *socket = zsock_new (ZMQ_ROUTER);
    if (!socket) {
        snprintf (problem, PROBLEM_SIZE, "cannot make a ZeroMQ socket.");
        return NULL;
    }
    limit_socket (socket);
    /* zsock_bind knows no port 0; libzmq's own call does. */
    if (zmq_bind (zsock_resolve (socket), options->listen) != 0) {
        snprintf (problem, PROBLEM_SIZE, "cannot listen on '%.200s': %s.", options->listen, zmq_strerror (errno));
        zsock_destroy (&socket);
        return NULL;
    }
    if (!is_loopback (options->listen))
        log_event (LEVEL_WARN, "listening-openly", "%s: whoever reaches this port can submit jobs and be given them",
                   options->listen);
    return socket;
}

static void broker_fini (broker_t *self)
{
    depot_destroy (&self->depot);
    if (self->store)
        self->store->ops->close (&self->store);
    core_destroy (&self->core);
    effects_fini (&self->effects);
    requests_destroy (&self->requests);
    peers_destroy (&self->peers);
    endless_destroy (&self->endless);
    followers_destroy (&self->followers);
    events_destroy (&self->events);
    measure_destroy (&self->measure);
    decoder_destroy (&self->decoder);
    decoder_destroy (&self->items);
    decoder_destroy (&self->receipts);
    buf_fini (&self->attempts);
    buf_fini (&self->encoded);
    buf_fini (&self->list);
    free (self->outbox);
    for (depot_order_t *order = self->returned; order;) {
        depot_order_t *next = order->next;
        depot_order_destroy (&order);
        order = next;
    }
}

/* For --backup on this machine, whatever --listen says. */
static void bind_control (broker_t *self, const char *folder)
{
    char endpoint[PATH_SIZE];
    snprintf (endpoint, sizeof endpoint, "ipc://%.4000s/control", folder);
    if (zmq_bind (self->router, endpoint) != 0) /* its path may be too long for a socket: then --listen serves */
        log_event (LEVEL_DEBUG, "no-control-socket", "%s: %s", endpoint, zmq_strerror (errno));
}

static bool watch_peers (broker_t *self, zsock_t *socket, char *problem)
{
    self->peers = peers_new (zsock_resolve (socket));
    if (!self->peers)
        snprintf (problem, PROBLEM_SIZE, "cannot watch connections: %s.", zmq_strerror (errno));
    return self->peers != NULL;
}

static void run (broker_t *self, zsock_t *socket, const char *folder)
{
    char *endpoint = zsock_last_endpoint (socket);
    log_event (LEVEL_INFO, "broker-ready", "listening on %s, data in %s", endpoint, folder);
    zstr_free (&endpoint);
    self->router = zsock_resolve (socket);
    self->requests = requests_new ();
    self->followers = followers_new ();
    self->endless = endless_new ();
    self->decoder = decoder_new ();
    self->items = decoder_new ();
    self->receipts = decoder_new ();
    self->events = events_new (self->wall_ms);
    self->measure = measure_new ();
    measure_load (self);
    self->folder = folder;
    bind_control (self, folder);
    broker_run (self);
    log_event (LEVEL_INFO, "broker-stopped", "everything is on disk");
}

/* --check and --backup: work on the folder, and end. */
static int serve_once (const broker_options_t *options)
{
    char problem[PROBLEM_SIZE];
    char folder[PATH_SIZE];
    char path[PATH_SIZE + 16];
    bool busy = false;
    if (options->check && options->backup)
        return refuse ("--check and --backup are two tasks: give one of them.");
    if (!data_folder (options, false, folder, problem))
        return refuse (problem);
    snprintf (path, sizeof path, "%s/gleaner.db", folder);
    errno = 0;
    struct stat record;
    if (stat (path, &record) != 0 || record.st_size == 0) {
        snprintf (problem, sizeof problem, "'%.900s' is no data directory of a broker: its gleaner.db is %s.", folder,
                  errno == ENOENT ? "missing" : "empty or unreadable");
        return refuse (problem);
    }
    bool locked = lock_folder (folder, &busy, problem);
    if (options->backup && (locked || busy))
        return backup_run (options, folder, busy);
    if (!locked)
        return refuse (problem);
    store_t *store = store_sqlite_open (path, problem, sizeof problem);
    if (!store) {
        printf ("%s\n", problem);
        return 1;
    }
    int status = check_run (folder, store);
    store->ops->close (&store);
    return status;
}

int main (int argc, char **argv)
{
    broker_options_t options = { 0 };
    int status = broker_options_parse (argc, argv, &options);
    if (status != OPTIONS_RUN)
        return status;
    log_init ("broker", log_level_find (options.log_level));
    if (sodium_init () < 0)
        return refuse ("libsodium cannot start.");
    if (options.check || options.backup) {
        status = serve_once (&options);
        broker_options_fini (&options);
        return status;
    }
    char problem[PROBLEM_SIZE];
    char folder[PATH_SIZE];
    broker_t self = { .options = &options, .signals = program_signals () };
    zsys_handler_set (NULL); /* signals are ours */
    raise_fds ();
    zsock_t *socket = NULL;
    bool good = data_folder (&options, true, folder, problem) && open_storage (&self, folder, problem) &&
                start_core (&self, problem) && (socket = open_socket (&options, problem)) &&
                watch_peers (&self, socket, problem);
    if (good)
        run (&self, socket, folder);
    broker_fini (&self);
    zsock_destroy (&socket);
    broker_options_fini (&options);
    return good ? 0 : refuse (problem);
}
