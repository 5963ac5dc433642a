/* tls.h - the gateway's certificate: read, checked, and read anew while connections go on. */
#ifndef GATEWAY_TLS_H
#define GATEWAY_TLS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct tls tls_t;

/* Reads a certificate chain and its key, both PEM; the paths are borrowed for good. There is one at a time in a
 * program: GnuTLS has no room for a pointer of ours. NULL and one sentence in `problem` when they cannot be used. */
tls_t *tls_new (const char *cert_file, const char *key_file, char *problem, size_t problem_size);
void tls_destroy (tls_t **self_p);

/* Reads the files again. Handshakes from now on show what they hold; when they cannot be used (logged), what was there
 * before. Connections that are open notice nothing. */
void tls_reload (tls_t *self);

/* What libmicrohttpd has to know, ended by MHD_OPTION_END; of no TLS (NULL) nothing else. */
enum { TLS_OPTIONS = 3 };
void tls_options (const tls_t *self, struct MHD_OptionItem out[TLS_OPTIONS]);

/* Writes to a connection behind libmicrohttpd's back and shuts our side of it, TLS's and TCP's. False when not all of
 * it went out. */
bool tls_part (struct MHD_Connection *connection, const void *bytes, size_t len);

#endif
