/* roles.h - what each role may ask for: one row a message, the same for the gateway's calls and the broker's. */
#ifndef GLEANER_ROLES_H
#define GLEANER_ROLES_H

#include <stdbool.h>

#include "message.h"

typedef enum { ROLE_NONE, ROLE_VIEWER, ROLE_SUBMITTER, ROLE_WORKER, ROLE_GATEWAY, ROLE_ADMIN, ROLE_COUNT } role_t;

/* "none", "viewer", "submitter", "worker", "gateway" or "admin". Static. */
const char *role_name (role_t role);
/* False when no role but none has that name. */
bool role_find (slice_t name, role_t *out);

/* Whether the role may send a request of that type (rule 36 of README.md). ROLE_NONE: somebody who has not said who it
 * is, where that is asked for. Whose job it is, is not looked at. */
bool role_may (role_t role, msg_type_t type);
/* The request is something that a person changes: it stands in the audit log. */
bool role_audits (msg_type_t type);

#endif
