#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "gateway/gateway.h"
#include "gateway/listen.h"
#include "gateway/loop.h"
#include "proto/log.h"

extern char **environ;

enum { EXIT_OPTIONS = 2 };

/* One value for all programs on this machine until it boots again. */
static void read_machine (char *out, size_t size)
{
    int fd = open ("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read (fd, out, size - 1);
    if (fd >= 0)
        close (fd);
    out[len > 0 ? len : 0] = '\0';
    out[strcspn (out, "\n")] = '\0';
}

/* Signals come through the loop's descriptor; a client that goes away must not end us. */
static void set_signals (void)
{
    sigset_t blocked;
    sigemptyset (&blocked);
    sigaddset (&blocked, SIGINT);
    sigaddset (&blocked, SIGTERM);
    sigprocmask (SIG_BLOCK, &blocked, NULL);
    signal (SIGPIPE, SIG_IGN);
}

static int refuse (const char *problem)
{
    fprintf (stderr, "gleaner-gateway: %s\n", problem);
    return EXIT_OPTIONS;
}

static int serve (gateway_t *gateway)
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
    return loop_run (gateway, listen_fd, name);
}

int main (int argc, char **argv)
{
    gateway_options_t options = { 0 };
    int status = options_parse (&gateway_option_table, argc, argv, environ, &options);
    if (status != OPTIONS_RUN)
        return status;
    log_init ("gateway", gateway_log_level (&options));
    set_signals ();
    gateway_t gateway = { .options = &options };
    read_machine (gateway.machine, sizeof gateway.machine);
    if (sodium_init () < 0)
        status = EX_OSERR;
    else
        status = serve (&gateway);
    link_destroy (&gateway.link);
    cache_destroy (&gateway.cache);
    options_fini (&gateway_option_table, &options);
    return status;
}
