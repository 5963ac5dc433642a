/* stats_row.c - a bucket as a row of the store. Numbers are little-endian.
 *
 *     u8   version, 1
 *     u8   count of reasons
 *     u16  count of waiting time's cells, and
 *     u16  of running time's: those that are not empty
 *     u32  created, started, completed, failed, samples
 *     u64  sums of the samples: pending, running, workers, busy slots, slots
 *     u16 u32                    of each cell its number and its count, first those of the waiting time
 *     u32 u8 bytes               of each reason its count and its name; `other` is one of them
 *
 * An idle minute is 66 bytes, a busy one some hundred; the fullest possible is about 6 KB.
 */
#include <endian.h>
#include <string.h>

#include "broker/stats_internal.h"
#include "proto/message.h"

enum { VERSION = 1 };

static void put (buf_t *out, uint64_t number, size_t bytes)
{
    uint64_t little = htole64 (number);
    buf_append (out, &little, bytes);
}

static void put_cells (buf_t *out, const histogram_t *histogram)
{
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
        if (histogram->cells[i]) {
            put (out, i, 2);
            put (out, histogram->cells[i], 4);
        }
}

static uint64_t cells_used (const histogram_t *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_CELLS; i++)
        count += histogram->cells[i] != 0;
    return count;
}

static void put_reason (buf_t *out, slice_t name, uint32_t count)
{
    put (out, count, 4);
    put (out, name.len, 1);
    buf_append (out, name.ptr, name.len);
}

static void encode (const bucket_t *bucket, buf_t *out)
{
    put (out, VERSION, 1);
    put (out, bucket->reason_count + (bucket->other != 0), 1);
    put (out, cells_used (&bucket->wait), 2);
    put (out, cells_used (&bucket->run), 2);
    const uint32_t counts[] = { bucket->created, bucket->started, bucket->completed, bucket->failed, bucket->samples };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        put (out, counts[i], 4);
    for (int i = 0; i < LEVELS; i++)
        put (out, bucket->sums[i], 8);
    put_cells (out, &bucket->wait);
    put_cells (out, &bucket->run);
    for (uint32_t i = 0; i < bucket->reason_count; i++)
        put_reason (out, slice_of (bucket->reasons[i].name), bucket->reasons[i].count);
    if (bucket->other)
        put_reason (out, SLICE ("other"), bucket->other);
}

err_t stats_each_changed (const stats_t *self, buf_t *room, stats_row_fn *fn, void *ctx)
{
    err_t err = ERR_NONE;
    for (int ring = 0; ring < STATS_RINGS; ring++)
        for (int64_t i = 0; i < stats_ring_count ((stats_ring_t)ring) && !err; i++) {
            const bucket_t *bucket = &self->rings[ring][i];
            if (!bucket->used || !bucket->changed)
                continue;
            buf_clear (room);
            encode (bucket, room);
            err = fn (ctx, (stats_ring_t)ring, bucket->time_ms, buf_slice (room));
        }
    return err;
}

void stats_stored (stats_t *self)
{
    for (int ring = 0; ring < STATS_RINGS; ring++)
        for (int64_t i = 0; i < stats_ring_count ((stats_ring_t)ring); i++)
            self->rings[ring][i].changed = false;
}

/* ---- and back ---- */

/* What is left of a row; `bad` once it was too short or held what cannot be. */
typedef struct {
    slice_t rest;
    bool bad;
} reader_t;

static uint64_t get (reader_t *reader, size_t bytes)
{
    uint64_t little = 0;
    if (reader->rest.len < bytes) {
        reader->bad = true;
        return 0;
    }
    memcpy (&little, reader->rest.ptr, bytes);
    reader->rest = slice_from (reader->rest.ptr + bytes, reader->rest.len - bytes);
    return le64toh (little);
}

static void get_cells (reader_t *reader, uint64_t count, histogram_t *histogram)
{
    for (uint64_t i = 0; i < count && !reader->bad; i++) {
        uint64_t cell = get (reader, 2);
        uint64_t value = get (reader, 4);
        if (cell >= HISTOGRAM_CELLS)
            reader->bad = true;
        else
            histogram->cells[cell] = (uint32_t)value;
    }
}

static void get_reason (reader_t *reader, bucket_t *bucket)
{
    uint32_t count = (uint32_t)get (reader, 4);
    size_t len = (size_t)get (reader, 1);
    slice_t name = slice_from (reader->rest.ptr, len);
    if (len > reader->rest.len || !utf8_valid (name)) {
        reader->bad = true;
        return;
    }
    stats_count_reason (bucket, name, count);
    reader->rest = slice_from (reader->rest.ptr + len, reader->rest.len - len);
}

static bool decode (slice_t bytes, bucket_t *bucket)
{
    reader_t reader = { bytes, false };
    if (get (&reader, 1) != VERSION)
        return false;
    uint64_t reasons = get (&reader, 1);
    uint64_t wait_cells = get (&reader, 2);
    uint64_t run_cells = get (&reader, 2);
    uint32_t *counts[] = { &bucket->created, &bucket->started, &bucket->completed, &bucket->failed, &bucket->samples };
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        *counts[i] = (uint32_t)get (&reader, 4);
    for (int i = 0; i < LEVELS; i++) {
        bucket->sums[i] = get (&reader, 8);
        reader.bad = reader.bad || bucket->sums[i] / COUNT_MAX > bucket->samples;
    }
    get_cells (&reader, wait_cells, &bucket->wait);
    get_cells (&reader, run_cells, &bucket->run);
    for (uint64_t i = 0; i < reasons && !reader.bad; i++)
        get_reason (&reader, bucket);
    return !reader.bad && !reader.rest.len;
}

bool stats_load (stats_t *self, stats_ring_t ring, int64_t time_ms, slice_t bytes, int64_t wall_ms)
{
    bucket_t bucket = { .used = true, .time_ms = time_ms };
    if (time_ms < 0 || time_ms % stats_step_ms (ring) != 0 || !decode (bytes, &bucket))
        return false;
    if (time_ms <= wall_ms && time_ms > wall_ms - stats_span_ms (ring))
        *stats_place (self, ring, time_ms) = bucket;
    return true;
}
