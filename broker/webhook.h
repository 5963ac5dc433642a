/* webhook.h - what receivers of webhooks are, and how they know us: the options, the secret, the signature (rule 54).
 *
 * By the Standard Webhooks specification (standardwebhooks.com): `webhook-id` is the same each time a thing is told,
 * `webhook-timestamp` says when in seconds since the epoch, and `webhook-signature` holds `v1,` and the base64 of
 * HMAC-SHA256 over ID.TIMESTAMP.BODY, once for each secret, with a blank between.
 */
#ifndef GLEANER_WEBHOOK_H
#define GLEANER_WEBHOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/record.h"

enum {
    WEBHOOK_URLS_MAX = 16,   /* of --webhook and of --webhook-allow, each */
    WEBHOOK_SECRETS_MAX = 4, /* in the file: the one that is used, and others while one takes another's place */
    WEBHOOK_SECRET_MIN = 24, /* bytes of one, as the specification says */
    WEBHOOK_SECRET_MAX = 64,
};

/* As the options have them; NULL: not given. */
typedef struct {
    const char *urls;  /* lines: told of all jobs, */
    const char *on;    /* of those that end so: completed, failed or all */
    const char *allow; /* lines: what a job's own URL must begin with */
    const char *secret_file;
    int64_t keep_ms; /* how long it is tried */
} webhook_options_t;

typedef struct {
    slice_t urls[WEBHOOK_URLS_MAX]; /* they point into the options */
    size_t url_count;
    slice_t allow[WEBHOOK_URLS_MAX];
    size_t allow_count;
    bool on_completed, on_failed;
    struct {
        unsigned char bytes[WEBHOOK_SECRET_MAX];
        size_t len;
    } secrets[WEBHOOK_SECRETS_MAX];
    size_t secret_count;
} webhook_config_t;

/* False with one sentence in `problem`: a URL that is none, no secret, or a file of secrets that cannot be read, that
 * others can read, or that holds something else. `options` must outlive it. */
bool webhook_config_init (webhook_config_t *self, const webhook_options_t *options, char *problem, size_t problem_size);
/* Other secrets, in place of those that it has. False with one sentence in `problem`, and nothing has changed: no file,
 * or one that webhook_config_init would refuse. `*changed`: they are not the same as before. */
bool webhook_config_secrets (webhook_config_t *self, const char *path, bool *changed, char *problem,
                             size_t problem_size);
void webhook_config_fini (webhook_config_t *self);
/* Somebody may want to be told. */
bool webhook_config_any (const webhook_config_t *self);

/* An absolute http(s) URL of plain characters, with a host, and where it has a port one that there is, without a user,
 * a fragment, or segments that lead upwards, spelled openly or not. */
bool webhook_url_good (slice_t url);
/* Its scheme, host and port: as far as that goes, of a good URL. */
slice_t webhook_origin (slice_t url);
/* A job may name it. */
bool webhook_allows (const webhook_config_t *self, slice_t url);
/* It is one that the options name, or allow. */
bool webhook_knows (const webhook_config_t *self, slice_t url);
/* --webhook URLs are to be told of such an end. */
bool webhook_tells (const webhook_config_t *self, job_state_t state);

/* What names the end of a job to receivers: NUL-terminated. */
enum { WEBHOOK_ID_SIZE = 64 };
void webhook_id (const job_id_t *id, char out[WEBHOOK_ID_SIZE]);
/* The three headers, as lines. */
void webhook_sign (const webhook_config_t *self, const char *id, int64_t wall_ms, slice_t body, buf_t *headers);

/* What is told: JSON of `type`, `timestamp` and `data`, the record without commands, environment, output, and the URL
 * of its ZIP. The limits of the fields make that some 100 KiB at most; mostly it is 1 KiB. `options`, `receipts`:
 * decoders for what is encoded in the record. */
void webhook_body (const job_record_t *job, decoder_t *options, decoder_t *receipts, buf_t *out);

#endif
