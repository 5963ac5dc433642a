/* store_fixture.h - a SQLite store in a folder of its own, and a job to put into it. */
#ifndef GLEANER_TESTS_STORE_FIXTURE_H
#define GLEANER_TESTS_STORE_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>

#include "broker/store.h"
#include "unit.h"

typedef struct {
    char folder[64], path[128];
    store_t *store;
    char problem[1024];
    int64_t last_seq;
    unsigned dice;
} fixture_t;

static inline int fixture_setup (void **state)
{
    fixture_t *self = xcalloc (1, sizeof *self);
    snprintf (self->folder, sizeof self->folder, "/tmp/gleaner-store-XXXXXX");
    assert_non_null (mkdtemp (self->folder));
    snprintf (self->path, sizeof self->path, "%s/gleaner.db", self->folder);
    self->store = store_sqlite_open (self->path, self->problem, sizeof self->problem);
    assert_non_null (self->store);
    *state = self;
    return 0;
}

static inline int fixture_teardown (void **state)
{
    fixture_t *self = *state;
    char command[128];
    if (self->store)
        self->store->ops->close (&self->store);
    snprintf (command, sizeof command, "rm -rf '%s'", self->folder);
    assert_int_equal (system (command), 0);
    free (self);
    return 0;
}

static inline job_record_t fixture_job (int64_t seq)
{
    return (job_record_t){ .id = { .seq = seq, .salt = "abc123" },
                           .command = SLICE ("make test"),
                           .file_url = SLICE ("/uploads/x.zip"),
                           .filename = SLICE ("x.zip"),
                           .timeout_ms = 1000,
                           .max_attempts = 9,
                           .created_ms = 42,
                           .slot = SLOT_NONE,
                           .exit_code = INT_ABSENT,
                           .signal = INT_ABSENT,
                           .bytes = BYTES_UNKNOWN };
}

/* The files as they are now go to the folder's `copy`: what the disk has after a kill -9. */
static inline void fixture_copy (const fixture_t *self)
{
    char command[512];
    snprintf (command, sizeof command, "rm -rf '%s/copy' && mkdir '%s/copy' && cp '%s'/gleaner.db* '%s/copy/'",
              self->folder, self->folder, self->folder, self->folder);
    assert_int_equal (system (command), 0);
}

/* A start on that copy. NULL, with a sentence in `problem`, when it is refused. */
static inline store_t *fixture_open_copy (fixture_t *self)
{
    char path[256];
    snprintf (path, sizeof path, "%s/copy/gleaner.db", self->folder);
    return store_sqlite_open (path, self->problem, sizeof self->problem);
}

#endif
