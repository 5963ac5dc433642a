/* options.h - what gleaner-gateway can be told: one table row an option. */
#ifndef GATEWAY_OPTIONS_H
#define GATEWAY_OPTIONS_H

#include "proto/log.h"
#include "proto/options.h"

typedef struct {
    const char *listen;
    const char *tls_cert, *tls_key; /* NULL, both: plain HTTP */
    const char *broker;             /* NULL: where `curve_key` says, or here */
    const char *curve_key, *join;   /* NULL: neither */
    const char *host;               /* NULL: none */
    const char *web;                /* NULL until gateway_options_page */
    const char *cache_dir;          /* NULL: see gateway_cache_dir */
    int64_t cache_max;
    int64_t upload_max;
    int64_t body_max;
    int64_t result_max;
    int64_t connection_limit;
    int64_t idle_timeout_ms;
    int64_t header_timeout_ms;
    int64_t body_timeout_ms;
    int64_t min_rate; /* bytes a second */
    int64_t broker_timeout_ms;
    bool insecure;
    int64_t rate;
    int64_t rate_burst;
    int64_t login_idle_ms, login_max_ms;
    const char *log_level, *log_format;
} gateway_options_t;

extern const option_table_t gateway_option_table;

/* As options_parse and options_fini; also checks that options that belong together are there. */
int gateway_options_parse (int argc, char **argv, char **environ_p, gateway_options_t *options);
void gateway_options_fini (gateway_options_t *options);
/* Fills in where the page is, when nobody has said it. */
void gateway_options_page (gateway_options_t *options);

/* The cache's folder: the option, else gleaner/gateway below $XDG_CACHE_HOME, $HOME/.cache or /var/cache. The caller
 * frees it. */
char *gateway_cache_dir (const gateway_options_t *options);

#endif
