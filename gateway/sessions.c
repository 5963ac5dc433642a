#include "gateway/sessions.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/id.h"

enum { HASH = 16 };

typedef struct {
    session_t session; /* number 0: empty */
    unsigned char hash[HASH];
    int64_t used_ms;
} entry_t;

struct sessions {
    int64_t idle_ms, max_ms;
    sessions_end_fn *ended;
    void *ctx;
    uint64_t last_number;
    unsigned char secret[crypto_generichash_KEYBYTES];
    entry_t entries[SESSIONS_MAX];
};

sessions_t *sessions_new (int64_t idle_ms, int64_t max_ms, sessions_end_fn *ended, void *ctx)
{
    sessions_t *self = xcalloc (1, sizeof *self);
    self->idle_ms = idle_ms;
    self->max_ms = max_ms;
    self->ended = ended;
    self->ctx = ctx;
    randombytes_buf (self->secret, sizeof self->secret);
    return self;
}

static void empty (entry_t *entry)
{
    char *token = (char *)entry->session.token;
    if (token)
        sodium_memzero (token, strlen (token));
    free (token);
    sodium_memzero (entry, sizeof *entry);
}

void sessions_destroy (sessions_t **self_p)
{
    sessions_t *self = *self_p;
    if (!self)
        return;
    for (size_t at = 0; at < SESSIONS_MAX; at++)
        empty (&self->entries[at]);
    free (self);
    *self_p = NULL;
}

static void end (sessions_t *self, entry_t *entry)
{
    self->ended (self->ctx, &entry->session);
    empty (entry);
}

static bool over (const sessions_t *self, const entry_t *entry, int64_t now_ms)
{
    return now_ms >= entry->session.ends_ms || now_ms - entry->used_ms >= self->idle_ms;
}

static void hash_of (const sessions_t *self, slice_t id, unsigned char hash[HASH])
{
    crypto_generichash (hash, HASH, (const unsigned char *)id.ptr, id.len, self->secret, sizeof self->secret);
}

static bool before (const entry_t *a, const entry_t *b)
{
    bool empty_a = a->session.number == 0, empty_b = b->session.number == 0;
    return empty_a != empty_b ? empty_a : a->used_ms < b->used_ms;
}

/* An entry for one more session of the token's: an empty one, or one that gives way. */
static entry_t *make_room (sessions_t *self, slice_t token)
{
    entry_t *out = self->entries;
    entry_t *own_oldest = NULL;
    int own = 0;
    for (entry_t *at = self->entries; at < self->entries + SESSIONS_MAX; at++) {
        if (before (at, out))
            out = at;
        if (!at->session.number || !slice_eq_str (token, at->session.token))
            continue;
        own++;
        if (!own_oldest || before (at, own_oldest))
            own_oldest = at;
    }
    if (own_oldest && own >= SESSIONS_OF_ONE)
        out = own_oldest;
    if (out->session.number)
        end (self, out);
    return out;
}

const session_t *sessions_open (sessions_t *self, slice_t token, int64_t now_ms, char id[SESSION_ID + 1])
{
    unsigned char random[SESSION_ID / 2];
    sessions_sweep (self, now_ms);
    entry_t *entry = make_room (self, token);
    randombytes_buf (random, sizeof random);
    hex_format (random, sizeof random, id);
    hash_of (self, slice_of (id), entry->hash);
    random_id_make (entry->session.key);
    entry->session.number = ++self->last_number;
    entry->session.token = slice_dup (token);
    entry->session.ends_ms = now_ms + self->max_ms;
    entry->used_ms = now_ms;
    return &entry->session;
}

const session_t *sessions_find (sessions_t *self, slice_t id, int64_t now_ms)
{
    unsigned char hash[HASH];
    if (!hex_valid (id, SESSION_ID))
        return NULL;
    hash_of (self, id, hash);
    for (entry_t *at = self->entries; at < self->entries + SESSIONS_MAX; at++) {
        if (!at->session.number || sodium_memcmp (at->hash, hash, HASH) != 0)
            continue;
        if (over (self, at, now_ms)) {
            end (self, at);
            return NULL;
        }
        at->used_ms = now_ms;
        return &at->session;
    }
    return NULL;
}

const session_t *sessions_get (const sessions_t *self, uint64_t number)
{
    for (const entry_t *at = self->entries; number && at < self->entries + SESSIONS_MAX; at++)
        if (at->session.number == number)
            return &at->session;
    return NULL;
}

void sessions_end (sessions_t *self, uint64_t number)
{
    for (entry_t *at = self->entries; number && at < self->entries + SESSIONS_MAX; at++)
        if (at->session.number == number)
            end (self, at);
}

void sessions_sweep (sessions_t *self, int64_t now_ms)
{
    for (entry_t *at = self->entries; at < self->entries + SESSIONS_MAX; at++)
        if (at->session.number && over (self, at, now_ms))
            end (self, at);
}

size_t sessions_count (const sessions_t *self)
{
    size_t count = 0;
    for (size_t at = 0; at < SESSIONS_MAX; at++)
        count += self->entries[at].session.number != 0;
    return count;
}
