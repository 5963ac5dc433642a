/* login.h - logging in by the web page: a token is shown once, and a cookie says from then on whose a request is.
 *
 * A cookie goes along with whatever a page sends, another site's page too. So what changes something by a cookie must
 * also carry a key, which only a page of this gateway can have read (GET /api/session), and come from such a page by
 * the browser's own word. A request with `Authorization` has none of this: no browser adds that by itself.
 */
#ifndef GATEWAY_LOGIN_H
#define GATEWAY_LOGIN_H

#include "gateway/http.h"

typedef struct login login_t;

/* A login ends so long after its beginning, or after its last use. The caller destroys it. */
login_t *login_new (struct gateway *gateway, int64_t idle_ms, int64_t max_ms);
void login_destroy (login_t **self_p);
/* How many there are. */
size_t login_count (const struct gateway *gateway);
/* Ends logins whose time is over, now and then. */
void login_turn (struct gateway *gateway);

/* CROSS_SITE for a request that changes something and that another site's page has sent; else 0. */
err_t login_site (request_t *request);
/* Takes the token of the login that the request's cookie stands for, if there is one. Returns 0, or NO_PAGE_KEY. */
err_t login_enter (request_t *request);
/* The broker says that the token of the request does not count: whoever logged in by it is no longer. */
void login_void (request_t *request);

/* GET /api/session: who one is, and which calls that allows. */
void session_show_handle (request_t *request);
/* POST /api/session: logs in by a token. */
void session_open_handle (request_t *request);
/* DELETE /api/session: signs out. */
void session_end_handle (request_t *request);

#endif
