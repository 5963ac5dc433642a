/* tls.c - what GnuTLS is given for a handshake is a copy that belongs to its session: so a reload frees the old
 * certificate at once, whatever handshakes are under way. It costs some 50 us, of a millisecond. */
#include "gateway/tls.h"

#include <assert.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "proto/log.h"
#include "proto/secret.h"

#define PRIORITIES "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"

typedef struct {
    gnutls_x509_crt_t *chain;
    unsigned length;
    gnutls_x509_privkey_t key;
} pair_t;

struct tls {
    const char *cert_file;
    const char *key_file;
    pair_t pair;
};

static const tls_t *serving;

static void pair_fini (pair_t *self)
{
    for (unsigned at = 0; at < self->length; at++)
        gnutls_x509_crt_deinit (self->chain[at]);
    gnutls_free (self->chain);
    if (self->key)
        gnutls_x509_privkey_deinit (self->key);
    *self = (pair_t){ 0 };
}

/* ---- reading ---- */

static gnutls_datum_t datum_of (const buf_t *text)
{
    return (gnutls_datum_t){ (unsigned char *)text->ptr, (unsigned)text->len };
}

static bool read_chain (pair_t *self, const char *file, char *problem, size_t problem_size)
{
    gnutls_datum_t text = { 0 };
    struct stat info;
    if (stat (file, &info) == 0 && !S_ISREG (info.st_mode)) { /* a pipe would be waited for, by all that is served */
        snprintf (problem, problem_size, "'%.300s' is no plain file.", file);
        return false;
    }
    int rc = gnutls_load_file (file, &text);
    if (!rc)
        rc = gnutls_x509_crt_list_import2 (&self->chain, &self->length, &text, GNUTLS_X509_FMT_PEM,
                                           GNUTLS_X509_CRT_LIST_SORT);
    gnutls_free (text.data);
    if (rc < 0)
        snprintf (problem, problem_size, "'%.300s' cannot be used as a certificate in PEM: %s", file,
                  gnutls_strerror (rc));
    return rc >= 0;
}

static bool read_key (pair_t *self, const char *file, char *problem, size_t problem_size)
{
    buf_t text = { 0 };
    if (!secret_read (file, &text, problem, problem_size))
        return false;
    gnutls_datum_t datum = datum_of (&text);
    int rc = gnutls_x509_privkey_init (&self->key);
    if (!rc)
        rc = gnutls_x509_privkey_import2 (self->key, &datum, GNUTLS_X509_FMT_PEM, NULL, 0);
    secret_fini (&text);
    if (rc < 0)
        snprintf (problem, problem_size, "'%.300s' cannot be used as a private key in PEM without a password: %s", file,
                  gnutls_strerror (rc));
    return rc >= 0;
}

/* GnuTLS compares the two when it is given both. */
static bool belong_together (const pair_t *self)
{
    gnutls_certificate_credentials_t credentials;
    if (gnutls_certificate_allocate_credentials (&credentials) < 0)
        return false;
    int rc = gnutls_certificate_set_x509_key (credentials, self->chain, (int)self->length, self->key);
    gnutls_certificate_free_credentials (credentials);
    return rc >= 0;
}

static bool pair_read (pair_t *self, const tls_t *tls, char *problem, size_t problem_size)
{
    bool good = read_chain (self, tls->cert_file, problem, problem_size) &&
                read_key (self, tls->key_file, problem, problem_size);
    if (good && !belong_together (self)) {
        snprintf (problem, problem_size, "the key in '%.300s' is not that of the certificate in '%.300s'.",
                  tls->key_file, tls->cert_file);
        good = false;
    }
    if (!good)
        pair_fini (self);
    return good;
}

static void tell (const tls_t *self)
{
    char until[32];
    struct tm utc;
    time_t ends = gnutls_x509_crt_get_expiration_time (self->pair.chain[0]);
    strftime (until, sizeof until, "%Y-%m-%d", gmtime_r (&ends, &utc));
    if (ends < time (NULL))
        log_event (LEVEL_WARN, "certificate-expired", "%s ended on %s, and clients will refuse it", self->cert_file,
                   until);
    else
        log_event (LEVEL_INFO, "certificate-loaded", "%s is valid until %s", self->cert_file, until);
}

tls_t *tls_new (const char *cert_file, const char *key_file, char *problem, size_t problem_size)
{
    assert (!serving);
    tls_t *self = xcalloc (1, sizeof *self);
    self->cert_file = cert_file;
    self->key_file = key_file;
    if (!pair_read (&self->pair, self, problem, problem_size)) {
        free (self);
        return NULL;
    }
    serving = self;
    tell (self);
    return self;
}

void tls_destroy (tls_t **self_p)
{
    tls_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    serving = NULL;
    pair_fini (&self->pair);
    free (self);
}

void tls_reload (tls_t *self)
{
    char problem[1024];
    pair_t pair = { 0 };
    if (!pair_read (&pair, self, problem, sizeof problem)) {
        log_event (LEVEL_ERROR, "certificate-refused", "the one from before stays in use: %s", problem);
        return;
    }
    pair_fini (&self->pair);
    self->pair = pair;
    tell (self);
}

/* ---- handshakes ---- */

static void free_copies (gnutls_pcert_st *chain, unsigned length)
{
    for (unsigned at = 0; at < length; at++)
        gnutls_pcert_deinit (&chain[at]);
    gnutls_free (chain);
}

/* Everything that this gives becomes GnuTLS's own. */
static int choose (gnutls_session_t session, const struct gnutls_cert_retr_st *info, gnutls_pcert_st **chain,
                   unsigned *length, gnutls_ocsp_data_st **ocsp, unsigned *ocsp_length, gnutls_privkey_t *key,
                   unsigned *flags)
{
    (void)session;
    (void)info;
    const pair_t *pair = &serving->pair;
    gnutls_pcert_st *copies = gnutls_calloc (pair->length, sizeof *copies);
    unsigned copied = 0;
    while (copies && copied < pair->length && gnutls_pcert_import_x509 (&copies[copied], pair->chain[copied], 0) == 0)
        copied++;
    gnutls_privkey_t key_copy = NULL;
    if (copied < pair->length || gnutls_privkey_init (&key_copy) < 0 ||
        gnutls_privkey_import_x509 (key_copy, pair->key, GNUTLS_PRIVKEY_IMPORT_COPY) < 0) {
        free_copies (copies, copied);
        if (key_copy)
            gnutls_privkey_deinit (key_copy);
        return -1;
    }
    *chain = copies;
    *length = copied;
    *key = key_copy;
    *ocsp = NULL;
    *ocsp_length = 0;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    return 0;
}

void tls_options (const tls_t *self, struct MHD_OptionItem out[TLS_OPTIONS])
{
    size_t at = 0;
    if (self) {
        out[at++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES };
        out[at++] = (struct MHD_OptionItem){ MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)(uintptr_t)choose };
    }
    out[at] = (struct MHD_OptionItem){ MHD_OPTION_END, 0, NULL };
}

bool tls_part (struct MHD_Connection *connection, const void *bytes, size_t len)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    gnutls_session_t session = info ? info->tls_session : NULL;
    const union MHD_ConnectionInfo *below = MHD_get_connection_info (connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    int fd = below ? below->connect_fd : -1;
    ssize_t put =
        session ? gnutls_record_send (session, bytes, len) : send (fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (session)
        gnutls_bye (session, GNUTLS_SHUT_WR);
    shutdown (fd, SHUT_WR);
    return put == (ssize_t)len;
}
