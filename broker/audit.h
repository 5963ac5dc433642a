/* audit.h - who did what: lines of JSON in the file `audit.log` of the data directory, only ever added to.
 *
 * A line is written before its answer leaves, and synced within a second. At AUDIT_BYTES_MAX the file becomes
 * `audit.log.1`, the one before it `audit.log.2`, and so on; AUDIT_FILES of them are kept. The last AUDIT_KEPT entries
 * can be read from the broker, the others from the files.
 */
#ifndef GLEANER_AUDIT_H
#define GLEANER_AUDIT_H

#include "proto/message.h"
#include "proto/roles.h"

typedef struct audit audit_t;

enum { AUDIT_KEPT = 1000, AUDIT_FILES = 4, AUDIT_BYTES_MAX = 16 * 1024 * 1024 };

/* Texts are borrowed; what is longer than the field of an audit-entry is cut. */
typedef struct {
    int64_t time_ms; /* since the epoch */
    slice_t id;      /* of the identity; absent: nobody's */
    slice_t name;
    role_t role;
    slice_t from;    /* address */
    slice_t what;    /* message type, or token-created, token-revoked */
    slice_t subject; /* job, worker or identity; absent: none */
    slice_t outcome; /* "ok", or an error's code */
} audit_entry_t;

/* Opens the file and reads its last entries. NULL with one sentence in `problem`. */
audit_t *audit_new (const char *folder, char *problem, size_t problem_size);
void audit_destroy (audit_t **self_p);
/* What cannot be written is logged. */
void audit_add (audit_t *self, const audit_entry_t *entry);
/* Syncs what was written, once a second. */
void audit_tick (audit_t *self, int64_t now_ms);
/* When audit_tick has something to do, monotonic ms; INT64_MAX: nothing. */
int64_t audit_deadline (const audit_t *self);
/* Up to `limit` entries older than number `before`, newest first, as items; `raw` holds their bytes. */
list_t audit_list (const audit_t *self, int64_t before, int64_t limit, buf_t *raw);

#endif
