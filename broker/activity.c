/* activity.c - see activity.h. A row of the store, numbers little-endian:
 *
 *     u8   version, 1
 *     u64  the quarter of the last cells, counted from the epoch
 *     of each worker, to the end of the row:
 *         u8 bytes   its id
 *         96 bytes   its cells as text, oldest first
 *         u32 u32    of the last cell: samples, and the sum of their shares in thousandths
 */
#include "broker/activity.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "broker/map.h"

enum { VERSION = 1, SHARE_FULL = 1000, SAMPLES_MAX = 1000 * 1000 };

typedef struct {
    char *id;
    char cells[ACTIVITY_CELLS]; /* that of quarter N is cells[N % ACTIVITY_CELLS] */
    uint32_t samples;           /* in the current quarter, */
    uint32_t shares;            /* and the sum of their shares */
    uint64_t round;             /* the last one that it was in */
} track_t;

struct activity {
    int64_t quarter;
    uint64_t round;
    map_t by_id;
    track_t **tracks;
    size_t count, cap;
};

static slice_t id_of (const void *item)
{
    return slice_of (((const track_t *)item)->id);
}

activity_t *activity_new (const uint8_t secret[16])
{
    activity_t *self = xcalloc (1, sizeof *self);
    map_init (&self->by_id, id_of, secret);
    self->quarter = -1;
    return self;
}

static void track_free (track_t *track)
{
    free (track->id);
    free (track);
}

void activity_destroy (activity_t **self_p)
{
    activity_t *self = *self_p;
    if (!self)
        return;
    for (size_t i = 0; i < self->count; i++)
        track_free (self->tracks[i]);
    free (self->tracks);
    map_fini (&self->by_id);
    free (self);
    *self_p = NULL;
}

/* NULL when there are too many. */
static track_t *track_of (activity_t *self, slice_t worker_id)
{
    track_t *track = map_get (&self->by_id, worker_id);
    if (track || self->count == ACTIVITY_WORKERS_MAX)
        return track;
    if (self->count == self->cap) {
        self->cap = self->cap ? 2 * self->cap : 64;
        self->tracks = xrealloc (self->tracks, self->cap * sizeof (track_t *));
    }
    track = xcalloc (1, sizeof *track);
    track->id = slice_dup (worker_id);
    track->round = self->round;
    memset (track->cells, '-', sizeof track->cells);
    map_put (&self->by_id, track);
    self->tracks[self->count++] = track;
    return track;
}

static void forget_unseen (activity_t *self)
{
    for (size_t i = 0; i < self->count;) {
        track_t *track = self->tracks[i];
        if (track->round == self->round) {
            i++;
            continue;
        }
        map_remove (&self->by_id, track);
        track_free (track);
        self->tracks[i] = self->tracks[--self->count];
    }
}

/* Nothing is known of the quarters after `after` up to `until`. */
static void clear_columns (activity_t *self, int64_t after, int64_t until)
{
    if (until - after > ACTIVITY_CELLS)
        after = until - ACTIVITY_CELLS;
    for (size_t i = 0; i < self->count; i++)
        for (int64_t quarter = after + 1; quarter <= until; quarter++)
            self->tracks[i]->cells[quarter % ACTIVITY_CELLS] = '-';
}

static int64_t quarter_of (int64_t wall_ms)
{
    return wall_ms < 0 ? 0 : wall_ms / ACTIVITY_STEP_MS;
}

/* When the clock was set back, the later cells are of a time that is yet to come. */
static void move_to (activity_t *self, int64_t quarter)
{
    if (quarter > self->quarter)
        clear_columns (self, self->quarter, quarter);
    else
        clear_columns (self, quarter, self->quarter);
    for (size_t i = 0; i < self->count; i++)
        self->tracks[i]->samples = self->tracks[i]->shares = 0;
    self->quarter = quarter;
}

bool activity_round (activity_t *self, int64_t wall_ms)
{
    int64_t quarter = quarter_of (wall_ms);
    bool other = quarter != self->quarter;
    if (other) {
        forget_unseen (self);
        move_to (self, quarter);
    }
    self->round++;
    return other;
}

void activity_sample (activity_t *self, slice_t worker_id, int64_t busy, int64_t slots)
{
    track_t *track = slots ? track_of (self, worker_id) : map_get (&self->by_id, worker_id);
    if (!track)
        return;
    track->round = self->round;
    if (!slots || track->samples >= SAMPLES_MAX)
        return; /* a quarter that lasts that long: the clock is set back again and again */
    track->samples++;
    track->shares += (uint32_t)(busy >= slots ? SHARE_FULL : busy * SHARE_FULL / slots);
    uint32_t tenths = track->shares / track->samples / (SHARE_FULL / 10);
    track->cells[self->quarter % ACTIVITY_CELLS] = (char)('0' + (tenths > 9 ? 9 : tenths));
}

static void text_of (const activity_t *self, const track_t *track, char out[ACTIVITY_CELLS])
{
    for (int64_t i = 0; i < ACTIVITY_CELLS; i++) {
        int64_t quarter = self->quarter - ACTIVITY_CELLS + 1 + i;
        out[i] = quarter < 0 ? '-' : track->cells[quarter % ACTIVITY_CELLS];
    }
}

void activity_text (const activity_t *self, slice_t worker_id, char out[ACTIVITY_CELLS])
{
    const track_t *track = map_get (&self->by_id, worker_id);
    if (track)
        text_of (self, track, out);
    else
        memset (out, '-', ACTIVITY_CELLS);
}

int64_t activity_until_ms (const activity_t *self)
{
    return (self->quarter + 1) * ACTIVITY_STEP_MS;
}

/* ---- rows ---- */

static void put (buf_t *out, uint64_t number, size_t bytes)
{
    uint64_t little = htole64 (number);
    buf_append (out, &little, bytes);
}

size_t activity_rows (const activity_t *self)
{
    return (self->count + ACTIVITY_ROW_WORKERS - 1) / ACTIVITY_ROW_WORKERS;
}

void activity_row (const activity_t *self, size_t row, buf_t *out)
{
    put (out, VERSION, 1);
    put (out, (uint64_t)self->quarter, 8);
    size_t end = (row + 1) * ACTIVITY_ROW_WORKERS;
    for (size_t i = row * ACTIVITY_ROW_WORKERS; i < self->count && i < end; i++) {
        const track_t *track = self->tracks[i];
        char text[ACTIVITY_CELLS];
        size_t len = strlen (track->id);
        text_of (self, track, text);
        put (out, len, 1);
        buf_append (out, track->id, len);
        buf_append (out, text, sizeof text);
        put (out, track->samples, 4);
        put (out, track->shares, 4);
    }
}

/* The next `bytes` of a row; absent when it is shorter. */
static slice_t take (slice_t *rest, size_t bytes)
{
    if (rest->len < bytes)
        return SLICE_ABSENT;
    slice_t taken = slice_from (rest->ptr, bytes);
    *rest = slice_from (rest->ptr + bytes, rest->len - bytes);
    return taken;
}

static uint64_t number_of (slice_t bytes)
{
    uint64_t little = 0;
    memcpy (&little, bytes.ptr, bytes.len);
    return le64toh (little);
}

static bool cells_valid (slice_t cells)
{
    for (size_t i = 0; i < cells.len; i++)
        if (cells.ptr[i] != '-' && (cells.ptr[i] < '0' || cells.ptr[i] > '9'))
            return false;
    return true;
}

/* Cells that are not known take nothing from those that another row knew. */
static void merge (activity_t *self, track_t *track, int64_t quarter, slice_t cells)
{
    for (int64_t i = 0; i < ACTIVITY_CELLS; i++) {
        int64_t of = quarter - ACTIVITY_CELLS + 1 + i;
        if (of >= 0 && of <= self->quarter && of > self->quarter - ACTIVITY_CELLS && cells.ptr[i] != '-')
            track->cells[of % ACTIVITY_CELLS] = cells.ptr[i];
    }
}

static bool load_worker (activity_t *self, int64_t quarter, slice_t *rest)
{
    slice_t len = take (rest, 1);
    slice_t id = len.ptr ? take (rest, (size_t)number_of (len)) : SLICE_ABSENT;
    slice_t cells = take (rest, ACTIVITY_CELLS);
    slice_t samples = take (rest, 4);
    slice_t shares = take (rest, 4);
    bool good = id.len && id.len <= ID_MAX && !memchr (id.ptr, '\0', id.len) && cells.ptr && samples.ptr && shares.ptr;
    if (!good || !cells_valid (cells) || number_of (samples) > SAMPLES_MAX ||
        number_of (shares) > number_of (samples) * SHARE_FULL)
        return false;
    track_t *track = track_of (self, id);
    if (!track)
        return true;
    merge (self, track, quarter, cells);
    if (quarter == self->quarter) {
        track->samples = (uint32_t)number_of (samples);
        track->shares = (uint32_t)number_of (shares);
    }
    return true;
}

bool activity_load (activity_t *self, slice_t bytes, int64_t wall_ms)
{
    enum { QUARTER_MAX = TIME_MAX / ACTIVITY_STEP_MS };
    slice_t rest = bytes;
    slice_t version = take (&rest, 1);
    slice_t last = take (&rest, 8);
    self->quarter = quarter_of (wall_ms);
    if (!version.ptr || number_of (version) != VERSION || !last.ptr || number_of (last) > QUARTER_MAX)
        return false;
    bool good = true;
    while (good && rest.len)
        good = load_worker (self, (int64_t)number_of (last), &rest);
    return good;
}
