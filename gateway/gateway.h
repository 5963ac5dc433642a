/* gateway.h - what the parts of one gateway share. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "gateway/cache.h"
#include "gateway/clients.h"
#include "gateway/health.h"
#include "gateway/hosts.h"
#include "gateway/http.h"
#include "gateway/link.h"
#include "gateway/options.h"
#include "gateway/tls.h"
#include "proto/refusals.h"
#include "proto/reload.h"

typedef struct gateway {
    const gateway_options_t *options;
    reload_t *reload;
    link_t *link;
    struct door *door;
    struct login *login;
    cache_t *cache;
    tls_t *tls; /* NULL: plain HTTP */
    struct MHD_Daemon *daemon;
    int epoll_fd, signal_fd;
    clients_t *clients;
    hosts_t hosts;
    char machine[64];   /* the running kernel's boot id */
    char id[33];        /* hex; another one after each start */
    const char *listen; /* where it serves */
    int64_t started_ms; /* monotonic */
    int64_t hello_due_ms;
    bool resumed;               /* a connection was resumed: libmicrohttpd has to run again */
    bool file_came;             /* a piece of an upload was read */
    size_t files_out;           /* answers in progress that are a file */
    bool stopping;              /* no new request is begun */
    size_t buffered;            /* bytes of bodies in memory */
    size_t uploads;             /* in progress */
    request_t *requests;        /* all that are in progress */
    struct download *downloads; /* blobs on their way from the broker */
    size_t download_count;
    refusals_t refusals;
    ready_t ready;
    struct traffic *traffic;
    buf_t apidoc; /* the API's description, once somebody has asked for it */
} gateway_t;

#endif
