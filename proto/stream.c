#include "stream.h"

static const char *const names[STREAM_COUNT] = {
    [STREAM_STDOUT] = "stdout",
    [STREAM_STDERR] = "stderr",
    [STREAM_JOURNAL] = "journal",
};

const char *stream_name (stream_t stream)
{
    return names[stream];
}

bool stream_find (slice_t name, stream_t *out)
{
    for (*out = STREAM_STDOUT; *out < STREAM_COUNT; ++*out)
        if (slice_eq_str (name, names[*out]))
            return true;
    return false;
}
