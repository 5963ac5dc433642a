#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "gateway/door.h"
#include "gateway/gateway.h"
#include "gateway/listen.h"
#include "gateway/login.h"
#include "gateway/loop.h"
#include "gateway/page.h"
#include "gateway/traffic.h"
#include "proto/activate.h"
#include "proto/curve_client.h"
#include "proto/log.h"
#include "proto/notify.h"
#include "proto/program.h"

extern char **environ;

static int refuse (const char *problem)
{
    return program_refuse ("gleaner-gateway", problem);
}

/* A code that was used before says nothing more to who has its keys. */
static bool join (const gateway_options_t *options, char *problem, size_t size)
{
    if (curve_join (options->join, options->curve_key, NULL, problem, size))
        return true;
    if (access (options->curve_key, F_OK) != 0)
        return false;
    log_event (LEVEL_WARN, "not-joined", "%s The keys in %s are used.", problem, options->curve_key);
    return true;
}

static link_t *connect_broker (const gateway_options_t *options, char *problem, size_t size)
{
    curve_keys_t keys = { 0 };
    if (options->join && !join (options, problem, size))
        return NULL;
    if (options->curve_key && !curve_keys_read (options->curve_key, &keys, problem, size))
        return NULL;
    if (options->curve_key && !keys.has_broker) {
        snprintf (problem, size, "'%.300s' does not say which broker it is for: let --join make it.",
                  options->curve_key);
        return NULL;
    }
    const char *endpoint = options->broker    ? options->broker
                           : keys.endpoint[0] ? keys.endpoint
                                              : "tcp://127.0.0.1:5555";
    link_t *link = link_new (endpoint, keys.has_broker ? &keys : NULL, options->broker_timeout_ms, problem, size);
    sodium_memzero (&keys, sizeof keys);
    return link;
}

#define OPEN_PROBLEM                                                                                                   \
    "--listen: other machines can reach this address, and what they send is in clear text: give "                      \
    "--tls-cert and --tls-key, listen on 127.0.0.1 behind a TLS proxy, or say --insecure."

/* The socket that the service manager passed, else one of our own. -1 and one sentence in `problem`. */
static int open_listener (const gateway_options_t *options, int passed, char name[128], bool *open, char *problem,
                          size_t size)
{
    if (passed < 0)
        return listen_open (options->listen, name, 128, open, problem, size);
    listen_describe (passed, name, 128, open);
    log_event (LEVEL_INFO, "socket-passed", "listening on %s as the service manager says, whatever --listen says",
               name);
    return passed;
}

static int serve (gateway_t *gateway, int passed, int signal_fd)
{
    const gateway_options_t *options = gateway->options;
    char problem[512];
    char name[128];
    bool open = false;
    char *dir = gateway_cache_dir (options);
    gateway->cache = cache_new (dir, options->cache_max, problem, sizeof problem);
    free (dir);
    if (!gateway->cache)
        return refuse (problem);
    int listen_fd = open_listener (options, passed, name, &open, problem, sizeof problem);
    if (listen_fd < 0)
        return refuse (problem);
    if (open && !options->insecure && !options->tls_cert) {
        close (listen_fd);
        return refuse (OPEN_PROBLEM);
    }
    if (options->tls_cert)
        gateway->tls = tls_new (options->tls_cert, options->tls_key, problem, sizeof problem);
    if (options->tls_cert && !gateway->tls) {
        close (listen_fd);
        return refuse (problem);
    }
    gateway->link = connect_broker (options, problem, sizeof problem);
    if (!gateway->link) {
        close (listen_fd);
        return refuse (problem);
    }
    gateway->door = door_new (open && !options->insecure, options->rate, options->rate_burst);
    gateway->login = login_new (gateway, options->login_idle_ms, options->login_max_ms);
    if (open && !options->tls_cert)
        log_event (LEVEL_WARN, "listening-openly",
                   "%s can be reached by other machines, and what they send is in clear text", name);
    page_check (options->web);
    return loop_run (gateway, listen_fd, signal_fd, name);
}

/* The pieces of a file are large and live for some milliseconds each. By its own measure malloc would give their memory
 * back and fetch it anew every time, which was a quarter of an upload's time. */
static void keep_memory (void)
{
    enum { LARGE = 4 * 1024 * 1024, IDLE_MAX = 16 * 1024 * 1024 };
    mallopt (M_MMAP_THRESHOLD, LARGE);
    mallopt (M_TRIM_THRESHOLD, IDLE_MAX);
}

/* --check-config */
static int check_config (const gateway_options_t *options)
{
    char problem[512];
    bool open = false;
    if (!listen_check (options->listen, &open, problem, sizeof problem))
        return refuse (problem);
    if (open && !options->insecure && !options->tls_cert)
        return refuse (OPEN_PROBLEM);
    tls_t *tls = options->tls_cert ? tls_new (options->tls_cert, options->tls_key, problem, sizeof problem) : NULL;
    bool good = tls || !options->tls_cert;
    tls_destroy (&tls);
    return good ? options_fine (&gateway_option_table) : refuse (problem);
}

static int run (gateway_options_t *options, reload_t *reload)
{
    char problem[512];
    int passed = -1;
    if (!activate_take (&passed, problem, sizeof problem) || !notify_begin (problem, sizeof problem))
        return refuse (problem);
    gateway_t gateway = { .options = options, .reload = reload };
    gateway.traffic = traffic_new ();
    gateway_options_page (options);
    int signal_fd = program_signals (); /* before the first thread, which ZeroMQ starts */
    hosts_init (&gateway.hosts, options->host);
    program_machine (gateway.machine, sizeof gateway.machine);
    int status = serve (&gateway, passed, signal_fd);
    link_destroy (&gateway.link);
    door_destroy (&gateway.door);
    login_destroy (&gateway.login);
    cache_destroy (&gateway.cache);
    traffic_destroy (&gateway.traffic);
    tls_destroy (&gateway.tls);
    buf_fini (&gateway.apidoc);
    notify_end ();
    return status;
}

int main (int argc, char **argv)
{
    program_begin ();
    gateway_options_t options = { 0 };
    int status = gateway_options_parse (argc, argv, environ, &options);
    if (status != OPTIONS_RUN && status != OPTIONS_CHECK)
        return status;
    log_init ("gateway", log_level_find (options.log_level));
    log_form (options.log_format);
    if (sodium_init () < 0) {
        status = EX_OSERR;
    } else if (status == OPTIONS_CHECK) {
        log_level_set (LEVEL_ERROR); /* its own sentence is all that is to be said */
        status = check_config (&options);
    } else {
        keep_memory ();
        reload_t *reload = reload_new (&gateway_option_table, argc, argv, environ, &options, sizeof options);
        status = run (&options, reload);
        reload_destroy (&reload);
    }
    gateway_options_fini (&options);
    return status;
}
