#include "worker/archive_delta.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    zip_entry_t **by_path;
    size_t count;
} order_t;

static int compare (const void *a, const void *b)
{
    return strcmp ((*(zip_entry_t *const *)a)->path, (*(zip_entry_t *const *)b)->path);
}

static order_t order_of (zip_index_t *index)
{
    order_t self = { xcalloc (index->count + 1, sizeof (zip_entry_t *)), index->count };
    for (size_t i = 0; i < index->count; i++)
        self.by_path[i] = &index->entries[i];
    qsort (self.by_path, self.count, sizeof *self.by_path, compare);
    return self;
}

/* An entry of that path; of several one of them: what is left of the others is found to stand twice. */
static zip_entry_t *find (const order_t *self, char *path)
{
    zip_entry_t wanted = { .path = path };
    zip_entry_t *at = &wanted;
    zip_entry_t **found = bsearch (&at, self->by_path, self->count, sizeof *self->by_path, compare);
    return found ? *found : NULL;
}

/* ---- what goes ---- */

static bool remove_one (const order_t *base, char *path, archive_refusal_t *refusal)
{
    zip_entry_t *entry = find (base, path);
    if (!entry)
        return archive_refuse_entry (refusal, "BAD_DELTA", path, "is to be removed, and the project has none");
    entry->gone = true;
    return true;
}

/* Their order shows that none stands twice. */
static bool remove_all (const order_t *base, slice_t removed, archive_refusal_t *refusal)
{
    bool good = true;
    char *last = xstrdup ("");
    while (good && removed.len) {
        const char *end = memchr (removed.ptr, '\n', removed.len);
        size_t len = end ? (size_t)(end - removed.ptr) : removed.len;
        char *path = slice_dup (slice_from (removed.ptr, len));
        if (!end || strlen (path) != len || strcmp (last, path) >= 0)
            good = archive_refuse (refusal, "BAD_DELTA", "its list of what is to be removed is not in order.");
        else
            good = remove_one (base, path, refusal);
        removed = end ? slice_from (end + 1, removed.len - len - 1) : slice_from (removed.ptr, 0);
        free (last);
        last = path;
    }
    free (last);
    return good;
}

static void replace_all (const order_t *base, const zip_index_t *delta)
{
    for (size_t i = 0; i < delta->count; i++) {
        zip_entry_t *entry = delta->entries[i].gone ? NULL : find (base, delta->entries[i].path);
        if (entry)
            entry->gone = true;
    }
}

/* ---- what is left ---- */

typedef struct {
    archive_names_t names;
    int64_t bytes;
    const archive_limits_t *limits;
    archive_refusal_t *refusal;
} whole_t;

static bool add_left (whole_t *self, const zip_index_t *index)
{
    for (size_t i = 0; i < index->count; i++) {
        const zip_entry_t *entry = &index->entries[i];
        if (entry->gone)
            continue;
        if (!archive_path_check (&self->names, entry->path, entry->is_folder, self->limits, self->refusal))
            return false;
        self->bytes += entry->bytes; /* as many entries as a part may have do not overflow it */
    }
    return true;
}

/* A base of noise that goes would let its delta grow out of all proportion. No two entries share bytes. */
static int64_t bytes_gone (const zip_index_t *base)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < base->count; i++)
        bytes += base->entries[i].gone ? base->entries[i].packed : 0;
    return bytes;
}

bool archive_delta_apply (zip_index_t *base, const zip_index_t *delta, slice_t removed, int64_t *archive_bytes,
                          const archive_limits_t *limits, archive_refusal_t *refusal)
{
    order_t order = order_of (base);
    whole_t whole = { .limits = limits, .refusal = refusal };
    bool good = remove_all (&order, removed, refusal);
    if (good)
        replace_all (&order, delta);
    *archive_bytes -= bytes_gone (base);
    good = good && add_left (&whole, base) && add_left (&whole, delta);
    archive_names_fini (&whole.names);
    free (order.by_path);
    return good && zip_sizes_check (whole.bytes, *archive_bytes, limits, refusal);
}
