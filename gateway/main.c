#include <malloc.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "gateway/gateway.h"
#include "gateway/listen.h"
#include "gateway/loop.h"
#include "gateway/page.h"
#include "proto/log.h"
#include "proto/program.h"

extern char **environ;

static int refuse (const char *problem)
{
    return program_refuse ("gleaner-gateway", problem);
}

static int serve (gateway_t *gateway, int signal_fd)
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
    int listen_fd = listen_open (options->listen, name, sizeof name, &open, problem, sizeof problem);
    if (listen_fd < 0)
        return refuse (problem);
    gateway->link = link_new (options->broker, options->broker_timeout_ms, problem, sizeof problem);
    if (!gateway->link) {
        close (listen_fd);
        return refuse (problem);
    }
    if (open)
        log_event (LEVEL_WARN, "listening-openly",
                   "%s can be reached by other machines, and there is no authentication", name);
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

int main (int argc, char **argv)
{
    gateway_options_t options = { 0 };
    int status = options_parse (&gateway_option_table, argc, argv, environ, &options);
    if (status != OPTIONS_RUN)
        return status;
    log_init ("gateway", log_level_find (options.log_level));
    keep_memory ();
    int signal_fd = program_signals (); /* before the first thread, which ZeroMQ starts */
    gateway_t gateway = { .options = &options };
    hosts_init (&gateway.hosts, options.host);
    program_machine (gateway.machine, sizeof gateway.machine);
    if (sodium_init () < 0)
        status = EX_OSERR;
    else
        status = serve (&gateway, signal_fd);
    link_destroy (&gateway.link);
    cache_destroy (&gateway.cache);
    options_fini (&gateway_option_table, &options);
    return status;
}
