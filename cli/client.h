/* client.h - the gateway's HTTP API as a program uses it: calls, and transfers that are driven elsewhere. */
#ifndef GLEANER_CLI_CLIENT_H
#define GLEANER_CLI_CLIENT_H

#include <curl/curl.h>
#include <jansson.h>

#include "cli/cli.h"
#include "proto/buf.h"

typedef struct client client_t;

typedef struct {
    long status;  /* HTTP; 0: there was no answer */
    json_t *json; /* NULL: the answer was none */
    char *code;   /* the refusal's stable code, or NULL */
    char *fault;  /* one sentence: why there was no answer, or what was refused; NULL: all is well */
} answer_t;

enum { ANSWER_MAX = 64 * 1024 * 1024 }; /* bytes; a longer answer is none */

/* Whether that is an address of a server: http or https, a host, and neither a question nor a fragment. */
bool client_server_good (const char *server);
/* `common` is borrowed. The caller destroys it. Says a word on stderr when its token will go to another machine in
 * clear text. */
client_t *client_new (const common_t *common);
void client_destroy (client_t **self_p);

/* From now on `stop` (called once a second or oftener) can end client_ask, which then has no answer. NULL: no more. */
void client_watch (client_t *self, bool (*stop) (void *ctx), void *ctx);
/* Asks and waits; `body` (borrowed) is sent as JSON, NULL: there is none. The answer is the caller's to end. */
void client_ask (client_t *self, const char *method, const char *path, const json_t *body, answer_t *out);
/* The last bytes of what is at a path, `bytes` at most, appended to `out`. False: there are none. */
bool client_tail (client_t *self, const char *path, int bytes, buf_t *out);
/* Performs a transfer that client_transfer has made, and frees it; its answer must be JSON. */
void client_perform (client_t *self, CURL *easy, answer_t *out);
void answer_fini (answer_t *answer);
/* The answer's JSON, which stays the answer's; or NULL after one sentence, and then the status to exit with. */
json_t *client_need (const answer_t *answer, int *status);
/* The status that an answer without success means: STATUS_AWAY, STATUS_NOT_FOUND or STATUS_REFUSED. */
int answer_status (const answer_t *answer);
/* Whether a call that may be repeated is to be: `tries` have brought this answer (4 at most), and what it says may
 * pass. Says so the first time, waits (500 ms, doubled each time), and ends the answer. */
bool client_tries_again (answer_t *answer, int tries);

/* A GET of that path with everything set but where its bytes go; the caller cleans it up. `fault` has
 * CURL_ERROR_SIZE. */
CURL *client_transfer (client_t *self, const char *path, char *fault);
/* Why a transfer brought nothing, in one sentence with the server's name. */
void client_fault (const client_t *self, CURLcode code, const char *fault, buf_t *out);
/* Takes what an error's body says: `text` is the caller's to free. Of a call that an older server does not know it says
 * what to upgrade. Where a token is wanted and there is one that is
 * saved for another server, it says so. */
void client_refusal (const client_t *self, long status, slice_t body, char **code, char **text);

/* Appends NAME=VALUE to a path, behind ? or &; an absent value is left out. */
void path_add (buf_t *path, const char *name, slice_t value);

#endif
