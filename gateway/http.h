/* http.h - a request from its first line to its answer, on top of libmicrohttpd.
 *
 * A handler runs once the whole body is there (an upload's sees it pass by). It either answers, or parks the request
 * and answers later from the loop: parking suspends the connection, answering resumes it.
 */
#ifndef GATEWAY_HTTP_H
#define GATEWAY_HTTP_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/hygiene.h"
#include "proto/message.h"

struct gateway;
struct route;
struct upload;

enum {
    BUFFERED_MAX = 256 * 1024 * 1024, /* bytes of all bodies in memory at once; more is BUSY */
    DISCARD_QUIET = 256 * 1024,       /* of a refused body: read to its end, and the connection lives on */
    PEER_MAX = 64,                    /* an address as text */
};

typedef struct request {
    struct gateway *gateway;
    struct MHD_Connection *connection;
    const struct route *route; /* NULL: none fits */
    bool head;                 /* HEAD: answered as GET */
    const char *path;          /* decoded; lives as long as the request */
    const char *target;        /* as it came; later decoded in its place */
    size_t target_len;
    framing_t framing;
    unsigned method;  /* one of METHOD_; 0: another */
    int64_t begun_us; /* monotonic: its first line had come */
    unsigned allowed; /* methods that the path takes, when this one is not among them */

    /* who it is from */
    slice_t auth;        /* its token; absent: none, or nobody asks */
    char peer[PEER_MAX]; /* its address; "": nobody asks */
    uint64_t session;    /* the login that its cookie stands for; 0: none */
    char *token;         /* its own copy of a login's token, which may end before it */
    bool at_door;        /* the broker is asked whether it may come in */
    err_t door_err;

    /* what came */
    buf_t body;
    int64_t body_max;
    size_t counted; /* of the gateway's buffered bytes */
    struct upload *upload;

    /* how it is refused */
    fault_t *refusal; /* NULL: it is not */
    bool close;       /* its framing cannot be trusted: end the connection */
    bool told;        /* the answer was written before the body's end */
    int64_t discarded;
    int64_t came; /* bytes of the body, whatever became of them */

    /* how it is answered */
    bool begun, handled, bad_path;
    bool queued; /* the answer is libmicrohttpd's to send */
    struct MHD_Response *response;
    unsigned status;
    bool file;           /* the answer is one: counted in the gateway's files_out */
    char attachment[96]; /* Content-Disposition of a download; "": none */
    char cookie[160];    /* Set-Cookie; "": none */

    /* while it waits */
    bool parked;
    bool gone;                          /* its client went away */
    bool watched;                       /* its socket stands in the loop's set */
    void (*on_gone) (struct request *); /* the client went away while parked */
    void (*on_end) (struct request *);  /* the request is over and about to be freed */
    void *work;                         /* the handler's own */
    struct request *prev, *next;        /* all requests of the gateway */
} request_t;

/* ---- libmicrohttpd's callbacks ---- */

void *request_log_uri (void *gateway, const char *uri, struct MHD_Connection *connection);
enum MHD_Result request_access (void *gateway, struct MHD_Connection *connection, const char *url, const char *method,
                                const char *version, const char *data, size_t *data_size, void **request_p);
void request_completed (void *gateway, struct MHD_Connection *connection, void **request_p,
                        enum MHD_RequestTerminationCode how);

/* The client of a watched request is gone. */
void request_hung_up (request_t *self);

/* ---- waiting ---- */

/* Suspends the connection until the request is answered or resumed. */
void request_park (request_t *self);
/* Likewise, and watches the socket: `on_gone` is called when the client goes away. */
void request_park_watched (request_t *self, void (*on_gone) (request_t *));
void request_resume (request_t *self);
/* True when the client has closed its end. */
bool request_client_gone (request_t *self);

/* ---- answers; each resumes a parked request. The first one counts. ---- */

/* Consumes `response`. */
void request_answer (request_t *self, unsigned status, struct MHD_Response *response);
/* Consumes the content of `text`, which no cache shall keep; `type`: its content type. */
void request_answer_text (request_t *self, unsigned status, const char *type, buf_t *text);
/* Consumes the content of `json`. */
void request_answer_json (request_t *self, unsigned status, buf_t *json);
/* {"success":true, "message": TEXT (unless NULL), the fields of `reply`}. `success` false leaves both out. */
void request_answer_message (request_t *self, bool success, const char *text, const message_t *reply);
/* `text` NULL: the code's own sentence. `field` "" or NULL: none. */
void request_fail (request_t *self, err_t err, const char *field, const char *text);
void request_fail_fault (request_t *self, const fault_t *fault);
/* Passes on the broker's error. */
void request_fail_message (request_t *self, const message_t *error);
/* 416: what `field` (or a Range header: NULL) asks for begins beyond the end of `length` bytes. */
void request_fail_beyond (request_t *self, const char *field, int64_t length);
/* {"error":...,"code":...,"field":...} of a fault. */
void fault_json (const fault_t *fault, buf_t *out);
/* Counts an error that is answered, and logs it when the client is at fault. */
void request_note (request_t *self, err_t err);

/* Refuses a request whose body is still to come: the body is thrown away. The first refusal counts. */
void request_refuse (request_t *self, err_t err, const char *field, const char *text);

/* Answers a refused request before the end of its body, and ends our side of the connection. */
void request_tell_early (request_t *self);
/* Writes the answer past libmicrohttpd, which takes none before a request's end. Nothing may have been answered yet. */
void answer_by_hand (struct MHD_Connection *connection, const fault_t *fault);

/* ---- what it says ---- */

/* A query parameter; absent when it is not there. */
slice_t request_query (request_t *self, const char *name);
slice_t request_header (request_t *self, const char *name);
slice_t request_cookie (request_t *self, const char *name);
/* How often a header stands there. */
int request_header_count (request_t *self, const char *name);
/* The client's address as text; "" when it cannot be told. */
void request_peer (request_t *self, char out[PEER_MAX]);
bool peer_is_loopback (const char *peer);
/* door.c: says in a message to the broker whose request it serves. */
void request_sign (const request_t *self, message_t *message);

#endif
