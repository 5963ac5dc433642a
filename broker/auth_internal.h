/* auth_internal.h - what auth.c, auth_join.c and auth_tokens.c share. */
#ifndef GLEANER_AUTH_INTERNAL_H
#define GLEANER_AUTH_INTERNAL_H

#include "broker/auth.h"

struct auth {
    char *folder;
    const char *mode;
    bool asks;
    bool damaged; /* the file could not be read; said once */
    identities_t *identities;
    issuer_t *issuer;   /* NULL: none */
    identity_t control; /* of those who can read the data directory */
    int watch;          /* inotify's descriptor */
    auth_change_fn *change;
    void *change_ctx;
};

#endif
