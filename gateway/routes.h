/* routes.h - every call of the HTTP API: one row each. */
#ifndef GATEWAY_ROUTES_H
#define GATEWAY_ROUTES_H

#include "gateway/http.h"
#include "proto/roles.h"

typedef void route_handler_fn (request_t *request);

enum {
    METHOD_GET = 1,
    METHOD_POST = 2,
    METHOD_PUT = 4,
    METHOD_DELETE = 8,
    METHOD_HEAD = 16,
    METHOD_OPTIONS = 32,
};

enum {
    ROUTE_SUCCESS = 1,   /* the answer begins with "success":true */
    ROUTE_REPAIR = 2,    /* old agents' text: what is not UTF-8 is repaired */
    ROUTE_REPEAT = 4,    /* may be sent to the broker again after its restart */
    ROUTE_LARGE = 8,     /* JSON that carries output: --result-max holds */
    ROUTE_CHUNK = 16,    /* a raw body of CHUNK_MAX at most: the message's `data`, its other fields in the query */
    ROUTE_FORM = 32,     /* a multipart body that passes by */
    ROUTE_PEER = 64,     /* the client's address is passed on */
    ROUTE_WORKER = 128,  /* X-Worker-Id names the worker when nothing else does */
    ROUTE_SLOW = 256,    /* the broker may have to wait for its disk */
    ROUTE_KEY = 1024,    /* Idempotency-Key is passed on */
    ROUTE_NO_HEAD = 512, /* changes something: HEAD is not GET here */
    ROUTE_LOGIN = 2048,  /* logs in: whatever cookie comes with it does not count */
};

typedef struct route {
    unsigned method;
    const char *path;
    route_handler_fn *handle;
    msg_type_t type; /* the message that it becomes */
    unsigned flags;
    const char *message; /* the answer's `message`, or NULL */
} route_t;

/* One of METHOD_; 0 for a method that no path takes. */
unsigned method_find (const char *method);
/* The row for a path and method; NULL when there is none, and then `allowed` tells the methods that the path takes:
 * 0 when it is not known. */
const route_t *route_find (const char *path, unsigned method, unsigned *allowed);
/* Every row has a number, from 0 to routes_count () - 1. The last two are the paths below which there is any name: that
 * of /uploads/, and the page's, which is no part of the API. */
size_t routes_count (void);
size_t route_number (const route_t *route);
const route_t *route_at (size_t number);
/* How its path is written where it must stand for all that it takes: with NAME for any name. Static. */
const char *route_pattern (const route_t *route);
/* What its answers take: a call's work, a time that it was asked to wait, or a file's passing. */
typedef enum { ROUTE_CALL, ROUTE_WAIT, ROUTE_FILE, ROUTE_KINDS } route_kind_t;
route_kind_t route_kind (const route_t *route);
/* GET ...; "" for none of METHOD_. Static. */
const char *method_name (unsigned method);
/* A JSON list of the calls that a role may make, as "METHOD PATH". */
void routes_allowed (role_t role, buf_t *json);
/* The value of an Allow header. */
void methods_format (unsigned allowed, char *out, size_t size);

#endif
