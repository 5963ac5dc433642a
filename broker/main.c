#include <czmq.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/apply.h"
#include "broker/broker.h"
#include "broker/enroll.h"
#include "broker/folder.h"
#include "broker/listen.h"
#include "broker/token.h"
#include "proto/activate.h"
#include "proto/clock.h"
#include "proto/log.h"
#include "proto/notify.h"
#include "proto/options.h"
#include "proto/program.h"
#include "proto/reload.h"

enum { PATH_SIZE = FOLDER_PATH_MAX, PROBLEM_SIZE = 1024, PEER_QUEUE_MAX = 10000, BACKLOG = 4096, FDS_MAX = 65536 };

static int refuse (const char *problem)
{
    return program_refuse ("gleaner-broker", problem);
}

/* Whose JWTs count, where that is said. */
static bool trust_issuer (broker_t *self, char *problem)
{
    const issuer_config_t *jwt = &self->options->jwt;
    if (!jwt->key)
        return true;
    issuer_t *issuer = issuer_new (jwt, problem, PROBLEM_SIZE);
    if (!issuer)
        return false;
    auth_trust (self->auth, &issuer);
    return true;
}

static bool open_storage (broker_t *self, const char *folder, char *problem)
{
    char path[PATH_SIZE + 16];
    snprintf (path, sizeof path, "%s/gleaner.db", folder);
    bool busy = false;
    if (!folder_lock (folder, &busy, problem, PROBLEM_SIZE))
        return false;
    self->store = store_sqlite_open (path, problem, PROBLEM_SIZE);
    if (self->store && store_sqlite_glance (self->store, problem, PROBLEM_SIZE))
        return false;
    self->depot = self->store ? depot_new (folder, self->options->output_max, problem, PROBLEM_SIZE) : NULL;
    self->auth = self->depot ? auth_new (folder, self->options->auth, problem, PROBLEM_SIZE) : NULL;
    if (self->auth && !trust_issuer (self, problem))
        return false;
    self->audit = self->auth ? audit_new (folder, problem, PROBLEM_SIZE) : NULL;
    return self->audit != NULL;
}

static bool open_secrets (broker_t *self, const char *folder, char *problem)
{
    char path[PATH_SIZE + 16];
    snprintf (path, sizeof path, "%s/secrets.key", folder);
    return secrets_init (&self->secrets, self->options->secrets_key ? self->options->secrets_key : path, problem,
                         PROBLEM_SIZE);
}

/* Whoever is told by HTTP what goes on here. */
static bool open_outside (broker_t *self, char *problem)
{
    if (!webhooks_open (self, problem, PROBLEM_SIZE) || !traces_open (self, problem, PROBLEM_SIZE))
        return false;
    if (self->webhooks || self->traces)
        self->courier = courier_new ("gleaner-broker/" GLEANER_VERSION, problem, PROBLEM_SIZE);
    return self->courier || (!self->webhooks && !self->traces);
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
    zsock_set_maxmsgsize (socket, FRAME_MAX);  /* rule 3 of proto/README.md */
    zsock_set_sndhwm (socket, PEER_QUEUE_MAX); /* rule 48 */
    zsock_set_rcvhwm (socket, PEER_QUEUE_MAX);
    zsock_set_handshake_ivl (socket, 5000); /* rule 47 of proto/README.md */
    zsock_set_backlog (socket, BACKLOG);    /* all workers come back at once after a restart */
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

/* For --backup on this machine, whatever --listen says. */
static void bind_control (void *router, const char *folder)
{
    char endpoint[FOLDER_ENDPOINT_SIZE];
    if (!folder_control (folder, endpoint) || zmq_bind (router, endpoint) != 0) /* then --listen serves */
        log_event (LEVEL_WARN, "no-control-socket", "%s/control: %s; --backup needs --listen", folder,
                   zmq_strerror (errno));
}

/* What `control` says is as plain as before: only who may enter the data directory reaches it. */
static bool secure (broker_t *self, zsock_t *socket, const char *folder, char *problem)
{
    curve_keys_t keys;
    bind_control (zsock_resolve (socket), folder);
    if (!self->options->curve)
        return true;
    if (!curve_keys_ensure (folder, &keys, problem, PROBLEM_SIZE))
        return false;
    self->curve = curve_new (zsock_resolve (socket), &keys, problem, PROBLEM_SIZE);
    sodium_memzero (&keys, sizeof keys);
    return self->curve != NULL;
}

static zsock_t *open_socket (broker_t *self, int passed, const char *folder, char *problem)
{
    const broker_options_t *options = self->options;
    if (passed < 0 && !listen_check (options, options->listen, problem, PROBLEM_SIZE))
        return NULL;
    zsock_t *socket = zsock_new (ZMQ_ROUTER); /* rule 1 of proto/README.md */
    if (!socket) {
        snprintf (problem, PROBLEM_SIZE, "cannot make a ZeroMQ socket.");
        return NULL;
    }
    limit_socket (socket);
    if (!secure (self, socket, folder, problem) ||
        !listen_bind (zsock_resolve (socket), options, passed, problem, PROBLEM_SIZE))
        zsock_destroy (&socket);
    return socket;
}

static void broker_fini (broker_t *self)
{
    courier_destroy (&self->courier);
    webhooks_destroy (&self->webhooks);
    traces_destroy (&self->traces);
    depot_destroy (&self->depot);
    auth_destroy (&self->auth);
    audit_destroy (&self->audit);
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
    usage_destroy (&self->usage);
    decoder_destroy (&self->decoder);
    decoder_destroy (&self->items);
    decoder_destroy (&self->receipts);
    decoder_destroy (&self->usages);
    buf_fini (&self->attempts);
    secrets_fini (&self->secrets);
    buf_fini (&self->sealed);
    buf_fini (&self->opened);
    buf_fini (&self->encoded);
    buf_fini (&self->list);
    free (self->outbox);
    for (depot_order_t *order = self->returned; order;) {
        depot_order_t *next = order->next;
        depot_order_destroy (&order);
        order = next;
    }
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
    self->usages = decoder_new ();
    self->events = events_new (self->wall_ms);
    self->measure = measure_new ();
    self->usage = usage_new ();
    self->store->synced = metrics_synced;
    self->store->synced_ctx = measure_metrics (self->measure);
    measure_load (self);
    webhooks_load (self);
    self->folder = folder;
    admit_begin (self);
    notify_ready ();
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
    if (!folder_find (options->data, false, folder, problem, sizeof problem))
        return refuse (problem);
    snprintf (path, sizeof path, "%s/gleaner.db", folder);
    errno = 0;
    struct stat record;
    if (stat (path, &record) != 0 || record.st_size == 0) {
        snprintf (problem, sizeof problem, "'%.900s' is no data directory of a broker: its gleaner.db is %s.", folder,
                  errno == ENOENT ? "missing" : "empty or unreadable");
        return refuse (problem);
    }
    bool locked = folder_lock (folder, &busy, problem, sizeof problem);
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

extern char **environ;

/* --check-config */
static int check_config (broker_options_t *options)
{
    char problem[PROBLEM_SIZE];
    bool good = listen_check (options, options->listen, problem, sizeof problem);
    broker_options_fini (options);
    return good ? options_fine (&broker_option_table) : refuse (problem);
}

static int serve (broker_options_t *options, reload_t *reload)
{
    char problem[PROBLEM_SIZE];
    char folder[PATH_SIZE];
    int passed = -1;
    if (!activate_take (&passed, problem, sizeof problem) || !notify_begin (problem, sizeof problem))
        return refuse (problem);
    broker_t self = { .options = options, .reload = reload, .signals = program_signals () };
    zsys_handler_set (NULL); /* signals are ours */
    raise_fds ();
    zsock_t *socket = NULL;
    bool good = folder_find (options->data, true, folder, problem, sizeof problem) &&
                open_storage (&self, folder, problem) && open_secrets (&self, folder, problem) &&
                open_outside (&self, problem) && start_core (&self, problem) &&
                (socket = open_socket (&self, passed, folder, problem)) && watch_peers (&self, socket, problem);
    if (good)
        run (&self, socket, folder);
    broker_fini (&self);
    zsock_destroy (&socket);
    curve_destroy (&self.curve); /* after the socket whose handshakes it answers */
    notify_end ();
    return good ? 0 : refuse (problem);
}

int main (int argc, char **argv)
{
    program_begin ();
    if (argc > 1 && strcmp (argv[1], "token") == 0)
        return token_command (argc - 1, argv + 1);
    if (argc > 1 && strcmp (argv[1], "enroll") == 0)
        return enroll_command (argc - 1, argv + 1);
    broker_options_t options = { 0 };
    int status = broker_options_parse (argc, argv, &options);
    if (status != OPTIONS_RUN && status != OPTIONS_CHECK)
        return status;
    log_init ("broker", log_level_find (options.log_level));
    log_form (options.log_format);
    if (sodium_init () < 0)
        return refuse ("libsodium cannot start.");
    if (status == OPTIONS_CHECK)
        return check_config (&options);
    if (options.check || options.backup) {
        status = serve_once (&options);
    } else {
        reload_t *reload = reload_new (&broker_option_table, argc, argv, environ, &options, sizeof options);
        status = serve (&options, reload);
        reload_destroy (&reload);
    }
    broker_options_fini (&options);
    return status;
}
