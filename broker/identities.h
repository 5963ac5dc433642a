/* identities.h - who may speak to the broker: the lines of the file `identities` in the data directory.
 *
 * A line is nine fields with a tab between them:
 *
 *   id  kind  key  role  name  created  expires  worker  revoked
 *
 * `kind` says what `key` is: of a `token`, and of one that has `joined`, it is the SHA-256 of its secret, in hex. Other
 * kinds have lines here, too; what a program does not know it keeps as it is. Times are ms since the epoch, 0 for
 * never; `worker` is the worker id that the identity has been bound to, empty until then. Lines that begin with `#` say
 * nothing, and are gone with the next change. A line is never taken out: a revoked identity stays, so that its name
 * still stands for it, and so that taking back the last one opens nothing.
 *
 * Beside it lies `identities.made` from the first identity on: where that is and the file is not, somebody lost it, and
 * nothing is opened for that.
 *
 * Several programs change the file, each under a lock on the folder: they read it, write another one beside it, and
 * move that into its place. A reader therefore always sees a whole one.
 *
 * A token is `gleaner_ID_SECRET`: 32 bytes of random as base64url. It is found by its id and compared in constant time;
 * of a token that is not known the same is worked out.
 */
#ifndef GLEANER_IDENTITIES_H
#define GLEANER_IDENTITIES_H

#include <stdint.h>

#include "proto/buf.h"
#include "proto/limits.h"
#include "proto/roles.h"
#include "proto/token_text.h"

enum {
    IDENTITIES_MAX = 10000, /* lines; one more is refused */
    IDENTITIES_AFAR = 9900, /* likewise, of what is made from afar: the owner's machine keeps some room */
    IDENTITY_ID_LEN = 10,   /* of those that are made here */
    IDENTITY_KIND_MAX = 15,
    IDENTITY_KEY_MAX = 128,
    IDENTITY_NAME_MAX = TOKEN_NAME_MAX,
};

#define IDENTITIES_MADE "identities.made"

/* The kinds. */
#define IDENTITY_TOKEN  "token"
#define IDENTITY_KEY    "key"    /* `key`: a public CURVE key, in hex */
#define IDENTITY_JOINED "joined" /* a worker's token that a join code made known; by itself it makes nobody ask */
#define IDENTITY_JOIN   "join" /* a join code; `key`: its secret's SHA-256 in hex, ':', and how often it can be used */

typedef struct {
    char id[IDENTITY_ID_MAX + 1];
    char kind[IDENTITY_KIND_MAX + 1];
    char key[IDENTITY_KEY_MAX + 1];
    role_t role;
    char name[IDENTITY_NAME_MAX + 1];
    int64_t created_ms, expires_ms, revoked_ms;
    char worker_id[ID_MAX + 1];
    unsigned char hash[32]; /* of a token: `key` as bytes */
} identity_t;

typedef struct identities identities_t;

/* An empty set for that data directory; nothing is read yet. The caller destroys it. */
identities_t *identities_new (const char *folder);
void identities_destroy (identities_t **self_p);
/* Reads the file anew; one that was never made is empty. False with one sentence in `problem`, and then nothing has
 * changed. Identities that were handed out before are gone. */
bool identities_load (identities_t *self, char *problem, size_t problem_size);
/* Says on disk that there are identities, if there are: an earlier broker did not, and neither does a backup. */
bool identities_keep (const identities_t *self, char *problem, size_t problem_size);
/* The file is not the one that was read. Costs a system call. */
bool identities_moved (const identities_t *self);
size_t identities_count (const identities_t *self);

/* Those that are borrowed live until the next load. NULL: there is none, or it does not count (any longer). */
const identity_t *identities_by_token (const identities_t *self, slice_t token, int64_t wall_ms);
/* The one whose CURVE key that is (hex). O(1). */
const identity_t *identities_by_key (const identities_t *self, slice_t key, int64_t wall_ms);
/* Whatever it is worth. */
const identity_t *identities_by_id (const identities_t *self, slice_t id);
/* One that counts and is bound to that worker. O(1). */
const identity_t *identities_by_worker (const identities_t *self, slice_t worker_id, int64_t wall_ms);
const identity_t *identities_at (const identities_t *self, size_t at);
/* The one with that id; else the only one of that name that is not revoked, or when all are, the one that was so last.
 * NULL: there is none, or, with more than one in `same`, there are so many. */
identity_t *identities_find (identities_t *self, slice_t which, int *same);
/* It is found by its secret: a token, or one of a worker that has joined. */
bool identity_is_token (const identity_t *identity);
/* "good", "expired" or "revoked". Static. */
const char *identity_state (const identity_t *identity, int64_t wall_ms);
/* Neither revoked nor over. */
bool identity_counts (const identity_t *identity, int64_t wall_ms);

/* ---- changing the file ---- */

/* Edits a set that was just read. False, with one sentence in `problem`: the file stays as it is. */
typedef bool identities_edit_fn (identities_t *fresh, void *ctx, char *problem, size_t problem_size);
/* Reads, edits and replaces the file, on disk when it returns true; some ms, or 3 s when somebody else holds the lock.
 */
bool identities_change (const char *folder, identities_edit_fn *edit, void *ctx, char *problem, size_t problem_size);
/* For edits: adds a copy, whose id must be new; false when there are too many. */
bool identities_add (identities_t *self, const identity_t *identity);
identity_t *identities_edit (identities_t *self, size_t at);

/* Makes an id: fills it alone. */
void identity_make_id (identity_t *identity);
/* Makes a token: fills `identity`'s id, kind and key, and writes what is handed out into `text`. */
void token_make (identity_t *identity, char text[TOKEN_TEXT_MAX]);
/* True when the token has the shape of one; then its id and its secret's hash are set. */
bool token_read (slice_t token, slice_t *id, unsigned char hash[32]);
/* True when a name can stand in a line: 1 to IDENTITY_NAME_MAX bytes of UTF-8 without control characters. */
bool identity_name_good (slice_t name);

#endif
